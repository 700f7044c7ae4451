from __future__ import annotations

import pytest

from tune_lpc.plan.margin import AngularMargin


@pytest.mark.parametrize("epoch", [1, 2, 11, 41, 49, 60, 1000])
def test_it_grows_as_the_paper_has_it_over_1000_epochs(epoch: int) -> None:
    margin, t = AngularMargin("arcface", 0.5, 64.0), (epoch - 1) / 1000
    assert margin.scale_at(t) == pytest.approx(min(16 + (epoch - 1), 64))
    assert margin.margin_at(t) == pytest.approx(min(0.1 + 0.01 * (epoch - 1), 0.5))


def test_a_margin_below_the_start_of_its_ramp_is_constant() -> None:
    assert {AngularMargin("cosface", 0.05, 64.0).margin_at(t / 10) for t in range(10)} == {0.05}
