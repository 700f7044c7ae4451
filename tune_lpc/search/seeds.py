"""Further seeds: after the full budget the best configs are trained again, in stages like those of rungs.

A score of one training is luck for a part, and the best of many such scores is luck for a larger part. So of the
configs that have trained their full budget the best share is trained with a second seed, the best share of these by
their mean with a third, and so on. With several objectives it is not the best share, but the Pareto front.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tune_lpc.plan.objectives import Objective, Values
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import SPLITS, TrialSpec, setting_field
from tune_lpc.results.events import Status, trial_id_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.pareto import fronts, mean_values, places, scaled

FEWEST = 2
"""Configs in each stage, where there are as many: a single one would be compared with nothing."""


@dataclass(frozen=True)
class Standing:
    """A config that has trained its full budget.

    number: of its first trial. scores: of its seeds in order, the first trial's first; None for a seed that has no
    score, as its training diverged or failed. running: seeds that are being trained, or wait to be, after these.
    values: of the same seeds, where there are several objectives; None for one without a value of each.
    """

    number: int
    scores: Sequence[float | None]
    running: int = 0
    values: Sequence[Values | None] = ()

    def place(self, seeds: int) -> tuple[int, float, int]:
        """What the configs are sorted by after so many seeds: fewer seeds without a score, then the higher mean."""
        known = [score for score in self.scores[:seeds] if score is not None]
        mean = math.fsum(known) / len(known) if known else -math.inf
        return len(self.scores[:seeds]) - len(known), -mean, self.number


def stages(configs: int, most: int, share: int) -> list[int]:
    """How many configs are trained with a second seed, with a third and so on, of so many that train in full.

    most, share: see `next_repeat`. With several objectives a guess: nobody knows how large a front will be.
    """
    sizes = []
    for _ in range(1, most):
        configs = min(configs, max(FEWEST, math.ceil(configs / share)))
        sizes.append(configs)
    return sizes


def next_repeat(configs: Sequence[Standing], most: int, share: int, objectives: Sequence[Objective] = ()) -> int | None:
    """The number of the config to train with a further seed next; None when there is none, or none as yet.

    configs: all that have trained their full budget, when no other is to come. most: seeds of a config.
    share: of the configs of a stage the best 1 / share, rounded up, make the next one, though never fewer than two.
    objectives: where there are several, those on the Pareto front make the next one, or all when share is 1.
    A stage begins when the one before has ended: what was decided in it does not depend on which seed ended first.
    """
    stage = sorted(configs, key=lambda config: config.place(1))
    for seeds, size in enumerate(stages(len(configs), most, share), start=1):
        if objectives:
            stage = _on_front(stage, seeds, objectives, and_behind=share == 1)
        else:
            stage = sorted(stage, key=lambda config, seeds=seeds: config.place(seeds))[:size]  # type: ignore[misc]
        lacking = [config for config in stage if len(config.scores) <= seeds]
        if lacking:
            return next((config.number for config in lacking if len(config.scores) + config.running <= seeds), None)
    return None


def _on_front(
    configs: Sequence[Standing], seeds: int, objectives: Sequence[Objective], *, and_behind: bool
) -> list[Standing]:
    """The configs on the front by the means of so many seeds, in the order of `places`; the fewest, if they are fewer.

    A config of which one of these seeds has no values is left out. and_behind: all others follow those on the front.
    """
    known: list[tuple[Standing, Values]] = []
    for config in configs:
        values = [value for value in config.values[:seeds] if value is not None]
        if values and len(values) == len(config.values[:seeds]):
            known.append((config, mean_values(values)))
    points = scaled([values for _, values in known], objectives)
    order = places(points)
    rows = sorted(range(len(known)), key=lambda row: (int(order[row]), known[row][0].number))
    on_front = len(known) if and_behind else int((fronts(points) == 1).sum())
    return [known[row][0] for row in rows[: max(FEWEST, on_front)]]


class Repeats:
    """The further seeds of a search: those that there are, and the next one.

    space: how many seeds a config may have, and whether each has a split of its own. ledger: where the trials stand.
    """

    def __init__(self, space: Space, ledger: Ledger) -> None:
        self._ledger, self._most, self._splits = ledger, space.seeds, space.seed_splits
        self._share = space.fidelity.reduction_factor
        self._of: dict[int, dict[int, int]] = {}

    def note(self, number: int, repeat_of: int, spec: TrialSpec) -> None:
        """There is a further seed: trial `number`, trained by `spec`, of the config whose first trial is given."""
        self._of.setdefault(repeat_of, {})[number] = spec.seed

    def next(self, under_way: Collection[int], *, of_all: bool = False) -> int | None:
        """The first trial of the config that is next, when no other config is to come; see `next_repeat`.

        under_way: the numbers of the trials that are being trained. of_all: each stage has all configs, not the best.
        """
        share = 1 if of_all else self._share
        if self._most == 1:
            return None
        return next_repeat(self._standings(under_way), self._most, share, self._ledger.objectives)

    def to_come(self, under_way: Collection[int]) -> int:
        """How many will begin yet, where one can begin now."""
        planned = sum(stages(len(self._standings(under_way)), self._most, self._share))
        return max(1, planned - sum(map(len, self._of.values())))

    def spec(self, repeat_of: int, first: TrialSpec) -> TrialSpec:
        """What the next further seed of a config trains. first: what its first trial does."""
        taken = {*self._of.get(repeat_of, {}).values(), first.seed}
        seeds = 1 + int(setting_field("seed").metadata["high"])
        # Not the next in number: it may be there, where the entry of one before it was damaged.
        further = next(step for step in itertools.count(1) if (first.seed + step) % seeds not in taken)
        split = (first.split + further) % SPLITS if self._splits else first.split
        return dataclasses.replace(first, seed=(first.seed + further) % seeds, split=split)

    def _standings(self, under_way: Collection[int]) -> list[Standing]:
        found = []
        for trial in self._ledger.trials.values():
            if trial.repeat_of is not None or trial.status is not Status.COMPLETED:
                continue
            seeds, running = [trial], 0
            for number in self._of.get(trial.number, {}):
                repeat = self._ledger.trials.get(trial_id_of(number))
                # One that failed is tried again by a resume: until then it has no score.
                if repeat is None or number in under_way or repeat.status is Status.INTERRUPTED:
                    running += 1
                else:
                    seeds.append(repeat)
            scores = [None if seed.has_diverged else seed.final_score for seed in seeds]
            values = [None if seed.has_diverged else seed.final_values for seed in seeds] if trial.objectives else []
            found.append(Standing(trial.number, scores, running, values))
        return found
