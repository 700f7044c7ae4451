from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.results.runs import largest_file
from tune_lpc.results import Journal, JournalLocked, read_journal, seconds_written
from tune_lpc.results.events import EpochDone, Event, RunResumed, RunStarted, TrialStarted
from tune_lpc.results.journal import journal_events, journal_in_use

plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def write(path: Path, *reasons: str) -> None:
    with Journal(path) as journal:
        for reason in reasons:
            journal.append("note", reason=reason)


def reasons(path: Path) -> list[str]:
    return [entry["reason"] for entry in read_journal(path)[0]]


def test_entries_come_back_in_order_with_kind_and_time(path: Path) -> None:
    before = time.time()
    with Journal(path) as journal:
        journal.append("trial_started", trial_id="a", number=0, config={"epochs": 3, "beta": None})
        journal.append("epoch", trial_id="a", record={"epoch": 1, "seconds": 0.1})
    (first, second), damaged = read_journal(path)
    assert damaged == []
    assert before <= first.pop("time") <= second.pop("time") <= time.time()
    assert first == {"kind": "trial_started", "trial_id": "a", "number": 0, "config": {"epochs": 3, "beta": None}}
    assert second == {"kind": "epoch", "trial_id": "a", "record": {"epoch": 1, "seconds": 0.1}}


def test_a_line_is_checksum_space_and_json(path: Path) -> None:
    write(path, "Grüße\nund Zeilen")
    checksum, payload = path.read_bytes().removesuffix(b"\n").split(b" ", 1)
    assert checksum == f"{zlib.crc32(payload):08x}".encode()
    assert json.loads(payload)["reason"] == "Grüße\nund Zeilen"
    assert path.read_bytes().count(b"\n") == 1


