"""How good is the config that a search names, for the epochs it spends? Ours against others, over recorded curves.

Searches are replayed over the curves that `record_curves.py` left in `benchmarks/curves/`: nothing is trained. Every
sampler, ours and the others', chooses among the recorded configs: a proposal is answered by the nearest one that the
search has not used yet (`rivals/problem.py`), and a sampler that learns is told that config's values, not those that it
proposed. A search that has used every config ends there. Each has one slot. The truth of a config is its accuracy on
images that nobody saw, the mean of the seeds that no search sees; it carries the noise of trainings and of those
images, which the intervals printed here, from the spread of the searches, leave out.

    python -m benchmarks.efficiency --syne-python syne-env/bin/python

prints, for each data set and budget (in full trainings), the mean quality of what is named, the differences, how often
the truth lies in the stated interval, and what we need for the quality that Ray reaches. Needs the extra `bench`.
Without `--syne-python` Syne Tune is left out; `rivals/syne_asha.py` says how to make its environment. Searches are kept
in `--cache` until the curves, the parameters or our code change.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.record_curves import FOLDER, RECIPES
from benchmarks.rivals import optuna_pruners, ours, ray_asha, simple, syne_asha
from benchmarks.rivals.judging import Judged, difference, judge, needed
from benchmarks.rivals.problem import JUDGING, VISIBLE, Problem
from benchmarks.rivals.trace import Contestant, Trace, traces_of
from tune_lpc.plan import UserError

OURS, RAY = "ours", "ray-asha"
POINTS = 4
"""Points of a line of the figure for each full training, for those that need not know their budget."""
HERE = Path(__file__).parent


class Field:
    """All contestants on one data set, judged at each budget."""

    def __init__(self, problem: Problem, contestants: Sequence[Contestant], options: argparse.Namespace) -> None:
        self.problem, self.contestants = problem, contestants
        self.budgets: list[float] = sorted(options.budgets)
        self._searches, self._cache = options.searches, options.cache
        self._traces: dict[tuple[str, int], list[Trace]] = {}
        self.judged = {
            contestant.name: {budget: self.judge(contestant, budget) for budget in self.budgets}
            for contestant in contestants
        }

    def judge(self, contestant: Contestant, budget: float) -> Judged:
        """Run, or look up, the searches of a contestant, and judge them at a budget in full trainings."""
        epochs = round(budget * self.problem.epochs)
        most = epochs if contestant.is_sized else round(self.budgets[-1] * self.problem.epochs)
        if (contestant.name, most) not in self._traces:
            print(f"{self.problem.name}: {contestant.name}, {most} epochs", file=sys.stderr, flush=True)
            found = traces_of(contestant, self.problem, self._searches, most, self._cache)
            self._traces[contestant.name, most] = found
        return judge(self.problem, self._traces[contestant.name, most], epochs)

    def print_tables(self) -> None:
        """All that is to be said of the data set, in Markdown."""
        print(f"\n## {self.problem.name}\n")
        print("\n".join(f"- {note}" for note in self.problem.notes))
        print("\nTrue accuracy of the named config, %, after so many full trainings; mean and 95 % interval:\n")
        self._print(
            [f"spent of {self.budgets[-1]:g}", "named nothing"],
            lambda _, judged: judged.quality.text(),
            lambda last: [f"{last.spent / self.problem.epochs:.1f}", str(last.silent)],
        )
        truth = f"{JUDGING[self.problem.name]:,} images, {len(self.problem.judges)} seeds"
        print(
            "\nShare of the searches in which the truth lies in the stated 95 % interval (in brackets: in it widened "
            f"by the error of the truth itself: {truth}):\n"
        )
        self._print(
            ["announced less true, points"],
            lambda _, judged: f"{judged.covered:.2f} ({judged.reached:.2f})",
            lambda last: [f"{100 * last.announced_over_true:+.2f}"],
        )
        if OURS in self.judged:
            print(f"\n{OURS} less the others, points (bold: apart from 0):\n")
            self._print([], lambda budget, judged: self._difference(budget, judged), lambda _: [])
            print(f"\n{self.epochs_needed()}", flush=True)

    def _print(
        self, more: list[str], cell: Callable[[float, Judged], str], rest: Callable[[Judged], list[str]]
    ) -> None:
        heads = ["contestant", *(f"{budget:g}" for budget in self.budgets), *more]
        print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
        for name, row in self.judged.items():
            cells = [cell(budget, row[budget]) for budget in self.budgets]
            print(f"| {' | '.join([name, *cells, *rest(row[self.budgets[-1]])])} |")

    def _difference(self, budget: float, judged: Judged) -> str:
        if judged is self.judged[OURS][budget]:
            return ""
        found = difference(self.judged[OURS][budget].qualities, judged.qualities)
        text = found.text(signed=True)
        return f"**{text}**" if found.is_apart else text

    def epochs_needed(self) -> str:
        """What our search needs for the quality that Ray's ASHA with Optuna has in the end."""
        if RAY not in self.judged:
            return f"{RAY} took no part"
        last = self.judged[RAY][self.budgets[-1]]
        means = [self.judged[OURS][budget].quality.mean for budget in self.budgets]
        budget = needed(self.budgets, means, last.quality.mean)
        told = "never" if budget is None else f"after {budget:.1f} full trainings (none below {self.budgets[0]:g} seen)"
        return (
            f"{RAY} comes to {100 * last.quality.mean:.2f} % with {last.spent / self.problem.epochs:.1f} full "
            f"trainings of the {self.budgets[-1]:g} that it may spend; {OURS} has that {told}."
        )

    def rows(self) -> list[dict[str, object]]:
        """A row a contestant and budget, for a file."""
        return [
            {
                "set": self.problem.name,
                "contestant": name,
                "budget": budget,
                "searches": len(judged.qualities),
                "quality": judged.quality.mean,
                "quality_low": judged.quality.low,
                "quality_high": judged.quality.high,
                "covered": judged.covered,
                "covered_with_error_of_truth": judged.reached,
                "announced_over_true": judged.announced_over_true,
                "epochs_spent": judged.spent,
                "named_nothing": judged.silent,
            }
            for name, row in self.judged.items()
            for budget, judged in row.items()
        ]

    def lines(self) -> list[dict[str, object]]:
        """The points of the figure, once every search of a contestant names something."""
        found: list[dict[str, object]] = []
        for contestant in self.contestants:
            steps = range(round(POINTS * self.budgets[0]), round(POINTS * self.budgets[-1]) + 1)
            budgets = self.budgets if contestant.is_sized else [step / POINTS for step in steps]
            for budget in budgets:
                judged = self.judge(contestant, budget)
                if not judged.silent:
                    where = {"set": self.problem.name, "contestant": contestant.name, "budget": budget}
                    found.append({**where, "quality": 100 * judged.quality.mean})
        return found


