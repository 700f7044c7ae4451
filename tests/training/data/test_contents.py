from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.samples import png, random_images
from tune_lpc.training.data.contents import (
    as_array,
    count_copies,
    digest_of_bytes,
    digest_of_pixels,
    hash_of_pixels,
    merged,
    number_contents,
)


def _digests(values: list[int]) -> np.ndarray:
    return as_array(b"".join(digest_of_bytes(str(value).encode()) for value in values))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40))
def test_copies_share_a_number_which_their_order_does_not_change(values: list[int]) -> None:
    numbers = number_contents(_digests(values))
    assert set(numbers.tolist()) == set(range(len(set(values))))
    assert len(set(zip(values, numbers.tolist(), strict=True))) == len(set(values))
    assert number_contents(_digests(values[::-1])).tolist() == numbers.tolist()[::-1]


def test_digests_that_differ_in_any_half_differ() -> None:
    digests = np.zeros((4, 16), np.uint8)
    digests[1, 15], digests[2, 0] = 1, 1
    assert number_contents(digests).tolist() == [0, 1, 2, 0]


def test_the_shape_belongs_to_what_an_image_shows() -> None:
    pixels = random_images(1, 8)[0]
    for told in (digest_of_pixels, hash_of_pixels):
        assert told(pixels) == told(np.asfortranarray(pixels))
        assert told(pixels) != told(pixels.reshape(4, 16, 3))
        assert told(pixels) != told(pixels[::-1])


def test_images_of_the_same_pixels_get_one_digest_of_those_of_their_bytes() -> None:
    images = random_images(3)
    stored = as_array(b"".join(digest_of_bytes(png(image) + end) for image in images for end in (b"", b"more")))
    shown = np.array([hash_of_pixels(image) for image in images for _ in range(2)])
    digests = merged(stored, shown)
    assert number_contents(digests).reshape(3, 2).T.tolist()[0] == number_contents(digests).reshape(3, 2).T.tolist()[1]
    assert len(np.unique(digests, axis=0)) == 3
    assert {row.tobytes() for row in digests} < {row.tobytes() for row in stored}
    order = np.array([5, 3, 0, 4, 1, 2])
    assert (merged(stored[order], shown[order]) == digests[order]).all()


def test_copies_are_counted_once_each_and_told() -> None:
    contents, labels = np.array([0, 1, 1, 2, 3, 3, 3]), np.array([0, 0, 0, 1, 1, 1, 0])
    copies = count_copies(contents, labels)
    assert copies == (2, 1)
    assert (
        copies.describe() == "2 images occur more than once, 1 of them with different labels; copies stay on one side"
    )
    assert count_copies(contents[:3], labels[:3]).describe() == "1 image occurs more than once; copies stay on one side"
    assert count_copies(contents[:2], labels[:2]).describe() is None
