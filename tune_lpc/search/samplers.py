"""The samplers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tune_lpc.plan.search_settings import SAMPLERS as NAMES
from tune_lpc.plan.space import Space
from tune_lpc.search.earlier import Observation
from tune_lpc.search.gaussian import GaussianSampler
from tune_lpc.search.mixture import MixtureSampler
from tune_lpc.search.sampler import EstimatorSampler, RandomSampler, Sampler

SAMPLERS: dict[str, Callable[[Space, int, Sequence[Observation]], Sampler]] = {
    "tpe": EstimatorSampler,
    "gp": GaussianSampler,
    "prior": MixtureSampler,
    "random": lambda space, *_: RandomSampler(space),
}
"""By name; each gets the space, how many trials run at once, and configs of earlier searches."""