@given(values=st.lists(plain_values, max_size=4))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_plain_value_survives(values: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with Journal(path) as journal:
            for value in values:
                journal.append("note", value=value)
        entries, damaged = read_journal(path)
    assert damaged == []
    assert [entry["value"] for entry in entries] == values


def test_nan_and_infinity_become_null(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("epoch", record={"loss": math.nan, "parts": [math.inf, (-math.inf, 1.0)]}, top=math.nan)
    (entry,), _ = read_journal(path)
    assert entry["record"] == {"loss": None, "parts": [None, [None, 1.0]]}
    assert entry["top"] is None


def test_text_that_is_not_unicode_is_kept_readable(path: Path) -> None:
    write(path, "no such file: caf" + os.fsdecode(b"\xe9"))
    assert reasons(path) == ["no such file: caf?"]


def test_a_value_that_json_lacks_is_refused_and_nothing_is_written(path: Path) -> None:
    with Journal(path) as journal:
        with pytest.raises(TypeError):
            journal.append("note", reason=object())
        journal.append("note", reason="next")
    assert reasons(path) == ["next"]


def test_opening_again_appends(path: Path) -> None:
    write(path, "one")
    write(path, "two")
    assert reasons(path) == ["one", "two"]
    assert read_journal(path)[1] == []


@given(position=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_cut_anywhere_costs_at_most_the_entry_cut(position: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        write(path, *(f"entry {number} ä" for number in range(5)))
        whole = path.read_bytes()
        cut = position % (len(whole) + 1)
        path.write_bytes(whole[:cut])
        ends = [index for index, byte in enumerate(whole) if byte == ord("\n")]
        # An entry that lacks only the end of its line is whole.
        kept = [f"entry {number} ä" for number, end in enumerate(ends) if end <= cut]
        entries, damaged = read_journal(path)
        assert [entry["reason"] for entry in entries] == kept
        is_cut = cut not in (0, *ends, *(end + 1 for end in ends))
        assert len(damaged) == is_cut
        assert all(f"line {len(kept) + 1} is cut off" in line for line in damaged)

        write(path, "after")
        entries, damaged = read_journal(path)
        assert [entry["reason"] for entry in entries] == [*kept, "after"]
        assert len(damaged) == is_cut


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_flipped_bit_never_passes_for_an_entry(position: int, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        write(path, "one", "two", "three")
        content = bytearray(path.read_bytes())
        content[position % len(content)] ^= 1 << bit
        path.write_bytes(content)
        entries, damaged = read_journal(path)
    # A changed line end joins two entries; at the very end it leaves a tail that isn't whole.
    assert [entry["reason"] for entry in entries] in (
        ["one", "two"],
        ["one", "three"],
        ["two", "three"],
        ["one"],
        ["three"],
    )
    assert damaged


def test_damage_in_the_middle_is_named_by_line_and_reason(path: Path) -> None:
    write(path, "one", "two", "three")
    lines = path.read_bytes().splitlines(keepends=True)
    no_entry = b"[1, 2]"
    extra = b"%08x %s\n" % (zlib.crc32(no_entry), no_entry)
    path.write_bytes(lines[0] + lines[1].replace(b"two", b"TWO") + b"\x00\x00\n" + extra + lines[2])
    entries, damaged = read_journal(path)
    assert [entry["reason"] for entry in entries] == ["one", "three"]
    assert damaged == [
        "line 2 is damaged: its checksum does not match",
        "line 3 is damaged: it does not begin with a checksum",
        "line 4 is damaged: it is not an entry with a kind",
    ]


@pytest.mark.parametrize("is_locked", [True, False])
def test_a_write_that_fails_half_way_is_taken_back_where_nobody_else_can_write(path: Path, is_locked: bool) -> None:
    with Journal(path) as journal:
        journal.is_locked = is_locked
        journal.append("note", reason="one")
        size = path.stat().st_size
        with largest_file(size + 20), pytest.raises(OSError, match="File too large"):
            journal.append("note", reason="two")
        assert path.stat().st_size == (size if is_locked else size + 20)
        journal.append("note", reason="three")
    entries, damaged = read_journal(path)
    assert [entry["reason"] for entry in entries] == ["one", "three"]
    assert damaged == ([] if is_locked else ["line 2 is damaged: its checksum does not match"])


def test_a_killed_process_leaves_every_entry_it_had_appended(path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from tune_lpc.results.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "for number in range(50): journal.append('note', reason=str(number))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert reasons(path) == [str(number) for number in range(50)]


def test_close_is_final_and_may_be_repeated(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        journal.append("note", reason="late")


def test_of_a_journal_a_few_kinds_may_be_read(path: Path) -> None:
    with Journal(path) as journal:
        journal.write(TrialStarted("a", 0, {"note": "epoch"}))
        journal.write(EpochDone("a", {"epoch": 1}))
        journal.write(EpochDone("a", {"epoch": 2, "trial_started": "a name that is no kind"}))
        journal.write(TrialStarted("b", 1, {}))
    found = list(journal_events(path, [], kinds=("trial_started", "run_started")))
    assert [event.trial_id for event in found if isinstance(event, TrialStarted)] == ["a", "b"]
    assert len(found) == 2
    assert len(list(journal_events(path, []))) == 4


def test_the_time_of_a_journal_is_that_of_its_sessions_and_not_between_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("tune_lpc.results.journal.time.time", lambda: now[0])

    def write_at(at: float, *events: Event) -> None:
        now[0] = at
        with Journal(path) as journal:
            for event in events:
                journal.write(event)

    Journal(path).close()
    assert seconds_written(path) == 0.0
    write_at(1000.0, RunStarted({}))
    write_at(1030.5, TrialStarted("a", 0, {"note": '"run_resumed"'}))
    assert seconds_written(path) == 30.5
    write_at(9000.0, RunStarted({}), RunResumed("longer", ""))
    write_at(9010.0, EpochDone("a", {"epoch": 1}))
    write_at(20_000.0, RunResumed("again", ""))
    write_at(19_000.0, EpochDone("a", {"epoch": 2}))  # the clock was set back
    assert seconds_written(path) == 40.5
    whole = path.read_bytes()
    path.write_bytes(whole + b'00000000 {"kind":"epoch","time":99999.0}\n' + b"deadbeef")
    assert seconds_written(path) == 40.5, "damaged entries tell no time"


def test_the_names_in_entries_are_in_memory_once(path: Path) -> None:
    write(path, "one", "two")
    (first, second), _ = read_journal(path)
    assert all(name is again for name, again in zip(first, second, strict=True))


def test_an_empty_journal_holds_nothing(path: Path) -> None:
    Journal(path).close()
    assert read_journal(path) == ([], [])


# One process at a time

HOLDS_THE_JOURNAL = (
    "import pathlib, subprocess, sys, time\n"
    "from tune_lpc.results.journal import Journal\n"
    "journal = Journal(pathlib.Path(sys.argv[1]))\n"
    "journal.append('note', reason='first')\n"
    "child = subprocess.Popen(['sleep', '60'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def test_a_journal_in_use_is_not_opened_again(path: Path) -> None:
    with Journal(path) as journal:
        for _ in range(2):
            with pytest.raises(JournalLocked, match=f"another process is writing {path}"):
                Journal(path)
        journal.append("note", reason="one")
    write(path, "two")
    assert reasons(path) == ["one", "two"]


def test_reading_neither_needs_nor_ends_the_lock(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("note", reason="one")
        assert reasons(path) == ["one"]
        assert journal_in_use(path)
        with pytest.raises(JournalLocked):
            Journal(path)


def test_whether_a_journal_is_in_use(path: Path) -> None:
    assert not journal_in_use(path)
    with Journal(path) as journal:
        assert journal.is_locked
        assert journal_in_use(path)
    assert not journal_in_use(path)
    write(path, "after")
    assert reasons(path) == ["after"]


def test_a_new_journal_is_made_once(path: Path) -> None:
    Journal(path, new=True).close()
    with pytest.raises(FileExistsError):
        Journal(path, new=True)


def test_a_killed_process_leaves_no_lock_though_its_child_lives(path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS_THE_JOURNAL, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert journal_in_use(path)
        with pytest.raises(JournalLocked):
            Journal(path)
        process.kill()
        process.wait()
        os.kill(child, 0)
        assert not journal_in_use(path)
        write(path, "second")
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.communicate()
    assert reasons(path) == ["first", "second"]


def test_a_file_system_without_locks_goes_without(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with Journal(path) as journal:
        assert not journal.is_locked
        journal.append("note", reason="one")
        assert not journal_in_use(path)
    assert reasons(path) == ["one"]


def test_another_failure_of_the_lock_is_told_and_leaves_no_open_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        Journal(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_journal_that_was_removed_is_not_written_into_nothing(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("note", reason="one")
        path.unlink()
        with pytest.raises(OSError, match="it was removed"):
            journal.append("note", reason="two")
