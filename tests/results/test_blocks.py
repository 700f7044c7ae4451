"""A journal read in blocks: to the same state, whatever its epochs, its damage and the size of the blocks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import RUN, record
from tune_lpc.plan.record import record_fields
from tune_lpc.results import Journal, Ledger
from tune_lpc.results.blocks import journal_blocks
from tune_lpc.results.events import (
    EpochDone,
    Event,
    Measured,
    RungDecided,
    RunResumed,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
)
from tune_lpc.results.journal import journal_events

SPACE: dict[str, Any] = {
    "settings": {"epochs": 9},
    "trials": 12,
    "fidelity_mode": "compressed",
    "reduction_factor": 3,
    "first_rung": 3,
    "score_window": 2,
}
OBJECTIVES = ["validation_accuracy:max", "nc1:min"]
SIZES = (1, 3000, 2**20)
"""A line a block, some lines, all of them."""


def events_of(seed: int) -> Iterator[Event]:
    """A search of trials beside one another, with all that can happen to them, and much that should not."""
    draw = random.Random(seed)
    space = {**SPACE, **({"objectives": OBJECTIVES} if seed % 2 else {})}
    run: dict[str, Any] = {**RUN, "started": "2026-11-25", "rungs": [3], "space": space}
    yield RunStarted(run)
    running: dict[str, Iterator[Event]] = {}
    begun = 0
    while begun < SPACE["trials"] or running:
        if begun < SPACE["trials"] and (len(running) < 4 or draw.random() < 0.05):
            running[f"trial-{begun:05d}"] = trial_of(f"trial-{begun:05d}", begun, draw)
            begun += 1
        if draw.random() < 0.02:
            yield draw.choice([RunResumed("again", "later"), RunStarted({**run, "rungs": draw.choice([[3], []])})])
        name = draw.choice(list(running))
        if (event := next(running[name], None)) is None:
            del running[name]
        else:
            yield event


def trial_of(name: str, number: int, draw: random.Random) -> Iterator[Event]:
    if draw.random() < 0.1:
        yield EpochDone(name, record(1, budget=3))  # it is begun again, as its start was lost
    if draw.random() < 0.9:
        yield TrialStarted(name, number, {"epochs": 9}, draw.random() < 0.2, draw.choice([None, None, 0]))
    yield TrialPlaced(name, "here", number)
    for budget in (3, 9):
        told: dict[str, Any] = {}
        lost = 3 if budget == 9 and draw.random() < 0.2 else 0
        for epoch in range(lost + 1, budget + 1):
            luck = draw.random()
            if luck < 0.05:
                continue
            why = "its loss is not finite" if luck > 0.97 else None
            score = draw.choice([None, draw.random(), draw.random()])
            told = record(epoch, score, budget, seconds=draw.choice([None, draw.random()]), diverged=why)
            yield EpochDone(name, told)
            if 0.9 < luck < 0.95:
                yield TrialRestarted(name, "its worker was lost")
                yield EpochDone(name, told if luck < 0.93 else {**told, "nc1": draw.random()})
            elif luck > 0.99:
                yield TrialEnded(name, Status.DIVERGED, "it diverged")
                return
        if budget == 3 and told:
            yield Measured(name, {"nc2": draw.random()}, {}, (3, 3))
            yield RungDecided(name, 3, told["validation_accuracy"], 1, 1, draw.random() < 0.8)
    yield TrialEnded(name, Status.COMPLETED, "trained all 9 epochs")


def state_of(ledger: Ledger) -> list[Any]:
    """All of it, the order of what has one included."""
    trials = []
    for trial in ledger.trials.values():
        runs = [
            [run.record(epoch) if epoch in run else None for epoch in range(1, run.epochs + 1)]
            for run in trial.runs.values()
        ]
        trials.append([*(value for name, value in vars(trial).items() if name != "runs"), list(trial.runs), runs])
    by_rung = [[(rung, list(found.items())) for rung, found in by.items()] for by in (ledger.arrivals, ledger.vectors)]
    told = [ledger.run, ledger.sessions, ledger.session_seconds, ledger.looks, ledger.fronts]
    return [*told, sorted(ledger.left_out), by_rung, trials]


def written(path: Path, seed: int) -> list[bytes]:
    """The lines of the journal of a search."""
    with Journal(path) as journal:
        for event in events_of(seed):
            journal.write(event)
    return path.read_bytes().splitlines(keepends=True)


def same_in_blocks(path: Path) -> list[str]:
    """Read it in blocks and line by line; the lines about what is damaged."""
    damaged: list[str] = []
    expected = state_of(Ledger(journal_events(path, damaged)))
    for size in SIZES:
        ledger, found = Ledger(), list[str]()
        for block in journal_blocks(path, size):
            found += block.damaged
            ledger.apply_block(block)
        assert state_of(ledger) == expected
        assert found == damaged
    return damaged


@pytest.mark.parametrize("seed", range(40))
def test_blocks_tell_what_the_lines_tell(seed: int, tmp_path: Path) -> None:
    lines = written(tmp_path / "journal.jsonl", seed)
    assert len(lines) > 100
    assert same_in_blocks(tmp_path / "journal.jsonl") == []
    assert all(block.rows for block in journal_blocks(tmp_path / "journal.jsonl", SIZES[-1]))  # they were arrays


@pytest.mark.parametrize("seed", range(8))
def test_damaged_lines_are_told_alike(seed: int, tmp_path: Path) -> None:
    path, draw = tmp_path / "journal.jsonl", random.Random(seed)
    lines = written(path, seed)
    for place in draw.sample(range(1, len(lines)), 5):
        at = draw.randrange(len(lines[place]))
        lines[place] = lines[place][:at] + bytes([lines[place][at] ^ 32]) + lines[place][at + 1 :]
    path.write_bytes(b"".join(lines)[: -draw.randrange(1, 20)])
    assert same_in_blocks(path)


ODD: dict[str, dict[str, Any]] = {
    "a field that this version does not know": {"trial_id": "a", "record": {**record(1), "later": [1, {"a": 2}]}},
    "no budget, as version 0.1.0 wrote": {
        "trial_id": "a",
        "record": {k: v for k, v in record(1).items() if k != "budget"},
    },
    "fewer numbers": {"trial_id": "a", "record": {k: v for k, v in record(1).items() if k != "nc1"}},
    "whole numbers": {"trial_id": "a", "record": record(1, 1, seconds=2, nc1=10**17)},
    "no record": {"trial_id": "a"},
    "no name": {"record": record(1)},
    "a name that is not ASCII": {"trial_id": "ä\u2028\U0001f600", "record": record(1)},
    "a reason of many lines": {"trial_id": "a", "record": record(1, diverged='line 1\nline "2", {3}')},
}


@pytest.mark.parametrize("what", ODD)
def test_odd_entries(what: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for name, number in (("a", 0), ("ä\u2028\U0001f600", 1), ("b", 2)):
            journal.write(TrialStarted(name, number, {"epochs": 4}))
        journal.write(EpochDone("b", record(1)))
        journal.append("epoch", **ODD[what])
        journal.append("a_kind_of_later", trial_id="a")
        journal.write(EpochDone("b", record(2)))
    assert bool(same_in_blocks(path)) == what.startswith("no record") or what == "no name"


def test_numbers_are_read_to_their_last_digit(tmp_path: Path) -> None:
    path, draw = tmp_path / "journal.jsonl", random.Random(0)
    names = [f.name for f in record_fields() if f.name not in ("budget", "epoch", "diverged")]
    with Journal(path) as journal:
        journal.write(TrialStarted("a", 0, {"epochs": 300}))
        for epoch in range(1, 301):
            values = {name: draw.uniform(-1, 1) * 10.0 ** draw.randint(-300, 300) for name in names}
            journal.write(EpochDone("a", {"budget": 300, "epoch": epoch, **values, "diverged": None}))
    assert same_in_blocks(path) == []


def test_the_error_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(journal_blocks(tmp_path / "journal.jsonl"))
