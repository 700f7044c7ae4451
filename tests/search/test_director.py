"""What is decided in a search: nothing is trained here, and no time passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.searches import (
    CLIMB,
    LONG,
    NAN,
    SCORES,
    SHORT,
    SPACE,
    Place,
    Search,
    ends,
    epoch,
    failed,
    placed,
    records,
    scored,
    train,
    whole,
)
from tune_lpc.results.events import (
    EpochDone,
    Event,
    Measured,
    RungDecided,
    Status,
    TrialRestarted,
    TrialStarted,
    trial_id_of,
)
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Verdict
from tune_lpc.search.simulated import simulate
from tune_lpc.search.watch import PREPARING, Watch, first_epoch


@pytest.fixture
def search() -> Search:
    return Search()


# The life of a trial


def test_a_trial_that_is_given_to_a_worker_again_is_noted_once(search: Search) -> None:
    given = search.start()
    search.director.starts(given.number, 1.0)
    (event,) = search.of_kind(TrialStarted)
    assert (event.trial_id, event.number, event.control) == ("trial-00000", 0, False)
    assert event.config == given.spec.as_dict()
    assert (event.config["learning_rate"], event.config["epochs"]) == (0.05, 9)


def test_a_trial_that_was_asked_for_has_not_begun(search: Search) -> None:
    assert search.director.ask(0.0) is not None
    assert search.kinds() == []


def test_the_end_of_a_trial_is_completed_stopped_or_diverged(search: Search) -> None:
    for _ in range(3):
        search.start()
    assert train(search, 0, CLIMB[:-1], 0.5) is Verdict.GOES_ON
    assert train(search, 0, CLIMB[-1:], 0.5) is Verdict.ENDS
    assert train(search, 1, SHORT[:-1], 0.25) is Verdict.GOES_ON
    assert train(search, 1, SHORT[-1:], 0.25) is Verdict.ENDS
    assert train(search, 2, SHORT[:1]) is Verdict.GOES_ON
    assert train(search, 2, SHORT[1:2], None, diverged=NAN) is Verdict.ENDS
    assert ends(search) == {
        0: (Status.COMPLETED, "trained all 9 epochs"),
        1: (Status.STOPPED, "validation_accuracy 0.2500 was number 2 of 2 at the rung of epoch 3"),
        2: (Status.DIVERGED, NAN),
    }


@pytest.mark.parametrize("place", [SHORT[0], SHORT[2], LONG[8]], ids=["between rungs", "at a rung", "at the end"])
def test_a_diverged_trial_ends_as_such_wherever_it_stands(search: Search, place: Place) -> None:
    search.start()
    train(search, 0, CLIMB[: CLIMB.index(place)])
    assert train(search, 0, [place], 0.9, diverged=NAN) is Verdict.ENDS
    assert ends(search) == {0: (Status.DIVERGED, NAN)}


def test_a_truncated_run_is_looked_at_on_its_way() -> None:
    search = Search(replace(SPACE, fidelity_mode="truncated"))
    for number in range(2):
        search.start()
        verdicts = [train(search, number, [place], 0.5 - number / 10) for place in LONG[:3]]
        assert verdicts == [Verdict.GOES_ON, Verdict.GOES_ON, Verdict.ENDS if number else Verdict.GOES_ON]


def test_a_search_without_rungs_trains_every_trial_to_its_end() -> None:
    search = Search(replace(SPACE, fidelity_mode="full", first_rung=None))
    simulate(search.director, scored(search.space, *SCORES[:2], 0.4, *SCORES[3:]))
    assert [status for status, _ in ends(search).values()] == [Status.COMPLETED] * 6
    assert search.of_kind(RungDecided) == []


def test_a_trial_cut_off_by_an_interruption_has_no_end() -> None:
    search = Search()
    simulate(search.director, scored(SPACE, *SCORES), most_events=5)
    assert search.kinds() == ["trial_started", "trial_placed", *["epoch"] * 3, "rung", *["epoch"] * 2]


def test_a_trial_that_fails_before_any_epoch_is_told_whole(search: Search) -> None:
    search.start()
    search.director.told(TrialRestarted(trial_id_of(0), "gone"), 0.0)
    search.director.told(failed(0, "gone"), 0.0)
    assert search.kinds() == ["trial_started", "trial_restarted", "trial_ended"]
    assert ends(search) == {0: (Status.FAILED, "gone")}


def test_all_trials_are_asked_for_and_then_none(search: Search) -> None:
    asked = []
    while (given := search.director.ask(0.0)) is not None:
        asked.append(given.number)
        assert search.director.to_come == 6 - len(asked)
    assert asked == list(range(6))


# The order of what is written


def test_measures_come_before_their_epoch_and_the_look_after_it(search: Search) -> None:
    search.start()
    search.director.told(placed(0), 0.0)
    train(search, 0, CLIMB[:-1])
    search.director.told(Measured(trial_id_of(0), {"nc1": 0.5}, {}), 0.0)
    train(search, 0, CLIMB[-1:])
    climb = [*["epoch"] * 3, "rung", *["epoch"] * 8, "measures", "epoch", "trial_ended"]
    assert search.kinds() == ["trial_started", "trial_placed", *climb]
    assert search.of_kind(RungDecided) == [RungDecided(trial_id_of(0), 3, 0.5, rank=1, of=1, goes_on=True)]
    assert search.ledger.trials[trial_id_of(0)].measures == {"nc1": 0.5}


def test_who_watches_is_told_of_everything_once_the_ledger_has_it() -> None:
    known: list[bool] = []
    watching = Search(watched=lambda event: known.append(getattr(event, "trial_id", "") in watching.ledger.trials))
    watching.start()
    train(watching, 0, SHORT)
    assert known == [True] * 5


def test_what_is_written_is_what_is_watched() -> None:
    search = whole()
    assert search.told == search.log.events[1:]


# Failures of workers


def test_the_epoch_of_a_checkpoint_told_again_is_not_written_twice_but_one_trained_again_is(search: Search) -> None:
    search.start()
    train(search, 0, CLIMB[:4])
    search.director.told(TrialRestarted(trial_id_of(0), "its worker was lost"), 0.0)
    search.director.starts(0, 0.0)
    search.director.told(placed(0, SHORT[1]), 0.0)
    train(search, 0, SHORT[1:2])
    train(search, 0, SHORT[2:], seconds=5.0)
    written = [(event.record["budget"], event.record["epoch"]) for event in search.of_kind(EpochDone)]
    assert written == [*CLIMB[:4], SHORT[2]]
    assert len(search.of_kind(RungDecided)) == len(search.of_kind(TrialStarted)) == 1


def test_a_trial_that_begins_from_scratch_again_has_every_epoch_written_again(search: Search) -> None:
    search.start()
    train(search, 0, SHORT[:2])
    search.director.told(placed(0), 0.0)
    train(search, 0, SHORT[:2], seconds=5.0)
    assert [event.record["epoch"] for event in search.of_kind(EpochDone)] == [1, 2, 1, 2]
    assert search.ledger.trials[trial_id_of(0)].epochs_repeated == 2


def test_the_epoch_of_a_checkpoint_that_nobody_heard_of_is_written(search: Search) -> None:
    search.start()
    train(search, 0, SHORT[:1])
    search.director.told(placed(0, SHORT[1]), 0.0)  # the worker died between writing the checkpoint and telling
    train(search, 0, SHORT[1:2])
    assert [event.record["epoch"] for event in search.of_kind(EpochDone)] == [1, 2]


def test_a_trial_that_comes_to_a_rung_again_hears_the_same_and_does_not_count_twice(search: Search) -> None:
    for _ in range(3):
        search.start()
    train(search, 0, SHORT, 0.1)
    train(search, 1, SHORT, 0.9)
    assert train(search, 0, SHORT[2:], 0.95, seconds=5.0) is Verdict.GOES_ON
    train(search, 2, SHORT, 0.5)
    looks = [(look.trial_id, look.rank, look.of) for look in search.of_kind(RungDecided)]
    assert looks == [(trial_id_of(0), 1, 1), (trial_id_of(1), 1, 2), (trial_id_of(2), 2, 3)]


def test_a_stopped_trial_whose_worker_was_lost_as_it_was_told_stops_when_it_comes_back(search: Search) -> None:
    for number, score in enumerate((0.5, 0.25)):
        search.start()
        train(search, number, SHORT, score)
    search.director.starts(1, 0.0)
    assert train(search, 1, SHORT[2:], 0.25) is Verdict.ENDS


# Failures in a row


def fail_three(search: Search) -> None:
    for number in range(3):
        assert search.director.ends_early is None
        search.start()
        search.director.told(failed(number, f"FileNotFoundError: /data/{number}.png is gone"), 0.0)


def test_failures_in_a_row_for_the_same_reason_end_the_search(search: Search) -> None:
    fail_three(search)
    why = "3 trials in a row failed for the same reason: FileNotFoundError: /data/2.png is gone"
    assert search.director.ends_early == why
    assert search.director.ask(0.0) is None
    assert search.director.to_come == 3


def test_a_trial_that_ends_well_in_between_begins_the_count_again(search: Search) -> None:
    for number, event in enumerate((failed(0, "x"), failed(1, "x"), None, failed(3, "x"), failed(4, "x"))):
        search.start()
        if event is None:
            train(search, number, SHORT[:1], None, diverged=NAN)
        else:
            search.director.told(event, 0.0)
    assert search.director.ends_early is None


def test_one_search_that_ends_early_ends_no_other() -> None:
    one, other = Search(), Search()
    fail_three(one)
    assert one.director.ends_early is not None
    simulate(other.director, scored(SPACE, *SCORES))
    assert other.director.ends_early is None
    assert len(ends(other)) == 6


def test_a_search_that_ended_early_may_be_gone_on_with(search: Search) -> None:
    fail_three(search)
    again = search.again()
    assert (again.director.ends_early, again.director.to_come) == (None, 6)
    assert [again.start().number for _ in range(6)] == list(range(6))


# A journal that can't be written


def test_what_could_not_be_written_has_not_happened(search: Search) -> None:
    search.start()
    train(search, 0, SHORT[:1])
    search.log.fails = True
    assert train(search, 0, SHORT[1:]) is Verdict.GOES_ON
    search.director.told(failed(0, "x"), 0.0)
    assert search.ledger.trials[trial_id_of(0)].position((3, 9)) == SHORT[0]
    assert ends(search) == {} and search.director.ends_early is None
    assert search.told == search.log.events[1:]


@pytest.mark.parametrize(
    "event",
    [
        epoch(0, SHORT[0]),
        epoch(0, SHORT[0], None, diverged=NAN),
        placed(0),
        Measured(trial_id_of(0), {}, {}),
        TrialRestarted(trial_id_of(0), "its worker was lost"),
        failed(0, "x"),
    ],
    ids=["epoch", "diverged", "placed", "measures", "restarted", "failed"],
)
def test_a_trial_whose_very_start_could_not_be_written_does_no_harm(search: Search, event: Event) -> None:
    search.log.fails = True
    search.start()
    search.director.told(event, 0.0)
    search.director.prepared(0, 0.0)
    search.director.measuring(0, 0.0)
    assert (search.kinds(), search.ledger.trials) == ([], {})


# Time


def watched() -> tuple[Search, Watch]:
    watch = Watch(10)
    watch.expect(PREPARING, 100.0)
    return Search(watch=watch), watch


def stuck_at(watch: Watch) -> str:
    """What trial 0 is at."""
    return watch.stuck(1e6)[0].partition(" in ")[0]


def test_the_watch_knows_what_a_trial_is_at() -> None:
    search, watch = watched()
    search.start()
    assert stuck_at(watch) == "no sign of the data"
    search.director.prepared(0, 100.0)
    assert watch.stuck(1e6) == {}, "nobody knows yet how long a first epoch takes"
    now, steps = 100.0, []
    for place in CLIMB[:-1]:
        now += 5
        search.director.told(epoch(0, place), now)
        steps.append(stuck_at(watch))
    short = ["no epoch", "no epoch", "no first epoch"]
    assert steps == [*short, *["no epoch"] * 8]
    search.director.measuring(0, now)
    assert watch.stuck(1e6) == {}, "nor how long the measures take"
    search.director.told(epoch(0, LONG[-1]), now + 50)
    search.start()
    search.director.measuring(1, now)
    assert watch.stuck(now + 1000)[1].startswith("no measures in 1000 s, where one takes")


def test_after_the_epoch_of_a_checkpoint_comes_a_first_one() -> None:
    search, watch = watched()
    search.start()
    train(search, 0, [*SHORT, *LONG[:2]])
    search.director.told(TrialRestarted(trial_id_of(0), "stuck"), 0.0)
    assert watch.stuck(1e6) == {}, "it waits for a worker"
    search.director.starts(0, 0.0)
    assert stuck_at(watch) == "no sign of the data"
    train(search, 0, LONG[1:2])
    assert stuck_at(watch) == "no first epoch"


def test_after_the_checkpoint_of_a_whole_short_run_comes_the_first_epoch_of_the_next() -> None:
    search, watch = watched()
    for budget, seconds in ((3, 40.0), (9, 70.0)):
        watch.expect(first_epoch(budget), seconds)
    search.start()
    train(search, 0, SHORT)
    search.director.starts(0, 0.0)
    train(search, 0, SHORT[2:])
    assert (watch.stuck(700.0), list(watch.stuck(701.0))) == ({}, [0])


@pytest.mark.parametrize("end", [failed(0, "x"), epoch(0, SHORT[0], None, diverged=NAN)], ids=["failed", "diverged"])
def test_a_trial_that_has_ended_is_not_watched(end: Event) -> None:
    search, watch = watched()
    search.start()
    search.director.told(end, 0.0)
    assert watch.stuck(1e6) == {}


def test_the_values_that_are_drawn_are_those_of_the_space(search: Search) -> None:
    given: list[Assignment] = [search.start() for _ in range(6)]
    assert given[0].drawn == SPACE.first[0]
    assert [one.spec for one in given] == [SPACE.trial(one.drawn) for one in given]
    assert given[3].trial_id == trial_id_of(3)
    assert list(records(SPACE, lambda *_: 0.5))[-1]["budget"] == given[3].spec.epochs
