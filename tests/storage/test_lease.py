"""The lease of an address: one driver at a time, also where one was killed or can't reach the store for a while."""

from __future__ import annotations

import json
import time

import pytest

from tests.storage.stores import MemoryStore
from tune_lpc.plan.errors import UserError
from tune_lpc.storage.lease import LEASE_FILE, Lease, LeaseLost, take
from tune_lpc.storage.store import StoreError


def taken(store: MemoryStore, *, waits: bool = False, lines: list[str] | None = None) -> Lease:
    """The lease, where waiting moves the clock of the store on."""

    def sleep(seconds: float) -> None:
        store.now += seconds

    return take(store, (lines if lines is not None else []).append, waits=waits, seconds=60.0, sleep=sleep)


def test_a_second_driver_is_refused_in_a_line_that_names_the_first(store: MemoryStore) -> None:
    taken(store)
    store.now = 20.0
    with pytest.raises(UserError) as refused:
        taken(store)
    (line,) = refused.value.problems
    about = json.loads(store.objects[LEASE_FILE][0])
    assert line.startswith(f"a search is running in s3://bucket/path, on {about['host']} (process {about['pid']})")
    assert "its lease ends in 40 s" in line


def test_a_lease_holds_no_credentials(store: MemoryStore) -> None:
    taken(store)
    about = json.loads(store.objects[LEASE_FILE][0])
    assert set(about) == {"owner", "host", "pid", "seconds", "expires", "renewal"}


def test_a_renewed_one_lasts(store: MemoryStore) -> None:
    lease = taken(store)
    for now in (50.0, 100.0, 150.0):
        store.now = now
        lease.renew()
    store.now = 200.0
    with pytest.raises(UserError, match="its lease ends in 10 s"):
        taken(store)


def test_an_expired_one_is_taken_over_and_the_first_hears_of_it(store: MemoryStore) -> None:
    first = taken(store)
    store.now = 61.0
    second = taken(store)
    with pytest.raises(LeaseLost, match="another search has taken over s3://bucket/path"):
        first.renew()
    second.renew()


def test_resume_waits_for_the_end_of_one_that_nobody_renews_and_tells_how_long(store: MemoryStore) -> None:
    taken(store)
    store.now = 20.0
    lines: list[str] = []
    taken(store, waits=True, lines=lines).renew()
    assert 60.0 <= store.now <= 64.0
    assert len(lines) == 1 and "this search goes on in 40 s" in lines[0]


def test_resume_is_refused_as_soon_as_the_first_renews(store: MemoryStore) -> None:
    first = taken(store)

    def sleep(seconds: float) -> None:
        store.now += seconds
        if store.now >= 10.0:
            first.renew()

    with pytest.raises(UserError, match="a search is running"):
        take(store, lambda line: None, waits=True, seconds=60.0, sleep=sleep)
    assert store.now < 15.0


def test_it_is_kept_while_something_else_takes_long(store: MemoryStore) -> None:
    lease = take(store, lambda line: None, waits=False, seconds=0.2)
    first = store.objects[LEASE_FILE]
    with lease.kept():
        time.sleep(0.3)
        assert store.objects[LEASE_FILE] != first
        store.is_down = True
        time.sleep(0.1)
        store.is_down = False
    lease.renew()


def test_one_that_was_given_back_is_free(store: MemoryStore) -> None:
    taken(store).release()
    assert LEASE_FILE not in store.objects
    taken(store)


def test_who_has_lost_it_does_not_give_it_back(store: MemoryStore) -> None:
    first = taken(store)
    store.now = 61.0
    second = taken(store)
    first.release()
    second.renew()


def test_of_two_that_take_an_expired_one_at_once_one_gets_it(store: MemoryStore) -> None:
    taken(store)
    store.now = 61.0
    stale = store.read(LEASE_FILE)
    taken(store)
    store.now = 61.5
    read, store.read = store.read, lambda key: stale  # type: ignore[method-assign]  # what the other saw before
    with pytest.raises(UserError, match="a search is running"):
        taken(store)
    store.read = read  # type: ignore[method-assign]


def test_a_renewal_whose_answer_is_lost_is_none_that_another_made(store: MemoryStore) -> None:
    lease = taken(store)
    store.loses_answers = True
    with pytest.raises(StoreError):
        lease.renew()
    store.loses_answers = False
    lease.renew()


def test_one_that_somebody_removed_is_made_again(store: MemoryStore) -> None:
    lease = taken(store)
    del store.objects[LEASE_FILE]
    lease.renew()
    assert LEASE_FILE in store.objects


def test_after_an_outage_longer_than_the_lease_it_is_still_held_if_nobody_took_it(store: MemoryStore) -> None:
    lease = taken(store)
    store.is_down = True
    with pytest.raises(StoreError):
        lease.renew()
    store.is_down, store.now = False, 500.0
    lease.renew()
    with pytest.raises(UserError):
        taken(store)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"seconds": "long"}', b"\xff"])
def test_a_damaged_one_is_free(store: MemoryStore, content: bytes) -> None:
    store.objects[LEASE_FILE] = content, 0.0
    taken(store).renew()


def test_a_server_without_conditions_is_noticed_and_its_lease_holds_as_well(store: MemoryStore) -> None:
    store.is_conditional = False
    first = taken(store)
    assert not first.is_safe
    first.renew()
    with pytest.raises(UserError, match="a search is running"):
        taken(store)


def test_without_conditions_the_last_of_two_at_once_gets_it(store: MemoryStore) -> None:
    store.is_conditional = False

    def sleep(seconds: float) -> None:
        store.now += seconds
        store.write(LEASE_FILE, json.dumps({"owner": "other", "host": "h", "pid": 1, "seconds": 60.0}).encode())

    with pytest.raises(UserError, match=r"on h \(process 1\)"):
        take(store, lambda line: None, waits=False, seconds=60.0, sleep=sleep)


def test_without_conditions_a_renewal_sees_that_another_has_it(store: MemoryStore) -> None:
    store.is_conditional = False
    first = taken(store)
    store.now = 100.0
    taken(store)
    with pytest.raises(LeaseLost):
        first.renew()
