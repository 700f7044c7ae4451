from __future__ import annotations

import copy
import signal

import pytest

from tune_lpc.plan import UserError
from tune_lpc.plan.errors import Interrupted, nearest, shown, shown_limit


def test_one_problem_is_a_list_of_one() -> None:
    assert UserError("epochs is 0").problems == ["epochs is 0"]


def test_the_text_has_a_line_for_each_problem() -> None:
    error = UserError(line for line in ("first", "second"))
    assert error.problems == ["first", "second"]
    assert str(error) == "first\nsecond"


def test_the_problems_survive_the_way_from_a_worker_process() -> None:
    # Copying goes the way that an exception takes between processes.
    received = copy.copy(UserError(["first", "second"]))
    assert isinstance(received, UserError)
    assert received.problems == ["first", "second"]


def test_an_interruption_names_its_signal_and_ends_a_program_like_ctrl_c() -> None:
    interruption = Interrupted(signal.SIGTERM)
    assert isinstance(interruption, KeyboardInterrupt)
    assert interruption.signal_number == signal.SIGTERM
    assert str(interruption) == "SIGTERM"


@pytest.mark.parametrize("typed", ["cifra10", "cifar", "CIFAR10", "cifar-10"])
def test_a_hint_names_the_nearest(typed: str) -> None:
    assert nearest(typed.lower(), ["digits", "cifar10", "mnist250"]) == "; did you mean 'cifar10'?"


def test_there_is_no_hint_when_nothing_is_near() -> None:
    assert nearest("imagenet", ["digits", "svhn250"]) == ""


@pytest.mark.parametrize("name", [3, None, ("digits",)])
def test_a_name_that_is_no_text_may_be_asked_for(name: object) -> None:
    assert nearest(name, ["cifar10"]) == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "none"),
        (True, "True"),
        (3, "3"),
        (10**23, "1" + "0" * 23),
        (10**400, "about 10^400"),
        (2.0, "2.0"),
        ("a\nb", "'a\\nb'"),
    ],
)
def test_a_value_is_shown_as_python_spells_it_unless_that_is_too_long(value: object, told: str) -> None:
    assert shown(value) == told


def test_numbers_that_python_refuses_to_spell_out_are_shown() -> None:
    assert shown(-(10**5000)) == "about -10^5000"
    assert shown([10**5000]) == "a list that can't be shown"


def test_a_long_text_is_shortened() -> None:
    assert shown("1" * 5000).startswith("'1111") and shown("1" * 5000).endswith("1...")
    assert len(shown("1" * 5000)) < 250


@pytest.mark.parametrize(
    ("limit", "told"),
    [(2**31 - 1, "2147483647"), (0.0, "0"), (1e-4, "0.0001"), (1e7, "1e+07"), (0.123456789, "0.123456789")],
)
def test_a_limit_is_shown_exactly(limit: float, told: str) -> None:
    assert shown_limit(limit) == told
