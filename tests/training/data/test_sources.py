from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.training.data.samples import png, random_images, write_archive, write_folders, write_parquet
from tune_lpc.plan import UserError
from tune_lpc.training.data import FinalTest, count_training_images, load_training_images


def _problem(dataset: str, data_dir: Path | None = None) -> str:
    """The one line that both functions refuse with."""
    with pytest.raises(UserError) as caught:
        load_training_images(dataset, data_dir)
    with pytest.raises(UserError) as counted:
        count_training_images(dataset, data_dir)
    assert counted.value.problems == caught.value.problems
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def test_digits_are_scikit_learns_scaled_to_bytes() -> None:
    found = load_training_images("digits")
    original = load_digits()
    assert found.images.shape == (1437, 8, 8, 1) and found.images.dtype == np.uint8
    assert found.images.max() == 255
    row_of = {values.tobytes(): row for row, values in enumerate(original.images)}
    rows = [row_of[values.tobytes()] for values in np.round(found.images[..., 0] / 255 * 16)]
    assert rows == sorted(rows)
    assert (found.labels == original.target[rows]).all()
    assert count_training_images("digits") == 1437
    assert found.source == "digits, 1,437 images from scikit-learn"


@pytest.mark.parametrize("hold_out", [0.0, 0.5])
def test_the_same_360_digits_are_kept_apart_whatever_is_asked_for(hold_out: float) -> None:
    found = load_training_images("digits", hold_out=hold_out)
    assert found.final_test == FinalTest(360, kept_apart=True)
    assert found.fingerprint == load_training_images("digits").fingerprint
    assert count_training_images("digits", hold_out=hold_out) == 1437
    left = np.bincount(found.labels)
    assert np.abs(np.bincount(load_digits().target) - left - 36).max() <= 1


def test_no_file_in_the_cache_holds_a_digit_that_is_kept_apart(cache: Path) -> None:
    load_training_images("digits")
    (file,) = cache.rglob("images.npy")
    assert np.load(file).shape[0] == 1437
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.suffix == ".npy") < 1437 * (64 + 8 + 16) + 600


def test_digits_are_scaled_when_asked() -> None:
    assert load_training_images("digits", image_size=16).images.shape == (1437, 16, 16, 1)


def test_digits_are_taken_from_a_folder_when_one_is_given(tmp_path: Path) -> None:
    write_folders(tmp_path / "digits", random_images(4), np.array([0, 0, 1, 1]), ("0", "1"))
    assert len(load_training_images("digits", tmp_path).images) == 4
    assert "there is no folder" in _problem("digits", tmp_path / "missing")


def test_a_missing_an_empty_and_a_strange_folder_are_told(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path}/nowhere" in _problem("pets", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "is empty" in _problem("pets", tmp_path / "empty")
    (tmp_path / "file").write_text("")
    assert "is a file" in _problem("pets", tmp_path / "file")
    (tmp_path / "sets/cats").mkdir(parents=True)
    (tmp_path / "sets/birds").mkdir()
    line = _problem("cat", tmp_path / "sets")
    assert "train-*.parquet" in line and "train/<class>/*.png" in line
    assert "birds, cats" in line and "did you mean 'cats'?" in line
    assert "is empty" in _problem("cats", tmp_path / "sets")


def test_another_data_sets_files_are_never_taken(tmp_path: Path) -> None:
    write_parquet(tmp_path / "other/data/train-0.parquet", [png(p) for p in random_images(4)], [0, 1, 0, 1])
    assert "holds no training images of 'pets'" in _problem("pets", tmp_path)
    assert "its folders are other" in _problem("pets", tmp_path)


def test_files_directly_in_the_folder_are_taken(tmp_path: Path) -> None:
    for place in ("flat", "deep/data"):
        write_parquet(tmp_path / place / "train-0.parquet", [png(p) for p in random_images(4)], [0, 1, 0, 1])
    assert count_training_images("pets", tmp_path / "flat") == 4
    assert count_training_images("pets", tmp_path / "deep") == 4


def test_pointing_one_folder_too_deep_is_mended(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets/plain/train-0.parquet", [png(p) for p in random_images(4)], [0, 1, 0, 1])
    assert f"give --data-dir {tmp_path}" in _problem("pets", tmp_path / "pets")


def test_an_unknown_name_gets_the_nearest() -> None:
    line = _problem("cifar_10")
    assert "did you mean 'cifar10'?" in line and "--data-dir" in line


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_a_name_that_is_a_path_is_refused(name: str, tmp_path: Path) -> None:
    assert "must be a plain name" in _problem(name, tmp_path)


def test_counting_writes_nothing(cache: Path) -> None:
    assert [count_training_images(name) for name in ("cifar10", "cifar100", "mnist", "svhn")] == [
        50000,
        50000,
        60000,
        73257,
    ]
    assert not cache.exists()


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "mnist", "svhn"])
def test_archives_in_the_original_format_are_read(dataset: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, patches = write_archive(dataset, cache / "downloads" / dataset)
    for patch in patches:
        monkeypatch.setattr(*patch)
    found = load_training_images(dataset)
    assert (found.images == images).all()
    assert (found.labels == labels).all()
    assert found.images.flags.c_contiguous
    assert found.final_test == FinalTest(26_032 if dataset == "svhn" else 10_000, kept_apart=False)
    assert load_training_images(dataset, hold_out=0.3).fingerprint == found.fingerprint
    named = {"cifar10": [f"name{c}" for c in range(10)], "cifar100": [f"name{c}" for c in range(100)]}
    assert list(found.class_names) == named.get(dataset, [str(c) for c in range(10)])
    unpacked = [path.name for path in cache.rglob("*") if path.name in ("test_batch", "test", "t10k-images-idx3-ubyte")]
    assert not unpacked


@pytest.mark.parametrize("dataset", ["cifar10", "mnist", "svhn"])
def test_without_a_network_one_line_tells_what_to_do(
    dataset: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(UserError) as caught:
        load_training_images(dataset)
    (line,) = caught.value.problems
    assert line.startswith(f"{dataset} can't be downloaded") and "Name or service not known" in line
    assert "--data-dir" in line and str(cache / "downloads" / dataset) in line and "\n" not in line
    assert not list((cache / "images").iterdir())


class _Response:
    """What urlopen gives for a file that is not what it should be."""

    def __init__(self, request: urllib.request.Request) -> None:
        self.url, self.length, self._left = request.full_url, 5, [b"wrong", b""]

    def read(self, _: int) -> bytes:
        return self._left.pop(0)

    def __enter__(self) -> _Response:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("dataset", ["cifar100", "svhn"])
def test_a_wrong_checksum_is_refused(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", _Response)
    with pytest.raises(UserError, match=r"can't be downloaded .*corrupted"):
        load_training_images(dataset)


def test_damaged_unpacked_files_name_the_folder_to_delete(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache / "downloads" / "mnist"
    _, _, patches = write_archive("mnist", folder)
    for patch in patches:
        monkeypatch.setattr(*patch)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / "MNIST" / "raw" / name).write_bytes(b"\0\0\x08\x03")
    with pytest.raises(UserError, match=f"{folder} are damaged .*delete that folder"):
        load_training_images("mnist")
