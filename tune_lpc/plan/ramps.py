"""When the ramps of the regularisers are up: in one trial, and in every trial that a space can draw."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tune_lpc.plan.choosers import Chooser, Corner, RandomChooser
from tune_lpc.plan.dimensions import Choice, Dimension
from tune_lpc.plan.gamma import GammaSettings
from tune_lpc.plan.schedules import progress_at_end
from tune_lpc.plan.settings import Value
from tune_lpc.plan.trial import TrialSpec

RAMP_SETTINGS = (
    *(field.name for field in dataclasses.fields(GammaSettings) if field.name.startswith("gamma_")),
    "topological_weight_schedule",
)
"""What decides when a ramp is up. The end of the weight does not: its share does not depend on it."""
SEEDS = 64
"""Corners, and random draws, that are tried besides the ends of the ramps."""
_ROUNDING = 1e-9


def ramps_are_up(spec: TrialSpec, epoch: int, share: float) -> bool:
    """Whether gamma has reached `share` of its end at the end of `epoch`, and the topological weight that of its last.

    The end of an epoch is its last step, where it has many: how many is known only with the data.
    """
    t, end = progress_at_end(epoch, spec.epochs), progress_at_end(spec.epochs, spec.epochs)
    least = share * (1 - _ROUNDING)
    gamma, topology = spec.gamma, spec.topology
    return (gamma is None or gamma(t) >= least * gamma.end) and (
        topology is None or topology.weight_at(t) >= least * topology.weight_at(end)
    )


def epoch_with_ramps_up(specs: Iterable[TrialSpec], share: float) -> int | None:
    """The first epoch at which the ramps of all `specs` are up to `share`; None where one never comes that far."""
    first = 1
    for spec in specs:
        if first > spec.epochs or not ramps_are_up(spec, spec.epochs, share):
            return None
        if ramps_are_up(spec, first, share):
            continue
        below, first = first, spec.epochs
        while first - below > 1:  # no ramp ever falls
            middle = (below + first) // 2
            if ramps_are_up(spec, middle, share):
                first = middle
            else:
                below = middle
    return first


def slowest_choosers(dimensions: Mapping[str, Dimension]) -> Iterator[Chooser]:
    """Choosers that draw the trials whose ramps are up last, and some others: corners and random draws.

    A ramp is later up the longer it is, the later it begins and the further it goes: at the ends of those ranges.
    """
    ends = {name: _ends(dimensions[name]) for name in RAMP_SETTINGS if name in dimensions}
    for seed, values in enumerate(itertools.product(*ends.values())):
        yield _Fixed(seed, dict(zip(ends, values, strict=True)))
    for seed in range(SEEDS):
        yield Corner(seed)
        yield RandomChooser(seed)


def _ends(dimension: Dimension) -> Sequence[Value]:
    if not isinstance(dimension, Choice):
        return (dimension.low, dimension.last)
    numbers = [option for option in dimension.options if isinstance(option, (int, float))]
    others = [option for option in dimension.options if option not in numbers]
    return [*others, *sorted({min(numbers), max(numbers)})] if numbers else others


class _Fixed(Corner):
    """Draws the values given, and corners of all else."""

    def __init__(self, seed: int, values: Mapping[str, Value]) -> None:
        super().__init__(seed)
        self._values = values

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value = self._values.get(name)
        return value if isinstance(value, (int, float)) else super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        value = self._values.get(name)
        return value if isinstance(value, int) else super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        return self._values[name] if name in self._values else super().suggest_categorical(name, choices)
