"""The samplers by the name that a space gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tune_lpc.plan.space import Space
from tune_lpc.search.earlier import Observation
from tune_lpc.search.gaussian import GaussianSampler
from tune_lpc.search.mixture import MixtureSampler
from tune_lpc.search.sampler import EstimatorSampler, RandomSampler, Sampler

SAMPLERS: Mapping[str, Callable[[Space, int, Sequence[Observation]], Sampler]] = {
    "tpe": EstimatorSampler,
    "gp": lambda space, _, earlier: GaussianSampler(space, earlier),
    "prior": lambda space, _, earlier: MixtureSampler(space, earlier),
    "random": lambda space, *_: RandomSampler(space),
}
"""Each gets the space, how many trials run at once, and configs of earlier searches."""


def sampler_of(space: Space, concurrent: int = 1, earlier: Sequence[Observation] = ()) -> Sampler:
    """The sampler of a space; one that is right knows its name."""
    return SAMPLERS[space.sampler](space, concurrent, earlier)
