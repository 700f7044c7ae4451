"""A journal that can't be written for a while: the search waits, and nothing is missing in the middle."""

from __future__ import annotations

from tests.engine.searches import Search
from tune_lpc.results.events import RunEnded, Status, TrialEnded, TrialStarted

STARTED = TrialStarted("trial-00000", 0, {"epochs": 9})
ENDED = TrialEnded("trial-00000", Status.COMPLETED, "trained all 9 epochs")
INTERRUPTED = RunEnded("interrupted", "SIGINT")


def test_the_search_waits_for_the_journal_and_no_entry_is_lost(search: Search) -> None:
    search.journal.failures = 5
    assert search.log.write(STARTED)
    assert search.log.write(ENDED)
    assert search.kinds() == ["trial_started", "trial_ended"]
    paused, goes_on = search.view.pauses
    assert paused == (
        f"{search.journal.path} can't be written (No space left on device); "
        "the search waits: free space, or end it with Ctrl-C and resume it later"
    )
    assert goes_on is None
    assert search.interrupt.requested is None


def test_once_given_up_nothing_later_is_written_so_that_there_is_no_gap(search: Search) -> None:
    def give_up() -> None:
        search.interrupt.requested = "SIGINT"

    search.view.at_pause = give_up
    search.journal.failures = None
    assert not search.log.write(STARTED)
    search.journal.failures = 0  # there is room again
    assert not search.log.write(ENDED)
    assert not search.log.write(INTERRUPTED)
    assert search.kinds() == []


def test_what_could_not_be_written_did_not_happen_and_a_resume_goes_on_from_there(search: Search) -> None:
    def give_up() -> None:
        search.interrupt.requested = "SIGINT"

    trial, folder = search.start(), search.checkpoint(0)
    search.view.at_pause = give_up
    search.journal.failures = None
    for epoch in range(1, 10):
        search.epoch(trial, epoch)
    search.complete(trial)
    unheard = search.suggest()
    search.callback.on_trial_start(0, [], unheard)
    search.epoch(unheard, 1)
    search.callback.on_trial_recover(0, [], unheard)  # its worker ends with the search
    search.callback.on_trial_error(0, [], unheard)
    assert search.kinds() == ["trial_started"]
    assert search.director.ledger.trials["trial-00000"].epochs_trained == 0
    assert len(search.director.ledger.trials) == 1
    assert [event.kind for event in search.view.events] == ["trial_started"]
    assert folder.exists(), "after a resume it is gone on from here"


def test_asked_to_end_before_the_journal_fails_it_does_not_wait(search: Search) -> None:
    search.interrupt.requested = "SIGTERM"
    search.journal.failures = 2
    assert not search.log.write(STARTED)
    assert not search.log.write(ENDED)
    assert search.journal.failures == 1
    assert search.kinds() == []
    assert search.view.pauses == []


def test_a_wait_is_told_on_the_terminal_and_in_the_journal(search: Search) -> None:
    answers = iter([False, False, True])
    search.log.wait_until(lambda: next(answers), "the disk is full")
    assert [(entry["kind"], entry["reason"]) for entry in search.entries()] == [
        ("paused", "the disk is full"),
        ("continued", "the disk is full"),
    ]
    assert next(answers, "all asked") == "all asked"
    paused, goes_on = search.view.pauses
    assert paused is not None and paused.startswith("the disk is full; the search waits")
    assert goes_on is None


def test_a_wait_ends_when_the_search_is_asked_to_end(search: Search) -> None:
    def never() -> bool:
        search.interrupt.requested = "SIGINT"
        return False

    search.log.wait_until(never, "the disk is full")
    assert search.kinds() == ["paused"]
    assert len(search.view.pauses) == 1, "nobody says that it goes on"
    assert search.log.write(INTERRUPTED)
    assert search.kinds() == ["paused", "run_ended"], "the journal itself could be written"
