"""What a search uploads while it runs, when the store does not answer for a while, and at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.results.runs import Search
from tests.storage.stores import MemoryStore
from tune_lpc.results import export
from tune_lpc.results.manifest import read_manifest
from tune_lpc.storage.copying import bring_here
from tune_lpc.storage.lease import LEASE_FILE, Lease, take
from tune_lpc.storage.uploading import DELAY, Uploader

PATIENCE = 10.0


class Writing:
    """A search that writes to a copy which is uploaded."""

    def __init__(self, store: MemoryStore, folder: Path, seconds: float = 60.0) -> None:
        self.store, self.folder, self.told = store, folder, list[str]()
        self.lease: Lease = take(store, self.told.append, waits=False, seconds=seconds, sleep=lambda _: None)
        found = bring_here(store, folder, self.told.append, with_checkpoints=True)
        self.uploader = Uploader(store, folder, found, self.lease, self.told.append)
        self.search = Search(folder)

    @property
    def journal(self) -> bytes:
        return (self.folder / "journal.jsonl").read_bytes()

    def checkpoint(self, name: str, content: bytes = b"state") -> Path:
        path = self.folder / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def writing(store: MemoryStore, tmp_path: Path) -> Writing:
    return Writing(store, tmp_path / "copy")


def wait_until(holds: Callable[[], bool]) -> float:
    """Seconds until it holds."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < PATIENCE, "it did not come true"
        time.sleep(0.02)
    return time.monotonic() - begin


def test_the_journal_follows_within_seconds_and_decisive_entries_at_once(store: MemoryStore, writing: Writing) -> None:
    with writing.uploader:
        wait_until(lambda: store.journal() == writing.journal)
        trial = writing.search.start()
        writing.search.epoch(trial, 1)
        assert 1.0 < wait_until(lambda: store.journal() == writing.journal) < DELAY + 2.0
        writing.search.epoch(trial, 2)
        writing.search.end(trial)
        assert wait_until(lambda: store.journal() == writing.journal) < DELAY / 2 + 0.5


def test_many_entries_do_not_wait(store: MemoryStore, writing: Writing) -> None:
    with writing.uploader:
        wait_until(lambda: store.journal() == writing.journal)
        trial = writing.search.start()
        for epoch in range(1, 61):
            writing.search.epoch(trial, epoch, budget=100)
        assert wait_until(lambda: store.journal() == writing.journal) < DELAY / 2 + 0.5


def test_no_segment_is_written_twice(store: MemoryStore, writing: Writing) -> None:
    for _ in range(5):
        writing.search.run(writing.search.start(), 4, [0.5, 0.6])
        assert writing.uploader.flush() == ""
    segments = [key for key in store.written if key.startswith("journal/")]
    assert len(segments) == 5 and len(set(segments)) == 5
    assert store.journal() == writing.journal


def test_at_the_end_all_files_are_there_as_they_are_here(store: MemoryStore, writing: Writing) -> None:
    trial = writing.search.start()
    writing.search.run(trial, 4, [0.5, 0.6])
    writing.search.end(trial)
    export(writing.folder)
    (writing.folder / "figures").mkdir()
    (writing.folder / "figures" / "a.svg").write_text("svg")
    (writing.folder / ".hidden.part").write_text("half")
    (writing.folder / "ray.log").touch()
    assert writing.uploader.flush() == ""
    files = {name: data for name, (data, _) in store.objects.items() if not name.startswith("journal/")}
    names = {"trials", "epochs", "best", "rungs", "fidelity", "placements"}
    assert set(files) == {f"{name}.parquet" for name in names} | {"manifest.json", "figures/a.svg", LEASE_FILE}
    for name in set(files) - {LEASE_FILE}:
        assert files[name] == (writing.folder / name).read_bytes()
    assert store.written[-1] == "manifest.json", "it tells of the others, so it comes last"
    before = list(store.written)
    assert writing.uploader.flush() == "" and store.written == before, "what is there is not written again"


def test_what_is_fetched_elsewhere_is_the_same_search(store: MemoryStore, writing: Writing, tmp_path: Path) -> None:
    trial = writing.search.start()
    writing.search.run(trial, 4, [0.5, 0.6])
    export(writing.folder)
    writing.uploader.flush()
    bring_here(store, tmp_path / "elsewhere", writing.told.append, with_checkpoints=True)
    assert (tmp_path / "elsewhere" / "journal.jsonl").read_bytes() == writing.journal
    assert read_manifest(tmp_path / "elsewhere") == read_manifest(writing.folder)


def test_the_newest_checkpoint_of_each_trial_is_there_and_never_without_its_journal(
    store: MemoryStore, writing: Writing
) -> None:
    writing.search.start()
    old = writing.checkpoint("0/000004-000001-0a.pt")
    writing.checkpoint("1/000004-000001-0b.pt")
    writing.uploader.flush()
    new = writing.checkpoint("0/000004-000002-0c.pt")
    writing.search.epoch("t000", 2)
    writing.uploader.flush()
    kept = {key for key in store.objects if key.startswith("checkpoints/")}
    assert kept == {"checkpoints/0/000004-000002-0c.pt", "checkpoints/1/000004-000001-0b.pt"}
    at = store.written.index("checkpoints/0/000004-000002-0c.pt")
    assert store.written[at - 1].startswith("journal/"), "first the epochs that it goes on from"
    old.unlink(), new.unlink()
    writing.uploader.flush()
    assert {key for key in store.objects if key.startswith("checkpoints/")} == {"checkpoints/1/000004-000001-0b.pt"}


