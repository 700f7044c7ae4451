"""Results at an address: which commands take one, what is refused before anything is trained, and a whole search."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tune_lpc
from tests.commands import ONE_SEED, refused, space_file
from tests.pages.made import made_run
from tests.storage.stores import MemoryStore, Server, server_in_the_environment
from tune_lpc import check, compare, confirm, report, run, train, upload
from tune_lpc.plan import UserError
from tune_lpc.results import read_journal
from tune_lpc.storage.address import Address, local_copy
from tune_lpc.storage.lease import LEASE_FILE
from tune_lpc.storage.s3 import S3Store
from tune_lpc.storage.segments import End
from tune_lpc.storage.uploading import Uploader

ADDRESS = "s3://bucket/run"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server that stands in for S3, named in the environment, with a cache of the test's own."""
    with server_in_the_environment(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search in a folder."""
    return made_run(tmp_path_factory.mktemp("runs") / "run", 12, control=2)


@pytest.fixture
def stored(server: Server, made: Path) -> MemoryStore:
    """The bucket, with that search."""
    store = S3Store(Address.parse(ADDRESS))
    for path in made.rglob("*"):
        if path.is_file() and path.name != "journal.jsonl":
            store.write(str(path.relative_to(made)), path.read_bytes())
    lines, end = (made / "journal.jsonl").read_bytes().splitlines(keepends=True), End()
    for start in range(0, len(lines), 7):
        part = b"".join(lines[start : start + 7])
        store.create(end.key(""), part)
        end = end.after(len(part))
    return server.buckets["bucket"]


def copy_of(address: str, server: Server) -> Path:
    return local_copy(Address.parse(address), server.address)


def hold_lease(store: MemoryStore) -> None:
    content = {"owner": "o", "host": "elsewhere", "pid": 7, "seconds": 60.0}
    store.objects[f"run/{LEASE_FILE}"] = json.dumps(content).encode(), time.time()


# Reading


def test_check_reads_the_copy(server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([ADDRESS]) == 0
    copy = copy_of(ADDRESS, server)
    assert capsys.readouterr().out.splitlines() == [
        f"{ADDRESS} is read from its copy in {copy}",
        f"{copy}: all files are whole",
    ]


def test_check_finds_a_missing_segment(server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    del stored.objects[sorted(key for key in stored.objects if "/journal/" in key)[2]]
    lines = refused_by(check.main, [ADDRESS], capsys)
    assert any("journal.jsonl: line 15 is damaged" in line for line in lines)


def test_report_of_a_running_search_says_so_and_writes_its_page_into_the_copy(
    server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_lease(stored)
    before = dict(stored.objects)
    assert report.main([ADDRESS, "--no-figures"]) == 0
    assert f"a search is running in {ADDRESS}: read is what it has uploaded so far" in capsys.readouterr().out
    assert (copy_of(ADDRESS, server) / "report.html").is_file()
    assert stored.objects == before, "who reads writes nothing"


def test_the_other_readers_look_into_the_copy(
    server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = str(copy_of(ADDRESS, server))
    assert copy in refused_by(train.main, [ADDRESS, "--rank", "999"], capsys)[0]
    assert copy in refused_by(compare.main, [ADDRESS], capsys)[0]
    assert copy in refused_by(confirm.main, [ADDRESS, "--top", "1"], capsys)[0]
    with pytest.raises(UserError, match="confirm"):
        tune_lpc.load(ADDRESS)


def test_all_addresses_that_can_t_be_read_are_told_at_once(
    server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refused_by(report.main, ["s3://bucket/none", "gs://b/x", "s3://other/x"], capsys)
    assert lines == [
        "error: s3://bucket/none holds no results; check the path",
        "error: 'gs://b/x' is of a kind that is not known; give s3://BUCKET/PATH, or a folder",
        f"error: s3://other/x: there is no such bucket; make it, or check the name ({server.address})",
    ]


def test_the_copy_of_before_is_named_when_the_store_can_t_be_reached(
    server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([ADDRESS]) == 0
    server.refusal = 503, "SlowDown"
    (line,) = refused_by(check.main, [ADDRESS], capsys)
    assert line.endswith(f"a copy of before is in {copy_of(ADDRESS, server)}")


def refused_by(main: object, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert callable(main) and main(arguments) == 2
    return capsys.readouterr().err.splitlines()


# Refused before anything begins


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "SignatureDoesNotMatch", "the secret does not fit the access key"),
        (403, "AccessDenied", "permission denied"),
        (404, "NoSuchBucket", "there is no such bucket"),
    ],
)
def test_what_the_server_refuses(
    server: Server, capsys: pytest.CaptureFixture[str], status: int, code: str, told: str
) -> None:
    server.refusal = status, code
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert line.startswith(f"error: {ADDRESS}: {told}") and "very-secret" not in line
    assert server.buckets["bucket"].objects == {} and not copy_of(ADDRESS, server).exists()


def test_who_may_only_read(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.refused_commands = {"PUT", "DELETE"}
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert "permission denied: these credentials may not remove objects there" in line
    server.refused_commands = {"PUT"}
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert "permission denied: these credentials may not write objects there" in line


def test_a_dead_endpoint(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert line.startswith(f"error: {ADDRESS} can't be reached: http://127.0.0.1:1 does not answer")


def test_wrong_options_are_told_together_without_asking_the_server(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refusal = 403, "AccessDenied"
    lines = refused(["digits", "--out", "s3://B/x", "--trials", "none"], capsys)
    assert len(lines) == 2 and "--trials" in lines[0] and "the name of the bucket is 'B'" in lines[1]
    (line,) = refused(["digits", "--out", "results/x", "--local-copy", "y"], capsys)
    assert "--local-copy is for results at an address" in line


def test_an_address_that_holds_a_run(server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(stored.objects)
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert line.startswith(f"error: {ADDRESS} already holds a run; go on with it with --resume")
    assert stored.objects == before


def test_a_second_driver(server: Server, stored: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    hold_lease(stored)
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert line.startswith(f"error: a search is running in {ADDRESS}, on elsewhere (process 7)")
    assert f"run/{LEASE_FILE}" in stored.objects, "it stays the other's"


def test_a_folder_with_other_files_is_no_place_for_the_copy(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "private.txt").write_text("mine")
    (line,) = refused(["digits", "--out", ADDRESS, "--local-copy", str(tmp_path)], capsys)
    assert "which holds other files" in line and server.buckets["bucket"].objects == {}


def test_botocore_is_named_where_it_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.delitem(sys.modules, "tune_lpc.storage.s3", raising=False)
    for name in [name for name in sys.modules if name.startswith("botocore.")]:
        monkeypatch.delitem(sys.modules, name)
    (line,) = refused(["digits", "--out", ADDRESS], capsys)
    assert line == "error: results at s3:// need botocore; install it: pip install 'tune_lpc[s3]'"


def test_nothing_of_it_is_loaded_for_a_folder(made: Path) -> None:
    code = f"""
import sys
from tune_lpc import check, compare, report, run, submit, train
import tune_lpc.cli.live, tune_lpc.engine.tuner, tune_lpc.final.network_file
assert check.main([{str(made)!r}]) == 0
print([name for name in sys.modules if name.startswith(("tune_lpc.storage", "tune_lpc.cli.storage", "botocore"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# A search


@pytest.mark.cluster  # as tests/test_stored_seaweed.py, but for a server that can't be had everywhere
@pytest.mark.slow
def test_a_search_goes_on_elsewhere_and_its_end_is_uploaded_later_where_the_store_was_gone(
    server: Server,
    ray_session: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    space = space_file(tmp_path, '"learning_rate": Float(0.02, 0.5, log=True)')
    options = [space, *ONE_SEED, "--out", ADDRESS, "--address", ray_session, "--concurrent", "1"]
    assert run.main(options) == 0
    assert f"uploaded to {ADDRESS}" in capsys.readouterr().out
    bucket = server.buckets["bucket"]
    there = {key.removeprefix("run/") for key in bucket.objects}
    assert {"run.json", "trials.parquet", "best.parquet", "manifest.json", "report.html"} <= there
    assert LEASE_FILE not in there and not any("checkpoints" in key for key in there), "all trials have ended"
    first = copy_of(ADDRESS, server)
    assert b"very-secret" not in b"".join(data for data, _ in bucket.objects.values())

    # Elsewhere, longer, and the store goes when the search is at its end.
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path / "elsewhere"))
    flush = "tune_lpc.storage.uploading.Uploader.flush"

    def gone(uploader: Uploader, **_: object) -> str:
        server.refusal = 503, "ServiceUnavailable"
        return original(uploader, patience=0.0)

    original = Uploader.flush
    monkeypatch.setattr(flush, gone)
    assert run.main([*options, "--resume", "--trials", "3"]) == 1
    error = capsys.readouterr().err
    second = copy_of(ADDRESS, server)
    assert second != first and f"all of it is in {second}" in error
    command = f"python -m tune_lpc.upload {ADDRESS}"
    assert error.strip().endswith(command) and "ServiceUnavailable" in error
    monkeypatch.setattr(flush, original)
    assert upload.main([ADDRESS]) == 2, "the store is still gone"
    assert "ServiceUnavailable" in capsys.readouterr().err
    server.refusal = None
    bucket.objects.pop(f"run/{LEASE_FILE}")  # which the driver could not give back, instead of a minute's wait
    assert upload.main([ADDRESS]) == 0

    journal = b"".join(data for key, (data, _) in sorted(bucket.objects.items()) if "/journal/" in key)
    assert journal == (second / "journal.jsonl").read_bytes()
    assert journal.startswith((first / "journal.jsonl").read_bytes())
    ended = [entry["trial_id"] for entry in read_journal(second / "journal.jsonl")[0] if entry["kind"] == "trial_ended"]
    assert len(ended) == len(set(ended)) == 3, "nothing was trained twice"
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path / "third"))
    assert check.main([ADDRESS]) == 0
