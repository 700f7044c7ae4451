"""How an Optuna study is answered: it holds what was recorded, not what it proposed."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.rivals.problem import Values
from tune_lpc.plan import Space, Value
from tune_lpc.plan.choosers import Given


class _Distributions(Given):
    """Takes the values of a config, and notes how a study would have drawn them."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.found[name] = FloatDistribution(low, high, log=log)
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.found[name] = IntDistribution(low, high, log=log)
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        self.found[name] = CategoricalDistribution(choices)
        return super().suggest_categorical(name, choices)


def answer(trial: optuna.Trial, space: Space, values: Values) -> None:
    """Give a trial that a study runs in memory the `values` of a recorded config in place of those that it proposed.

    Optuna has no public way to do so for a trial that a pruner is to judge. It has one for finished trials
    (`add_trial`), which keep their values in the same place.
    """
    taken = _Distributions(values)
    drawn = space.draw(taken)
    storage = trial.storage
    frozen = copy.copy(storage._get_trial(trial._trial_id))  # type: ignore[attr-defined]
    frozen.params, frozen.distributions = drawn, taken.found
    storage._set_trial(trial._trial_id, frozen)  # type: ignore[attr-defined]
