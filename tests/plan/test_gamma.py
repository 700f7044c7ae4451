from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.plan.gamma import GammaRamp
from tune_lpc.plan.schedules import progress

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gamma_schedules.json").read_text())
KINDS = ("two_regime", "exponential", "linear", "cosine")

ramps = st.builds(
    lambda kind, start, factor, begin, share: GammaRamp(kind, start, start * factor, begin, share * (1 - begin)),
    st.sampled_from(KINDS),
    st.floats(1e-6, 1e2),
    st.floats(1.5, 1e12),
    st.floats(0, 0.9),
    st.floats(0.01, 1),
)


def _two_regimes(hypers: dict[str, float], epochs: int, rest: int) -> GammaRamp:
    """The paper's stairs of `step` epochs, resting `rest` epochs between the regimes."""
    step = hypers["gamma_scheduler_step_1"]
    start, middle, end = hypers["gamma"], 10.0 ** hypers["gamma_max_exp_1"], 10.0 ** hypers["gamma_max_exp_2"]
    fast = math.ceil(math.log2(middle / start))
    slow = math.ceil(math.log(end / middle, 1.25))
    length = (step * (fast - 1) + rest + step * (slow - 1)) / epochs
    return GammaRamp("two_regime", start, end, 0.0, length, rest / step)


def _single_exponential(hypers: dict[str, float], epochs: int) -> GammaRamp:
    """The first version grew before its first epoch and went on until it had passed its end."""
    start, factor = hypers["gamma"], hypers["gamma_scheduler_factor"]
    steps = math.ceil(math.log(10.0 ** hypers["gamma_max_exp"] / start, factor))
    return GammaRamp("exponential", start * factor, start * factor**steps, 0.0, (steps - 1) / epochs)


def _later_ramp(hypers: dict[str, float], epochs: int) -> GammaRamp:
    """The source counts epochs from 1, so epoch `init` stands at progress (init - 1) / epochs."""
    begin, length = (hypers["gamma_scheduler_init"] - 1) / epochs, hypers["gamma_scheduler_T"] / epochs
    kind = str(hypers["gamma_scheduler_type"])
    return GammaRamp(kind, hypers["gamma"], 10.0 ** hypers["gamma_max_exp"], begin, length)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_gamma_agrees_with_the_source_project_in_every_epoch(name: str) -> None:
    hypers, values = GOLDEN[name]["hypers"], GOLDEN[name]["values"]
    epochs = len(values)
    if name.startswith("two_regime"):
        ramp = _two_regimes(hypers, epochs, rest=1)
    elif name.startswith("exponential"):
        ramp = _single_exponential(hypers, epochs)
    else:
        ramp = _later_ramp(hypers, epochs)
    assert [ramp(epoch / epochs) for epoch in range(epochs)] == pytest.approx(values, rel=1e-4)
    if epochs == 1000:
        steps = range(0, 7 * epochs, 7)
        assert [ramp(progress(step, 7 * epochs)) for step in steps] == pytest.approx(values, rel=1e-4)


def test_the_defaults_are_the_schedule_of_the_paper() -> None:
    values = GOLDEN["two_regime_exponential_cifar10"]["values"]
    ramp = GammaRamp("two_regime", 1e-4, 1e6, length=0.266)
    steps = range(0, 1000 * 390, 390)
    assert [ramp(progress(step, 1000 * 390)) for step in steps] == pytest.approx(values, rel=1e-4)


@settings(max_examples=100)
@given(ramps)
def test_gamma_never_falls_and_stays_between_its_ends(ramp: GammaRamp) -> None:
    values = [ramp(i / 200) for i in range(201)]
    assert all(earlier <= later * (1 + 1e-12) for earlier, later in pairwise(values))
    assert ramp.start <= values[0]
    assert values[-1] <= ramp.end * (1 + 1e-12)


@settings(max_examples=100)
@given(ramps)
def test_gamma_stands_at_its_start_before_the_ramp_and_at_its_end_after_it(ramp: GammaRamp) -> None:
    if ramp.begin > 1e-6:
        assert ramp(ramp.begin / 2) == ramp(0.0) == ramp.start
    assert ramp(min(1.0, ramp.begin + ramp.length + 1e-6)) == pytest.approx(ramp.end, rel=1e-3)
    assert ramp(1.0) == pytest.approx(ramp.end, rel=1e-3)


@settings(max_examples=60)
@given(ramps, st.integers(0, 9))
def test_a_run_of_10_steps_sees_the_gammas_of_one_of_1000_at_the_same_progress(ramp: GammaRamp, step: int) -> None:
    assert ramp(progress(step, 10)) == ramp(progress(100 * step, 1000))


@pytest.mark.parametrize(
    ("kind", "half_way"),
    [("exponential", math.sqrt(1e-2 * 1e2)), ("linear", (1e-2 + 1e2) / 2), ("cosine", (1e-2 + 1e2) / 2)],
)
def test_half_way_up_a_ramp(kind: str, half_way: float) -> None:
    assert GammaRamp(kind, 1e-2, 1e2, 0.2, 0.6)(0.5) == pytest.approx(half_way)


def test_a_cosine_ramp_starts_more_slowly_than_a_linear_one() -> None:
    assert GammaRamp("cosine", 1.0, 2.0)(0.25) < GammaRamp("linear", 1.0, 2.0)(0.25)


def test_two_regimes_double_and_then_grow_by_a_quarter() -> None:
    ramp = GammaRamp("two_regime", 1.0, 64e3, hold=1)
    values = sorted({ramp(i / 2000) for i in range(2001)})
    growths = [later / earlier for earlier, later in pairwise(values)]
    assert growths[:5] == [2.0] * 5  # 2 to 64, the end divided by 1000
    assert growths[5:-1] == pytest.approx([1.25] * (len(growths) - 6))
    assert growths[-1] <= 1.25
    assert values[-1] == 64e3


def test_two_regimes_less_than_a_thousandfold_apart_are_the_slow_regime_alone() -> None:
    ramp = GammaRamp("two_regime", 1.0, 100.0)
    values = sorted({ramp(i / 2000) for i in range(2001)})
    assert values[0] == 1.25
    assert values[-1] == 100.0
    assert all(later / earlier <= 1.25 + 1e-12 for earlier, later in pairwise(values))


def test_an_unknown_ramp_is_an_error() -> None:
    with pytest.raises(ValueError, match="sideways"):
        GammaRamp("sideways", 1.0, 2.0)(0.5)
