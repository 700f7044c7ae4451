"""When failures in a row end a search."""

from __future__ import annotations

import pytest

from tune_lpc.search.breaker import FAILURES_IN_A_ROW, Breaker

GONE = "FileNotFoundError: /data/mine is gone"


def verdicts(breaker: Breaker, *failures: str | None) -> list[bool]:
    """Whether the search should end, after each of the trials."""
    return [breaker.ended(failure) is not None for failure in failures]


def test_three_failures_in_a_row_for_the_same_reason_end_the_search() -> None:
    breaker = Breaker()
    assert verdicts(breaker, GONE, GONE) == [False, False]
    assert breaker.ended(GONE) == f"3 trials in a row failed for the same reason: {GONE}"
    assert FAILURES_IN_A_ROW <= 5, "what a search is allowed to burn"


def test_numbers_in_the_reason_do_not_make_it_another() -> None:
    reasons = [f"RuntimeError: worker {pid} lost {size} MB" for pid, size in ((71, 5), (1234, 80), (9, 123))]
    assert verdicts(Breaker(), *reasons) == [False, False, True]


@pytest.mark.parametrize("between", [None, "RuntimeError: something else"], ids=["a success", "another reason"])
def test_something_else_in_between_begins_the_count_again(between: str | None) -> None:
    assert not any(verdicts(Breaker(), GONE, GONE, between, GONE, GONE))
    assert verdicts(Breaker(), GONE, GONE, between, GONE, GONE, GONE)[-1]


def test_it_keeps_saying_so() -> None:
    assert verdicts(Breaker(), GONE, GONE, GONE, GONE) == [False, False, True, True]


def test_the_limit_may_be_another() -> None:
    assert verdicts(Breaker(limit=1), GONE) == [True]
    assert verdicts(Breaker(limit=4), *[GONE] * 4) == [False, False, False, True]
