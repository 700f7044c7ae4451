"""Folders of runs for the tests."""

from __future__ import annotations

from pathlib import Path

from tests.results.runs import record
from tests.search.searches import CLIMB, SPACE, run_of
from tune_lpc.plan.schedules import SCHEDULES_VERSION
from tune_lpc.results import JOURNAL_FILE, Journal, read_journal, write_run
from tune_lpc.results.events import EpochDone, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.search.opening import Identity

IDENTITY = Identity(SPACE, "of the images", "of the split", ("entropy",))
RUN = run_of(
    SPACE,
    schedules=SCHEDULES_VERSION,
    seeds={"sampler": SPACE.seed},
    measures={"entropy": "text"},
    data={"fingerprint": "of the images"},
    split_hash="of the split",
    space_hash=SPACE.hash(),
    versions={"tune_lpc": "0.2.0"},
)
SESSION = {"versions": {"torch": "3"}, "hardware": {"cpus": 8}, "resources": {"concurrent": 4}, "git": None}


class Made:
    """A run in a folder, written as an earlier search would have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        with Journal(self.path, new=True) as journal:
            journal.write(RunStarted(RUN))
        write_run(folder, RUN)

    @property
    def path(self) -> Path:
        return self.folder / JOURNAL_FILE

    def trial(self, number: int, epochs: int, status: Status | None = None) -> None:
        """A trial with so many epochs of its climb, and its end if it has one."""
        name = trial_id_of(number)
        with Journal(self.path) as journal:
            journal.write(TrialStarted(name, number, SPACE.trial({"learning_rate": 0.01}).as_dict()))
            for budget, epoch in CLIMB[:epochs]:
                journal.write(EpochDone(name, record(epoch, 0.5, budget)))
            if status is not None:
                journal.write(TrialEnded(name, status, status))

    def kinds(self) -> list[str]:
        return [entry["kind"] for entry in read_journal(self.path)[0]]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
