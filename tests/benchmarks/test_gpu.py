"""The command for a GPU, rehearsed on the CPU; and what it does with parts that fail or don't fit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.running import Bench, NotMeasuredError, Part, WrongError, run_parts

ROOT = Path(__file__).parents[2]


def bench(*, small: bool = True, seconds: float = 600.0) -> Bench:
    return Bench(torch.device("cpu"), small, seconds)


def fine(bench: Bench) -> None:
    bench.tell("it", "7 | 8")


def broken(_bench: Bench) -> None:
    raise ZeroDivisionError("by zero\nand more")


@pytest.mark.slow
def test_every_part_is_rehearsed_without_ray_and_optuna(tmp_path: Path) -> None:
    for name in ("ray", "optuna"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} must not be imported')\n")
    # By the path, so that the processes that it starts can't import them either.
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, "-m", "benchmarks.gpu", "--rehearse"]
    kept = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "must not be imported" not in done.stdout + done.stderr
    head, _, table = done.stdout.partition("| what | found |")
    assert "FAILED" not in done.stdout and "left out" not in done.stdout
    for told in (
        "| every network takes a step | right: all 12",
        "ResNet-18, batch 8, plain loop | ",
        "auto would choose",
    ):
        assert told in table
    assert "rehearsed, so no number means anything" in head
    assert "| a step as a CUDA graph | not measured: CUDA graphs need a GPU |" in table


def test_without_a_gpu_it_says_how_to_rehearse() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no GPU that torch sees here; give --rehearse" in done.stderr


def test_a_part_that_fails_is_told_in_a_line_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_parts(bench(), [Part("one", "a title", 1, broken), Part("two", "another", 1, fine)]) == 1
    told = capsys.readouterr().out
    assert "| a title | FAILED: ZeroDivisionError: by zero |" in told
    assert "| it | 7 \\| 8 |" in told
    assert told.rstrip().endswith("1 failed: a title")


def test_what_is_wrong_fails_and_what_can_not_be_measured_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_bench: Bench) -> None:
        raise WrongError("1 apart (0.1 allowed)")

    def absent(_bench: Bench) -> None:
        raise NotMeasuredError("no such thing here")

    assert run_parts(bench(), [Part("one", "a title", 1, absent)]) == 0
    assert "| a title | not measured: no such thing here |" in capsys.readouterr().out
    assert run_parts(bench(), [Part("one", "a title", 1, wrong)]) == 1
    assert "| a title | FAILED: 1 apart (0.1 allowed) |" in capsys.readouterr().out


def test_parts_that_do_not_fit_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [Part("long", "takes long", 30, broken), Part("short", "is short", 1, fine)]
    assert run_parts(bench(small=False, seconds=20), parts) == 0
    told = capsys.readouterr().out
    assert "takes long: left out: 15 s are left, it takes about 30" in told
    assert "left out: long; give more --minutes, or --part long" in told


def test_a_part_that_takes_longer_than_the_budget_is_broken_off(capsys: pytest.CaptureFixture[str]) -> None:
    def forever(bench: Bench) -> None:
        with bench.guarded("within"):
            time.sleep(60)

    start = time.monotonic()
    assert run_parts(bench(seconds=6), [Part("one", "a title", 1, forever), Part("two", "another", 1, fine)]) == 0
    assert time.monotonic() - start < 30
    assert "a title: broken off: the minutes are over" in capsys.readouterr().out
