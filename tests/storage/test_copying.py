"""The local copy of stored results: brought up to the store, and never at the cost of what only the copy has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.stores import MemoryStore
from tests.storage.test_segments import LINES, stored
from tune_lpc.plan.errors import UserError
from tune_lpc.results.journal import Journal
from tune_lpc.storage.copying import bring_here
from tune_lpc.storage.segments import end_of, segments_in

JOURNAL = "journal.jsonl"


class Copy:
    """A copy in a folder, and what was told about it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told = folder, list[str]()

    def bring(self, store: MemoryStore, *, with_checkpoints: bool = True) -> None:
        self.told.clear()
        bring_here(store, self.folder, self.told.append, with_checkpoints=with_checkpoints)

    @property
    def journal(self) -> bytes:
        return (self.folder / JOURNAL).read_bytes()

    def add(self, lines: bytes) -> None:
        """What a search writes here."""
        with (self.folder / JOURNAL).open("ab") as file:
            file.write(lines)

    def asides(self) -> list[Path]:
        return sorted(self.folder.parent.glob("*.aside-*"))


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "cache" / "copy")


def add_segment(store: MemoryStore, lines: bytes) -> None:
    store.write(end_of(segments_in(store.list()).get("", [])).key(""), lines)


def test_everything_comes_to_another_machine(copy: Copy) -> None:
    store = stored([LINES[0], LINES[1] + LINES[2]])
    files = {
        "run.json": b"{}",
        "report.html": b"page",
        "figures/a.svg": b"svg",
        "checkpoints/3/000004-000002-0a.pt": b"c",
    }
    for name, content in files.items():
        store.write(name, content)
    store.write("lease.json", b"{}")
    copy.bring(store)
    assert copy.journal == b"".join(LINES[:3])
    assert {name: (copy.folder / name).read_bytes() for name in files} == files
    assert not (copy.folder / "lease.json").exists() and copy.told == []


def test_readers_leave_checkpoints_where_they_are(copy: Copy) -> None:
    store = stored([LINES[0]])
    store.write("checkpoints/3/000004-000002-0a.pt", b"c")
    copy.bring(store, with_checkpoints=False)
    assert not (copy.folder / "checkpoints").exists()


def test_only_what_is_new_is_read_again(copy: Copy) -> None:
    store = stored([LINES[0], LINES[1]])
    store.write("run.json", b"{}")
    copy.bring(store)
    add_segment(store, LINES[2])
    store.write("best.parquet", b"best")
    asked: list[str] = []
    read = store.read
    store.read = lambda key: asked.append(key) or read(key)  # type: ignore[method-assign, func-returns-value]
    copy.bring(store)
    assert copy.journal == b"".join(LINES[:3])
    assert sorted(asked) == ["best.parquet", f"journal/00000003-{len(LINES[0] + LINES[1]):012d}.jsonl"]


def test_entries_that_only_the_copy_has_are_kept(copy: Copy) -> None:
    store = stored([LINES[0]])
    copy.bring(store)
    copy.add(LINES[1] + LINES[2][:5])
    copy.bring(store)
    assert copy.journal == LINES[0] + LINES[1] + LINES[2][:5]
    add_segment(store, LINES[1])
    copy.bring(store)
    assert copy.journal == LINES[0] + LINES[1] + LINES[2][:5]
    add_segment(store, LINES[2] + LINES[3])
    copy.bring(store)
    assert copy.journal == b"".join(LINES[:4]) and copy.told == [] and copy.asides() == []


def test_where_both_have_other_entries_the_store_is_right_and_the_copy_is_set_aside(copy: Copy) -> None:
    store = stored([LINES[0]])
    copy.bring(store)
    copy.add(LINES[1])
    (copy.folder / "confirm").mkdir()
    (copy.folder / "confirm" / "journal.jsonl").write_bytes(b"mine\n")
    add_segment(store, LINES[2])
    copy.bring(store)
    assert copy.journal == LINES[0] + LINES[2]
    (aside,) = copy.asides()
    assert (aside / JOURNAL).read_bytes() == LINES[0] + LINES[1]
    assert (aside / "confirm" / "journal.jsonl").read_bytes() == b"mine\n"
    assert len(copy.told) == 1 and str(aside) in copy.told[0]


