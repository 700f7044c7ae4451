"""Every prefix of the journals of real searches, whole and with a torn last line, resumed under the simulated engine.

A kill at any moment leaves a prefix of the journal. What real workers reported in the recorded search is reported
again, so the tables of a resumed search must be those of the recorded one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from tests.commands import space_file
from tests.drivers import OF_THE_CLOCK
from tests.search.curves import record
from tune_lpc.plan import Space, load_space
from tune_lpc.results import JOURNAL_FILE, Ledger, read_ledger
from tune_lpc.results.events import Event, Status, TrialEnded
from tune_lpc.results.journal import journal_events
from tune_lpc.results.tables import best_table, epoch_batches, fidelity_table, rungs_table, trials_table
from tune_lpc.run import main
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.opening import Identity, open_run
from tune_lpc.search.sampler import EstimatorSampler
from tune_lpc.search.seeds import stages
from tune_lpc.search.simulated import Record, recorded_curves, recorded_measures, simulate

pytestmark = pytest.mark.slow


def epochs_table(ledger: Ledger) -> pa.Table:
    """The rows of epochs.parquet."""
    return pa.Table.from_batches(epoch_batches(ledger)).combine_chunks()


TABLES = (trials_table, epochs_table, best_table, rungs_table, fidelity_table)


@dataclass
class JournalLog:
    """A real journal on disk."""

    journal: object

    def write(self, event: Event) -> bool:
        self.journal.write(event)  # type: ignore[attr-defined]
        return True


@dataclass(frozen=True)
class Recorded:
    """A search that was run for real. lines: of its journal."""

    space: Space
    lines: list[bytes]
    ledger: Ledger
    events: list[Event]
    slots: int

    @classmethod
    def of(cls, arguments: list[str], changes: dict[str, object], folder: Path, address: str) -> Recorded:
        """Run the command; `changes` are what its options change in the space."""
        out = folder / "recorded"
        assert main([*arguments, "--out", str(out), "--address", address]) == 0
        path = out / JOURNAL_FILE
        space = load_space(arguments[0]).for_method("lpc_topological").with_values(changes)  # type: ignore[arg-type]
        slots = int(arguments[arguments.index("--concurrent") + 1])
        ledger, damaged = read_ledger(path)
        assert damaged == []
        return cls(space, path.read_bytes().splitlines(keepends=True), ledger, list(journal_events(path, [])), slots)


def tables_of(ledger: Ledger) -> list[pa.Table]:
    """The tables without the columns that tell how the search went."""
    made = [make(ledger) for make in TABLES]
    return [
        table.select([name for name in table.column_names if name.split(".")[-1] not in OF_THE_CLOCK]) for table in made
    ]


def resume(recorded: Recorded, prefix: bytes, folder: Path, lost: int) -> Path:
    """Go on from a prefix of the journal to the end; the path of the journal then."""
    path, run = folder / JOURNAL_FILE, recorded.ledger.run
    path.write_bytes(prefix)
    identity = Identity(
        recorded.space, run["data"]["fingerprint"], run["split_hash"], tuple(recorded.ledger.run["measures"])
    )
    opened = open_run(folder, identity, resume=True)
    journal = opened.begin(run) if opened.is_new else opened.go_on("a test", {})
    sampler = EstimatorSampler(recorded.space, recorded.slots)
    director = Director(recorded.space, opened.ledger, JournalLog(journal), sampler, precision=lambda _: "float32")
    director.settle()
    measures = recorded_measures(recorded.events)
    simulate(director, longer_curves(recorded.ledger), slots=recorded.slots, measures=measures, lost=lost)
    opened.close()
    return path


def longer_curves(ledger: Ledger):  # type: ignore[no-untyped-def]
    """The recorded curves; beyond their ends, where another order of events lets a trial go further, made-up ones."""
    recorded = recorded_curves(ledger)

    def curve(assignment: Assignment) -> Iterator[Record]:
        last = (0, 0)
        for known in recorded(assignment):
            last = known["budget"], known["epoch"]
            yield known
        assert ledger.fidelity is not None
        while (after := ledger.fidelity.after(None if last == (0, 0) else last)) != last:
            last = after
            yield record(*last, 0.5)

    return curve


def resume_every_prefix(recorded: Recorded, folder: Path, check) -> int:  # type: ignore[no-untyped-def]
    """Resume from each number of whole lines, and from each with half of the next line; how many prefixes."""
    count = 0
    for whole in range(len(recorded.lines) + 1):
        torn = [b"", recorded.lines[whole][: len(recorded.lines[whole]) // 2]] if whole < len(recorded.lines) else [b""]
        for rest in torn:
            place = folder / f"{whole}-{len(rest)}"
            place.mkdir()
            path = resume(recorded, b"".join(recorded.lines[:whole]) + rest, place, lost=whole % 3)
            check(path, whole)
            count += 1
    return count


def same_tables(recorded: Recorded, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prefix leads to the tables of the recorded search."""
    expected, start = tables_of(recorded.ledger), time.monotonic()

    def check(path: Path, lines: int) -> None:
        ledger, damaged = read_ledger(path)
        assert len(damaged) <= 1, damaged
        for make, found, table in zip(TABLES, tables_of(ledger), expected, strict=True):
            assert found.equals(table), f"{make.__name__} after {lines} lines"

    count = resume_every_prefix(recorded, folder, check)
    with capsys.disabled():
        print(f"\n{count} prefixes of {len(recorded.lines)} lines in {time.monotonic() - start:.1f} s")