def contestants_of(options: argparse.Namespace) -> list[Contestant]:
    """Those that were asked for, ours first."""
    found = [
        *ours.contestants(options.variant),
        *ray_asha.contestants(),
        *optuna_pruners.contestants(),
        *(syne_asha.contestants(options.syne_python) if options.syne_python else []),
        *simple.contestants(),
    ]
    if options.only and (unknown := set(options.only) - {contestant.name for contestant in found}):
        names = ", ".join(contestant.name for contestant in found)
        raise UserError(f"--only: there is no contestant {', '.join(sorted(unknown))}; there are {names}")
    return [contestant for contestant in found if not options.only or contestant.name in options.only]


def compare(options: argparse.Namespace) -> None:
    """Run the searches and print the tables."""
    contestants = contestants_of(options)
    print("\n".join(f"- {contestant.name}: {contestant.about}" for contestant in contestants))
    fields = []
    for name in options.sets or [name for name in RECIPES if (options.curves / name).exists()]:
        fields.append(Field(Problem(name, options.curves, options.splits), contestants, options))
        fields[-1].print_tables()
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame([row for field in fields for row in field.rows()]).to_parquet(options.out, index=False)
    if options.figure is not None:
        from benchmarks.rivals import figure  # needs altair, the tables don't

        figure.draw(pd.DataFrame([point for field in fields for point in field.lines()]), options.figure)


def check(options: argparse.Namespace) -> int:
    """Whether the driver of Ray's classes decides as a real Tuner does; 1 where it does not."""
    from benchmarks.rivals.ray_check import disagreements

    found = disagreements(Problem((options.sets or ["digits"])[0], options.curves))
    print("\n".join(found) or "the driver and a real Tuner trained the same configs for as many epochs")
    return int(bool(found))


def main() -> int:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=FOLDER, help="the recorded curves")
    parser.add_argument("--sets", nargs="+", choices=RECIPES, help="data sets (default: those recorded)")
    parser.add_argument(
        "--splits",
        nargs="+",
        type=int,
        choices=VISIBLE,
        default=VISIBLE,
        help="each search begins on one of these; further seeds without splits of their own were recorded on 0 alone",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these contestants")
    parser.add_argument(
        "--variant",
        nargs="+",
        action="append",
        default=[],
        metavar="TEXT",
        help="a variant of our search: its name, then NAME=VALUE as in run --set; also fill=SHARE",
    )
    parser.add_argument("--budgets", nargs="+", type=float, default=[2, 4, 8, 12, 16], help="in full trainings")
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--syne-python", type=Path, help="the Python of an environment that holds Syne Tune")
    parser.add_argument("--cache", type=Path, default=HERE / "results" / "searches", help="where searches are kept")
    parser.add_argument("--out", type=Path, help="write the results as Parquet")
    parser.add_argument("--figure", type=Path, help="draw the figure: svg, png or html by the ending")
    parser.add_argument("--check", action="store_true", help="compare the driver of Ray's classes with a real Tuner")
    options = parser.parse_args()
    try:
        if options.check:
            return check(options)
        compare(options)
    except UserError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
