"""The configs of a search, best first: each with the mean of its seeds, an interval, and what it is tied with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tune_lpc.results.events import Status
from tune_lpc.results.intervals import Sample, Spread, can_be_told_apart, interval
from tune_lpc.results.ledger import Ledger, TrainingRun, Trial


@dataclass(frozen=True)
class Config:
    """A config that is ranked.

    trial: the first with it. run: that by which this one is judged. scores: of its seeds, the first trial's first.
    without_score: further seeds that diverged.
    low, high: the interval of the score; None where the number of validation images is not known, and of a run that is
    not finished.
    tied: whether it cannot be told from the first of the ranking.
    """

    trial: Trial
    run: TrainingRun
    scores: tuple[float, ...]
    without_score: int = 0
    low: float | None = None
    high: float | None = None
    tied: bool = False

    @property
    def score(self) -> float:
        """The mean over the seeds."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def is_short(self) -> bool:
        """Whether its run has fewer epochs than the full budget."""
        return self.run.epochs < self.trial.full_budget


def ranked(ledger: Ledger) -> list[Config]:
    """The configs, best first.

    The run of a config's first trial: the longest one that was trained to its end, since a score in the middle of a run
    is not that of a finished ramp; without one, the run of the full budget as far as it came. The order, by that run:

    1. Configs that reached the full budget (config.epochs) come before those that did not.
    2. Of those with fewer epochs, more epochs come first: a score early in the ramps says little about the end.
    3. Configs of which a further seed diverged come behind those of which none did.
    4. More seeds come first: those with fewer were left out as worse, or their score is luck for a larger part.
    5. A higher score, the mean over the seeds of the mean validation accuracy of the last epochs, comes first.
    6. Equal scores: the lower validation loss of the last epoch, then the lower number.

    Diverged and failed trials are not ranked, nor those without such a run or whose last epoch has no score.
    """
    repeats: dict[int, list[Trial]] = {}
    for trial in ledger.in_order():
        if trial.repeat_of is not None:
            repeats.setdefault(trial.repeat_of, []).append(trial)
    found = [
        config
        for trial in ledger.in_order()
        if trial.repeat_of is None and (config := _config(trial, repeats.get(trial.number, ()))) is not None
    ]
    return _with_intervals(sorted(found, key=_place), ledger)


def comes_first(trial: Trial, before: Config) -> bool:
    """Whether the config of a first trial that has just ended, of which there is no further seed, ranks before another.

    So much is known without a look at all configs, of which there may be thousands.
    """
    config = _config(trial, ())
    return config is not None and _place(config) < _place(before)


def _config(trial: Trial, repeats: Iterable[Trial]) -> Config | None:
    if trial.has_diverged or trial.status is Status.FAILED or (run := trial.judged) is None:
        return None
    own = trial.score(run.budget, run.epochs)
    if own is None:
        return None
    if run.epochs < trial.full_budget:
        return Config(trial, run, (own,))  # a damaged journal may have seeds that came further than the first trial
    others = [repeat.final_score for repeat in repeats if not repeat.has_diverged]
    diverged = sum(repeat.has_diverged for repeat in repeats)
    return Config(trial, run, (own, *(score for score in others if score is not None)), diverged)


def _place(config: Config) -> tuple[bool, int, int, int, float, float, int]:
    """What `ranked` sorts by: lower is better."""
    loss = config.run.loss(config.run.epochs)
    return (
        config.is_short,
        -config.run.epochs if config.is_short else 0,
        config.without_score,
        -len(config.scores),
        -config.score,
        math.inf if loss is None else loss,
        config.trial.number,
    )


def _with_intervals(configs: list[Config], ledger: Ledger) -> list[Config]:
    """The same with what luck says of their scores."""
    images = ledger.run.get("data", {}).get("validation_images")
    if images is None:
        return configs
    own_images = bool(ledger.run["space"].get("seed_splits", False))
    samples = [Sample(config.scores, images, own_images) for config in configs]
    spread = Spread.among([sample for sample, config in zip(samples, configs, strict=True) if not config.is_short])
    found = []
    for config, sample in zip(configs, samples, strict=True):
        if config.is_short:
            found.append(config)
            continue
        low, high = interval(sample, spread)
        tied = not config.without_score and not can_be_told_apart(samples[0], sample, spread)
        found.append(replace(config, low=low, high=high, tied=tied or not found))
    return found
