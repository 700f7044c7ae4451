"""Results in a store, read: the one place where an address becomes a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tune_lpc.plan.errors import UserError
from tune_lpc.storage.address import Address, local_copy
from tune_lpc.storage.copying import bring_here
from tune_lpc.storage.lease import LEASE_FILE, seconds_left
from tune_lpc.storage.store import StoreError


def fetched(address: str, say: Callable[[str], None]) -> Path:
    """The local copy of the results at an address, brought up to what is there now, but for checkpoints.

    Raises UserError where there are no results, or where they can't be read.
    """
    from tune_lpc.storage.s3 import S3Store  # raises where botocore is not installed

    store = S3Store(Address.parse(address))
    folder = local_copy(store.address, store.endpoint)
    try:
        found = bring_here(store, folder, say, with_checkpoints=False)
        is_running = seconds_left(store.read(LEASE_FILE)) > 0
    except StoreError as error:
        before = f"; a copy of before is in {folder}" if folder.is_dir() else ""
        raise UserError(f"{error}{before}") from error
    if is_running:
        say(f"a search is running in {store.where}: read is what it has uploaded so far")
    if not found:
        raise UserError(f"{store.where} holds no results; check the path")
    return folder
