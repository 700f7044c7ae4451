"""Schedules of free shape: monotone splines through a few knots, evenly spaced from a start to an end.

The curve is SciPy's PCHIP (Fritsch and Butland 1984, doi 10.1137/0905021): monotone where the knots are, and straight
where they lie on a straight line. The knots are given so that they can't be otherwise than monotone: each says where it
lies between the knot before and the end, from -1 to 1: 0 on the straight way there, -1 still where the one before is,
1 at the end already. So whatever is drawn is a schedule, and nothing drawn is the straight line.

The one file of `plan` that needs more than the standard library: SciPy, imported by the first spline that is evaluated.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tune_lpc.plan.dimensions import Float

LEAST_KNOTS, MOST_KNOTS = 3, 5
"""Knots of a spline, its two ends among them."""
RANGE = Float(-1.0, 1.0, prior=0.0)
"""Of a knot between the ends, where a space says nothing of it: every shape there is."""


def shape(knots: Sequence[float]) -> tuple[float, ...]:
    """The way done at each knot, from 0 at the start to 1 at the end. knots: those between, each from -1 to 1."""
    done = [0.0]
    for position, knot in enumerate(knots):
        left = 1.0 - done[-1]
        straight = left / (len(knots) + 1 - position)
        step = straight * (1 + knot) if knot < 0 else straight + knot * (left - straight)
        done.append(min(1.0, done[-1] + step))
    return (*done, 1.0)


def knots_through(done: Sequence[float]) -> tuple[float, ...]:
    """The knots between the ends of the spline with this `shape`, which rises from 0 to 1: the other way round."""
    knots = []
    for position in range(1, len(done) - 1):
        left, step = 1.0 - done[position - 1], done[position] - done[position - 1]
        straight = left / (len(done) - position)
        if left <= 0:
            knots.append(0.0)  # it has arrived, wherever a knot lies between here and the end
        else:
            knots.append(step / straight - 1 if step < straight else (step - straight) / (left - straight))
    return tuple(knots)


def way_done(knots: tuple[float, ...], share: float) -> float:
    """The share of the way from start to end that is done at `share` of the time, both from 0 to 1."""
    if share >= 1.0:
        return 1.0
    done, pieces = shape(knots), len(knots) + 1
    piece = int(share * pieces)
    value = 0.0
    for coefficient in _coefficients(knots)[piece]:  # those of the highest power first
        value = value * (share - piece / pieces) + coefficient
    return min(done[piece + 1], max(done[piece], value))  # a rounding may lead past a knot


@functools.lru_cache(maxsize=64)  # a training asks at each of a thousand moments
def _coefficients(knots: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Of the cubic of each piece, from its left knot on."""
    from scipy.interpolate import PchipInterpolator  # a third of a second, which most trials need not spend

    pieces = len(knots) + 1
    curve = PchipInterpolator([place / pieces for place in range(pieces + 1)], shape(knots))
    return tuple(map(tuple, curve.c.T.tolist()))