def test_a_copy_of_results_that_were_removed_from_the_store_is_set_aside(copy: Copy) -> None:
    copy.bring(stored([LINES[0]]))
    copy.bring(MemoryStore())
    assert not (copy.folder / JOURNAL).exists() and len(copy.asides()) == 1


def test_what_was_never_uploaded_stays(copy: Copy) -> None:
    copy.bring(MemoryStore())
    copy.add(LINES[0])
    copy.bring(MemoryStore())
    assert copy.journal == LINES[0] and copy.told == []


def test_without_its_index_the_copy_is_compared_by_content(copy: Copy) -> None:
    store = stored([LINES[0], LINES[1]])
    store.write("run.json", b"{}")
    copy.bring(store)
    (copy.folder / ".stored.json").write_bytes(b"damaged")
    copy.add(LINES[2])
    copy.bring(store)
    assert copy.journal == b"".join(LINES[:3]) and copy.told == [] and not list(copy.folder.glob("*.aside-*"))


def test_a_file_that_both_have_changed_is_kept_beside_unless_it_can_be_made_again(copy: Copy) -> None:
    store = stored([LINES[0]])
    for name in ("run.json", "best.parquet"):
        store.write(name, b"first")
    copy.bring(store)
    for name in ("run.json", "best.parquet"):
        (copy.folder / name).write_bytes(b"of this machine")
        store.write(name, b"of the other")
    copy.bring(store)
    assert (copy.folder / "run.json").read_bytes() == (copy.folder / "best.parquet").read_bytes() == b"of the other"
    assert [path.name for path in copy.folder.glob("*.aside-*")] == ["run.json.aside-1"]
    assert (copy.folder / "run.json.aside-1").read_bytes() == b"of this machine"
    assert len(copy.told) == 1 and "run.json.aside-1" in copy.told[0]


def test_a_file_that_only_the_copy_has_changed_stays(copy: Copy) -> None:
    store = stored([LINES[0]])
    store.write("run.json", b"first")
    copy.bring(store)
    (copy.folder / "run.json").write_bytes(b"of this machine")
    copy.bring(store)
    assert (copy.folder / "run.json").read_bytes() == b"of this machine"


def test_damage_is_told_and_the_rest_is_used(copy: Copy) -> None:
    store = stored([LINES[0], LINES[1], LINES[2]])
    del store.objects[sorted(store.objects)[1]]
    copy.bring(store)
    assert copy.journal.startswith(LINES[0]) and copy.journal.endswith(LINES[2])
    assert len(copy.told) == 1 and copy.told[0].startswith("damaged: journal/00000003")


def test_an_altered_journal_of_the_copy_does_not_count_as_the_same(copy: Copy) -> None:
    store = stored([LINES[0], LINES[1]])
    copy.bring(store)
    (copy.folder / JOURNAL).write_bytes(LINES[0].upper() + LINES[1])
    copy.bring(store)
    assert copy.journal == LINES[0] + LINES[1] and len(copy.asides()) == 1


def test_a_copy_that_a_search_writes_is_left_as_it_is(copy: Copy) -> None:
    store = stored([LINES[0]])
    copy.bring(store)
    with Journal(copy.folder / JOURNAL) as journal:
        add_segment(store, LINES[1])
        copy.bring(store)
        assert copy.journal == LINES[0]
        journal.close()
    copy.bring(store)
    assert copy.journal == LINES[0] + LINES[1]


@pytest.mark.parametrize("key", ["../outside", "/outside", "a/../../outside", ".stored.json", "a/.hidden"])
def test_no_object_is_written_outside_the_copy_or_over_what_is_hidden(copy: Copy, key: str) -> None:
    store = stored([LINES[0]])
    store.write(key, b"evil")
    copy.bring(store)
    found = [path for path in copy.folder.parent.parent.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]
    assert found == [] and not Path("/outside").exists()


def test_a_copy_of_another_address_is_refused(copy: Copy) -> None:
    store = stored([LINES[0]])
    copy.bring(store)
    store.where = "s3://bucket/other"
    with pytest.raises(UserError, match="is the copy of s3://bucket/path, not of s3://bucket/other"):
        copy.bring(store)


def test_a_folder_that_can_t_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="the local copy of s3://bucket/path can't be written"):
        Copy(tmp_path / "file" / "copy").bring(stored([LINES[0]]))
