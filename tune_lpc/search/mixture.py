"""A sampler that mixes chance, belief and what was best so far, in the manner of PriorBand."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import Choice, Dimension
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.search.earlier import Observation
from tune_lpc.search.sampler import Drawn, LearningSampler, result_of

WIDTH = 0.25
"""Standard deviation of what is drawn around a value, as a share of the dimension's range, in its own scale."""
KEPT = 0.5
"""The chance of an option to be kept; else it is drawn evenly from all."""
CHANGED = 0.5
"""The chance of a number of the best config to be changed."""
BELIEVED = 3
"""The best configs of earlier searches around which is drawn as around those of `first`."""
Center = Mapping[str, Value]


class MixtureSampler(LearningSampler):
    """Draws at random, around the configs that are believed to be good, or around the best so far.

    Of PriorBand (Mallik et al., NeurIPS 2023, arXiv 2306.12370) this is the sampling policy, at the lowest rung, as
    that is where a config of ASHA begins (r = 0). With the shares

        random = 1 / (1 + factor^r) = 1/2,    the others together = 1 - random = 1/2,

    the others are split by how likely each would have drawn the best configs: of the highest stage (the full budget,
    else the highest rung) that `reduction_factor` configs have come to, the best K = floor(n / reduction_factor), the
    better ones weighted more,

        S_x = sum over i = 1 … K of (K + 1 - i) x density_x(config i),
        believed = 1/2 x S_believed / (S_believed + S_best),    best = 1/2 x S_best / (S_believed + S_best),

    and as long as no config has trained its full budget, or no stage has so many, best = 0.

    Around a config, a number is drawn from a normal distribution of a quarter of its range, cut off at the ends (around
    the best so far only half of the numbers are, the others stay), and an option is kept half of the time, else drawn
    from all. What a config lacks is drawn evenly. Believed to be good are the configs of `first`, with the priors of
    the dimensions that they lack, the priors alone where there are any, and the best of earlier searches; without any
    of them this share is drawn at random too.
    """

    def __init__(self, space: Space, earlier: Sequence[Observation] = ()) -> None:
        super().__init__(space, earlier)
        priors = space.priors
        beliefs: list[Center] = [{**priors, **config} for config in space.first]
        beliefs += [priors] if priors else []
        self._beliefs = beliefs + [{**priors, **observation.values} for observation in self._earlier[:BELIEVED]]

    def shares(self) -> dict[str, float]:
        """How likely the next config is drawn at random, around a belief, and around the best so far."""
        top = self._best_of_a_stage()
        if not top:
            return {"random": 0.5, "believed": 0.5, "best": 0.0}
        by_belief = self._likeness(top, self._beliefs or [{}])
        by_best = self._likeness(top, [self._best()])
        share = by_best / (by_belief + by_best)
        return {"random": 0.5, "believed": 0.5 * (1 - share), "best": 0.5 * share}

    def _propose(self, place: int, seed: int) -> Drawn:
        draw = random.Random(seed)
        shares = self.shares()
        (way,) = draw.choices(list(shares), list(shares.values()))
        if way == "best":
            return self._space.draw(_Around(draw, self._best(), CHANGED))
        center = draw.choice(self._beliefs) if way == "believed" and self._beliefs else {}
        return self._space.draw(_Around(draw, center))

    def _best(self) -> Drawn:
        """The best config so far; of equals the first."""
        known = [(result, trial) for trial in self.trials if (result := result_of(trial)) is not None]
        return dict(max(known, key=lambda pair: pair[0])[1].params)

    def _best_of_a_stage(self) -> list[Drawn]:
        """The best configs of the highest stage that has enough of them, the best first."""
        known = [(result, trial) for trial in self.trials if (result := result_of(trial)) is not None]
        if not any(result.is_trained for result, _ in known):
            return []
        known.sort(key=lambda pair: pair[0], reverse=True)
        factor = self._space.reduction_factor
        for _, stage in itertools.groupby(known, key=lambda pair: pair[0][:2]):
            found = [dict(trial.params) for _, trial in stage]
            if len(found) >= factor:
                return found[: len(found) // factor]
        return []

    def _likeness(self, configs: Sequence[Drawn], centers: Sequence[Center]) -> float:
        """How likely the configs are to be drawn around one of the centers, the first ones weighted more."""
        dimensions = self._space.dimensions
        total = 0.0
        for place, config in enumerate(configs):
            for center in centers:
                each = (density(dimensions[name], config[name], center[name]) for name in config if name in center)
                total += (len(configs) - place) * math.prod(each) / len(centers)
        return total


class _Around(RandomChooser):
    """Draws around a center what that has, and evenly what it lacks. changed: the chance of a number to be another."""

    def __init__(self, draw: random.Random, center: Center, changed: float = 1.0) -> None:
        self._random, self._center, self._changed = draw, center, changed

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`; where there are steps, one that is yet to be rounded to the nearest."""
        center = self._center.get(name)
        if not isinstance(center, (int, float)):
            return super().suggest_float(name, low, high, step=step, log=log)
        if self._random.random() >= self._changed:
            return center
        around = NormalDist(_share(center, low, high, log), WIDTH)
        # Half a step beyond each end, so that the ends too have a whole step's chance.
        beyond = 0.0 if step is None else step / (high - low) / 2
        share = around.inv_cdf(self._random.uniform(around.cdf(-beyond), around.cdf(1.0 + beyond)))
        value = low * (high / low) ** share if log else low + (high - low) * share
        return min(high, max(low, value))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from `low` to `high`."""
        if name not in self._center:
            return super().suggest_int(name, low, high, step=step, log=log)
        return round(self.suggest_float(name, low, high, step=None if step == 1 else step, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """One of `choices`."""
        if name in self._center and self._random.random() < KEPT:
            return self._center[name]
        return super().suggest_categorical(name, choices)


def density(dimension: Dimension, value: Value, center: Value) -> float:
    """How likely a value is to be drawn around a center, against the even draw, for which it is 1."""
    if isinstance(dimension, Choice):
        return KEPT * len(dimension.options) * (value == center) + (1 - KEPT)
    assert isinstance(value, (int, float)) and isinstance(center, (int, float))  # a range holds numbers alone
    low, high, log = dimension.low, dimension.last, dimension.log
    around = NormalDist(_share(center, low, high, log), WIDTH)
    return around.pdf(_share(value, low, high, log)) / (around.cdf(1.0) - around.cdf(0.0))


def _share(value: float, low: float, high: float, log: bool) -> float:
    """Where a value lies between the ends of a range, from 0 to 1, in the scale of the range."""
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