def test_a_store_that_does_not_answer_is_told_once_and_gets_everything_when_it_is_back(
    store: MemoryStore, writing: Writing
) -> None:
    with writing.uploader:
        wait_until(lambda: store.journal() == writing.journal)
        store.is_down = True
        trial = writing.search.start()
        writing.search.epoch(trial, 1)
        wait_until(lambda: bool(writing.told))
        writing.search.end(trial)
        time.sleep(1.2)  # several tries
        assert writing.told == [
            "s3://bucket/path can't be reached; the search goes on, and what it writes is uploaded later"
        ]
        store.is_down = False
        wait_until(lambda: store.journal() == writing.journal)
        wait_until(lambda: len(writing.told) == 2)
        assert writing.told[1] == "s3://bucket/path can be reached again"


def test_at_the_end_a_store_that_does_not_answer_is_told(store: MemoryStore, writing: Writing) -> None:
    store.is_down = True
    assert writing.uploader.flush(patience=0.0) == "s3://bucket/path can't be reached"
    store.is_down = False
    assert writing.uploader.flush(patience=0.0) == ""


def test_who_is_in_haste_tries_once_and_not_at_all_where_the_last_try_failed(
    store: MemoryStore, writing: Writing
) -> None:
    writing.search.start()
    assert writing.uploader.flush(in_haste=True) == "" and store.journal() == writing.journal
    writing.search.start()
    store.is_down = True
    assert writing.uploader.flush(in_haste=True) == "s3://bucket/path can't be reached"
    store.is_down = False
    assert writing.uploader.flush(in_haste=True) == writing.uploader.trouble != ""
    assert writing.uploader.flush() == writing.uploader.trouble == ""


def test_a_store_that_hangs_does_not_hold_the_end_up(
    store: MemoryStore, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_lpc.storage.uploading.IN_HASTE", 0.3)
    hangs = threading.Event()
    create = store.create
    monkeypatch.setattr(store, "create", lambda key, data: hangs.wait(20.0) and create(key, data))
    begin = time.monotonic()
    with writing.uploader:
        time.sleep(3.5)  # both threads wait for an answer
        assert writing.uploader.flush(in_haste=True) == "s3://bucket/path took too long to answer"
    assert time.monotonic() - begin < 6.0
    hangs.set()


def test_a_segment_whose_answer_was_lost_is_there_once(store: MemoryStore, writing: Writing) -> None:
    store.loses_answers = True
    writing.search.start()
    assert writing.uploader.flush(patience=0.0) != ""
    store.loses_answers = False
    writing.search.start()
    assert writing.uploader.flush() == ""
    assert store.journal() == writing.journal


def test_who_writes_where_another_has_written_uploads_nothing_more(store: MemoryStore, writing: Writing) -> None:
    writing.uploader.flush()
    key = f"journal/00000002-{len(writing.journal):012d}.jsonl"
    store.write(key, b"of another search\n")
    writing.search.start()
    (writing.folder / "report.html").write_text("mine")
    assert f"{key} is not of this one" in writing.uploader.flush()
    assert store.objects[key][0] == b"of another search\n" and "report.html" not in store.objects


def test_who_has_lost_the_lease_stops_and_says_so(store: MemoryStore, tmp_path: Path) -> None:
    writing = Writing(store, tmp_path / "copy", seconds=0.5)
    writing.uploader.flush()
    store.now = 61.0
    take(store, lambda line: None, waits=False, seconds=60.0, sleep=lambda seconds: None)
    with writing.uploader:
        wait_until(lambda: bool(writing.uploader.lost))
        before = list(store.written)
        writing.search.end(writing.search.start())
        time.sleep(1.0)
    assert store.written == before
    assert len(writing.told) == 1 and "another search has taken over s3://bucket/path" in writing.told[0]
    assert "nothing more is uploaded" in writing.told[0]
    assert "another search has taken over" in writing.uploader.flush()


def test_the_lease_is_renewed_meanwhile(store: MemoryStore, tmp_path: Path) -> None:
    writing = Writing(store, tmp_path / "copy", seconds=1.0)
    with writing.uploader:
        first = store.objects[LEASE_FILE]
        wait_until(lambda: store.objects[LEASE_FILE] != first)


def test_a_second_session_goes_on_where_the_first_ended(store: MemoryStore, writing: Writing, tmp_path: Path) -> None:
    writing.search.start()
    writing.uploader.flush()
    writing.lease.release()
    writing.search.journal.close()
    second = Writing(store, tmp_path / "elsewhere")
    second.search.start()
    assert second.uploader.flush() == ""
    assert store.journal() == second.journal and second.journal.startswith(writing.journal)
