"""Further seeds: after the full budget the best configs are trained again, in stages like those of rungs.

A score of one training is luck for a part, and the best of many such scores is luck for a larger part. So of the
configs that have trained their full budget the best share is trained with a second seed, the best share of these by
their mean with a third, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tune_lpc.plan.objectives import Objective, Values
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


def next_repeat(configs: Sequence[Standing], most: int, share: int, objectives: Sequence[Objective] = ()) -> int | None:
    """The number of the config to train with a further seed next; None when there is none, or none as yet.

    configs: all that have trained their full budget, when no other is to come. most: seeds of a config.
    share: of the configs of a stage the best 1 / share, rounded up, make the next one, though never fewer than two.
    objectives: where there are several, those on the Pareto front do.
    A stage begins when the one before has ended: what was decided in it does not depend on which seed ended first.
    """
    stage = sorted(configs, key=lambda config: config.place(1))
    for seeds in range(1, most):
        if objectives:
            stage = _on_front(stage, seeds, objectives)
        else:
            stage = sorted(stage, key=lambda config, seeds=seeds: config.place(seeds))  # type: ignore[misc]
            stage = stage[: max(FEWEST, math.ceil(len(stage) / share))]
        lacking = [config for config in stage if len(config.scores) <= seeds]
        if lacking:
            return next((config.number for config in lacking if len(config.scores) + config.running <= seeds), None)
    return None


def _on_front(configs: Sequence[Standing], seeds: int, objectives: Sequence[Objective]) -> list[Standing]:
    """The configs on the front by the means of so many seeds, in the order of `places`; the fewest, if they are fewer.

    A config of which one of these seeds has no values is left out.
    """
    known: list[tuple[Standing, Values]] = []
    for config in configs:
        values = [value for value in config.values[:seeds] if value is not None]
        if values and len(values) == len(config.values[:seeds]):
            known.append((config, mean_values(values)))
    points = scaled([values for _, values in known], objectives)
    place = places(points)
    rows = sorted(range(len(known)), key=lambda row: (int(place[row]), known[row][0].number))
    on_front = int((fronts(points) == 1).sum())
    return [known[row][0] for row in rows[: max(FEWEST, on_front)]]
