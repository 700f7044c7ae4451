from __future__ import annotations

import copy
import signal

import pytest

from tune_lpc.spec import UserError
from tune_lpc.spec.errors import Interrupted, nearest


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
