"""Images for a final test: chosen by what they show, and out of the reach of a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.samples import POISON, png, random_images, write_folders, write_parquet
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.training.data import (
    FinalTest,
    check_hold_out,
    count_training_images,
    find_image_files,
    held_out_rows,
    load_training_images,
)
from tune_lpc.training.data.contents import as_array, digest_of_bytes
from tune_lpc.training.data.walking import Walk
from tune_lpc.training.prepare import Prepared, prepare

NAMES = ("ant", "cat", "dog")
IMAGES, LABELS = random_images(60), np.arange(60) % 3


def _digests(contents: np.ndarray) -> np.ndarray:
    return as_array(b"".join(digest_of_bytes(str(content).encode()) for content in contents))


# The choice


def test_the_share_is_stratified() -> None:
    labels = np.repeat(np.arange(3), [100, 200, 300])
    rows = held_out_rows(labels, _digests(np.arange(600)), 0.1)
    assert np.bincount(labels[rows]).tolist() == [10, 20, 30]
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_the_choice_stays_what_it_was() -> None:
    """The images of a published final test: whoever changes this lets searches read what they must not."""
    rows = held_out_rows(np.arange(60) % 3, _digests(np.arange(60)), 0.1)
    assert rows.tolist() == [21, 34, 38, 48, 58, 59]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 0.5), st.integers(1, 60))
def test_only_what_the_images_show_decides(seed: int, share: float, different: int) -> None:
    """Not their order, nor the numbers of their classes, nor how many copies lie where."""
    draw = np.random.default_rng(seed)
    contents = np.concatenate([np.arange(20), draw.integers(0, 20 + different, 60)])
    labels = contents % 4
    rows = held_out_rows(labels, _digests(contents), share)
    order = draw.permutation(len(contents))
    others = held_out_rows(3 - labels[order], _digests(contents[order]), share)
    chosen, left = set(contents[rows]), set(np.delete(contents, rows))
    assert set(contents[order][others]) == chosen
    assert not chosen & left
    assert (np.bincount(labels[rows], minlength=4) >= 1).all()
    assert all(len({content for content in left if content % 4 == c}) >= 2 for c in range(4))


def test_copies_with_different_labels_are_never_kept_apart() -> None:
    contents = np.concatenate([np.arange(40), np.arange(10)])
    labels = np.concatenate([np.arange(40) % 2, 1 - np.arange(10) % 2])
    rows = held_out_rows(labels, _digests(contents), 0.5)
    assert len(rows) == 25 and contents[rows].min() >= 10


def test_classes_with_too_few_images_are_named_with_the_mend() -> None:
    contents, labels = np.array([0, 1, 2, 3, 3, 4, 5, 6, 7]), np.repeat(np.arange(3), [3, 3, 3])
    with pytest.raises(UserError) as caught:
        held_out_rows(labels, _digests(contents), 0.1, NAMES)
    (line,) = caught.value.problems
    assert "class 'cat' has 2, but with hold_out=0.1 each class needs 3 or more" in line and "'ant'" not in line
    assert line.endswith("add images, or --set hold_out=0 to keep none apart")
    assert len(held_out_rows(labels, _digests(contents), 0.0, NAMES)) == 0
    with pytest.raises(UserError, match=r"class 'dog' has 1.*leave out the classes with fewer than 2"):
        held_out_rows(labels[:7], _digests(contents[:7]), 0.1, NAMES)


# A search on own images


def _folders(root: Path) -> None:
    write_folders(root / "pets", IMAGES, LABELS, NAMES)


def _parquet(root: Path) -> None:
    order = np.random.default_rng(1).permutation(60)
    write_parquet(root / "pets/train-0.parquet", [png(p) for p in IMAGES[order]], LABELS[order].tolist())


def _memory(root: Path, **more: float) -> Prepared:
    return prepare(TrialSpec.build({"dataset": "pets", "image_size": 8, **more}), root)


def _disk(root: Path, **more: float) -> Prepared:
    return prepare(TrialSpec.build({"dataset": "pets", "image_size": 8, "data_from": "disk", **more}), root)


def _seen(prepared: Prepared) -> set[bytes]:
    return {digest.tobytes() for digest in prepared.source.digests}


@pytest.mark.parametrize(("write", "read"), [(_folders, _memory), (_folders, _disk), (_parquet, _memory)])
def test_a_tenth_is_kept_apart_in_every_layout_and_never_seen(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[..., Prepared]
) -> None:
    write(tmp_path)
    prepared, whole = read(tmp_path), read(tmp_path, hold_out=0.0)
    assert prepared.test_images == 6
    assert len(prepared.source.labels) == prepared.images.shape[0] == 54
    assert len(prepared.split.train) + len(prepared.split.validation) == 54
    assert np.bincount(prepared.source.labels).tolist() == [18, 18, 18]
    assert prepared.describe().endswith("49 to train, 5 to validate; 6 kept apart for a final test")
    assert (len(whole.source.labels), whole.test_images) == (60, 0)
    apart = held_out_rows(whole.source.labels, whole.source.digests, 0.1)
    assert _seen(prepared) == _seen(whole) - {whole.source.digests[row].tobytes() for row in apart}
    assert count_training_images("pets", tmp_path, hold_out=0.1) == 54
    check_hold_out("pets", tmp_path, 0.1)


def test_the_same_images_are_kept_apart_in_every_layout(tmp_path: Path) -> None:
    _folders(tmp_path / "a")
    _parquet(tmp_path / "b")
    wanted = _seen(_memory(tmp_path / "a"))
    assert _seen(_disk(tmp_path / "a")) == _seen(_memory(tmp_path / "b")) == wanted
    assert _disk(tmp_path / "a").split.hash == _memory(tmp_path / "a").split.hash


@pytest.mark.parametrize("settings", [{"split": 3}, {"image_size": 16}, {"train_size": 9}, {"validation_share": 0.4}])
@pytest.mark.parametrize("read", [_memory, _disk])
def test_no_other_setting_changes_what_is_kept_apart(
    tmp_path: Path, settings: dict[str, float], read: Callable[..., Prepared]
) -> None:
    _folders(tmp_path)
    prepared = read(tmp_path, **settings)
    assert _seen(prepared) == _seen(read(tmp_path))
    assert prepared.test_images == 6


def test_the_images_in_memory_are_those_that_are_left(tmp_path: Path, cache: Path) -> None:
    _folders(tmp_path)
    found = load_training_images("pets", tmp_path, hold_out=0.3)
    pixels_of = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [pixels_of[image.tobytes()] for image in found.images] == found.labels.tolist()
    assert [np.load(file, mmap_mode="r").shape[0] for file in cache.rglob("*.npy")] == [42] * 3
    assert found.fingerprint != load_training_images("pets", tmp_path, hold_out=0.2).fingerprint


def test_the_fingerprint_is_that_of_the_images_that_are_seen(tmp_path: Path) -> None:
    """Another image among those kept apart is another final test, not another search."""
    _folders(tmp_path / "all")
    left = load_training_images("pets", tmp_path / "all", hold_out=0.1)
    write_folders(tmp_path / "left/pets", left.images, left.labels, NAMES)
    assert load_training_images("pets", tmp_path / "left").fingerprint == left.fingerprint


def test_copies_stored_in_another_way_are_found_where_pixels_are_decoded(tmp_path: Path) -> None:
    _folders(tmp_path)
    for file in sorted((tmp_path / "pets/train").rglob("*.png")):
        shutil.copy(file, file.with_name("copy-" + file.name))
        (file.with_name("other-" + file.name)).write_bytes(file.read_bytes() + b"a comment at the end")
    assert _memory(tmp_path).split.copies == (54, 0)
    seen = load_training_images("pets", tmp_path, hold_out=0.1)
    assert len(seen.images) == 162 and len(np.unique(seen.images, axis=0)) == 54
    # On disk only files of the same bytes are known to be copies.
    assert len(np.unique(find_image_files("pets", tmp_path, 8).digests, axis=0)) == 120


# A test part beside the training images


@pytest.mark.parametrize("read", [_memory, _disk])
def test_with_a_folder_test_nothing_is_kept_apart_and_its_files_are_counted(
    tmp_path: Path, read: Callable[..., Prepared]
) -> None:
    _folders(tmp_path)
    for name in ("ant/0.png", "cat/0.png", "cat/deeper/1.JPG", "cat/notes.txt", ".hidden/0.png"):
        file = tmp_path / "pets/test" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(POISON)
    prepared = read(tmp_path)
    assert prepared.source.final_test == FinalTest(3, kept_apart=False)
    assert len(prepared.source.labels) == 60
    assert prepared.describe().endswith("54 to train, 6 to validate; 3 test images lie beside them")
    assert prepared.source.fingerprint == read(tmp_path, hold_out=0.5).source.fingerprint
    assert count_training_images("pets", tmp_path, hold_out=0.1) == 60
    with pytest.raises(UserError, match=r"hold_out is 0\.3, but has no effect: pets from .*; leave it out"):
        check_hold_out("pets", tmp_path, 0.3)


def test_of_digits_the_images_for_a_final_test_are_fixed() -> None:
    with pytest.raises(UserError, match="hold_out is 0, but has no effect: digits from scikit-learn"):
        check_hold_out("digits", None, 0.0)


@pytest.mark.parametrize("place", ["pets", "."])
def test_with_parquet_files_to_test_nothing_is_kept_apart_and_they_stay_closed(tmp_path: Path, place: str) -> None:
    _parquet(tmp_path / "made")
    (tmp_path / "made/pets").rename(tmp_path / "my") if place == "." else (tmp_path / "made").rename(tmp_path / "my")
    (tmp_path / "my" / place / "test-0.parquet").write_bytes(POISON)
    prepared = _memory(tmp_path / "my")
    assert prepared.test_images is None and len(prepared.source.labels) == 60
    assert prepared.describe().endswith("; a test part of its own lies beside them")


def test_an_empty_folder_is_no_test_part_but_another_form_is(tmp_path: Path) -> None:
    _folders(tmp_path)
    (tmp_path / "pets/test/ant").mkdir(parents=True)
    assert _memory(tmp_path).source.final_test == FinalTest(6, kept_apart=True)
    (tmp_path / "pets/test-0.parquet").write_bytes(POISON)
    assert _memory(tmp_path).source.final_test == FinalTest(None, kept_apart=False)


def test_a_test_folder_that_is_locked_away_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    through = Walk.through

    def locked(walk: Walk, folder: Path | str) -> Walk:
        if Path(folder).name == "test":
            raise PermissionError(13, "Permission denied", str(folder))
        return through(walk, folder)

    _folders(tmp_path)
    (tmp_path / "pets/test").mkdir()
    monkeypatch.setattr("tune_lpc.training.data.layouts.Walk.through", locked)
    assert load_training_images("pets", tmp_path, hold_out=0.1).final_test == FinalTest(None, kept_apart=False)


@pytest.mark.parametrize(
    ("final_test", "words"),
    [
        (FinalTest(360, kept_apart=True), "360 kept apart for a final test"),
        (FinalTest(0, kept_apart=True), "none kept apart for a final test"),
        (FinalTest(2000, kept_apart=False), "2,000 test images lie beside them"),
        (FinalTest(1, kept_apart=False), "1 test image lies beside them"),
        (FinalTest(None, kept_apart=False), "a test part of its own lies beside them"),
    ],
)
def test_what_is_there_for_a_final_test_is_told(final_test: FinalTest, words: str) -> None:
    assert final_test.describe() == words
