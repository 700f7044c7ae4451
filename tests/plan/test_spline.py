"""Schedules of free shape: monotone, straight by default, and equal to every named schedule at the knots."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from tests.plan.test_gamma import GOLDEN
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.gamma import NAMED, GammaRamp
from tune_lpc.plan.spline import knots_through, shape, way_done
from tune_lpc.plan.strengths import Strengths
from tune_lpc.plan.topology import BETA_SCHEDULES, Topology

KNOTS = st.lists(st.floats(-1, 1), min_size=1, max_size=3).map(tuple)
PLACES = [place / 500 for place in range(501)]


def at_knots(values: list[float]) -> tuple[float, ...]:
    """The knots of the spline through values that rise, or fall, from one end to the other."""
    return knots_through([(value - values[0]) / (values[-1] - values[0]) for value in values])


@settings(max_examples=200)
@given(KNOTS)
def test_a_spline_never_turns_and_ends_where_it_should(knots: tuple[float, ...]) -> None:
    values = [way_done(knots, place) for place in PLACES]
    assert all(earlier <= later + 1e-12 for earlier, later in pairwise(values))
    assert (values[0], values[-1]) == (0.0, 1.0)


@settings(max_examples=100)
@given(KNOTS)
def test_it_is_the_curve_of_scipy(knots: tuple[float, ...]) -> None:
    done = shape(knots)
    curve = PchipInterpolator([place / (len(done) - 1) for place in range(len(done))], done)
    assert [way_done(knots, place) for place in PLACES] == pytest.approx(curve(PLACES).tolist(), abs=1e-9)


@settings(max_examples=100)
@given(KNOTS)
def test_knots_are_found_again(knots: tuple[float, ...]) -> None:
    assert shape(knots_through(shape(knots))) == pytest.approx(shape(knots), abs=1e-9)


@pytest.mark.parametrize("knots", [(0.0,), (0.0, 0.0), (0.0, 0.0, 0.0)])
def test_zeros_are_the_straight_way(knots: tuple[float, ...]) -> None:
    assert [way_done(knots, place) for place in PLACES] == pytest.approx(PLACES, abs=1e-12)


def test_one_jumps_to_the_end_and_minus_one_stays() -> None:
    assert shape((1.0, 0.3)) == (0.0, 1.0, 1.0, 1.0)
    assert shape((-1.0, -1.0, 0.0)) == (0.0, 0.0, 0.0, 0.5, 1.0)


# Gamma


@pytest.mark.parametrize("between", [1, 2, 3])
@pytest.mark.parametrize(("begin", "length"), [(0.0, 1.0), (0.1, 0.266)])
def test_with_knots_on_the_exponential_ramp_gamma_is_that_ramp(between: int, begin: float, length: float) -> None:
    ramp = GammaRamp("exponential", 1e-4, 1e6, begin, length)
    shares = [place / (between + 1) for place in range(between + 2)]
    knots = at_knots([math.log(ramp(begin + share * length)) for share in shares])
    spline = GammaRamp("spline", 1e-4, 1e6, begin, length, knots=knots)
    assert [spline(t) for t in PLACES] == pytest.approx([ramp(t) for t in PLACES], rel=1e-6)


def test_the_exponential_schedule_of_the_source_is_met_to_a_hundredth() -> None:
    values = GOLDEN[next(name for name in sorted(GOLDEN) if name.startswith("exponential"))]["values"]
    epochs = values.index(max(values))
    spline = GammaRamp("spline", values[0], values[epochs], 0.0, epochs / len(values), knots=(0.0, 0.0, 0.0))
    assert [spline(epoch / len(values)) for epoch in range(len(values))] == pytest.approx(values, rel=1e-2)


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("between", [1, 2, 3])
def test_a_spline_meets_every_named_ramp_at_its_knots(kind: str, between: int) -> None:
    ramp = GammaRamp(kind, 1e-4, 1e6, 0.2, 0.5)
    places = [0.2 + 0.5 * place / (between + 1) for place in range(between + 2)]
    values = [ramp(place) for place in places]
    spline = GammaRamp("spline", values[0], values[-1], 0.2, 0.5, knots=at_knots([*map(math.log, values)]))
    assert [spline(place) for place in places] == pytest.approx(values, rel=1e-6)
    assert (spline(0.1), spline(0.9)) == (values[0], values[-1])


# Beta


@pytest.mark.parametrize("kind", ["sliding", "linear"])
@pytest.mark.parametrize("between", [1, 2, 3])
def test_a_spline_meets_every_named_schedule_of_beta_at_its_knots(kind: str, between: int) -> None:
    places = [place / (between + 1) for place in range(between + 2)]
    values = [1.1 * BETA_SCHEDULES[kind](place) for place in places]
    spline = Topology("constant", 0.1, "spline", 1.1, "l2", beta_knots=at_knots(values))
    assert [spline.beta_at(place) for place in places] == pytest.approx(values, abs=1e-12)


def test_an_end_of_all_is_the_constant_beta() -> None:
    spline = Topology("constant", 0.1, "spline", 1.1, "l2", beta_knots=(0.4, -0.9), beta_end_share=1.0)
    assert [spline.beta_at(t) for t in PLACES] == [1.1] * len(PLACES)


# Trials


def test_knots_are_none_where_there_is_no_spline_or_not_that_many() -> None:
    plain = TrialSpec.build({"gamma_ramp": "linear", "topological_weight_schedule": "constant"})
    assert plain.gamma_knots is plain.gamma_knot_1 is plain.beta_knot_1 is plain.beta_end_share is None
    few = TrialSpec.build({"gamma_ramp": "spline", "gamma_knots": 3, "gamma_knot_1": 0.5, "gamma_knot_2": 0.5})
    assert few.gamma_knot_2 is few.gamma_knot_3 is None
    assert few.gamma is not None and few.gamma.knots == (0.5,)
    five = TrialSpec.build({"gamma_ramp": "spline", "gamma_knots": 5, "gamma_knot_3": -1})
    assert five.gamma is not None and five.gamma.knots == (0.0, 0.0, -1.0)


def test_a_trial_goes_along_its_splines() -> None:
    spec = TrialSpec.build(
        {
            "gamma_ramp": "spline",
            "gamma_start": 1e-2,
            "gamma_end": 1e2,
            "gamma_ramp_length": 1.0,
            "gamma_knots": 3,
            "gamma_knot_1": -0.5,
            "topological_weight_schedule": "constant",
            "beta_schedule": "spline",
            "beta": 2.0,
            "beta_knots": 3,
            "beta_knot_1": 0.5,
            "beta_end_share": 0.2,
        }
    )
    middle, end = Strengths.at(spec, 0.5), Strengths.at(spec, 1.0)
    assert (middle.gamma, end.gamma) == (pytest.approx(0.1), 1e2)
    assert (middle.beta, end.beta) == (pytest.approx(2.0 - 1.6 * 0.75), pytest.approx(0.4))


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {"gamma_ramp": "spline", "gamma_knots": 6, "gamma_knot_1": 1.5, "beta_knot_2": "x", "beta_end_share": -1}
    with pytest.raises(UserError) as caught:
        TrialSpec.build(wrong)
    assert caught.value.problems == [
        "gamma_knots is 6, but must be a whole number from 3 to 5",
        "gamma_knot_1 is 1.5, but must be a number from -1 to 1",
        "beta_knot_2 is 'x', but must be a number from -1 to 1",
        "beta_end_share is -1, but must be a number from 0 to 1",
    ]
    with pytest.raises(UserError, match="gamma_knots is none, but must be a whole number from 3 to 5 when gamma_ramp"):
        TrialSpec.build({"gamma_ramp": "spline", "gamma_knots": None})
