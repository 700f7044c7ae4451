"""Decoded images, kept once a machine: every process maps the same file, so a node holds them in memory once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from filelock import FileLock

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.arrays import fingerprint, leave_out
from tune_lpc.training.data.contents import DIGEST_BYTES
from tune_lpc.training.data.hold_out import FinalTest, held_out_rows
from tune_lpc.training.data.pixels import Form
from tune_lpc.training.data.problems import one_line

FORMAT = 3
"""Raise it when the files, or what is in them, change: older folders are then left alone."""
VARIABLE = "TUNE_LPC_CACHE"
ARRAYS = ("images.npy", "labels.npy", "digests.npy")

Kept = TypeVar("Kept")

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where training images come from. A source can't read test images that lie beside them."""

    @property
    def place(self) -> str:
        """Where the images lie, for people."""
        ...

    @property
    def left_out(self) -> str:
        """What lies among the images and is none, for people; empty where nothing does."""
        ...

    @property
    def final_test(self) -> FinalTest | None:
        """The test images that lie beside the training images; None where there are none."""
        ...

    def hold_out(self, share: float) -> float:
        """The share of the images to keep apart for a final test; share: what a user asks for."""
        ...

    def identity(self) -> list[object]:
        """What tells these data from others, as JSON values."""
        ...

    def count(self) -> int:
        """How many images there are, without decoding any."""
        ...

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Write images.npy, labels.npy and digests.npy in `folder`, of all images, none kept apart.

        like: the form of other images, to be made into the same. Raises UserError for bad data.
        """
        ...


class Written(NamedTuple):
    """What was written: the class names in the order of the labels, and the form of the images."""

    class_names: tuple[str, ...]
    form: Form


class CachedImages(NamedTuple):
    """images: uint8 (n, height, width, channels), mapped; labels: int64 (n,); digests: uint8 (n, 16).

    held_out: how many more there are, kept apart: they are not in the cache. form: of the images.
    """

    images: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    held_out: int
    form: Form


def cache_folder(given: Path | None = None) -> Path:
    """`given`, or the folder that TUNE_LPC_CACHE names, or the user's cache folder: ~/.cache/tune_lpc on Linux."""
    if given is None:
        named = os.environ.get(VARIABLE)
        given = Path(named) if named else _users_cache_folder()
    try:
        return given.expanduser()
    except RuntimeError as error:
        raise UserError(f"{given}: there is no home folder; set {VARIABLE} to a folder for the cache") from error


def _users_cache_folder() -> Path:
    try:
        from platformdirs import user_cache_path  # here, as training works without it
    except ImportError:
        return Path("~/.cache/tune_lpc")
    return user_cache_path("tune_lpc")


@contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Turn a failed write to the cache into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the cache folder {cache} can't be written ({one_line(error)}); set {VARIABLE} to a folder that can"
        ) from error


def cached_images(dataset: str, image_size: int | None, hold_out: float, source: Source, cache: Path) -> CachedImages:
    """The images from the cache; written there first, by one process, when they are not in it or are damaged.

    hold_out: share of all images that is kept apart; these do not get into the cache.
    Raises UserError for bad data, leaving nothing behind, and for a cache that can't be written.
    """
    key = digest([FORMAT, dataset, image_size, hold_out, source.identity()])

    def write(folder: Path) -> None:
        log.info("decoding %s from %s, once on this machine", dataset, source.place)
        _write_images(dataset, image_size, hold_out, source, folder)

    return keep(cache / "images" / key, cache, _load, write)


