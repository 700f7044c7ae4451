"""Further seeds: after the full budget the best configs are trained again, in stages like those of rungs.

A score of one training is luck for a part, and the best of many such scores is luck for a larger part. So of the
configs that have trained their full budget the best share is trained with a second seed, the best share of these by
their mean with a third, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 2
"""Configs in each stage, where there are as many: a single one would be compared with nothing."""


@dataclass(frozen=True)
class Standing:
    """A config that has trained its full budget.

    number: of its first trial. scores: of its seeds in order, the first trial's first; None for a seed that has no
    score, as its training diverged or failed. running: seeds that are being trained, or wait to be, after these.
    """

    number: int
    scores: Sequence[float | None]
    running: int = 0

    def place(self, seeds: int) -> tuple[int, float, int]:
        """What the configs are sorted by after so many seeds: fewer seeds without a score, then the higher mean."""
        known = [score for score in self.scores[:seeds] if score is not None]
        mean = math.fsum(known) / len(known) if known else -math.inf
        return len(self.scores[:seeds]) - len(known), -mean, self.number


def stages(configs: int, most: int, share: int) -> list[int]:
    """How many configs are trained with a second seed, with a third and so on, of so many that train in full.

    most, share: see `next_repeat`.
    """
    sizes = []
    for _ in range(1, most):
        configs = min(configs, max(FEWEST, math.ceil(configs / share)))
        sizes.append(configs)
    return sizes


def next_repeat(configs: Sequence[Standing], most: int, share: int) -> int | None:
    """The number of the config to train with a further seed next; None when there is none, or none as yet.

    configs: all that have trained their full budget, when no other is to come. most: seeds of a config.
    share: of the configs of a stage the best 1 / share, rounded up, make the next one, though never fewer than two.
    A stage begins when the one before has ended: what was decided in it does not depend on which seed ended first.
    """
    stage = sorted(configs, key=lambda config: config.place(1))
    for seeds, size in enumerate(stages(len(configs), most, share), start=1):
        stage = sorted(stage, key=lambda config, seeds=seeds: config.place(seeds))[:size]  # type: ignore[misc]
        lacking = [config for config in stage if len(config.scores) <= seeds]
        if lacking:
            return next((config.number for config in lacking if len(config.scores) + config.running <= seeds), None)
    return None
