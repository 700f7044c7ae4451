"""What can happen in a search: one small type an event, and its entry in the journal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class Status(StrEnum):
    """How a trial can end.

    INTERRUPTED: it has no end, since the search was killed, or still runs.
    """

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


Position = tuple[int, int]
"""Where a trial stands: the length of its run in epochs, and the epochs of that run that are done."""


class Event:
    """Something that happened. Each kind is a frozen dataclass below; `kind` is its name in the journal."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class RunStarted(Event):
    """The search begins, or is made longer. run: the content of run.json."""

    kind: ClassVar[str] = "run_started"
    run: Mapping[str, Any]


@dataclass(frozen=True)
class RunResumed(Event):
    """The search goes on in another process.

    left_out: a line for each damaged entry found. session: versions, hardware, resources and git commit of the process
    that goes on; empty in journals of version 0.1.0.
    """

    kind: ClassVar[str] = "run_resumed"
    command: str
    started: str
    left_out: Sequence[str] = ()
    session: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialStarted(Event):
    """A trial begins; or begins again in a resumed search.

    number: from 0, in order of creation. config: every setting of its TrialSpec, the epochs those of the full budget.
    control: it is never stopped at a rung. repeat_of: number of the first trial of its config, of which this is a
    further seed; None for a first trial.
    """

    kind: ClassVar[str] = "trial_started"
    trial_id: str
    number: int
    config: Mapping[str, Any]
    control: bool = False
    repeat_of: int | None = None


@dataclass(frozen=True)
class TrialPlaced(Event):
    """A worker has taken a trial. continued_from: where its checkpoint stood. left_out: a line a damaged checkpoint.

    pid: of the worker, which trains it, or asks `processes` of its own to.
    """

    kind: ClassVar[str] = "trial_placed"
    trial_id: str
    host: str
    pid: int
    continued_from: Position | None = None
    left_out: Sequence[str] = ()
    processes: int = 1


@dataclass(frozen=True)
class Measured(Event):
    """The measures of a network, before the event of the epoch after which they were taken.

    reasons: why a value is None. position: the rung where objectives were measured; None for the end of the trial.
    """

    kind: ClassVar[str] = "measures"
    trial_id: str
    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    position: Position | None = None


@dataclass(frozen=True)
class Tested(Event):
    """A trained network has been tested on test images, before the event of its last epoch. Only `confirm` does that.

    images: how many. accuracy: from 0 to 1; None, as loss, where a score is not finite. measures, reasons: on the test
    images, as of Measured. network: the file that holds it, relative to the folder of the run. openings: how often test
    images were opened for this network; more than once only where a process was killed in between.
    """

    kind: ClassVar[str] = "tested"
    trial_id: str
    images: int
    accuracy: float | None
    loss: float | None
    measures: Mapping[str, float | None]
    reasons: Mapping[str, str]
    network: str
    openings: int = 1


@dataclass(frozen=True)
class EpochDone(Event):
    """An epoch is through. record: an EpochRecord as a dict. An epoch that is done again comes again."""

    kind: ClassVar[str] = "epoch"
    trial_id: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class RungDecided(Event):
    """What a rung said of a trial.

    score: None where it was infinite or not a number. rank: its place, from 1, among the `of` scores there so far, its
    own included. goes_on: whether the trial does; a control trial does whatever the rung says. promoted: it had been
    left at this rung when it came, and goes on now. objectives: its values by name in a search with several; the rank
    is then by all of them, and the score the validation accuracy alone.
    """

    kind: ClassVar[str] = "rung"
    trial_id: str
    rung: int
    score: float | None
    rank: int
    of: int
    goes_on: bool
    control: bool = False
    promoted: bool = False
    objectives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRestarted(Event):
    """A trial starts again in the same search: its worker or node was lost, or it was stuck."""

    kind: ClassVar[str] = "trial_restarted"
    trial_id: str
    reason: str


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial has ended: completed, stopped, diverged or failed."""

    kind: ClassVar[str] = "trial_ended"
    trial_id: str
    status: Status
    reason: str


@dataclass(frozen=True)
class FrontFound(Event):
    """The Pareto front of a search with several objectives, once a trial has trained its full budget.

    trial_id: that trial. configs: those with a value of each objective after the full budget. epochs: trained by all
    trials until then, each counted once. front: numbers of the first trials of the configs on it, the best first.
    hypervolume: what it covers, 0 to 1; see `pareto.hypervolume`.
    """

    kind: ClassVar[str] = "front"
    trial_id: str
    configs: int
    epochs: int
    front: Sequence[int]
    hypervolume: float


@dataclass(frozen=True)
class Paused(Event):
    """The whole search waits: the disk is full."""

    kind: ClassVar[str] = "paused"
    reason: str


@dataclass(frozen=True)
class Continued(Event):
    """It goes on."""

    kind: ClassVar[str] = "continued"
    reason: str


@dataclass(frozen=True)
class RunEnded(Event):
    """The search has ended. outcome: finished, interrupted or failed."""

    kind: ClassVar[str] = "run_ended"
    outcome: str
    reason: str


_KINDS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        RunStarted, RunResumed, TrialStarted, TrialPlaced, Measured, Tested, EpochDone, RungDecided, TrialRestarted,
        TrialEnded, FrontFound, Paused, Continued, RunEnded,
    )
}  # fmt: skip
_FIELDS = {kind: tuple(f.name for f in dataclasses.fields(kind)) for kind in _KINDS.values()}  # type: ignore[arg-type]
_NEEDED = {
    kind: frozenset(
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    for kind in _KINDS.values()
}


def as_entry(event: Event) -> dict[str, Any]:
    """The event as the journal holds it, without the time."""
    return {"kind": event.kind, **{name: getattr(event, name) for name in _FIELDS[type(event)]}}


def as_event(entry: Mapping[str, Any]) -> Event | None:
    """The event that an entry of a journal tells of; None for a kind that this version does not know.

    Fields that an older version did not write have their defaults, those that a newer one added are passed over.
    Raises ValueError when a field is missing that every version wrote, or when a status is unknown.
    """
    kind = _KINDS.get(entry["kind"])
    if kind is EpochDone and "trial_id" in entry and "record" in entry:
        # Nearly all of them. As a frozen dataclass sets its fields, each by a call, it would take three times as long.
        event = EpochDone.__new__(EpochDone)
        event.__dict__["trial_id"], event.__dict__["record"] = entry["trial_id"], entry["record"]
        return event
    if kind is None:
        return None
    if missing := sorted(_NEEDED[kind] - entry.keys()):
        raise ValueError(f"{kind.kind} lacks {', '.join(missing)}")
    values = {name: entry[name] for name in _FIELDS[kind] if name in entry}
    if kind is TrialEnded:
        values["status"] = Status(values["status"])
    for name in ("continued_from", "position"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return kind(**values)


def trial_id_of(number: int) -> str:
    """The trial's name in all files: the same for the same seed, unlike that of any engine."""
    return f"trial-{number:05d}"


def number_of(trial_id: str) -> int:
    """The number of the trial of that name."""
    return int(trial_id.rpartition("-")[2])
