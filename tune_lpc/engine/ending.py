"""How a search comes to its end: its last event, its tables, and what its user is told."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from collections.abc import Collection

from rich.console import Console

from tune_lpc.engine.cluster import end_process
from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.engine.journalling import WaitingLog
from tune_lpc.engine.lifeline import HeadLost
from tune_lpc.engine.request import Outcome, Request
from tune_lpc.engine.trainable import CHECKPOINT_FOLDER, checkpoint_folder
from tune_lpc.plan.errors import UserError
from tune_lpc.results import Tables, export
from tune_lpc.results.events import RunEnded, Status
from tune_lpc.search.director import Director
from tune_lpc.training.checkpoints import Checkpoints


def unfinished(director: Director) -> str | None:
    """Why the search can't count as finished although nobody ended it; None when no trial is to come."""
    trials = director.ledger.trials.values()
    if director.budget.is_over:
        return None
    if director.is_over and all(trial.status is not Status.INTERRUPTED for trial in trials):
        return None
    over = sum(trial.status is not Status.INTERRUPTED for trial in trials)
    return f"Ray Tune ended it after {over} of {max(director.space.most_configs, len(trials))} trials"


def finish(
    request: Request, log: WaitingLog, end: RunEnded, waiting: Collection[int] = ()
) -> tuple[Tables | None, str]:
    """The tables, or None and why they could not be written. waiting: trials that a rung might still have let go on."""
    log.write(end)
    log.journal.close()
    gc.collect()  # Ray's trials refer to one another; the tables can use the memory that they took
    for number in waiting if end.outcome == "finished" else ():
        # Should the search be made longer, one that then goes on begins again.
        Checkpoints(checkpoint_folder(request.out, number)).remove()
    with contextlib.suppress(OSError):
        (request.out / CHECKPOINT_FOLDER).rmdir()  # stays where a trial may still go on
    try:
        return export(request.out), ""
    except (OSError, UserError) as error:
        return None, f"the Parquet files can't be written: {error}"


def outcome_of(
    request: Request,
    interrupt: Interrupt,
    ends_early: str | None,
    tables: Tables | None,
    problem: str,
    lost: HeadLost | None = None,
) -> Outcome:
    """How the search ended, and what its user is told. lost: why no other search can follow on this Ray."""
    go_on = f"go on with: {request.resume_command}"
    if interrupt.signal_number is not None:
        name = signal.Signals(interrupt.signal_number).name
        kept = problem or "what was finished is kept"
        return Outcome(tables, 128 + interrupt.signal_number, f"the search was interrupted ({name}); {kept}; {go_on}")
    if ends_early is not None:
        mend = "" if lost is not None and lost.is_mended else "mend it, then "
        return Outcome(tables, 1, f"the search ended early: {ends_early}; {mend}{go_on}", lost)
    if tables is None:
        return Outcome(tables, 1, f"{problem}; nothing is lost: free space, then {go_on}")
    if tables.best.empty:
        reasons = tables.trials["reason"].value_counts().head(3).items()
        told = "; ".join(f"{count} times: {reason}" for reason, count in reasons)
        return Outcome(tables, 1, f"no trial reached a score ({told or 'time was up before any could'})")
    return Outcome(tables, 0, "")


def tell(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def end_without_head(request: Request, interrupt: Interrupt, log: WaitingLog, console: Console, lost: HeadLost) -> None:
    """End the process in good order although the head of the cluster is lost, and the first thread may hang in Ray."""
    tables, problem = finish(request, log, RunEnded("failed", lost.reason))
    ended = outcome_of(request, interrupt, lost.reason, tables, problem, lost)
    console.show_cursor()
    tell(console, "")  # below the live table
    print(ended.message, file=sys.stderr)
    if request.uploads is not None and (problem := request.uploads.flush()):
        print(f"not everything was uploaded: {problem}; the resume does it", file=sys.stderr)
    end_process(ended.exit_status)
