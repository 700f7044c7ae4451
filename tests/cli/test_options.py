"""What the commands share."""

from __future__ import annotations

import argparse
import contextlib
import io
import signal

import pytest

from tune_lpc.cli.options import Parser, exit_status, numbers
from tune_lpc.plan import UserError
from tune_lpc.plan.errors import Interrupted


def _raising(error: BaseException) -> int:
    def command() -> int:
        raise error

    return exit_status(command)


def test_a_command_that_ends_well_gives_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: 1) == 1
    assert capsys.readouterr() == ("", "")


def test_each_problem_is_one_line_whatever_a_file_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(UserError(["a/two\nlines.png is broken", "b/two  spaces\r\n.png is broken"])) == 2
    assert capsys.readouterr() == (
        "",
        "error: a/two lines.png is broken\nerror: b/two  spaces .png is broken\n",
    )


def test_an_interruption_is_a_line_and_the_number_of_its_signal(capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(KeyboardInterrupt()) == 130
    assert _raising(Interrupted(signal.SIGTERM)) == 143
    assert capsys.readouterr().err == "interrupted\n" * 2


def test_an_unknown_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Parser(prog="try").parse_args(["--two\nlines"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: unrecognized arguments: --two lines (see try --help)\n"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (["--trail", "3"], "; did you mean '--trials'?"),
        (["--trail=3"], "; did you mean '--trials'?"),
        (["--zzz"], ""),
        (["3"], ""),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest(
    given: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog="try")
    parser.add_argument("--trials")
    with pytest.raises(SystemExit):
        parser.parse_args(given)
    told = f"error: unrecognized arguments: {' '.join(given)}{hint} (see try --help)\n"
    assert capsys.readouterr().err == told


def test_numbers_that_are_none_are_told_together() -> None:
    options = argparse.Namespace(trials="many", epochs="3", gpus_per_trial="half", seed=None)
    kinds: dict[str, type[int | float]] = {"trials": int, "epochs": int, "gpus_per_trial": float, "seed": int}
    assert numbers(options, kinds) == (
        {"trials": None, "epochs": 3, "gpus_per_trial": None, "seed": None},
        [
            "--trials is 'many', but must be a whole number",
            "--gpus-per-trial is 'half', but must be a number",
        ],
    )


def test_a_number_of_thousands_of_digits_is_told_in_a_short_line() -> None:
    values, (problem,) = numbers(argparse.Namespace(trials="1" * 5000), {"trials": int})
    assert values == {"trials": None}
    assert problem.startswith("--trials is '1111") and len(problem) < 300


def test_a_name_that_the_terminal_cannot_spell_is_escaped() -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii")
    with contextlib.redirect_stdout(terminal):
        assert exit_status(lambda: print("saved: \udcff \u2026", flush=True) or 0) == 0  # type: ignore[func-returns-value]
    assert raw.getvalue() == b"saved: \\udcff \\u2026\n"
