"""Searches whose results go to an object store: what comes before, and what is told at their end."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tune_lpc.cli.terminal import print_lines
from tune_lpc.plan.errors import UserError
from tune_lpc.results.journal import JOURNAL_FILE, journal_in_use
from tune_lpc.storage.address import Address, local_copy
from tune_lpc.storage.copying import bring_here
from tune_lpc.storage.index import INDEX_FILE
from tune_lpc.storage.lease import Lease, take
from tune_lpc.storage.segments import runs_in
from tune_lpc.storage.store import Found, Store, StoreError
from tune_lpc.storage.uploading import Uploader

if TYPE_CHECKING:
    from tune_lpc.engine.request import Outcome, Request

Searches = Generator[tuple["Request", "Outcome"]]
INTERRUPTED = 128
"""Exit statuses from here on tell of a signal."""
_NONE = ".none"
"""No object has this key: removing it shows whether objects may be removed."""


def searches_stored(
    address: str,
    given: str | None,
    console: Console,
    search: Callable[[Path, Uploader], Searches],
    *,
    resume: bool,
) -> Searches:
    """Run the searches that `search` makes, given the local copy and what uploads it; outcomes tell of the uploads.

    given: a folder for the copy, None for that of the cache. Raises UserError before anything begins.
    """
    with opened(address, given, console, resume=resume) as uploader, closing(search(uploader.folder, uploader)) as each:
        for request, outcome in each:
            problem = uploader.flush(in_haste=outcome.exit_status >= INTERRUPTED)
            if problem:
                mend = f"all of it is in {uploader.folder}; upload it with: {upload_command(address, given)}"
                told = f"not everything was uploaded: {problem}; {mend}"
                message = "\n".join(filter(None, (outcome.message, told)))
                outcome = dataclasses.replace(outcome, exit_status=outcome.exit_status or 1, message=message)
            else:
                print_lines(console, [f"uploaded to {address}"])
            yield request, outcome


def upload_again(addresses: Iterable[str], console: Console) -> None:
    """Upload what a command has written into the copies of stored results. Raises UserError with all that is not there.

    Nothing is lost then: the lines tell how to upload it later.
    """
    problems = []
    for address in addresses:
        try:
            with opened(address, None, console, resume=True) as uploader:
                problem = uploader.flush()
        except UserError as error:
            problem = "; ".join(error.problems)
        if problem:
            problems.append(f"not uploaded: {problem}; upload it with: {upload_command(address, None)}")
        else:
            print_lines(console, [f"uploaded to {address}"])
    if problems:
        raise UserError(problems)


def upload_command(address: str, given: str | None) -> str:
    """What uploads the rest. given: the folder of the copy, where that is not in the cache."""
    option = [] if given is None else ["--local-copy", given]
    return shlex.join(["python", "-m", "tune_lpc.upload", address, *option])


@contextmanager
def opened(address: str, given: str | None, console: Console, *, resume: bool) -> Iterator[Uploader]:
    """Take an address for this process, bring its results here, and upload what changes, until the context ends.

    Raises UserError where it can't be written, where a search is running there, and without `resume` where it holds a
    run already.
    """
    from tune_lpc.storage.s3 import S3Store  # raises where botocore is not installed

    def say(line: str) -> None:
        print_lines(console, [line])

    store = S3Store(Address.parse(address))
    folder = local_copy(store.address, store.endpoint) if given is None else Path(given).absolute()
    _check_folder(store, folder)
    try:
        store.list()
        store.remove(_NONE)
        # What uploads tries again itself, and must not hang at the end.
        hasty = S3Store(store.address, tries=1)
        lease = take(hasty, say, waits=resume)
    except StoreError as error:
        raise UserError(str(error)) from error
    is_gone = False
    try:
        if not lease.is_safe:
            say(f"note: {store.where} knows no conditional writes, so see to it that no second search runs there")
        try:
            if not resume:
                _refuse_run(store, store.list())
            with lease.kept():
                found = bring_here(store, folder, say, with_checkpoints=True)
        except StoreError as error:
            raise UserError(str(error)) from error
        say(f"results go to {store.where}; their local copy, with the journal, is {folder}")
        with Uploader(hasty, folder, found, lease, say) as uploader:
            yield uploader
            is_gone = bool(uploader.trouble)
    finally:
        _release(lease, store, say, is_gone=is_gone)


def _check_folder(store: Store, folder: Path) -> None:
    """Raise UserError where a folder is none for the copy: whatever is in there would be uploaded."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the local copy can't be in {folder}, which is a file; choose a folder with --local-copy")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INDEX_FILE).exists():
        raise UserError(
            f"the local copy of {store.where} can't be in {folder}, which holds other files; choose a new folder with "
            "--local-copy"
        )
    if folder.is_dir() and any(journal_in_use(folder / run / JOURNAL_FILE) for run in runs_in(folder)):
        raise UserError(f"a search is running in {store.where}, from this machine; wait for it, or end it first")


def _refuse_run(store: Store, found: list[Found]) -> None:
    if any(each.key.rpartition("/")[2] == "run.json" or "journal/" in each.key for each in found):
        raise UserError(
            f"{store.where} already holds a run; go on with it with --resume, choose another address with --out, or "
            "remove it"
        )


def _release(lease: Lease, store: Store, say: Callable[[str], None], *, is_gone: bool) -> None:
    try:
        if not is_gone:
            lease.release()
    except StoreError:
        is_gone = True
    if is_gone:
        say(f"note: the lease of {store.where} could not be given back; it ends by itself within a minute")
