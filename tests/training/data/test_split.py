from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.plan import UserError
from tune_lpc.training.data import Split, split_off_validation
from tune_lpc.training.data.contents import as_array, digest_of_bytes


def _split(
    labels: np.ndarray, train_size: int | None = None, share: float = 0.1, split: int = 0, **more: object
) -> Split:
    return split_off_validation(labels, train_size=train_size, validation_share=share, split=split, **more)  # type: ignore[arg-type]


def test_a_tenth_of_cifar_validates_with_exact_sizes_a_class() -> None:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10), 5000))
    found = _split(labels)
    assert len(found.validation) == 5000
    assert (np.bincount(labels[found.validation]) == 500).all()
    assert sorted([*found.train, *found.validation]) == list(range(50_000))
    assert found.train.dtype == found.validation.dtype == np.int64


def test_a_train_size_takes_equally_many_of_each_class_and_validates_in_the_proportions_of_the_rest() -> None:
    labels = np.repeat(np.arange(3), [100, 200, 300])
    found = _split(labels, train_size=60)
    assert np.bincount(labels[found.train]).tolist() == [20, 20, 20]
    assert np.bincount(labels[found.validation]).tolist() == [9, 20, 31]  # of 80, 180, 280
    assert not set(found.train) & set(found.validation)


