"""Images read from disk again for each batch, by worker processes.

All that is random is drawn here, in the training process, from the generator of the epoch, and sent to the workers
with the paths: which worker reads an image, and when, and how many there are, changes nothing.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tune_lpc.plan.errors import UserError
from tune_lpc.training.data.augmentation import apply, draw, part_of, random_crops
from tune_lpc.training.data.cache import cached_array
from tune_lpc.training.data.decoding import attempt, decoding_threads, each
from tune_lpc.training.data.folder_images import Files
from tune_lpc.training.data.image_files import ImageFiles
from tune_lpc.training.data.normalisation import channel_statistics
from tune_lpc.training.data.pillow_warnings import silent_pillow
from tune_lpc.training.data.pixels import Crop, Encoded, Form, read_crop, read_pixels
from tune_lpc.training.data.problems import Problems

READ_AT_ONCE = 32
"""Images that a worker reads before it hands them over: few, so that several workers share a batch."""
LONGEST_PLACE = 60
"""Characters of a folder in which sockets can be made: a socket's path has 107 at most, what is made in it about 40."""
SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
STATISTICS_IMAGES = 5000
STATISTICS_SEED = 20_201_105


class Task(NamedTuple):
    """Images for a worker to read, and the crop of each; None takes the middle, as large as it can be."""

    paths: list[str]
    crops: list[Crop] | list[None]


class DiskReader:
    """Reads the images of a training, with the same worker processes in all its epochs.

    workers: processes that read ahead; 0 reads in this process. They are started by a clean server process, never
    forked from this one: it may hold threads (Ray's, CUDA's) whose locks a fork would copy in any state.
    """

    def __init__(self, files: ImageFiles, workers: int, device: torch.device) -> None:
        self.files = files
        self._tasks = _Tasks()
        self._served: _Reading | None = None
        context = multiprocessing.get_context("forkserver") if workers else None
        if context is not None:
            _find_a_place_for_sockets()
            context.set_forkserver_preload([__name__])  # the server imports torch once, for all workers
        self._loader = DataLoader(
            _Decoder(files.image_size, files.form),
            batch_size=None,
            sampler=self._tasks,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            multiprocessing_context=context,
            worker_init_fn=_end_with_parent,
            # Of its own, as a DataLoader would otherwise draw from the global state, which dropout draws from.
            generator=torch.Generator(),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, height, width, channels) of the images once they are read."""
        return self.files.shape

    def read(self, tasks: Iterable[Task]) -> Iterator[Tensor]:
        """Yield the pixels of each task, (images, height, width, channels) uint8, on the CPU, in order.

        Several may be under way: one that is left in the middle, for good or for a while, harms no other. The workers
        serve the one that was last asked; going back to another reads again what they had read ahead for it.
        Raises UserError naming the file when an image is broken.
        """
        reading, loaded = _Reading(tasks), iter(())
        while True:
            if self._served is not reading:
                self._served, self._tasks.tasks = reading, reading.left()
                loaded = iter(self._loader)  # with workers always the same iterator, begun anew
            pixels = next(loaded, None)
            if pixels is None:
                return
            reading.asked.popleft()
            if isinstance(pixels, str):
                raise UserError(pixels)
            yield pixels


class DiskImages:
    """Some rows of a data set on disk, with their labels; the counterpart of Images.

    labels: (n,) of the whole data set. rows: (m,) the rows that belong here.
    """

    def __init__(self, reader: DiskReader, labels: Tensor, rows: Tensor, device: torch.device) -> None:
        self._reader = reader
        self._rows = rows
        self.labels = labels[rows]
        self._labels_on_device = self.labels.to(device)
        self.device = device

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, indices: Sequence[Tensor], augmentation: str, generator: torch.Generator, rows: slice = slice(None)
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the augmented pixels and the labels, on the device, of each index of `indices`, each (batch,).

        rows: of each batch, to read and yield these alone, as they are in the whole batch.
        """
        files = [self._rows[index] for index in indices]
        parts = self._reader.read(_tasks(self._reader.files, files, augmentation, generator, rows))
        for whole in indices:
            index = whole[rows]
            read = [next(parts).to(self.device, non_blocking=True) for _ in index.split(READ_AT_ONCE)]
            pixels = torch.cat(read)
            if augmentation != "resized_crop":
                height, width = pixels.shape[1:3]
                drawn = draw(augmentation, len(whole), height, width, generator)
                pixels = apply(pixels, part_of(drawn, rows))
            yield pixels, self._labels_on_device[index.to(self.device, non_blocking=True)]

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel, each (channels,), pixels scaled to 0 … 1.

        Over at most 5,000 of these rows, drawn once for all trials; computed once a machine.
        """
        rows = self._rows.numpy()
        if len(rows) > STATISTICS_IMAGES:
            keys = np.random.default_rng(STATISTICS_SEED).random(len(rows))
            rows = np.sort(rows[np.argsort(keys, kind="stable")[:STATISTICS_IMAGES]])
        files = self._reader.files
        identity: list[object] = [files.identity, files.image_size, rows.tolist()]
        mean, deviation = cached_array("statistics", identity, lambda: _statistics(files, rows), files.cache)
        return torch.from_numpy(mean).to(self.device), torch.from_numpy(deviation).to(self.device)


def _tasks(
    files: ImageFiles, batches: Sequence[Tensor], augmentation: str, generator: torch.Generator, own: slice
) -> Iterator[Task]:
    """The images in the `own` rows of `batches`, each rows of `files`, in parts. Holds no reader: in a circle, its
    workers would stay."""
    for batch in batches:
        crops: list[Crop] | list[None] = [None] * len(batch)
        if augmentation == "resized_crop":
            crops = [crop for rows in batch.split(READ_AT_ONCE) for crop in _crops(files, rows, generator)]
        paths, crops = [files.paths[row] for row in batch[own].tolist()], crops[own]
        for start in range(0, len(paths), READ_AT_ONCE):
            part = slice(start, start + READ_AT_ONCE)
            yield Task(paths[part], crops[part])


def _crops(files: ImageFiles, rows: Tensor, generator: torch.Generator) -> Iterator[Crop]:
    """A random crop of each of some rows of `files`."""
    widths, heights = torch.from_numpy(files.sizes[rows.numpy()]).unbind(dim=1)
    drawn = random_crops(widths, heights, generator)
    for (left, upper, across, down), flip in zip(drawn.boxes.tolist(), drawn.mirrored.tolist(), strict=True):
        yield Crop(left, upper, across, down, flip)


class _Reading:
    """The tasks of one who reads. Holds no reader, as above. asked: those asked of the workers and not yet returned."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.asked: deque[Task] = deque()
        self._others = iter(tasks)

    def left(self) -> Iterator[Task]:
        """The tasks whose images have not been returned, in order."""
        yield from list(self.asked)
        for task in self._others:
            self.asked.append(task)
            yield task


