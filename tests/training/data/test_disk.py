from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from tests.training.data.samples import random_images
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.trial import Value
from tune_lpc.training.data import find_image_files, load_training_images
from tune_lpc.training.data.augmentation import random_crops
from tune_lpc.training.data.batches import BatchStream, select_rows
from tune_lpc.training.data.disk import DiskReader
from tune_lpc.training.data.normalisation import channel_statistics

CPU = torch.device("cpu")
SIDE = 16
SIZES = ((20, 30), (33, 18), (16, 16), (47, 40), (18, 60))
"""Width and height."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """150 images of different sizes, in PNG and JPEG, of three classes."""
    for i in range(150):
        width, height = SIZES[i % len(SIZES)]
        pixels = random_images(1, 64, seed=i)[0, :height, :width]
        file = tmp_path / "data/pets/train" / ("ant", "cat", "dog")[i % 3] / f"{i:05}.{('png', 'jpg')[i % 2]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return tmp_path / "data"


class _Epochs:
    """The batches of a data set on disk, of which two thirds train."""

    def __init__(self, root: Path, workers: int = 0, **settings: Value) -> None:
        files = find_image_files("pets", root, SIDE)
        self.labels = torch.from_numpy(files.labels)
        reader = DiskReader(files, workers, CPU)
        rows = torch.arange(150)
        self.training = select_rows(reader, self.labels, rows[rows % 3 > 0], CPU)
        self.validation = select_rows(reader, self.labels, rows[rows % 3 == 0], CPU)
        self.stream = BatchStream(self.training, TrialSpec.build({"dataset": "pets", "batch_size": 40, **settings}))

    def epoch(self, seed: int) -> list[Tensor]:
        return list(_flat(self.stream.epoch(torch.Generator().manual_seed(seed))))

    def in_order(self) -> list[Tensor]:
        return list(_flat(self.stream.in_order(self.validation, 35)))


def _flat(batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    for pair in batches:
        yield from pair


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("augmentation", ["resized_crop", "flip_crop"])
def test_the_number_of_workers_changes_nothing(root: Path, augmentation: str) -> None:
    alone, helped = (_Epochs(root, workers, augmentation=augmentation) for workers in (0, 2))
    for seed in (1, 2):
        wanted = alone.epoch(seed)
        assert [tuple(part.shape) for part in wanted] == [(40, 3, SIDE, SIDE), (40,)] * 2
        assert _same(helped.epoch(seed), wanted)
        assert _same(helped.in_order(), alone.in_order())
    assert not _same(alone.epoch(1), alone.epoch(2))
    # A run that is restored starts with this epoch, in workers that are new.
    assert _same(_Epochs(root, 1, augmentation=augmentation).epoch(2), helped.epoch(2))


def test_the_same_workers_serve_all_epochs_and_end_with_the_training(root: Path) -> None:
    before = set(multiprocessing.active_children())
    epochs = _Epochs(root, workers=1)
    epochs.epoch(1)
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 1
    epochs.in_order()
    epochs.epoch(2)
    assert set(multiprocessing.active_children()) - before == workers
    # Also when they end in the middle of an epoch.
    next(epochs.stream.epoch(torch.Generator()))
    del epochs
    for worker in workers:
        worker.join(timeout=2)
        assert not worker.is_alive()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augmentation", ["resized_crop", "flip_crop"])
def test_an_epoch_that_is_left_in_the_middle_harms_no_other(root: Path, workers: int, augmentation: str) -> None:
    settings: dict[str, Value] = {"augmentation": augmentation, "batch_size": 10}
    epochs, alone = _Epochs(root, workers, **settings), _Epochs(root, **settings)
    wanted, validated = [alone.epoch(seed) for seed in (1, 2)], alone.in_order()
    left = epochs.stream.epoch(torch.Generator().manual_seed(1))
    begun = list(_flat(next(left) for _ in range(3)))
    assert _same(epochs.in_order(), validated)
    begun += _flat(next(left) for _ in range(2))  # what the workers had read ahead for it was for nothing
    other = epochs.stream.epoch(torch.Generator().manual_seed(2))
    turns = [list(_flat(iter([pair]))) for _ in range(2) for pair in (next(other), next(left))]
    begun += turns[1] + turns[3]
    assert _same(turns[0] + turns[2], wanted[1][:4])
    assert _same(begun + list(_flat(left)), wanted[0])
    assert _same(epochs.epoch(2), wanted[1])  # while `other` never ends
    part = epochs.stream.in_order(epochs.validation, 35)
    next(part)
    del part, other
    assert _same(epochs.epoch(1), wanted[0])
    assert _same(epochs.in_order(), validated)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_ends_its_own_epoch_only(root: Path, workers: int) -> None:
    epochs = _Epochs(root, workers, batch_size=10)
    validated = epochs.in_order()
    left = epochs.stream.in_order(epochs.validation, 5)
    first = list(_flat(next(left) for _ in range(2)))
    file = root / "pets/train/dog/00002.png"
    content = file.read_bytes()
    file.write_bytes(content[:300])
    assert "00002.png" in _problems(epochs)[0]
    file.write_bytes(content)
    rest = list(_flat(left))
    assert torch.equal(torch.cat([*first[::2], *rest[::2]]), torch.cat(validated[::2]))


@pytest.mark.parametrize("settings", [{}, {"batching": "grouped", "groups": 2, "group_size": 8}])
def test_without_augmentation_the_batches_are_those_of_memory(root: Path, settings: dict[str, Value]) -> None:
    loaded = load_training_images("pets", root, image_size=SIDE)
    images, labels, rows = torch.from_numpy(loaded.images), torch.from_numpy(loaded.labels), torch.arange(150)
    memory = _Epochs(root, **settings)
    disk = _Epochs(root, **settings)
    memory.training = select_rows(images, labels, rows[rows % 3 > 0], CPU)
    memory.validation = select_rows(images, labels, rows[rows % 3 == 0], CPU)
    spec = TrialSpec.build({"dataset": "pets", "batch_size": 40, **settings})
    memory.stream = BatchStream(memory.training, spec)
    for wanted, got in ((memory.epoch(1), disk.epoch(1)), (memory.in_order(), disk.in_order())):
        assert len(wanted) == len(got) > 0
        for a, b in zip(wanted, got, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_grouped_batches_come_from_disk(root: Path) -> None:
    epochs = _Epochs(root, batching="grouped", groups=3, group_size=4, augmentation="resized_crop")
    batches = epochs.epoch(1)
    assert len(batches) == 2 * (100 // 12)
    for labels in batches[1::2]:
        groups = labels.reshape(3, 4)
        assert bool((groups == groups[:, :1]).all())


def test_random_crops_are_cut_and_scaled_as_torchvision_does(root: Path) -> None:
    """One batch of all images, in an order and with crops that the test draws once more."""
    epochs = _Epochs(root, augmentation="resized_crop", batch_size=200)
    (batch, labels) = epochs.epoch(5)
    files = find_image_files("pets", root, SIDE)
    generator = torch.Generator().manual_seed(5)
    rows = torch.arange(150)
    rows = rows[rows % 3 > 0][torch.randperm(100, generator=generator)]
    assert torch.equal(labels, epochs.labels[rows])
    pixels = []
    for part in rows.split(32):
        opened = [Image.open(files.paths[row]).convert("RGB") for row in part.tolist()]
        sides = (torch.tensor([image.size[axis] for image in opened]) for axis in (0, 1))
        crops = random_crops(*sides, generator)
        for image, (left, upper, width, height), mirror in zip(
            opened, crops.boxes.tolist(), crops.mirrored, strict=True
        ):
            cut = functional.resized_crop(image, upper, left, height, width, [SIDE, SIDE])
            pixels.append(np.asarray(functional.horizontal_flip(cut) if mirror else cut))
    assert torch.equal(batch, epochs.stream.normalise(torch.from_numpy(np.stack(pixels))))


def test_the_statistics_are_those_of_the_training_images_and_computed_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.from_numpy(load_training_images("pets", root, image_size=SIDE).images)
    wanted = channel_statistics([images[torch.arange(150) % 3 > 0]])
    for got in (_Epochs(root).training.mean_and_deviation(), wanted):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=0)
    monkeypatch.setattr("tune_lpc.training.data.disk.channel_statistics", None)
    assert torch.equal(_Epochs(root).training.mean_and_deviation()[0], wanted[0])


def test_statistics_are_not_those_of_another_size_or_of_other_images_kept_apart(root: Path) -> None:
    rows = torch.arange(40)
    for size, share in ((SIDE, 0.0), (8, 0.0), (SIDE, 0.2), (SIDE, 0.5)):
        files = find_image_files("pets", root, size, hold_out=share)
        found = select_rows(DiskReader(files, 0, CPU), torch.from_numpy(files.labels), rows, CPU).mean_and_deviation()
        images = torch.from_numpy(load_training_images("pets", root, image_size=size, hold_out=share).images)
        torch.testing.assert_close(found, channel_statistics([images[rows]]), rtol=1e-6, atol=0)


def test_statistics_of_many_images_come_from_a_fixed_sample(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _Epochs(root).training.mean_and_deviation()
    monkeypatch.setattr("tune_lpc.training.data.disk.STATISTICS_IMAGES", 50)
    sample = _Epochs(root).training.mean_and_deviation()
    assert not torch.equal(sample[0], whole[0])
    torch.testing.assert_close(sample, whole, rtol=0.2, atol=0)
    monkeypatch.setenv("TUNE_LPC_CACHE", str(root.parent / "another"))
    assert torch.equal(_Epochs(root).training.mean_and_deviation()[0], sample[0])


def _problems(epochs: _Epochs) -> list[str]:
    with pytest.raises(UserError) as caught:
        epochs.epoch(1)
    return caught.value.problems


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_later_is_named(root: Path, workers: int) -> None:
    epochs = _Epochs(root, workers, batch_size=200)
    file = root / "pets/train/cat/00001.jpg"
    file.write_bytes(file.read_bytes()[:400])
    (line,) = _problems(epochs)
    assert str(file) in line and "the image is broken" in line and "\n" not in line


def test_an_image_that_shrank_is_named(root: Path) -> None:
    epochs = _Epochs(root, augmentation="resized_crop", batch_size=200)
    file = root / "pets/train/dog/00014.png"
    Image.new("RGB", (1, 1)).save(file)
    (line,) = _problems(epochs)
    assert str(file) in line and "smaller than when the run began" in line


def test_reading_takes_nothing_from_the_random_numbers_of_dropout(root: Path) -> None:
    epochs = _Epochs(root)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    epochs.epoch(1)
    epochs.in_order()
    assert torch.equal(torch.get_rng_state(), before)


SCRIPT = """
import multiprocessing, sys, time, torch
from pathlib import Path
from tune_lpc.training.data import find_image_files
from tune_lpc.training.data.disk import DiskReader, Task

