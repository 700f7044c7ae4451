"""What the commands print: lines, and the summary that a search ends with."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tune_lpc.plan import Space
from tune_lpc.plan.dimensions import describe_values
from tune_lpc.results import RungAgreement, Summary, Tables, summarise
from tune_lpc.results.summary import RankedConfig


def terminal(stream: TextIO | None = None, *, quiet: bool = False, highlight: bool = True) -> Console:
    """Standard output, or another stream. In a notebook it prints plain lines: a table drawn anew would fill it."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    is_notebook = kernel is not None and kernel.IPKernelApp.initialized()  # it says that it is a terminal, with colours
    plain = False if is_notebook else None
    return Console(file=stream, force_jupyter=False, force_terminal=plain, quiet=quiet, highlight=highlight)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are, however long."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_summary(console: Console, tables: Tables, space: Space, out: Path) -> None:
    """Print the best configs of a search, what it spent and saved, how well its rungs foretold the end, its files."""
    summary = summarise(tables, searched=list(space.dimensions))
    if summary.front:
        _print_front(console, summary)
    else:
        _print_best(console, summary)
    ended = ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)
    lines = [
        f"{summary.trials} trials{_of_repeats(summary)}: {ended or 'none started'}",
        _cost_line(summary, space.fidelity_mode),
        *([f"trials started again: {summary.restarts} (worker or node lost, or stuck)"] if summary.restarts else []),
        *map(_agreement_line, summary.agreements if space.control_trials else ()),
        *(f"damaged: {line}" for line in tables.damaged),
        f"files in {out}: trials.parquet, epochs.parquet (a row an epoch), best.parquet (ranked), "
        "rungs.parquet, fidelity.parquet (rungs against the end), placements.parquet, "
        f"{'front.parquet (hypervolume), ' if summary.front else ''}run.json",
    ]
    if summary.best:
        lines.append(f"train the best config again: python -m tune_lpc.train {shlex.quote(str(out))} --rank 1")
    print_lines(console, lines)


def _print_best(console: Console, summary: Summary) -> None:
    """The first of the ranking, and how sure the very first is."""
    if summary.best:
        console.print("best configs", style="bold")
    for row in summary.best:
        ended = f"{row.trial_id}, {row.status} at epoch {row.epochs} of {row.budget}"
        line = (
            f"{row.rank:>2}. validation accuracy {_scored(row)}{', tied with 1' if row.tied and row.rank > 1 else ''}"
        )
        console.print(f"{line}  {ended}", markup=False, soft_wrap=True)
        console.print(Padding(_parameters(row), (0, 0, 0, 4)))
    if summary.best and summary.best[0].status != "completed":
        console.print("(no trial has reached its full budget; these are ranked by how far they came)")
    elif summary.best:
        print_lines(console, _verdict(summary))


def _parameters(row: RankedConfig) -> Text:
    return Text(describe_values({name: value for name, value in row.config.items() if value is not None}), style="dim")


def _print_front(console: Console, summary: Summary) -> None:
    """The configs on the Pareto front, the best by the first objective first, and what is said of them."""
    table = Table("rank", "trial", *summary.front[0].objectives, "seeds", box=None, pad_edge=False)
    for row in summary.front:
        values = ["none" if value is None else f"{value:.4g}" for value in row.objectives.values()]
        table.add_row(str(row.rank), str(row.number), *values, str(row.seeds))
    told = f"Pareto front: {len(summary.front)} of {summary.ranked} ranked configs, none better than another in all"
    console.print(told, style="bold", highlight=False)
    console.print(table)
    for row in summary.front:
        console.print(Padding(Text.assemble(f"{row.rank}. ", _parameters(row)), (0, 0, 0, 4)))
    if summary.hypervolume is not None:
        print_lines(console, [f"hypervolume: {summary.hypervolume:.4f} of 1 (front.parquet tells it over time)"])
    if all(row.seeds == 1 for row in summary.front):
        print_lines(console, ["each a single training: expect less of the ends; --seeds 3 trains the front again"])


def _scored(row: RankedConfig) -> str:
    """A score with its interval and what it rests on."""
    between = "" if row.low is None or row.high is None else f" ({row.low:.4f} to {row.high:.4f})"
    return f"{row.score:.4f}{between}, {row.seeds} seed{'s' if row.seeds != 1 else ''}"


def _verdict(summary: Summary) -> list[str]:
    """What the ranking says, and what it does not: how sure the first place is."""
    best, simplest = summary.best[0], summary.simplest
    lines = [f"named: rank 1, trial {best.number}, validation accuracy {_scored(best)}"]
    if best.seeds == 1:
        lines.append("a single training, the luckiest of many: expect less of it; --seeds 3 trains the best again")
    if summary.tied > 1:
        told = f"1 to {summary.tied}" if summary.tied_in_a_row else f"{summary.tied} configs, 1 among them,"
        lines.append(f"{told} cannot be told apart (95 %)")
    if simplest is not None:
        lines.append(
            f"of these the simplest is rank {simplest.rank}, trial {simplest.number}: regularisers on: "
            f"{simplest.regularisers}, against {best.regularisers} in rank 1"
        )
    return lines


def _of_repeats(summary: Summary) -> str:
    """How many of the trials are further seeds."""
    return f" ({summary.repeats} of them further seeds of the best)" if summary.repeats else ""


def _cost_line(summary: Summary, mode: str) -> str:
    """What was trained, and what the rungs saved of what the same trials would have cost without any."""
    again = (
        f", {summary.epochs_repeated:,} of them again after a failure or on resuming" if summary.epochs_repeated else ""
    )
    if mode == "full":
        return f"epochs trained: {summary.epochs_spent:,}{again}; no early stopping (fidelity {mode})"
    share, without = summary.share_saved, f"{summary.epochs_without_stopping:,}"
    # The short runs of a climb come on top of the last one: a small search can cost more than one without rungs.
    saved = f"saved {share:.0%} of {without}" if share >= 0 else f"cost {-share:.0%} more than the {without} without it"
    return f"epochs trained: {summary.epochs_spent:,}{again}; early stopping {saved} (fidelity {mode})"


def _agreement_line(agreement: RungAgreement) -> str:
    """How well a rung foretold the end, as far as the control trials show it; 'none' where there is no figure."""
    figures = {
        "Spearman": (agreement.spearman, "{:.2f}"),
        "kept of the best": (agreement.kept, "{:.0%}"),
        "regret": (agreement.regret, "{:.4f}"),
    }
    told = [f"{name}: {'none' if value is None else form.format(value)}" for name, (value, form) in figures.items()]
    return f"rung {agreement.rung} against the end, {agreement.trials} control trials; {'; '.join(told)}"
