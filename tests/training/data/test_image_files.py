from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.data.samples import png, random_images, write_folders, write_parquet
from tune_lpc.plan import UserError
from tune_lpc.training.data import find_image_files, load_training_images, split_off_validation

NAMES = ("ant", "cat", "dog")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folders(tmp_path / "data/pets", random_images(30), np.arange(30) % 3, NAMES)
    Image.new("RGB", (20, 9)).save(tmp_path / "data/pets/train/cat/wide.jpg")
    return tmp_path / "data"


def _problems(root: Path | None, dataset: str = "pets", image_size: int | None = 8) -> list[str]:
    with pytest.raises(UserError) as caught:
        find_image_files(dataset, root, image_size)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


def test_labels_classes_and_split_are_those_of_memory(root: Path) -> None:
    disk, memory = find_image_files("pets", root, 8), load_training_images("pets", root, image_size=8)
    assert disk.class_names == memory.class_names == NAMES
    assert (disk.labels == memory.labels).all()
    assert disk.labels.dtype == memory.labels.dtype
    assert disk.shape == memory.images.shape == (31, 8, 8, 3)
    splits = [
        split_off_validation(found.labels, train_size=None, validation_share=0.2, split=4) for found in (disk, memory)
    ]
    assert splits[0].hash == splits[1].hash


def test_sizes_belong_to_their_files(root: Path) -> None:
    found = find_image_files("pets", root, 8)
    sizes = {Path(path).name: tuple(size) for path, size in zip(found.paths, found.sizes.tolist(), strict=True)}
    assert sizes["wide.jpg"] == (20, 9)
    assert sizes["00001.png"] == (8, 8)


def test_images_are_grey_only_when_all_are(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", random_images(6, channels=1), np.arange(6) % 2, NAMES)
    assert find_image_files("pets", tmp_path, 8).shape == (6, 8, 8, 1)
    Image.new("RGB", (8, 8)).save(tmp_path / "pets/train/cat/coloured.png")
    assert find_image_files("pets", tmp_path, 8).shape == (7, 8, 8, 3)


def test_the_fingerprint_follows_contents_order_and_classes_but_not_the_place(root: Path, tmp_path: Path) -> None:
    first = find_image_files("pets", root, 8)
    root.rename(tmp_path / "elsewhere")
    root = tmp_path / "elsewhere"
    os.utime(root / "pets/train/ant/00000.png", ns=(0, 0))
    moved = find_image_files("pets", root, 8)
    assert moved.fingerprint == first.fingerprint
    assert moved.identity != first.identity
    seen = {first.fingerprint}
    (root / "pets/train/ant/00000.png").rename(root / "pets/train/ant/new.png")
    seen.add(find_image_files("pets", root, 8).fingerprint)
    file = root / "pets/train/ant/new.png"
    file.write_bytes(file.read_bytes()[:-1] + b"x")  # as many bytes as before
    seen.add(find_image_files("pets", root, 8).fingerprint)
    Image.new("RGB", (9, 9)).save(file)
    seen.add(find_image_files("pets", root, 8).fingerprint)
    (root / "pets/train/ant").rename(root / "pets/train/bee")
    seen.add(find_image_files("pets", root, 8).fingerprint)
    assert len(seen) == 5


def test_headers_are_read_once_and_again_when_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_image_files("pets", root, 8)
    with monkeypatch.context() as patched:
        patched.setattr("tune_lpc.training.data.image_files.read_header_and_digest", None)
        assert len(find_image_files("pets", root, 16).paths) == 31
    Image.new("RGB", (9, 31)).save(root / "pets/train/ant/00000.png")
    assert find_image_files("pets", root, 8).sizes[0].tolist() == [9, 31]


def test_damage_to_the_cached_headers_is_mended(root: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = find_image_files("pets", root, 8).sizes
    (file,) = cache.rglob("array.npy")
    file.write_bytes(file.read_bytes()[:-5])
    assert (find_image_files("pets", root, 8).sizes == wanted).all()
    assert "damaged" in caplog.text


def test_every_file_that_is_no_image_is_named_and_nothing_is_kept(root: Path, cache: Path) -> None:
    (root / "pets/train/ant/00003.png").write_bytes(b"")
    (root / "pets/train/dog/00005.png").write_text("no image")
    (root / "pets/train/bee").mkdir()
    for _ in range(2):
        lines = _problems(root)
        assert len(lines) == 3
        assert "class 'bee' has no images" in lines[0]
        assert "00003.png" in lines[1] and "00005.png" in lines[2]
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_class_without_images_is_a_problem_on_each_call(root: Path) -> None:
    (root / "pets/train/bee").mkdir()
    for _ in range(2):
        assert "class 'bee' has no images" in _problems(root)[0]


def test_an_image_size_is_needed(root: Path) -> None:
    (line,) = _problems(root, image_size=None)
    assert line.startswith("image_size is none") and line.endswith("--set image_size=224")


def test_only_folders_are_read_from_disk(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/train-0.parquet", [png(p) for p in random_images(2)], [0, 1])
    lines = _problems(tmp_path, image_size=None)
    assert len(lines) == 2
    assert "(Parquet)" in lines[0] and "--set data_from=memory" in lines[0]
    assert "from scikit-learn" in _problems(None, "digits")[0]
    assert "there is no folder" in _problems(tmp_path / "nowhere")[0]
