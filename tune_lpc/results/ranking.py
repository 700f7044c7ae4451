"""The configs of a search, best first: each with the mean of its seeds, an interval, and what it is tied with.

With several objectives they are ranked by fronts, see `pareto`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tune_lpc.plan.objectives import Objective, Values
from tune_lpc.results.events import FrontFound, Status
from tune_lpc.results.intervals import Sample, Spread, can_be_told_apart, interval
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.pareto import hypervolume, mean_values, scaled, sorted_fronts
from tune_lpc.results.training_run import TrainingRun
from tune_lpc.results.trial import Trial


@dataclass(frozen=True)
class Config:
    """A config that is ranked.

    trial: the first with it. run: that by which this one is judged. scores: of its seeds, the first trial's first.
    without_score: further seeds that diverged.
    low, high: the interval of the score; None where the number of validation images is not known, and of a run that is
    not finished.
    tied: whether it cannot be told from the first of the ranking.
    values: of the objectives, where there are several, those of its seeds that have one of each; empty where the first
    has not. front: from 1; None with one objective, for a run that is not finished, and without values.
    """

    trial: Trial
    run: TrainingRun
    scores: tuple[float, ...]
    without_score: int = 0
    low: float | None = None
    high: float | None = None
    tied: bool = False
    values: tuple[Values, ...] = ()
    front: int | None = None

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
    6. Equal scores: the lower number. (The validation loss says nothing of which is better; see docs/winner.md.)

    With several objectives fronts take the place of 4 and 5. Front 1: no other config is better in one objective and
    as good in all; front 2: only those of front 1 are; and so on. Fronts are by the first seed; those of front 1, where
    they have further ones, are parted again by the mean of two, and so on. On a front the one that lies further apart
    from its neighbours comes first (crowding distance), an end before all others, and of the ends the one that is best
    in the first objective. Fronts are counted on from configs none of whose seeds diverged to the others. A config of
    which an objective has no value is on no front, and comes last.

    Diverged and failed trials are not ranked, nor those without such a run or whose last epoch has no score.
    """
    return _with_intervals(in_order(ledger), ledger)


def in_order(ledger: Ledger) -> list[Config]:
    """The same without the intervals, and what is tied by them."""
    repeats: dict[int, list[Trial]] = {}
    for trial in ledger.in_order():
        if trial.repeat_of is not None:
            repeats.setdefault(trial.repeat_of, []).append(trial)
    found = [
        config
        for trial in ledger.in_order()
        if trial.repeat_of is None and (config := _config(trial, repeats.get(trial.number, ()))) is not None
    ]
    found.sort(key=_place)
    return _by_fronts(found, ledger.objectives) if ledger.objectives else found


def front_found(ledger: Ledger, trial_id: str) -> FrontFound:
    """The Pareto front as it is once a trial has trained its full budget."""
    configs = [config for config in in_order(ledger) if config.front is not None]
    front = [config for config in configs if config.front == 1]
    return FrontFound(
        trial_id,
        configs=len(configs),
        epochs=sum(trial.epochs_trained for trial in ledger.trials.values()),
        front=[config.trial.number for config in front],
        hypervolume=hypervolume(scaled([mean_values(config.values) for config in front], ledger.objectives)),
    )


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
        repeats = ()  # a damaged journal may have seeds that came further than the first trial
    others = [repeat.final_score for repeat in repeats if not repeat.has_diverged]
    diverged = sum(repeat.has_diverged for repeat in repeats)
    scores = (own, *(score for score in others if score is not None))
    return Config(trial, run, scores, diverged, values=_values(trial, run, repeats))


def _values(trial: Trial, run: TrainingRun, repeats: Iterable[Trial]) -> tuple[Values, ...]:
    """The objectives of the seeds, the first after the run by which the config is judged."""
    own = trial.values(run.budget, run.epochs) if trial.objectives else None
    if own is None:
        return ()
    others = (repeat.final_values for repeat in repeats if not repeat.has_diverged)
    return own, *(values for values in others if values is not None)


def _place(config: Config) -> tuple[bool, int, int, int, float, int]:
    """What `ranked` sorts by: lower is better."""
    return *_class(config), -len(config.scores), -config.score, config.trial.number


def _class(config: Config) -> tuple[bool, int, int]:
    """What it sorts by before any score, and before any front."""
    return config.is_short, -config.run.epochs if config.is_short else 0, config.without_score


def _by_fronts(configs: Iterable[Config], objectives: Sequence[Objective]) -> list[Config]:
    """The same, those of each class by front and place on it; equal ones stay in their order."""
    found: list[Config] = []
    before = 0
    for (is_short, *_), group in groupby(configs, key=_class):
        alike = list(group)
        known = [config for config in alike if config.values]
        fronts = sorted_fronts([config.values for config in known], objectives)
        for front, numbers in enumerate(fronts, start=before + 1):
            found += [replace(known[number], front=None if is_short else front) for number in numbers]
        before += len(fronts)
        found += [config for config in alike if not config.values]
    return found


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
