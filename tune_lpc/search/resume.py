"""What an interrupted search left behind, read from its journal: what to keep, what to go on with."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_lpc.plan.choosers import Given
from tune_lpc.plan.compare import differences
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.record import SCORE
from tune_lpc.plan.space import Space
from tune_lpc.search.rungs import Look, Rungs
from tune_lpc.search.searcher import KnownTrial
from tune_lpc.training.checkpoints import Position


@dataclass
class PastTrial:
    """A trial as the journal tells it.

    status: completed, stopped or diverged; None for one that is to go on: it was running, or it failed.
    records: by position. looks: by rung.
    """

    number: int
    config: Mapping[str, Any]
    control: bool
    status: str | None = None
    records: dict[Position, Mapping[str, Any]] = field(default_factory=dict)
    looks: dict[int, Look] = field(default_factory=dict)

    def position(self, space: Space) -> Position | None:
        """The last of its epochs, in the order of training, before which none is missing; None without any."""
        last = None
        for position in positions(space):
            if position not in self.records:
                return last
            last = position
        return last


@dataclass(frozen=True)
class Past:
    """A search as far as it came.

    looks: what the rungs decided, in order. unwritten_looks: those whose entry the journal lacks.
    endings: (number, status, reason) of trials that had come to their end, without an entry that says so.
    """

    run: Mapping[str, Any]
    trials: dict[int, PastTrial]
    looks: list[Look]
    unwritten_looks: list[Look]
    endings: list[tuple[int, str, str]]

    def known(self, space: Space) -> list[KnownTrial]:
        """The trials as the sampler needs them."""
        return [_known(trial, space) for trial in self.trials.values()]

    def is_control(self, number: int, space: Space) -> bool:
        """Whether a trial is never stopped at a rung; one that has begun stays what it was."""
        return self.trials[number].control if number in self.trials else space.is_control(number)

    def to_come(self, space: Space) -> int:
        """How many trials are left, those that are to go on included."""
        return max(0, space.trials - sum(trial.status is not None for trial in self.trials.values()))


_LOOK = ("rung", "score", "rank", "of", "goes_on", "control")
NOTHING = Past({}, {}, [], [], [])
"""The past of a search that begins."""


def read_past(space: Space, entries: Iterable[Mapping[str, Any]]) -> Past:
    """The past of a search of `space`, from the entries of its journal in order.

    The rungs are replayed, so they decide from here on as they would have without the interruption.
    """
    run: Mapping[str, Any] = {}
    trials: dict[int, PastTrial] = {}
    by_id: dict[str, PastTrial] = {}
    rungs, looks = Rungs(space.fidelity), list[Look]()
    entries = list(entries)
    written = {(entry["trial_id"], entry["rung"]) for entry in entries if entry["kind"] == "rung"}
    unwritten: list[Look] = []
    for entry in entries:
        kind = entry["kind"]
        if kind == "run_started":
            run = entry["run"]
        elif kind == "trial_started":
            trial = by_id.setdefault(
                entry["trial_id"], PastTrial(entry["number"], entry["config"], bool(entry.get("control")))
            )
            trial.status = None
            trials[trial.number] = trial
        elif entry.get("trial_id") not in by_id:
            continue  # its start was lost with a damaged line: the trial is drawn and trained again
        elif kind == "rung":
            trial = by_id[entry["trial_id"]]
            if entry["rung"] not in trial.looks:
                look = Look(trial.number, **{name: entry[name] for name in _LOOK})
                rungs.note(look)
                trial.looks[look.rung] = look
                looks.append(look)
        elif kind == "epoch":
            trial, record = by_id[entry["trial_id"]], entry["record"]
            position = (record.get("budget", space.epochs), record["epoch"])
            trial.records[position] = record
            if (entry["trial_id"], space.fidelity.rung_at(*position)) in written:
                continue  # what was decided stands, whatever may have been lost of what came before
            new = rungs.arrive(trial.number, *position, record[SCORE], control=trial.control)
            if new is not None and new.rung not in trial.looks:
                trial.looks[new.rung] = new
                looks.append(new)
                unwritten.append(new)
        elif kind == "trial_ended":
            # One that failed is tried again: what made it fail may have been mended.
            by_id[entry["trial_id"]].status = None if entry["status"] == "failed" else entry["status"]
    for trial in trials.values():
        if trial.status == "completed" and (space.epochs, space.epochs) not in trial.records:
            trial.status = None  # the entry of its last epoch was lost: it is trained again from where that is whole
    endings = [ending for trial in trials.values() if (ending := _unwritten_ending(trial, space)) is not None]
    for number, status, _ in endings:
        trials[number].status = status
    return Past(run, trials, looks, unwritten, endings)


def refuse_if_changed(
    past: Past, space: Space, folder: object, *, fingerprint: str, split_hash: str, measures: Iterable[str]
) -> None:
    """Raise UserError with every difference between the run in `folder` and the one asked for."""
    before = past.run
    found = differences(before["space"], space.as_dict())
    if before["seeds"]["sampler"] != space.seed:
        found.append(f"seed: {before['seeds']['sampler']} before, {space.seed} now")
    if sorted(before["measures"]) != sorted(measures):
        shown = [" ".join(names) or "none" for names in (before["measures"], measures)]
        found.append(f"measures: {shown[0]} before, {shown[1]} now")
    if before["data"]["fingerprint"] != fingerprint:
        found.append("the training images are others than before")
    elif before["split_hash"] != split_hash:
        found.append("the split into training and validation images is another than before")
    if found:
        raise UserError(
            [f"{folder} can't be resumed with a change: {difference}" for difference in found]
            + ["give what was given before, or choose another folder with --out"]
        )


def _unwritten_ending(trial: PastTrial, space: Space) -> tuple[int, str, str] | None:
    """How a trial ended whose end was not written any more, None when it is to go on."""
    position = trial.position(space)
    if trial.status is not None or position is None:
        return None
    diverged = trial.records[position]["diverged"]
    if diverged:
        return trial.number, "diverged", diverged
    if position == positions(space)[-1]:
        return trial.number, "completed", completed_reason(space)
    rung = space.fidelity.rung_at(*position)
    if rung is not None and not trial.looks[rung].goes_on:
        return trial.number, "stopped", trial.looks[rung].reason()
    return None


def completed_reason(space: Space) -> str:
    """Why a trial that trained to the end ended."""
    return f"trained all {space.epochs} epochs"


def next_position(position: Position | None, space: Space) -> Position:
    """Where a trial stands after the next epoch, the first one for None; after the last there is no other."""
    places = positions(space)
    return places[0 if position is None else min(places.index(position) + 1, len(places) - 1)]


def positions(space: Space) -> tuple[Position, ...]:
    """Every position of a trial that is never stopped, in the order of training."""
    return _positions(tuple(space.fidelity.runs()))


@functools.cache
def _positions(runs: tuple[int, ...]) -> tuple[Position, ...]:
    return tuple((run, epoch) for run in runs for epoch in range(1, run + 1))


def _known(trial: PastTrial, space: Space) -> KnownTrial:
    scores = {rung: look.score for rung, look in sorted(trial.looks.items()) if look.score is not None}
    last = trial.records.get((space.epochs, space.epochs))
    score = last[SCORE] if last is not None and trial.status == "completed" else None
    return KnownTrial(trial.number, space.draw(Given(trial.config)), trial.status, scores, score)