def cached_array(kind: str, identity: list[object], compute: Callable[[], np.ndarray], cache: Path) -> np.ndarray:
    """The array that `compute` returns; once it did so on this machine, from the cache. Not for large arrays.

    kind: the folder in the cache. identity: all that the array follows from, as JSON values.
    """

    def load(folder: Path, level: int) -> np.ndarray | None:
        if not folder.exists():
            return None
        try:
            array: np.ndarray = np.load(folder / "array.npy", allow_pickle=False)
            return array
        except (OSError, EOFError, ValueError) as error:
            log.log(level, "what is cached in %s is damaged (%s); computing it anew", folder, one_line(error))
            return None

    return keep(
        cache / kind / digest([FORMAT, *identity]),
        cache,
        load,
        lambda folder: np.save(folder / "array.npy", compute(), allow_pickle=False),
    )


def digest(identity: list[object]) -> str:
    """A name for what JSON values tell of."""
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


def keep(folder: Path, cache: Path, load: Callable[[Path, int], Kept | None], write: Callable[[Path], None]) -> Kept:
    """What `load` makes of `folder`; written there first, by one process, when it is missing or damaged.

    load: gets the folder, and the level at which to log that it is damaged. write: gets an empty folder to fill.
    """
    if (found := load(folder, logging.DEBUG)) is not None:
        return found
    with writing(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock_file = folder.with_name(folder.name + ".lock")
        with FileLock(lock_file):
            # Another process may have written it while this one waited.
            if (found := load(folder, logging.WARNING)) is not None:
                return found
            try:
                _build(folder, write)
            except UserError:
                # Bad data leave nothing behind. Whoever waits for this very lock will find the same bad data.
                lock_file.unlink(missing_ok=True)
                raise
            built = load(folder, logging.WARNING)
    if built is None:
        raise RuntimeError(f"{folder} was written a moment ago but can't be read")
    return built


def _build(folder: Path, write: Callable[[Path], None]) -> None:
    """Write everything to a temporary folder beside `folder`, then rename it."""
    for left_over in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    partial = folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex}")
    partial.mkdir()
    try:
        write(partial)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write_images(dataset: str, image_size: int | None, hold_out: float, source: Source, folder: Path) -> None:
    names, form = source.write(folder, image_size)
    labels, digests = (np.load(folder / name, mmap_mode="r") for name in ("labels.npy", "digests.npy"))
    held_out = held_out_rows(labels, digests, hold_out, names)
    if len(held_out):
        leave_out(held_out, folder)
    images, labels = (np.load(folder / name, mmap_mode="r") for name in ("images.npy", "labels.npy"))
    meta = {
        "format": FORMAT,
        "dataset": dataset,
        "image_size": image_size,
        "source": f"{dataset}, {len(images):,} images from {source.place}",
        "class_names": list(names),
        "fingerprint": fingerprint(images, labels),
        "shape": list(images.shape),
        "held_out": len(held_out),
        "bits": form.bits,
        "bytes": {name: (folder / name).stat().st_size for name in ARRAYS},
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _load(folder: Path, level: int) -> CachedImages | None:
    """What the cache folder holds; None when it is missing, or, with a line in the log, when it is damaged."""
    if not folder.exists():
        return None
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if meta["format"] != FORMAT:
            return None  # of another version: not damaged, but no use here
        for name, size in meta["bytes"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has {(folder / name).stat().st_size} bytes, not {size}")
        # Mode "c": shared pages, and torch may take the array without a warning about read-only memory.
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        digests = np.load(folder / "digests.npy", allow_pickle=False)
        shapes = (list(images.shape), labels.shape, digests.shape, images.dtype, labels.dtype, digests.dtype)
        n = len(images)
        if shapes != (meta["shape"], (n,), (n, DIGEST_BYTES), np.uint8, np.int64, np.uint8):
            raise ValueError("the arrays are not those that meta.json tells of")
        names, told = tuple(meta["class_names"]), (str(meta["fingerprint"]), int(meta["held_out"]))
        form = Form(images.shape[3] == 1, int(meta["bits"]))
        return CachedImages(images, labels, digests, names, *told, form)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.log(level, "the cached images in %s are damaged (%s); reading the data anew", folder, one_line(error))
        return None
