"""The folder of a run when its search begins: a new journal, or one to go on with."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_lpc.engine.trainable import CHECKPOINT_FOLDER, checkpoint_folder
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.space import Space
from tune_lpc.results import (
    JOURNAL_FILE,
    Journal,
    JournalLocked,
    holds_run,
    load_run,
    read_journal,
    write_run,
)
from tune_lpc.search.resume import NOTHING, Past, next_position, read_past, refuse_if_changed
from tune_lpc.training.checkpoints import Checkpoints
from tune_lpc.training.prepare import Prepared


@dataclass
class OpenRun:
    """A run that may be written to.

    journal: None as long as there is none. left_out: a line for each damaged entry of the journal.
    start_is_written: whether the journal holds the entry that says what was run.
    """

    folder: Path
    space: Space
    past: Past
    journal: Journal | None
    left_out: list[str]
    start_is_written: bool = True

    @property
    def to_come(self) -> int:
        """How many trials are left."""
        return self.past.to_come(self.space)

    def begin(self, run: Mapping[str, Any]) -> Journal:
        """Write what a new run begins with.

        Raises UserError when another search has just begun there, OSError when nothing can be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.journal = self.journal or Journal(self.folder / JOURNAL_FILE, new=True)
        except (FileExistsError, JournalLocked) as error:
            problem = f"another search has just begun in {self.folder}; choose another folder with --out"
            raise UserError(problem) from error
        write_run(self.folder, run)
        self.journal.append("run_started", run=run)
        return self.journal

    def go_on(self, command: str) -> Journal:
        """Write that the run goes on, and put its folder in order: checkpoints that nobody will need are removed.

        Raises OSError when nothing can be written.
        """
        assert self.journal is not None
        run = dict(self.past.run)
        is_longer = self.space.trials > run["space"]["trials"]
        if is_longer:
            run |= {"space": self.space.as_dict(), "space_hash": self.space.hash()}
        if is_longer or not self.start_is_written:
            self.journal.append("run_started", run=run)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.journal.append("run_resumed", command=command, started=now, left_out=self.left_out)
        if is_longer or run_file(self.folder) is None:
            write_run(self.folder, run)  # missing or damaged: the journal has its content
        for trial in self.past.trials.values():
            checkpoints = Checkpoints(checkpoint_folder(self.folder, trial.number))
            if trial.status is not None:
                checkpoints.remove()
            else:
                # A checkpoint may be an epoch ahead of the journal, as it is written first. One further ahead, after
                # damage to the journal, would leave epochs without a record.
                checkpoints.forget_after(next_position(trial.position(self.space), self.space))
        for folder in (self.folder / CHECKPOINT_FOLDER).glob("*"):
            if folder.name.isdigit() and int(folder.name) not in self.past.trials:
                Checkpoints(folder).remove()
        return self.journal

    def close(self) -> None:
        """Let others write to the run."""
        if self.journal is not None:
            self.journal.close()


def open_run(folder: Path, space: Space, prepared: Prepared, measures: tuple[str, ...], *, resume: bool) -> OpenRun:
    """The run in `folder`, none yet or one to go on with; nothing is written.

    Raises UserError when the run there is being written by another process, or when it is one of another space, data
    set or seed.
    """
    path = folder / JOURNAL_FILE
    if resume and not path.exists() and holds_run(folder):
        raise UserError(f"{folder} can't be resumed: its {JOURNAL_FILE} is gone; choose another folder with --out")
    if not resume or not path.exists():
        return OpenRun(folder, space, NOTHING, None, [])
    try:
        journal = Journal(path)
    except JournalLocked as error:
        raise UserError(f"a search is running in {folder}; wait for it, or end it first") from error
    except OSError as error:
        raise UserError(f"{path} can't be written ({error.strerror or error}); choose another folder") from error
    try:
        entries, left_out = read_journal(path)
        start_is_written = any(entry["kind"] == "run_started" for entry in entries)
        run = run_file(folder)
        if not start_is_written and run is not None and "space" in run:
            entries = [{"kind": "run_started", "run": run}, *entries]
        elif not start_is_written:
            if any(entry["kind"] == "trial_started" for entry in entries):
                raise UserError(
                    f"{folder} can't be resumed: neither {JOURNAL_FILE} nor run.json says what was run; "
                    f"its tables can still be read, begin a new search in another folder with --out"
                )
            return OpenRun(folder, space, NOTHING, journal, left_out)  # killed before it had begun
        past = read_past(space, entries)
        refuse_if_changed(
            past,
            space,
            folder,
            fingerprint=prepared.source.fingerprint,
            split_hash=prepared.split.hash,
            measures=measures,
        )
    except BaseException:
        journal.close()
        raise
    return OpenRun(folder, space, past, journal, left_out, start_is_written)


def run_file(folder: Path) -> dict[str, Any] | None:
    """The content of run.json in `folder`, None where it is missing or damaged."""
    try:
        return load_run(folder)
    except UserError:
        return None
