"""A schedule of free shape in a space that does not list one: what choosing it by --set allows, and adds to the search.

A spline can take about every shape that the named schedules have, so whoever searches some of these may have it too.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from tune_lpc.plan.dimensions import Dimension, Float, Int
from tune_lpc.plan.settings import Value
from tune_lpc.plan.spline import MOST_KNOTS, RANGE

SPLINE = "spline"
SWITCHES: Mapping[str, str] = {"gamma_ramp": "gamma", "beta_schedule": "beta"}
"""The settings that may be "spline", each with what the names of its knots begin with."""
_END = "beta_end_share"


def is_free(name: str, value: Value) -> bool:
    """Whether a value of a setting stands for a schedule of free shape."""
    return name in SWITCHES and value == SPLINE


def knots_to_search(
    changes: Mapping[str, Value],
    known: Container[str],
    dimensions: Mapping[str, Dimension],
    fixed: Callable[[str], Value],
) -> dict[str, Dimension]:
    """The dimensions of the splines that `changes` choose: the knots that are neither searched nor fixed (`known`).

    fixed: the value of a setting that is not searched.
    """
    found: dict[str, Dimension] = {}
    for switch, of in SWITCHES.items():
        if not is_free(switch, changes.get(switch)):
            continue
        searched = dimensions.get(f"{of}_knots")
        most = searched.last if isinstance(searched, (Float, Int)) else fixed(f"{of}_knots")
        # What is wrong with this number is told by its checks, later.
        between = int(min(most, MOST_KNOTS)) - 2 if isinstance(most, (int, float)) else 0
        found |= {f"{of}_knot_{position}": RANGE for position in range(1, between + 1)}
        found |= {_END: Float(0.0, 1.0, prior=0.0)} if of == "beta" else {}
    return {name: dimension for name, dimension in found.items() if name not in known}
