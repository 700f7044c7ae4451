"""How long a search would take, from an epoch that is trained for it here."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tune_lpc.plan import Space
from tune_lpc.plan.hours import HOUR, HoursAsked
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.resources import Resources
from tune_lpc.plan.searches import typical_trial
from tune_lpc.search.seeds import stages

WINDOW = 1.0
"""Seconds of measuring; of a longer epoch a part is trained, and the whole worked out from it."""
LONGEST = 60.0
"""Seconds for everything, decoding the images the first time and compiling kernels included."""


@dataclass(frozen=True)
class Epoch:
    """seconds: of one epoch with its validation; None where it could not be measured. told: on what, or why not."""

    seconds: float | None
    told: str


@dataclass(frozen=True)
class Work:
    """What a search of so many configs is expected to train.

    trained: configs in full. repeats: further seeds. epochs: of all trials. longest: epochs of one that nothing stops.
    """

    configs: int
    trained: int
    repeats: int
    epochs: int
    longest: int

    @property
    def seeds(self) -> str:
        """The further seeds in words; empty where there are none."""
        return f"{self.repeats} further seed{'' if self.repeats == 1 else 's'} of the best" if self.repeats else ""

    @classmethod
    def of(cls, space: Space, configs: int) -> Work:
        """That of a search over `space`, promotions and further seeds included."""
        fidelity, control = space.fidelity, min(space.control_trials, configs)
        trained = fidelity.expected_trained(configs, control)
        repeats = sum(stages(trained, space.seeds, space.reduction_factor))
        epochs = fidelity.expected_epochs(configs, control) + repeats * fidelity.climb_epochs
        return cls(configs, trained, repeats, epochs, fidelity.climb_epochs)


def measure_epoch(space: Space, data_dir: Path | None, threads: int, code: OwnCode = NO_CODE) -> Epoch:
    """Train a little of what the space begins with, on so many CPU threads or the GPU. Downloads nothing.

    code: of the user's own, that it may need.
    Raises UserError for data, or for a network or functions on them, that a search would refuse too.
    """
    from tune_lpc.training.data import NotDownloadedError
    from tune_lpc.training.device import best_device, same_threads_after
    from tune_lpc.training.prepare import check_brought, check_image_size, prepare
    from tune_lpc.training.probe import Probe

    spec, config = typical_trial(space)
    try:
        with _at_most(LONGEST), same_threads_after():
            prepared = prepare(spec, data_dir, space.largest_group, code, may_download=False)
            check_image_size(spec.network, prepared)
            check_brought([space], prepared)
            device = best_device()
            probe = Probe(spec, prepared, device)
            probe.warm_up(threads)
            seconds = probe.measure(WINDOW).epoch_seconds
    except NotDownloadedError:
        return Epoch(None, f"not measured, as {spec.dataset} is not on this machine yet; a search downloads it")
    except _TooLongError:
        return Epoch(None, f"not measured, as not even a part of an epoch was through within {LONGEST:.0f} s")
    place = "a GPU" if device.type == "cuda" else f"{threads} CPU{'' if threads == 1 else 's'}"
    return Epoch(seconds, f"an epoch takes {in_words(seconds)} here, measured alone on {place} with {config}")


def time_lines(space: Space, epoch: Epoch, resources: Resources, hours: HoursAsked) -> list[str]:
    """How long the search would take, or how much of it the time would do for."""
    lines = [f"time: {epoch.told}"]
    if epoch.seconds is None:
        return lines
    if hours.is_limited:
        lines.append(_within(space, epoch.seconds, resources, hours))
    if not space.is_open:
        work = Work.of(space, space.most_configs)
        seeds = f", of that {work.seeds}" if work.seeds else ""
        taken = f"{_taken(work, epoch.seconds, resources)} with {resources.concurrent} at once{seeds}"
        lines.append(f"in all about {taken}, as far as that epoch stands for those of all trials")
    return lines


def configs_that_fit(space: Space, epoch_seconds: float, resources: Resources, hours: HoursAsked) -> int:
    """How many configs the time is expected to do for, their further seeds included; 0 for not even one in full."""
    least, most = 0, space.most_configs
    while least < most:
        middle = (least + most + 1) // 2
        if _fits(Work.of(space, middle), epoch_seconds, resources, hours):
            least = middle
        else:
            most = middle - 1
    return least


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 100 * 60 else f"{seconds / HOUR:.1f} hours"


def _within(space: Space, epoch_seconds: float, resources: Resources, hours: HoursAsked) -> str:
    count = configs_that_fit(space, epoch_seconds, resources, hours)
    if not count:
        whole = in_words(epoch_seconds * space.fidelity.climb_epochs)
        return f"in {hours.describe()} not even one trial would train in full, which takes {whole}"
    work = Work.of(space, count)
    seeds = f", and {work.seeds}" if work.seeds else ""
    return f"in {hours.describe()} about {count:,} configs would fit, {work.trained:,} of them in full{seeds}"


def _fits(work: Work, epoch_seconds: float, resources: Resources, hours: HoursAsked) -> bool:
    by_clock, by_gpus = _seconds(work, epoch_seconds, resources)
    within = hours.hours is None or by_clock <= hours.hours * HOUR
    return within and (hours.gpu_hours is None or by_gpus <= hours.gpu_hours * HOUR)


def _seconds(work: Work, epoch_seconds: float, resources: Resources) -> tuple[float, float]:
    """By the clock, and of GPUs."""
    epochs_by_clock = max(work.epochs / resources.concurrent, work.longest)
    return epochs_by_clock * epoch_seconds, work.epochs * epoch_seconds * resources.gpus_per_trial


def _taken(work: Work, epoch_seconds: float, resources: Resources) -> str:
    by_clock, by_gpus = _seconds(work, epoch_seconds, resources)
    gpus = f" and {by_gpus / HOUR:.1f} GPU hours" if by_gpus else ""
    return f"{in_words(by_clock)}{gpus}"


class _TooLongError(BaseException):
    """It took too long. Not an Exception, so that nobody on the way takes it for an error of his own."""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TooLongError within the block after so many seconds; not in another thread than the first: it has no
    signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
