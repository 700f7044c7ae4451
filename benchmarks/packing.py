"""Does `--cpus-per-trial auto` choose well? Real searches with each fixed choice, and with what auto chooses.

Each search is the real command with a Ray of its own, all of the same trials, every one trained to its end; the choices
take turns. Epochs an hour are counted from the journal while trials train, from the begin of the first epoch to the end
of the last; `start` is what passes before, with auto's measuring in it. The last columns are ratios to the best fixed
choice of the same round: of the search itself, and of the fixed choice that it took. For auto both should be 0.9 or
more; the first also has what the load changed from one search to the next, so let epochs last (minutes a search).

    python benchmarks/packing.py [--space digits] [--trials 4] [--epochs 4] [--rounds 3] [--set NAME=VALUE ...]
        [--data-dir DIR] [--load 6]

Seen on 2026-11-25 (2-core AMD EPYC, Zen 4, quiet), `--epochs 30`, three rounds:

| digits, CPUs of a trial | epochs an hour | start, s | of it measuring, s | ratio to the best | ratio of its choice |
|---|---|---|---|---|---|
| 2 | 80,801 | 11.0 | 0.0 | 0.65 | 0.65 |
| 1 | 118,869 | 11.3 | 0.0 | 1.00 | 1.00 |
| auto: 1, 1, 1 | 125,313 | 30.6 | 19.4 | 1.06 | 1.00 |

The small CNN, `--space mnist250 --data-dir ../shared/data --epochs 15 --rounds 2`:

| mnist250, CPUs of a trial | epochs an hour | start, s | of it measuring, s | ratio to the best | ratio of its choice |
|---|---|---|---|---|---|
| 2 | 7,136 | 10.7 | 0.0 | 0.59 | 0.59 |
| 1 | 12,036 | 12.8 | 0.0 | 1.00 | 1.00 |
| auto: 1, 1 | 11,689 | 30.1 | 18.9 | 0.97 | 1.00 |

With more to do than cores (load average 9 to 13), two threads wait for each other: two trials of one CPU then did 4 and
17 times as much as one of two, and auto chose them too.

Images are in memory once a node, as every process maps the same file: tests/training/test_probe.py shows it by the
proportional set size of two training processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tune_lpc.plan.resources import cpus_here
from tune_lpc.results import JOURNAL_FILE, read_journal

AUTO = "auto"
LONGEST_WAIT = 120.0
"""Seconds to wait for a lower load average before a search."""


@dataclass(frozen=True)
class Seen:
    """One search. cpus: CPUs of a trial, as chosen. start, measuring: seconds."""

    cpus: int
    epochs_per_hour: float
    start: float
    measuring: float


def main() -> int:
    """Run the searches, and print the table."""
    parser = argparse.ArgumentParser(description="Does --cpus-per-trial auto choose well?")
    parser.add_argument("--space", default="digits")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--data-dir")
    parser.add_argument("--load", type=float, default=6.0, help="wait for a lower load average, two minutes at most")
    options = parser.parse_args()
    choices = [*(str(cpus_here() // together) for together in (1, 2, 4) if together <= cpus_here()), AUTO]
    seen: dict[str, list[Seen]] = {choice: [] for choice in choices}
    for _ in range(options.rounds):
        for choice in choices:
            wait_for_load(options.load)
            seen[choice].append(search(options, choice))
            print(f"{choice}: {seen[choice][-1]}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    print_table(" ".join([options.space, *options.set]), seen)
    return 0


def wait_for_load(most: float) -> None:
    """Wait until other programs leave the machine alone, but not for ever."""
    deadline = time.monotonic() + LONGEST_WAIT
    while os.getloadavg()[0] > most and time.monotonic() < deadline:
        time.sleep(5)


def search(options: argparse.Namespace, choice: str) -> Seen:
    """One search by the command line."""
    with tempfile.TemporaryDirectory(prefix="packing-") as folder:
        out = Path(folder) / "run"
        arguments = [options.space, "--trials", str(options.trials), "--epochs", str(options.epochs)]
        arguments += ["--fidelity", "full", "--cpus-per-trial", choice, "--out", str(out)]
        arguments += ["--data-dir", options.data_dir] if options.data_dir else []
        arguments += ["--set", *options.set] if options.set else []
        began = time.time()
        command = [sys.executable, "-m", "tune_lpc.run", *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        entries, _ = read_journal(out / JOURNAL_FILE)
        resources = json.loads((out / "run.json").read_text(encoding="utf-8"))["resources"]
    epochs = [(entry["time"], entry["record"]["seconds"]) for entry in entries if entry["kind"] == "epoch"]
    first = min(ended - seconds for ended, seconds in epochs)
    last = max(ended for ended, _ in epochs)
    measuring = resources["packing"]["seconds"] if resources["packing"] else 0.0
    return Seen(resources["cpus_per_trial"], 3600 * len(epochs) / (last - first), first - began, measuring)


def print_table(title: str, seen: dict[str, list[Seen]]) -> None:
    """Medians over the rounds; ratios are taken within a round, as the load differs between rounds."""
    rounds = list(zip(*seen.values(), strict=True))
    best = [max(of_round.epochs_per_hour for of_round in searches[:-1]) for searches in rounds]
    print(f"\n{title}, on {cpus_here()} CPUs\n")
    print(
        "| CPUs of a trial | epochs an hour | start, s | of it measuring, s | ratio to the best | ratio of its choice |"
    )
    print("|---|---|---|---|---|---|")
    for choice, searches in seen.items():
        shown = choice if choice != AUTO else f"auto: {', '.join(str(one.cpus) for one in searches)}"
        ratio = statistics.median(one.epochs_per_hour / most for one, most in zip(searches, best, strict=True))
        speed = statistics.median(one.epochs_per_hour for one in searches)
        start, measuring = (
            statistics.median(getattr(one, name) for one in searches) for name in ("start", "measuring")
        )
        taken = statistics.median(
            next(fixed for fixed in of_round[:-1] if fixed.cpus == one.cpus).epochs_per_hour / most
            for one, of_round, most in zip(searches, rounds, best, strict=True)
        )
        print(f"| {shown} | {speed:,.0f} | {start:.1f} | {measuring:.1f} | {ratio:.2f} | {taken:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
