"""The folder of a run when its search begins: new, to go on with, or refused."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tune_lpc.plan.compare import differences, space_hash
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import CODE_FOLDER, NO_CODE, OwnCode
from tune_lpc.plan.schedules import SCHEDULES_VERSION
from tune_lpc.plan.space import Space
from tune_lpc.results import (
    JOURNAL_FILE,
    Journal,
    JournalLocked,
    Ledger,
    holds_run,
    load_run,
    seconds_written,
    write_run,
)
from tune_lpc.results.confirmed import OPENINGS, openings
from tune_lpc.results.events import Event, RunResumed, RunStarted, TrialStarted
from tune_lpc.results.journal import journal_events
from tune_lpc.search.director import Director
from tune_lpc.search.earlier import Earlier, folder_of, read_earlier
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.simulated import MemoryLog

_NEEDED: Mapping[str, tuple[type, ...]] = {
    "space": (dict,),
    "space_hash": (str,),
    "rungs": (list,),
    "seeds.sampler": (int,),
    "measures": (dict,),
    "versions": (dict,),
    "data.fingerprint": (str,),
    "split_hash": (str,),
}
"""What a resume reads of run.json, with the types that it has, where the journal has lost it."""


@dataclass(frozen=True)
class Identity:
    """What a run is made of, as far as it may not change: with other images or another seed it would be another run.

    space: what is searched, with its size. fingerprint: of the images. split_hash: of the split. warm_start: folders of
    earlier searches, read only when the run begins. code: the digest of each file of the user's own, by its name.
    processes: that train a trial together.
    """

    space: Space
    fingerprint: str
    split_hash: str
    measures: tuple[str, ...]
    warm_start: tuple[Path, ...] = ()
    code: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1

    def differences(self, run: Mapping[str, Any]) -> list[str]:
        """What differs from the run whose run.json is given, one line each; empty when nothing does."""
        space = self.space
        found = differences(run["space"], space.as_dict())
        if not found and not space.has_controls_of(run["space"]["trials"]):
            found.append(
                f"control_trials: {space.control_trials} of {run['space']['trials']} trials before, of {space.trials} "
                "now: other trials would be control trials"
            )
        if not found and run["rungs"] != space.fidelity.rungs():
            found.append(f"rungs: {run['rungs']} before, {space.fidelity.rungs()} now")
        if run["seeds"]["sampler"] != space.seed:
            found.append(f"seed: {run['seeds']['sampler']} before, {space.seed} now")
        if sorted(run["measures"]) != sorted(self.measures):
            shown = [" ".join(names) or "none" for names in (run["measures"], self.measures)]
            found.append(f"measures: {shown[0]} before, {shown[1]} now")
        if run["data"]["fingerprint"] != self.fingerprint:
            found.append("the training images are others than before")
        elif run["split_hash"] != self.split_hash:
            found.append("the split into training and validation images is another than before")
        before = run.get("code", {})
        changed = sorted(name for name in {*before, *self.code} if before.get(name) != self.code.get(name))
        found += [f"{name} is another than when the search began" for name in changed]
        processes = (run.get("resources") or {}).get("processes_per_trial", 1)
        if processes != self.processes:
            found.append(f"processes of a trial: {processes} before, {self.processes} now")
        folders = [one.folder for one in Earlier.of_run(run)], list(dict.fromkeys(map(folder_of, self.warm_start)))
        if sorted(folders[0]) != sorted(folders[1]):
            shown = [" ".join(names) or "none" for names in folders]
            found.append(f"warm_start: {shown[0]} before, {shown[1]} now")
        return found


@dataclass
class OpenRun:
    """A run that may be written to.

    ledger: what has happened in it. journal: None as long as there is none. left_out: a line for each damaged entry of
    the journal. start_is_written: whether the journal holds the entry that says what was run. seconds: by the clock,
    that the processes before this one took. earlier: what it takes over from earlier searches, as it was when it began.
    """

    folder: Path
    space: Space
    ledger: Ledger
    journal: Journal | None
    left_out: list[str]
    start_is_written: bool = True
    seconds: float = 0.0
    earlier: Sequence[Earlier] = ()

    @property
    def is_new(self) -> bool:
        """Whether nothing has happened in it yet."""
        return not self.ledger.run

    @property
    def to_come(self) -> int:
        """How many trials could be asked for, those that are to go on included."""
        return self._director().to_come

    @property
    def waiting(self) -> set[int]:
        """The numbers of the trials that a rung has left, and may still let go on."""
        return self._director().waiting

    def _director(self) -> Director:
        """One that is only asked what is to come: it draws nothing that counts, and writes nothing down."""
        return Director(self.space, self.ledger, MemoryLog(), RandomSampler(self.space))

    def begin(self, run: Mapping[str, Any], code: OwnCode = NO_CODE) -> Journal:
        """Write what a new run begins with. run: the content of run.json. code: of the user's own, kept with it.

        Raises UserError when another search has just begun there, OSError when nothing can be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.journal = self.journal or Journal(self.folder / JOURNAL_FILE, new=True)
        except (FileExistsError, JournalLocked) as error:
            problem = f"another search has just begun in {self.folder}; choose another folder with --out"
            raise UserError(problem) from error
        code.write(self.folder / CODE_FOLDER)
        write_run(self.folder, run)
        self._record(self.journal, RunStarted(run))
        return self.journal

    def go_on(self, command: str, session: Mapping[str, Any]) -> Journal:
        """Write that the run goes on, in a process of which `session` tells: versions, hardware, resources.

        Raises OSError when nothing can be written.
        """
        assert self.journal is not None  # the journal of a run that is there was opened with it
        run = dict(self.ledger.run)
        if is_longer := self.space.trials > run["space"]["trials"]:
            run |= {"space": self.space.as_dict(), "space_hash": self.space.hash()}
        if is_longer or not self.start_is_written:
            self._record(self.journal, RunStarted(run))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._record(self.journal, RunResumed(command, now, self.left_out, session))
        # What a confirmation noted there stays: nobody may forget that test images were opened.
        opened = openings(self.folder)
        write_run(self.folder, {**self.ledger.about, **({OPENINGS: opened} if opened else {})})
        return self.journal

    def close(self) -> None:
        """Let others write to the run."""
        if self.journal is not None:
            self.journal.close()

    def _record(self, journal: Journal, event: Event) -> None:
        journal.write(event)
        self.ledger.apply(event)