if __name__ == "__main__":
    files = find_image_files("pets", Path(sys.argv[1]), 16)
    reader = DiskReader(files, 1, torch.device("cpu"))
    for pixels in reader.read([Task(files.paths[:2], [None, None])]):
        print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_workers_meet_where_the_folder_for_temporary_files_is_too_long_for_sockets(root: Path, tmp_path: Path) -> None:
    (script := tmp_path / "script.py").write_text(SCRIPT)
    long = tmp_path / ("x" * max(1, 87 - len(str(tmp_path))))
    long.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(long)}
    command = [sys.executable, str(script), str(root), "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()


def test_workers_end_when_the_training_is_killed(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    project = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, str(script), str(root), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as training:
        assert training.stdout is not None
        worker = int(training.stdout.readline())
        os.kill(worker, 0)
        training.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < until, "the worker outlives its training"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("augmentation", ["none", "crop", "resized_crop"])
def test_some_rows_of_each_batch_are_as_they_are_in_the_whole(root: Path, augmentation: str) -> None:
    whole = _Epochs(root, augmentation=augmentation)
    training, indices = whole.training, list(torch.randperm(100).split(50))
    rows = slice(10, 45)  # over the end of what a worker reads at once
    batches, parts = (
        list(training.batches(indices, augmentation, torch.Generator().manual_seed(1), *given))
        for given in ((), (rows,))
    )
    for (pixels, labels), (some_pixels, some_labels) in zip(batches, parts, strict=True):
        assert torch.equal(some_pixels, pixels[rows]) and torch.equal(some_labels, labels[rows])
