"""When things happened in a search, by its journal: the Parquet files have no times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_lpc.results.journal import journal_entries

PLACED, RESTARTED, ENDED = "trial_placed", "trial_restarted", "trial_ended"
_OF_TRIALS = (PLACED, RESTARTED, ENDED)
_OF_RUNS = ("run_started", "run_resumed", "run_ended")


@dataclass(frozen=True)
class Moment:
    """Something that happened to a trial, so many hours into the search; time in which no process drove it is left out.

    kind: PLACED, RESTARTED or ENDED. worker: host and process, where it was placed.
    """

    kind: str
    hours: float
    trial_id: str
    worker: str = ""


@dataclass(frozen=True)
class Stay:
    """A stay of a trial on a worker, from and until so many hours into the search."""

    trial_id: str
    worker: str
    start: float
    end: float


@dataclass(frozen=True)
class Times:
    """What a journal tells of times.

    hours: how long the search was driven. ended: how the last process that drove it ended, such as "finished"; None
    where it has not, or was killed. sessions: how many processes drove it.
    """

    moments: Sequence[Moment] = ()
    hours: float = 0.0
    ended: str | None = None
    sessions: int = 0

    def stays(self) -> list[Stay]:
        """The stays on workers, in order of their beginning; what has no end lasts until the next, or until now."""
        found, begun = list[Stay](), dict[str, tuple[float, str]]()
        for moment in self.moments:
            if moment.trial_id in begun:
                start, worker = begun.pop(moment.trial_id)
                found.append(Stay(moment.trial_id, worker, start, moment.hours))
            if moment.kind == PLACED:
                begun[moment.trial_id] = moment.hours, moment.worker
        found += [Stay(trial_id, worker, start, self.hours) for trial_id, (start, worker) in begun.items()]
        return sorted(found, key=lambda stay: stay.start)

    def ends(self) -> dict[str, float]:
        """When each trial ended for the last time, in hours."""
        return {moment.trial_id: moment.hours for moment in self.moments if moment.kind == ENDED}


def read_times(journal: Path) -> Times:
    """The times of a journal; none where it can't be read. Damaged entries are passed over."""
    moments, gone, began, last, ended, sessions = list[Moment](), 0.0, None, 0.0, None, 0
    try:
        for entry in journal_entries(journal, [], kinds=(*_OF_TRIALS, *_OF_RUNS)):
            now = float(entry.get("time", 0.0))
            if entry["kind"] == "run_ended":
                ended = str(entry.get("outcome", ""))
            elif entry["kind"] in _OF_RUNS:
                gone += 0.0 if began is None else max(0.0, last - began)
                began, ended, sessions = now, None, sessions + 1
            elif began is not None and "trial_id" in entry:
                worker = f"{entry['host']}:{entry.get('pid', '')}" if "host" in entry else ""
                hours = (gone + max(0.0, now - began)) / 3600
                moments.append(Moment(entry["kind"], hours, str(entry["trial_id"]), worker))
            last = now
    except OSError:
        return Times()
    total = gone + (0.0 if began is None else max(0.0, last - began))
    return Times(moments, total / 3600, ended, sessions)