def open_run(folder: Path, identity: Identity, *, resume: bool) -> OpenRun:
    """The run in `folder`, none yet or one to go on with; nothing is written.

    What the run is made of is checked first; only then do its events mean what they say.
    Raises UserError when the run there is being written by another process, when it is made of something else, or when
    nothing can be taken over from an earlier search that a new run is to learn from.
    """
    path, space = folder / JOURNAL_FILE, identity.space
    if resume and not path.exists() and holds_run(folder):
        raise UserError(f"{folder} can't be resumed: its {JOURNAL_FILE} is gone; choose another folder with --out")
    if not resume or not path.exists():
        return OpenRun(folder, space, Ledger(), None, [], earlier=read_earlier(space, identity.warm_start))
    try:
        journal = Journal(path)
    except JournalLocked as error:
        raise UserError(f"a search is running in {folder}; wait for it, or end it first") from error
    except OSError as error:
        raise UserError(f"{path} can't be written ({error.strerror or error}); choose another folder") from error
    try:
        left_out: list[str] = []
        run, has_trials = _beginning(path)
        start_is_written = run is not None
        if run is None:
            run = _run_file(folder)
            if run is None and has_trials:
                raise UserError(
                    f"{folder} can't be resumed: neither {JOURNAL_FILE} nor run.json says what was run; "
                    f"its tables can still be read, begin a new search in another folder with --out"
                )
            if run is None:
                list(journal_events(path, left_out))  # killed before it had begun
                earlier = read_earlier(space, identity.warm_start)
                return OpenRun(folder, space, Ledger(), journal, left_out, earlier=earlier)
        _refuse_other_schedules(folder, run)
        _refuse(folder, identity.differences(run))
        # First, even where its own entry was damaged and written again later: the rungs are counted from here on.
        ledger = Ledger(itertools.chain([RunStarted(run)], journal_events(path, left_out)))
    except BaseException:
        journal.close()
        raise
    left_out += ledger.left_out
    seconds = seconds_written(path) + sum(_startup_seconds(session.facts) for session in ledger.sessions)
    return OpenRun(folder, space, ledger, journal, left_out, start_is_written, seconds, Earlier.of_run(run))


def _startup_seconds(facts: Mapping[str, Any]) -> float:
    """From the start of a process to its first entry in the journal; 0 where that was not noted."""
    noted = (facts.get("time") or {}).get("startup_seconds")
    return float(noted) if isinstance(noted, int | float) else 0.0


def _beginning(path: Path) -> tuple[Mapping[str, Any] | None, bool]:
    """What the journal says was run, None where it does not, and whether a trial was begun.

    The journal is read for this alone, as its events, of which there may be millions, are never in memory together.
    """
    run, has_trials = None, False
    for event in journal_events(path, [], kinds=(RunStarted.kind, TrialStarted.kind)):
        if isinstance(event, RunStarted):
            run = event.run
        has_trials = has_trials or isinstance(event, TrialStarted)
    return run, has_trials


def _refuse_other_schedules(folder: Path, run: Mapping[str, Any]) -> None:
    """One line and no other difference: with other schedules everything else may have another meaning too."""
    if run.get("schedules", 1) != SCHEDULES_VERSION:
        version = run.get("versions", {}).get("tune_lpc", "an unknown version")
        raise UserError(
            f"{folder} can't be resumed: it was begun by tune_lpc {version}, whose schedules mean something else (they "
            "ended an epoch before the training), so its trials can't be compared with new ones; finish it with that "
            "version, or begin again in another folder with --out"
        )


def _refuse(folder: Path, found: Iterable[str]) -> None:
    problems = [f"{folder} can't be resumed with a change: {difference}" for difference in found]
    if problems:
        raise UserError([*problems, "give what was given before, or choose another folder with --out"])


def _run_file(folder: Path) -> dict[str, Any] | None:
    """The content of run.json in `folder`; None where it is missing or damaged, or does not say what was run."""
    try:
        run = load_run(folder, _NEEDED)
        is_whole = space_hash(run["space"]) == run["space_hash"]
        Earlier.of_run(run)
    except (UserError, ValueError, TypeError, KeyError):
        return None
    run.pop("sessions", None)  # the journal tells them
    return run if is_whole else None
