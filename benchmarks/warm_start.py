"""What a search gains by the results of an earlier one, of another data set, over recorded curves: nothing is trained.

A search of 32 trials on `digits` is replayed, then one on 250 digits with few trials, with its results and without,
both with the same seed and the same luck of the runs; and all that many times. As in `efficiency.py` a proposal is
answered by the nearest recorded config that the search has not used yet, and the truth of a config is its accuracy on
images that nobody saw. The 64 configs recorded for 250 digits are the first 64 of the 128 recorded for `digits`, so
about half of the earlier configs can be answered by themselves; the intervals are of the mean difference by pairs.

    python -m benchmarks.warm_start
    python -m benchmarks.warm_start --trials 8 --set sampler=gp seeds=3

prints a row a number of trials.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.record_curves import FOLDER, RECIPES
from benchmarks.rivals.judging import mean_of
from benchmarks.rivals.ours import named, replay
from benchmarks.rivals.problem import CLASSES, Problem
from tune_lpc.plan import Space, UserError
from tune_lpc.search.earlier import Observation, taken_over

EARLIER_SEED = 10_000
"""Added to the number of a search for the seed of its earlier one."""


@dataclass(frozen=True)
class Outcome:
    """What a search named. quality: the truth of it. trainings: what it cost, in full trainings."""

    quality: float
    trainings: float


def searched(problem: Problem, space: Space, number: int, earlier: Sequence[Observation]) -> Outcome:
    """A search to its end; it is worth as much as guessing where it names nothing."""
    space = dataclasses.replace(space, settings={**space.settings, "seed": number})
    ledger = replay(problem, space, number, earlier=earlier)
    best = named(ledger, problem)
    epochs = sum(trial.epochs_trained for trial in ledger.trials.values())
    return Outcome(1 / CLASSES if best is None else problem.truth[best.config], epochs / problem.epochs)


def found_before(problem: Problem, space: Space, number: int, now: Space) -> list[Observation]:
    """What an earlier search leaves to one of the space `now`."""
    seed = EARLIER_SEED + number
    space = dataclasses.replace(space, settings={**space.settings, "seed": seed})
    ledger = replay(problem, space, seed)
    return taken_over(now, space.as_dict()["dimensions"], ledger)[2]  # type: ignore[arg-type]


def row(options: argparse.Namespace, problems: tuple[Problem, Problem], trials: int) -> str:
    """The comparison for searches of so many trials."""
    before, now = problems
    changes = now.space.parse_changes(options.set)
    earlier_space = before.space.with_values({**changes, "trials": options.earlier_trials})
    space = now.space.with_values({**changes, "trials": trials})
    cold, warm = [], []
    for number in range(options.searches):
        earlier = found_before(before, earlier_space, number, space)
        cold.append(searched(now, space, number, ()))
        warm.append(searched(now, space, number, earlier))
    qualities = [np.array([outcome.quality for outcome in found]) for found in (cold, warm)]
    gain = mean_of(qualities[1] - qualities[0])
    cost = [f"{np.mean([outcome.trainings for outcome in found]):.1f}" for found in (cold, warm)]
    better = np.mean(qualities[1] > qualities[0]), np.mean(qualities[1] < qualities[0])
    cells = [str(trials), *(mean_of(values).text() for values in qualities), gain.text(signed=True)]
    return " | ".join([*cells, f"{better[0]:.0%} / {better[1]:.0%}", *cost])


def main() -> int:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=FOLDER, help="the recorded curves")
    parser.add_argument("--sets", nargs=2, choices=RECIPES, default=["digits", "digits250"], metavar=("BEFORE", "NOW"))
    parser.add_argument("--trials", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--earlier-trials", type=int, default=32)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="changes of both, as in run --set")
    options = parser.parse_args()
    try:
        before, now = (Problem(name, options.curves) for name in options.sets)
        print("\n".join(f"- {note}" for problem in (before, now) for note in problem.notes))
        print(f"\n{options.searches} searches each; true accuracy of the named config, %; 95 % intervals\n")
        heads = ["trials", "without", "warm start", "gain, points", "better / worse", "full trainings without", "with"]
        print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
        for trials in options.trials:
            print(f"| {row(options, (before, now), trials)} |", flush=True)
    except UserError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
