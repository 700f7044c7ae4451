from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.samples import png, random_images, write_folders, write_parquet
from tune_lpc.plan import UserError
from tune_lpc.training.data import count_training_images, load_training_images

IMAGES, LABELS, NAMES = random_images(12), np.arange(12) // 4, ("ant", "cat", "dog")


def _problems(root: Path, dataset: str = "pets") -> list[str]:
    with pytest.raises(UserError) as caught:
        load_training_images(dataset, root)
    assert all("\n" not in line for line in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("inside", ["pets", "."])
def test_folders_are_read_below_the_name_or_directly(tmp_path: Path, inside: str) -> None:
    write_folders(tmp_path / "my" / inside, IMAGES, LABELS, NAMES)
    found = load_training_images("pets", tmp_path / "my")
    assert (found.images == IMAGES).all()
    assert (found.labels == LABELS).all()
    assert found.class_names == NAMES
    assert found.source.endswith("(image folders)")
    assert count_training_images("pets", tmp_path / "my") == 12


def test_deeper_files_and_capital_endings_count_and_others_do_not(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", IMAGES, LABELS, NAMES)
    (tmp_path / "pets/train/ant/more").mkdir()
    (tmp_path / "pets/train/ant/more/x.PNG").write_bytes(png(IMAGES[0]))
    (tmp_path / "pets/train/ant/notes.txt").write_text("not an image")
    (tmp_path / "pets/train/ant/._00000.png").write_text("left by a file browser")
    (tmp_path / "pets/train/.ipynb_checkpoints").mkdir()
    assert count_training_images("pets", tmp_path) == 13
    assert len(load_training_images("pets", tmp_path).images) == 13


def test_the_same_images_have_the_same_fingerprint_in_both_forms(tmp_path: Path) -> None:
    write_folders(tmp_path / "a/pets", IMAGES, LABELS, NAMES)
    write_parquet(tmp_path / "b/pets/train-0.parquet", [png(p) for p in IMAGES], LABELS.tolist(), class_names=NAMES)
    a, b = (load_training_images("pets", tmp_path / form) for form in "ab")
    assert a.fingerprint == b.fingerprint
    write_folders(tmp_path / "c/pets", 255 - IMAGES, LABELS, NAMES)
    assert load_training_images("pets", tmp_path / "c").fingerprint != a.fingerprint


def test_parquet_goes_before_folders(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", IMAGES, LABELS, NAMES)
    write_parquet(tmp_path / "pets/data/train-0.parquet", [png(p) for p in IMAGES[:2]], [0, 1])
    assert len(load_training_images("pets", tmp_path).images) == 2
    assert count_training_images("pets", tmp_path) == 2


def test_broken_images_and_empty_classes_come_together(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", IMAGES, LABELS, NAMES)
    (tmp_path / "pets/train/bee").mkdir()
    (tmp_path / "pets/train/cat/00005.png").write_bytes(b"")
    (tmp_path / "pets/train/dog/00009.png").write_bytes(png(IMAGES[9])[:-70])
    lines = _problems(tmp_path)
    assert len(lines) == 3
    assert lines[0] == "class 'bee' has no images; add some, or remove its folder"
    assert "00005.png" in lines[1] and "00009.png" in lines[2]


def test_one_class_is_too_few(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", IMAGES, LABELS * 0, NAMES)
    assert "only one class" in _problems(tmp_path)[0]


def test_class_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "pets/train/ant").mkdir(parents=True)
    assert "hold no images" in _problems(tmp_path)[0]
    with pytest.raises(UserError, match="hold no images"):
        count_training_images("pets", tmp_path)
