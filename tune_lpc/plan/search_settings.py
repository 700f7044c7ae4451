"""What sets the size of a search and its early stopping: rules, and the values of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tune_lpc.plan.errors import nearest, shown
from tune_lpc.plan.fidelity import MODES, RUNG_RULES
from tune_lpc.plan.objectives import objectives_problems
from tune_lpc.plan.settings import Value

WHOLE_NUMBERS = {
    "trials": (1, 10**6),
    "reduction_factor": (2, 10**6),
    "first_rung": (1, 10**6),
    "most_rungs": (0, 20),
    "control_trials": (0, 10**6),
    "score_window": (1, 10**6),
    "seeds": (1, 20),
    "random_starts": (1, 10**6),
}
"""Smallest and largest value of the settings that are whole numbers."""
AS_MANY_AS_FIT = WHOLE_NUMBERS["trials"][1]
"""The trials of a search that time alone limits."""
SEARCH_SETTINGS = (
    "trials",
    "fidelity_mode",
    "reduction_factor",
    "rung_rule",
    "most_rungs",
    "first_rung",
    "first_rung_after",
    "control_trials",
    "score_window",
    "seeds",
    "seed_splits",
    "objectives",
    "sampler",
    "random_starts",
)
SAMPLERS = ("tpe", "gp", "prior", "random")
"""What draws configs: the tree-structured Parzen estimator, a Gaussian process, a mixture around priors, or chance."""
ONE_OF: Mapping[str, Sequence[Value]] = {
    "fidelity_mode": MODES,
    "rung_rule": RUNG_RULES,
    "seed_splits": (True, False),
    "sampler": SAMPLERS,
}
"""Settings that take one of a few values."""
WIDEST_STRIDE = 3
"""Control trials stand so far apart, where there are trials enough."""
OPTIONAL = ("first_rung", "first_rung_after")
"""Settings that may be none."""


def search_setting_problems(name: str, value: object) -> list[str]:
    """What is wrong with `value` for a setting of the search by itself."""
    if value is None and name in OPTIONAL:
        return []
    if name == "objectives":
        return objectives_problems(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in ONE_OF:
        rule, fits = f"one of {', '.join(map(str, ONE_OF[name]))}", value in ONE_OF[name]
    elif name == "first_rung_after":
        rule, fits = "a number above 0 and up to 1", number and 0 < value <= 1  # type: ignore[operator]
    else:
        low, high = WHOLE_NUMBERS[name]
        rule = f"a whole number from {low} to {high}"
        fits = number and isinstance(value, int) and low <= value <= high
    hint = nearest(value, map(str, ONE_OF[name])) if name in ONE_OF else ""
    return [] if fits else [f"{name} is {shown(value)}, but must be {rule}{hint}"]


def search_setting_conflicts(values: Mapping[str, object]) -> list[str]:
    """The settings of a search, each right by itself, that contradict each other."""
    found = []
    mode, share = values["fidelity_mode"], values["first_rung_after"]
    trials, control = values["trials"], values["control_trials"]
    if share is not None and mode != "truncated":
        found.append(
            f"first_rung_after is {share}, but fidelity_mode is {mode!r}: only 'truncated' looks at a run before its "
            "ramps are up; set fidelity_mode to truncated (--fidelity), or first_rung_after to none"
        )
    if share is not None and values["first_rung"] is not None:
        found.append(
            f"first_rung is {values['first_rung']} and first_rung_after is {share}, but only one of them can place "
            "the first rung; set the other to none"
        )
    assert isinstance(trials, int) and isinstance(control, int)
    if control > trials:
        found.append(f"control_trials is {control}, but must be from 0 to trials ({trials})")
    return found


def parse_search_setting(name: str, text: str) -> Value:
    """The value that a text means; a text that means none is returned as it is, and fails the check later."""
    if name == "objectives":
        return text
    if name in ONE_OF:
        return {"true": True, "false": False}.get(text.lower(), text)
    if text.lower() == "none":
        return None
    try:
        return float(text) if name == "first_rung_after" else int(text)
    except ValueError:
        return text


def as_search_setting(name: str, value: Any) -> Any:
    """The value of a setting as a space holds it: objectives in a text, parted by commas, become a tuple."""
    if name == "objectives" and isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return value


def is_control(number: int, trials: int, control_trials: int) -> bool:
    """Whether trial `number` (from 0) of `trials` is one of the `control_trials`.

    Every third trial is, from the second on, until there are enough: so more trials leave the control trials what they
    are. Where that is too far apart for all of them it is every second, and at last the first ones.
    """
    return number in _controls(trials, control_trials)


def same_controls(before_trials: int, now_trials: int, control_trials: int) -> bool:
    """Whether a search of `now_trials` trials has the same control trials as one of `before_trials`."""
    return _controls(before_trials, control_trials) == _controls(now_trials, control_trials)


def _controls(trials: int, control_trials: int) -> range:
    stride = min(WIDEST_STRIDE, trials // max(1, control_trials))
    first = 0 if stride < 2 else 1
    return range(first, first + stride * control_trials, max(1, stride))
