"""Odd image sets: their pixels are those that Pillow reads by hand, or the error names the file; none is silent."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.odd_sets import NAME, SETS
from tune_lpc.plan import UserError
from tune_lpc.training.data import load_training_images
from tune_lpc.training.data.disk import DiskReader, Task
from tune_lpc.training.data.folder_images import FileSource
from tune_lpc.training.data.image_files import find_image_files
from tune_lpc.training.data.sources import find_source


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_lost_or_changed_without_a_word(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = SETS[name](tmp_path)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")  # nothing reaches the terminal raw
        if made.images is None:
            with pytest.raises(UserError) as caught:
                load_training_images(NAME, tmp_path, image_size=made.image_size)
            assert all("\n" not in problem for problem in caught.value.problems)
            text = " ".join(caught.value.problems)
        else:
            found = load_training_images(NAME, tmp_path, image_size=made.image_size)
            assert found.class_names == made.names
            assert found.labels.tolist() == list(made.labels)
            assert found.images.shape == (len(made.images), *made.images[0].shape)
            assert same(found.images, made.images)
            text = f"{found.source} {caplog.text}"
            if not made.told:
                assert not caplog.records and "left out" not in found.source
    for words in made.told:
        assert words in text


def same(images: Iterable[np.ndarray], wanted: Iterable[np.ndarray]) -> bool:
    return all((image == other).all() for image, other in zip(images, wanted, strict=True))


def read_all(root: Path, side: int) -> list[np.ndarray]:
    """All images as a training from disk reads them for validation."""
    files = find_image_files(NAME, root, side, root / "cache")
    tasks = [Task([path], [None]) for path in files.paths]
    return [np.asarray(pixels[0]) for pixels in DiskReader(files, 0, torch.device("cpu")).read(tasks)]


@pytest.mark.parametrize("name", SETS)
def test_the_same_pixels_are_read_from_disk(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    made = SETS[name](tmp_path)
    try:
        source = find_source(NAME, tmp_path, tmp_path / "cache")
    except UserError:
        assert made.images is None
        return
    if not isinstance(source, FileSource):
        with pytest.raises(UserError, match="only images that are files are read from disk"):
            find_image_files(NAME, tmp_path, 16, tmp_path / "cache")
        return
    side = made.image_size or (None if made.images is None else min(made.images[0].shape[:2])) or 16
    if made.images is None:
        with pytest.raises(UserError) as caught:
            read_all(tmp_path, side)
        assert all(words in " ".join(caught.value.problems) for words in made.told)
        return
    read = read_all(tmp_path, side)
    whole = load_training_images(NAME, tmp_path, image_size=side).images
    assert same(read, whole)
    assert not [str(each.message) for each in recwarn if "PIL" in each.filename], "Pillow's raw words"
