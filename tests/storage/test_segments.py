"""A journal in numbered segments: put together again, also where some are missing, cut, or overlap."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.storage.stores import MemoryStore
from tune_lpc.results.journal import Journal, read_journal
from tune_lpc.storage.segments import End, Segment, end_of, is_decisive, put_together, runs_in, segments_in, whole_lines

LINES = [f"line {number} of some\n".encode() for number in range(40)]


def stored(parts: list[bytes], run: str = "") -> MemoryStore:
    """A store with a journal in these segments."""
    store, end = MemoryStore(), End()
    for part in parts:
        assert store.create(end.key(run), part) is not None
        end = end.after(len(part))
    return store


def together(store: MemoryStore, start: int = 0) -> tuple[bytes, list[str]]:
    """The journal, and what is told of damage."""

    def read(segment: Segment) -> bytes:
        content = store.read(segment.key)
        assert content is not None
        return content.data

    parts = list(put_together(segments_in(store.list())[""], read, start))
    return b"".join(p for p in parts if isinstance(p, bytes)), [p for p in parts if isinstance(p, str)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_all_segments_are_the_journal_from_any_byte_on(sizes: list[int], data: st.DataObject) -> None:
    parts = [b"".join(LINES[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(len(sizes))]
    journal = b"".join(parts)
    start = data.draw(st.integers(0, len(journal)))
    assert together(stored(parts), start) == (journal[start:], [])


def test_a_missing_one_in_the_middle_leaves_every_other_byte_in_its_place_and_is_told() -> None:
    parts = [b"".join(LINES[i : i + 2]) for i in range(0, 8, 2)]
    store = stored(parts)
    gone = sorted(store.objects)[1]
    del store.objects[gone]
    journal, told = together(store)
    whole = b"".join(parts)
    start, end = len(parts[0]), len(parts[0]) + len(parts[1])
    assert journal[:start] == whole[:start] and journal[end:] == whole[end:]
    assert journal[start:end].count(b"\n") == 1 and journal[start:end].endswith(b"\n")
    assert end_of(segments_in(store.list())[""]) == End(4, len(whole)), "what comes next goes after the last byte"
    (line,) = told
    assert line.startswith(
        f"{sorted(store.objects)[1]}: the {len(parts[1])} bytes of the journal before it are missing"
    )


def test_readers_of_the_journal_are_told_of_what_is_missing(tmp_path: Path) -> None:
    with Journal(tmp_path / "whole.jsonl") as journal:
        for number in range(6):
            journal.append("paused", reason=f"number {number}")
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    store = stored([b"".join(lines[:2]), b"".join(lines[2:4]), b"".join(lines[4:])])
    del store.objects[sorted(store.objects)[1]]
    (tmp_path / "journal.jsonl").write_bytes(together(store)[0])
    entries, damaged = read_journal(tmp_path / "journal.jsonl")
    assert [entry["reason"] for entry in entries] == [f"number {number}" for number in (0, 1, 4, 5)]
    assert damaged == ["line 3 is damaged: it does not begin with a checksum"]


def test_a_half_uploaded_last_one_gives_what_it_has_and_the_next_goes_after_it() -> None:
    store = stored([LINES[0], LINES[1]])
    last = sorted(store.objects)[1]
    store.objects[last] = LINES[1][:7], 0.0
    segments = segments_in(store.list())[""]
    assert together(store) == (LINES[0] + LINES[1][:7], [])
    assert end_of(segments) == End(2, len(LINES[0]) + 7)


def test_one_that_was_half_uploaded_in_the_middle_is_filled_up() -> None:
    store = stored([LINES[0], LINES[1], LINES[2]])
    store.objects[sorted(store.objects)[1]] = LINES[1][:7], 0.0
    journal, told = together(store)
    assert len(journal) == sum(map(len, LINES[:3])) and journal.endswith(LINES[2])
    assert len(told) == 1 and "are missing in the store" in told[0]


def test_of_two_that_overlap_the_first_is_taken_and_it_is_told() -> None:
    store = stored([LINES[0], LINES[1]])
    end = End(2, len(LINES[0]) + 3)
    store.write(end.key(""), LINES[1][3:] + LINES[2])
    journal, told = together(store)
    assert journal == b"".join(LINES[:3])
    assert len(told) == 1 and "overlaps" in told[0]


def test_journals_of_several_folders_are_told_apart() -> None:
    store = stored([LINES[0]])
    store.objects |= stored([LINES[1]], "lpc").objects | stored([LINES[2]], "lpc/confirm").objects
    store.write("journal/notes.txt", b"x")
    assert {run: len(found) for run, found in segments_in(store.list()).items()} == {"": 1, "lpc": 1, "lpc/confirm": 1}


def test_two_drivers_that_go_on_from_the_same_journal_need_the_same_key() -> None:
    assert End(11, 4711).key("") == "journal/00000012-000000004711.jsonl"
    assert End(11, 4711).key("lpc") == "lpc/journal/00000012-000000004711.jsonl"


def test_only_whole_lines_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert whole_lines(path, 0) == b""
    path.write_bytes(b"one\ntwo\nthr")
    assert whole_lines(path, 0) == b"one\ntwo\n"
    assert whole_lines(path, 4) == b"two\n"
    assert whole_lines(path, 8) == b""
    assert whole_lines(path, 0, most=2) == b"one\n", "a line that is longer than a segment goes whole"


def test_what_is_decisive(tmp_path: Path) -> None:
    for kind, decisive in (("run_started", True), ("trial_ended", True), ("run_ended", True), ("epoch", False)):
        path = tmp_path / f"{kind}.jsonl"
        with Journal(path) as journal:
            journal.append(kind)
        assert is_decisive(path.read_bytes()) is decisive


def test_journals_in_a_folder(tmp_path: Path) -> None:
    for inside in (".", "lpc", "lpc/confirm", ".hidden"):
        (tmp_path / inside).mkdir(parents=True, exist_ok=True)
        (tmp_path / inside / "journal.jsonl").touch()
    assert sorted(runs_in(tmp_path)) == ["", "lpc", "lpc/confirm"]