def rules(changes: dict[str, object]) -> list[str]:
    """The options that make the changes."""
    return ["--set", *(f"{name}={value}" for name, value in changes.items())]


ENDING: dict[str, object] = {"rung_rule": "stop", "seeds": 1, "score_window": 1}
WAITING: dict[str, object] = {"rung_rule": "promote", "seeds": 3, "score_window": 3, "seed_splits": False}
SPLITS: dict[str, object] = {**WAITING, "seed_splits": True}


@pytest.mark.parametrize("changed", [ENDING, SPLITS], ids=["stop", "promote, splits"])
def test_truncated(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object]
) -> None:
    changes = {"trials": 6, "epochs": 18, "first_rung": 3, "seed": 3, **changed}
    recorded = Recorded.of(["digits", *rules(changes), "--concurrent", "1"], changes, tmp_path, ray_session)
    trials = recorded.ledger.trials.values()
    assert {trial.status for trial in trials} == {Status.COMPLETED, Status.STOPPED}
    assert any(look.promoted for look in recorded.ledger.looks) == (changed is not ENDING)
    further = [trial for trial in trials if trial.repeat_of is not None]
    trained = sum(trial.status is Status.COMPLETED for trial in trials) - len(further)
    assert len(further) == (0 if changed is ENDING else sum(stages(trained, 3, 3)))
    assert {trial.config["split"] for trial in further} == ({1, 2} if further else set())
    same_tables(recorded, tmp_path, capsys)


def test_compressed_with_a_control_trial_a_measure_and_a_divergence(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dimensions = '"learning_rate": Float(0.02, 0.5, log=True), "weight_decay": Choice([0.0, 1e-4, 1e9])'
    space = space_file(tmp_path, dimensions)
    changes: dict[str, object] = {"fidelity_mode": "compressed", "trials": 16, "epochs": 4, "first_rung": 2, "seed": 1}
    changes |= {"control_trials": 1, **WAITING}
    arguments = [space, *rules(changes), "--concurrent", "1", "--measure", "nc1"]
    recorded = Recorded.of(arguments, changes, tmp_path, ray_session)
    statuses = {trial.status for trial in recorded.ledger.trials.values()}
    assert statuses == {Status.COMPLETED, Status.STOPPED, Status.DIVERGED}
    assert any(trial.control for trial in recorded.ledger.trials.values())
    same_tables(recorded, tmp_path, capsys)


def test_two_slots_lose_nothing_and_do_nothing_twice(
    ray_session: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Decisions may differ, as they depend on which trial is faster; so the recorded tables are no reference."""
    space = space_file(tmp_path, '"learning_rate": Float(1e-3, 1e-2, log=True)')
    changes = {"fidelity_mode": "compressed", "trials": 8, "epochs": 6, "first_rung": 2, **ENDING}
    recorded = Recorded.of([space, *rules(changes), "--concurrent", "2"], changes, tmp_path, ray_session)
    start = time.monotonic()

    def check(path: Path, lines: int) -> None:
        ledger, _ = read_ledger(path)
        kept = [json.loads(line[9:]) for line in recorded.lines[:lines]]
        assert sorted(trial.number for trial in ledger.trials.values()) == list(range(8))
        for trial in ledger.trials.values():
            assert trial.status in (Status.COMPLETED, Status.STOPPED)
            runs = {2: 2} if trial.status is Status.STOPPED else {2: 2, 6: 6}
            assert {budget: len(run) for budget, run in trial.runs.items()} == runs
            assert list(trial.looks) == [2]
        ended = [event.trial_id for event in journal_events(path, []) if isinstance(event, TrialEnded)]
        assert sorted(ended) == sorted(set(ended)) and len(ended) == 8
        for entry in kept:  # nothing that was written is changed
            if entry["kind"] == "epoch":
                trial = ledger.trials[entry["trial_id"]]
                assert trial.has(entry["record"]["budget"], entry["record"]["epoch"])

    count = resume_every_prefix(recorded, tmp_path, check)
    with capsys.disabled():
        print(f"\n{count} prefixes of {len(recorded.lines)} lines in {time.monotonic() - start:.1f} s")
