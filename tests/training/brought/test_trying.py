"""What others wrote is tried in a process of its own, and whatever it does there is a line."""

from __future__ import annotations

import pytest

from tune_lpc.plan.own_code import OwnCode
from tune_lpc.training.brought.checks import Shape, ToTry
from tune_lpc.training.brought.trying import problems_of

CODE = OwnCode(
    {
        "mine.py": b"""
import os, signal, sys, time
from torch import nn

print("printed when it is imported")

def right(classes, channels, side):
    print("printed when it is built")
    os.write(1, b"and past Python")
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 8))

def nan(classes, channels, side): return nn.Sequential(right(classes, channels, side), nn.Threshold(1e9, float("nan")))
def exits(classes, channels, side): sys.exit(3)
def dies(classes, channels, side): os.kill(os.getpid(), signal.SIGKILL)
def hangs(classes, channels, side): time.sleep(600)
"""
    }
)


def problems(*names: str, seconds: float = 120.0) -> list[str]:
    networks = tuple((f"mine.py:{name}", False, None) for name in names)
    return problems_of(ToTry(Shape(10, 1, 8), CODE, networks), seconds)


def test_what_works_and_prints_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert problems("right") == []
    assert capfd.readouterr() == ("", "")


def test_all_that_is_wrong_is_told_up_to_what_ends_the_process() -> None:
    told = ["mine.py:nan gives values that are not finite for images of 1 x 8 x 8"]
    assert problems("right", "nan", "right", "exits", "right") == [
        *told,
        "mine.py:exits ends the process with status 3",
    ]
    assert problems("dies") == ["mine.py:dies ends the process by SIGKILL"]


def test_one_that_hangs_is_not_waited_for() -> None:
    assert problems("right", "hangs", seconds=20.0) == ["mine.py:hangs is not through after 20 s of trying it"]


def test_nothing_to_try_takes_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert problems() == []