def test_a_small_class_gives_half_of_its_images_and_others_make_up_for_it() -> None:
    labels = np.repeat(np.arange(3), [6, 100, 100])
    found = _split(labels, train_size=60)
    assert np.bincount(labels[found.train]).tolist() == [3, 29, 28]
    assert len(found.validation) == 60
    assert (np.bincount(labels[found.validation], minlength=3) >= 1).all()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=8),
    share=st.floats(0.01, 0.5),
    split=st.integers(0, 9),
    small=st.booleans(),
    data=st.data(),
)
def test_every_split_is_exact_disjoint_and_has_all_classes_on_both_sides(
    counts: list[int], share: float, split: int, small: bool, data: st.DataObject
) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    train_size = data.draw(st.integers(len(counts), len(labels) // 2)) if small else None
    found = _split(labels, train_size, share, split)
    assert not set(found.train) & set(found.validation)
    for rows in (found.train, found.validation):
        assert (np.bincount(labels[rows], minlength=len(counts)) >= 1).all()
    if train_size is None:
        wanted = int(np.floor(share * len(labels) + 0.5))
        assert len(found.validation) == max(len(counts), wanted)
        assert len(found.train) + len(found.validation) == len(labels)
        if wanted >= len(counts) * 4:
            away = np.bincount(labels[found.validation]) - wanted * np.array(counts) / len(labels)
            assert np.abs(away).max() < len(counts)
    else:
        assert len(found.train) == len(found.validation) == train_size


def test_the_same_number_gives_the_same_split_and_another_another() -> None:
    labels = np.arange(1000) % 10
    assert _split(labels).hash == _split(labels).hash
    assert (_split(labels).train == _split(labels).train).all()
    assert len({_split(labels, split=number).hash for number in range(10)}) == 10
    overlap = set(_split(labels).validation) & set(_split(labels, split=1).validation)
    assert len(overlap) < 40


def test_splits_stay_what_they_were() -> None:
    """The rows of a published search: whoever changes this makes old and new results differ."""
    found = _split(np.arange(100) % 10)
    assert found.validation.tolist() == [5, 8, 37, 52, 56, 59, 60, 64, 91, 93]


def test_numpys_global_seed_has_no_say() -> None:
    labels = np.arange(100) % 10
    np.random.seed(1)
    first = _split(labels).hash
    np.random.seed(2)
    assert _split(labels).hash == first


def test_a_class_with_one_image_is_named() -> None:
    labels = np.repeat(np.arange(3), [50, 1, 50])
    with pytest.raises(UserError, match="class 'cat' has 1, but each class needs 2 or more"):
        _split(labels, class_names=("ant", "cat", "dog"))


@pytest.mark.parametrize(
    ("train_size", "words"),
    [(5, "train_size is 5, but must be 10 or more"), (60, "train_size is 60, but must be 50 or less")],
)
def test_a_train_size_that_does_not_fit_is_refused(train_size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        _split(np.arange(100) % 10, train_size)


@pytest.mark.parametrize("each", [0, 1])
def test_no_train_size_is_advised_that_would_be_refused_in_its_turn(each: int) -> None:
    labels = np.arange(4 + 2 * each) % 2
    contents = np.concatenate([np.zeros(4, int), np.arange(1, 1 + 2 * each)])
    with pytest.raises(UserError) as caught:
        _split(labels, 4, digests=_digests(contents))
    (line,) = caught.value.problems
    assert f"class '0' has {each}, class '1' has {each}, but each class needs 2 or more" in line


def test_classes_too_small_for_the_groups_are_named_with_the_mend() -> None:
    labels = np.repeat(np.arange(3), [12, 100, 8])
    with pytest.raises(UserError) as caught:
        _split(labels, group_size=16, class_names=("ant", "cat", "dog"))
    (line,) = caught.value.problems
    assert "class 'ant' has 11, class 'dog' has 7" in line
    assert "'cat'" not in line
    assert "group_size is 16" in line and "--set group_size=7" in line
    assert _split(labels, group_size=7).hash == _split(labels).hash


def test_many_small_classes_are_counted() -> None:
    with pytest.raises(UserError, match="and 15 more classes fall short"):
        _split(np.arange(100) % 20, group_size=16)


# A validation set of another size than that to train on


def test_a_larger_validation_set_holds_the_usual_one_and_leaves_the_images_to_train_on_what_they_are() -> None:
    labels = np.repeat(np.arange(3), [100, 200, 300])
    usual, larger = _split(labels, 60), _split(labels, 60, validation_size=270)
    assert larger.train.tolist() == usual.train.tolist()
    assert set(usual.validation) < set(larger.validation)
    assert np.bincount(labels[larger.validation]).tolist() == [40, 90, 140]  # of 80, 180, 280
    assert larger.hash != usual.hash


def test_a_smaller_validation_set_is_a_part_of_the_usual_one() -> None:
    labels = np.repeat(np.arange(3), [100, 200, 300])
    usual, smaller = _split(labels, 60), _split(labels, 60, validation_size=27)
    assert smaller.train.tolist() == usual.train.tolist()
    assert set(smaller.validation) < set(usual.validation)
    assert np.bincount(labels[smaller.validation]).tolist() == [4, 9, 14]


def test_beside_a_small_validation_set_more_than_half_of_the_images_can_train() -> None:
    labels = np.repeat(np.arange(3), [10, 20, 30])
    by_size = [_split(labels, 50, validation_size=size) for size in (3, 7, 10)]
    assert [len(found.validation) for found in by_size] == [3, 7, 10]
    assert {tuple(found.train) for found in by_size} == {tuple(by_size[0].train)} and len(by_size[0].train) == 50
    assert sorted([*by_size[2].train, *by_size[2].validation]) == list(range(60))


def test_as_many_as_train_is_what_none_means() -> None:
    labels = np.arange(300) % 7
    assert _split(labels, 60, validation_size=60).hash == _split(labels, 60).hash


def test_the_rows_of_a_published_small_sample_stay_what_they_were() -> None:
    found = _split(np.arange(60) % 3, 12, split=2)
    assert found.train.tolist() == [0, 4, 17, 21, 23, 28, 30, 35, 43, 46, 54, 56]
    assert found.validation.tolist() == [13, 15, 16, 20, 22, 24, 26, 29, 31, 32, 36, 45]
    assert found.hash.startswith("7339af91e2dcbd88")


@settings(max_examples=60, deadline=None)
@given(
    copies=st.integers(0, 120),
    train_size=st.integers(4, 150),
    validation_size=st.integers(4, 150),
    split=st.integers(0, 9),
    seed=st.integers(0, 2**31),
)
def test_the_size_of_the_validation_set_has_no_say_in_which_images_train(
    copies: int, train_size: int, validation_size: int, split: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    contents = draw.permutation(np.concatenate([np.arange(200), draw.integers(0, 60, copies)]))
    labels, digests = contents % 4, _digests(contents)
    validation_size = min(validation_size, len(labels) - train_size)
    found = _split(labels, train_size, split=split, digests=digests, validation_size=validation_size)
    other = _split(labels, train_size, split=split, digests=digests, validation_size=4)
    assert found.train.tolist() == other.train.tolist()
    assert not set(contents[found.train]) & set(contents[found.validation])
    assert (np.bincount(labels[found.validation], minlength=4) >= 1).all()
    most = np.unique(contents, return_counts=True)[1].max()
    assert abs(len(found.validation) - validation_size) <= 4 * (most - 1)


@pytest.mark.parametrize(
    ("train_size", "validation_size", "words"),
    [
        (40, 61, "validation_size is 61, but must be 60 or less: 40 of the 100 images train; --set validation_size=60"),
        (40, 9, "validation_size is 9, but must be 10 or more, one image a class; --set validation_size=10"),
        (95, 10, "train_size is 95, but must be 90 or less: of the 100 images one a class at least validates"),
    ],
)
def test_a_validation_size_that_does_not_fit_is_refused_with_one_that_does(
    train_size: int, validation_size: int, words: str
) -> None:
    labels = np.arange(100) % 10
    with pytest.raises(UserError) as caught:
        _split(labels, train_size, validation_size=validation_size)
    (line,) = caught.value.problems
    assert line.startswith(words)
    name, value = line.rpartition("--set ")[2].split("=")
    sizes = {"train_size": train_size, "validation_size": validation_size, name: int(value)}
    assert len(_split(labels, sizes["train_size"], validation_size=sizes["validation_size"]).validation) >= 10


# Copies of an image


def _digests(contents: np.ndarray) -> np.ndarray:
    return as_array(b"".join(digest_of_bytes(str(content).encode()) for content in contents))


def test_images_that_all_differ_are_split_as_if_nothing_were_known_of_them() -> None:
    labels = np.arange(200) % 10
    for train_size in (None, 60):
        found = _split(labels, train_size, digests=_digests(np.arange(200)))
        assert found.hash == _split(labels, train_size).hash
        assert found.copies == (0, 0)


@settings(max_examples=60, deadline=None)
@given(
    copies=st.integers(0, 120),
    wrong=st.sampled_from([0.0, 0.1]),
    share=st.floats(0.05, 0.5),
    split=st.integers(0, 9),
    small=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_copies_of_an_image_never_part(
    copies: int, wrong: float, share: float, split: int, small: bool, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    contents = draw.permutation(np.concatenate([np.arange(200), draw.integers(0, 60, copies)]))
    labels = (contents + (draw.random(len(contents)) < wrong)) % 4
    found = _split(labels, 40 if small else None, share, split, digests=_digests(contents))
    assert not set(contents[found.train]) & set(contents[found.validation])
    several = [content for content in range(200) if len(set(labels[contents == content])) > 1]
    assert not set(contents[found.validation]) & set(several)
    images, repeats = np.unique(contents, return_counts=True)
    assert found.copies == (np.count_nonzero(repeats > 1), len(several))
    assert len(images) == 200
    if small:
        assert len(found.train) == len(found.validation) == 40
    else:
        assert len(found.train) + len(found.validation) == len(labels)
        wanted = share * np.bincount(labels)
        assert np.abs(np.bincount(labels[found.validation], minlength=4) - wanted).max() < 4


def test_pairs_alone_make_a_class_fall_short_by_one_at_most() -> None:
    contents = np.repeat(np.arange(100), 2)
    labels = contents % 2
    found = _split(labels, share=0.13, digests=_digests(contents))
    assert np.bincount(labels[found.validation]).tolist() == [12, 12]
    assert np.bincount(labels[found.train]).tolist() == [88, 88]


def test_a_class_of_copies_alone_can_not_be_split() -> None:
    contents, labels = np.array([0, 1, 2, 9, 9, 9, 9]), np.array([0, 0, 0, 1, 1, 1, 1])
    with pytest.raises(UserError) as caught:
        _split(labels, digests=_digests(contents), class_names=("ant", "cat"))
    (line,) = caught.value.problems
    assert "class 'cat' has 1, but each class needs 2 or more" in line and "copies of an image count once" in line
    assert len(_split(labels).validation) == 2


def test_copies_with_different_labels_count_for_no_class() -> None:
    contents = np.concatenate([np.arange(10), np.arange(4)])
    labels = np.concatenate([np.arange(10) % 2, 1 - np.arange(4) % 2])
    with pytest.raises(UserError, match="train_size is 4, but must be 3 or less: as many of the 6 images"):
        _split(labels, train_size=4, digests=_digests(contents))
    found = _split(labels, train_size=2, digests=_digests(contents))
    assert contents[found.train].min() >= 4 and contents[found.validation].min() >= 4


def test_groups_are_checked_on_what_is_left_to_train_on() -> None:
    contents = np.concatenate([np.arange(20), np.full(8, 20)])
    labels = np.concatenate([np.zeros(20, int), [*np.full(4, 1), *np.full(4, 1)]])
    labels[:6] = 1
    digests = _digests(contents)
    found = _split(labels, share=0.3, digests=digests, group_size=8)
    smallest = int(np.bincount(labels[found.train]).min())
    assert smallest >= 8
    with pytest.raises(UserError, match="too few training images for the groups"):
        _split(labels, share=0.3, digests=digests, group_size=smallest + 1)


def test_the_version_of_the_split_is_part_of_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _split(np.arange(100) % 10)
    monkeypatch.setattr("tune_lpc.training.data.split.SPLIT_VERSION", 3)
    later = _split(np.arange(100) % 10)
    assert (later.train == now.train).all() and later.hash != now.hash


def test_fifty_thousand_images_are_split_in_a_moment() -> None:
    draw = np.random.default_rng(0)
    digests = draw.integers(0, 256, (50_000, 16), dtype=np.uint8)
    digests[:2000] = digests[2000:4000]
    labels = draw.integers(0, 10, 50_000)
    start = time.process_time()
    assert _split(labels, digests=digests).copies.images == 2000
    assert time.process_time() - start < 1