class _Tasks:
    """What the DataLoader asks for the tasks of an epoch."""

    tasks: Iterable[Task] = ()

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)


class _Decoder(Dataset[Tensor | str]):
    """Runs in the workers, without any state."""

    def __init__(self, image_size: int, form: Form) -> None:
        self._image_size = image_size
        self._form = form

    def __getitem__(self, task: Task) -> Tensor | str:
        """The pixels, or what is wrong: an error would come out of a worker with a traceback in its text."""
        side = self._image_size
        batch = np.empty((len(task.paths), side, side, 1 if self._form.grey else 3), np.uint8)
        with silent_pillow():  # it was told of when the headers were read
            for i, (path, crop) in enumerate(zip(task.paths, task.crops, strict=True)):
                pixels = attempt(partial(self._read, crop), Path(path))
                if isinstance(pixels, str):
                    return f"{path}: {pixels}"
                batch[i] = pixels
        return torch.from_numpy(batch)

    def _read(self, crop: Crop | None, item: Encoded) -> np.ndarray:
        if crop is None:
            return read_pixels(item, self._form, self._image_size)
        return read_crop(item, self._form, self._image_size, crop)


def _find_a_place_for_sockets() -> None:
    """Let the server and its workers meet in a folder whose name is short enough, where TMPDIR's is not (Slurm's)."""
    usual = tempfile.gettempdir()
    if len(usual) <= LONGEST_PLACE:
        return
    before = tempfile.tempdir
    tempfile.tempdir = next((place for place in SHORT_PLACES if os.access(place, os.W_OK | os.X_OK)), usual)
    try:
        multiprocessing.util.get_temp_dir()  # makes a folder of its own there, for as long as this process lives
    finally:
        tempfile.tempdir = before


def _end_with_parent(_: int) -> None:
    """End this worker when the training process is killed.

    torch watches for the end of the process that forked the worker. That is the server here, and it lives on as long
    as any worker does.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _statistics(files: ImageFiles, rows: np.ndarray) -> np.ndarray:
    """Mean and deviation of the images in `rows`, float32 (2, channels). Raises UserError naming broken images."""
    sample, problems = Files([files.paths[row] for row in rows.tolist()]), Problems()

    def chunks(pool: ThreadPoolExecutor) -> Iterator[Tensor]:
        for i, pixels in each(pool, sample, lambda item: read_pixels(item, files.form, files.image_size)):
            if isinstance(pixels, str):
                problems.add(f"{sample.place(i)}: {pixels}")
            else:
                yield torch.from_numpy(pixels.copy())

    with silent_pillow(), decoding_threads() as pool:
        statistics = channel_statistics(chunks(pool))
    problems.raise_if_any()
    return torch.stack(statistics).numpy()
