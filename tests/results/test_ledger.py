"""The one fold of events."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import RUN, record
from tune_lpc.plan import Fidelity
from tune_lpc.results import JOURNAL_FILE, Journal, Ledger, export, read_ledger
from tune_lpc.results.events import (
    Continued,
    EpochDone,
    Event,
    Measured,
    Paused,
    RungDecided,
    RunResumed,
    RunStarted,
    Status,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
)
from tune_lpc.results.journal import journal_events
from tune_lpc.results.ranking import ranked
from tune_lpc.results.training_run import TrainingRun
from tune_lpc.results.trial import Placement, Session, Trial

RUNS = (3, 9)
CLIMB: dict[str, Any] = {
    **RUN,
    "started": "2026-11-25",
    "rungs": [3],
    "space": {
        "settings": {"epochs": 9},
        "trials": 4,
        "fidelity_mode": "compressed",
        "reduction_factor": 3,
        "first_rung": 3,
    },
}
"""A run of 3 epochs, then one of 9."""
SHORT = [(3, epoch) for epoch in (1, 2, 3)]
LONG = [(9, epoch) for epoch in range(1, 10)]
COMPLETED = "trained all 9 epochs"


def started(name: str = "a", number: int = 0, *, control: bool = False) -> TrialStarted:
    return TrialStarted(name, number, {"epochs": 9}, control)


def epochs(name: str, places: list[tuple[int, int]], score: float | None = 0.5, **values: Any) -> list[Event]:
    return [EpochDone(name, record(epoch, score, budget, **values)) for budget, epoch in places]


def ledger_of(*events: Event) -> Ledger:
    return Ledger([RunStarted(CLIMB), *events])


def trial_of(*events: Event) -> Trial:
    return ledger_of(*events).trials["a"]


def state(ledger: Ledger) -> Any:
    """All that a ledger knows, to compare; the order of what arrived included."""
    trials = {
        name: (
            *(
                trial.repeat_of,
                trial.window,
                trial.number,
                trial.config,
                trial.control,
                trial.status,
                trial.reason,
                trial.end,
                trial.restarts,
            ),
            *(trial.epochs_repeated, trial.seconds, trial.measures, trial.measure_reasons, trial.placements),
            trial.looks,
            {
                budget: [run.record(epoch) for epoch in range(1, run.epochs + 1) if epoch in run]
                for budget, run in trial.runs.items()
            },
        )
        for name, trial in ledger.trials.items()
    }
    arrivals = {rung: list(arrived.items()) for rung, arrived in ledger.arrivals.items()}
    return ledger.run, ledger.fidelity, ledger.sessions, list(trials.items()), ledger.looks, arrivals, ledger.left_out


EVENTFUL: list[Event] = [
    RunStarted(CLIMB),
    started("a", 0),
    TrialPlaced("a", "here", 1),
    *epochs("a", SHORT, 0.5, train_loss=math.inf, nc1=-math.nan),
    RungDecided("a", 3, 0.5, 1, 1, goes_on=True),
    started("b", 1, control=True),
    *epochs("b", SHORT, math.nan, diverged="validation_loss became nan"),
    RungDecided("b", 3, None, 2, 2, goes_on=False, control=True),
    TrialEnded("b", Status.DIVERGED, "validation_loss became nan"),
    *epochs("lost", SHORT),
    *epochs("a", LONG[:2]),
    Paused("the disk is full"),
    Continued("the disk is full"),
    TrialRestarted("a", "its worker was lost"),
    *epochs("a", LONG[1:8], 0.75, seconds=3.0),
    RunResumed("again", "2026-11-26", ["line 9 is cut off"], {"versions": {"torch": "2"}}),
    started("a", 0),
    TrialPlaced("a", "there", 2, (9, 8)),
    *epochs("a", LONG[7:8], 0.75, seconds=3.0),
    Measured("a", {"nc1": 0.5, "nc2": None}, {"nc2": "the means coincide"}),
    *epochs("a", LONG[8:], 0.875),
    TrialEnded("a", Status.COMPLETED, COMPLETED),
    started("c", 2),
    *epochs("c", SHORT, 0.25),
    RungDecided("c", 3, 0.25, 2, 3, goes_on=False),
    TrialEnded("c", Status.STOPPED, "it waits"),
    TrialStarted("d", 3, {"epochs": 9, "seed": 1}, repeat_of=0),
    *epochs("d", [*SHORT, *LONG], 0.75),
    TrialEnded("d", Status.COMPLETED, COMPLETED),
    RungDecided("c", 3, 0.25, 2, 3, goes_on=True, promoted=True),
    started("c", 2),
    *epochs("c", LONG[:1], 0.5),
]


# One fold


def test_after_every_event_the_journal_read_again_tells_what_the_ledger_knows(tmp_path: Path) -> None:
    live = Ledger()
    with Journal(tmp_path / JOURNAL_FILE) as journal:
        for event in EVENTFUL:
            journal.write(event)
            live.apply(event)
            again, _ = read_ledger(journal.path)
            assert state(again) == state(live), event


def test_a_record_with_what_is_no_number_is_the_same_one_when_read_again() -> None:
    # A checkpoint keeps infinity and every NaN, a journal null; the trial that goes on from it has trained nothing new.
    run = TrainingRun(9)
    run.put(record(1, None, 9, nc1=None, train_loss=None))
    assert run.holds(record(1, -math.nan, 9, nc1=math.inf, train_loss=-math.inf))
    assert not run.holds(record(1, 0.0, 9, nc1=None, train_loss=None))


def test_damaged_lines_are_told_and_the_rest_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / JOURNAL_FILE) as journal:
        for event in (RunStarted(CLIMB), started("a", 0), *epochs("a", SHORT), started("b", 1), *epochs("b", SHORT)):
            journal.write(event)
        journal.append("trial_ended", trial_id="a", status="promoted", reason="from a version to come")
        journal.append("trial_ended", trial_id="a")
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"epoch":2', b'"epoch":8')
    lines[5] = b"\n"
    journal.path.write_bytes(b"".join(lines)[:-9])
    ledger, damaged = read_ledger(journal.path)
    assert list(ledger.trials) == ["a"]
    assert ledger.trials["a"].position(RUNS) == (3, 1)
    assert damaged == [
        "line 4 is damaged: its checksum does not match",
        "line 6 is damaged: it does not begin with a checksum",
        "an entry is left out: 'promoted' is not a valid Status",
        "line 11 is cut off: its checksum does not match",
        "trial b is left out: its start entry is missing (3 entries)",
    ]


def test_what_belongs_to_a_trial_without_its_start_is_left_out_and_counted() -> None:
    look = RungDecided("lost", 3, 0.5, 1, 1, goes_on=True)
    alone = ledger_of(TrialEnded("gone", Status.FAILED, "x"), *epochs("lost", SHORT), look, started("a", 1))
    assert list(alone.trials) == ["a"]
    assert (alone.looks, alone.arrivals) == ([], {})
    assert alone.left_out == [
        "trial gone is left out: its start entry is missing (1 entry)",
        "trial lost is left out: its start entry is missing (4 entries)",
    ]


def test_a_trial_whose_start_was_lost_and_that_was_begun_again_is_not_told_to_be_missing() -> None:
    again = ledger_of(*epochs("a", SHORT), started(), *epochs("a", SHORT))
    assert again.trials["a"].epochs_trained == 3
    assert again.left_out == ["trial a is left out until it was begun again: its start entry is missing (3 entries)"]


# A trial


def test_a_resume_changes_no_trial() -> None:
    before = [started(), *epochs("a", SHORT)]
    placed = TrialPlaced("a", "here", 1, (3, 3))
    resumed = [RunResumed(f"resume {number}", "2026-11-22", ["line 3 is cut off"]) for number in (1, 2)]
    ledger = ledger_of(*before, *resumed, placed, Paused("the disk is full"))
    trial = ledger.trials["a"]
    assert (ledger.run, trial.restarts, trial.epochs_trained, trial.status) == (CLIMB, 0, 3, Status.INTERRUPTED)


def test_a_trial_that_starts_again_keeps_what_it_was_and_loses_its_end() -> None:
    trial = trial_of(started(), *epochs("a", SHORT), TrialEnded("a", Status.FAILED, "x"), started("a", 0, control=True))
    assert (trial.status, trial.reason, trial.control, trial.epochs_trained) == (Status.INTERRUPTED, None, False, 3)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_a_trial_has_the_status_of_its_end(status: Status) -> None:
    trial = trial_of(started(), *epochs("a", SHORT), TrialEnded("a", status, "as it is"))
    assert (trial.status, trial.reason) == (status, None if status is Status.INTERRUPTED else "as it is")
    assert trial.is_to_go_on == (status in (Status.INTERRUPTED, Status.FAILED))


def test_the_run_that_a_trial_is_judged_by() -> None:
    names = ("nothing", "short", "climbing", "long")
    ledger = ledger_of(
        *(started(name, number) for number, name in enumerate(names)),
        *epochs("short", SHORT[:1]),
        *epochs("climbing", [*SHORT, LONG[0]]),
        *epochs("long", LONG[:2]),
    )
    judged = [ledger.trials[name].judged for name in names]
    longest = [ledger.trials[name].longest for name in names]
    assert [run and (run.budget, run.epochs) for run in judged] == [None, None, (3, 3), (9, 2)]
    assert [run and (run.budget, run.epochs) for run in longest] == [None, (3, 1), (9, 1), (9, 2)]


def test_a_trial_stands_before_its_first_gap() -> None:
    assert trial_of(started()).position(RUNS) is None
    assert trial_of(started(), *epochs("a", SHORT[:2])).position(RUNS) == (3, 2)
    assert trial_of(started(), *epochs("a", SHORT[1:])).position(RUNS) is None
    assert trial_of(started(), *epochs("a", [*SHORT, LONG[0], LONG[2]])).position(RUNS) == LONG[0]
    assert trial_of(started(), *epochs("a", [*SHORT[:2], *LONG])).position(RUNS) == SHORT[1]


def test_an_epoch_done_again_is_counted_and_the_later_one_stays() -> None:
    again = epochs("a", SHORT[1:2], 0.75, seconds=5.0)
    trial = trial_of(started(), *epochs("a", SHORT[:2]), *again)
    assert (trial.epochs_repeated, trial.epochs_trained, trial.seconds) == (1, 2, 9.0)
    assert trial.runs[3].score(2) == 0.75


def test_the_very_same_record_told_again_was_trained_once() -> None:
    trial = trial_of(started(), *epochs("a", SHORT[:2]), *epochs("a", SHORT[1:2]))
    assert (trial.epochs_repeated, trial.epochs_trained, trial.seconds) == (0, 2, 4.0)


# Completed, but the entry of the last epoch is damaged


def test_a_completed_trial_whose_last_epoch_was_lost_is_interrupted_for_everybody(tmp_path: Path) -> None:
    whole: list[Event] = [started("b", 1), *epochs("b", [*SHORT, *LONG], 0.25), TrialEnded("b", Status.COMPLETED, "")]
    lost = [started(), *epochs("a", [*SHORT, *LONG], 0.9), TrialEnded("a", Status.COMPLETED, COMPLETED)]
    with Journal(tmp_path / JOURNAL_FILE) as journal:
        for event in (RunStarted(CLIMB), *whole, *lost):
            journal.write(event)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b'"epoch":9', b'"epoch":8')  # its checksum may begin with any digit
    journal.path.write_bytes(b"".join(lines))
    ledger, _ = read_ledger(journal.path)
    trial = ledger.trials["a"]
    assert (trial.status, trial.reason, trial.position(RUNS)) == (Status.INTERRUPTED, None, LONG[-2])
    alone = Ledger([event for event in journal_events(journal.path, []) if getattr(event, "trial_id", "a") == "a"])
    assert [(config.trial.trial_id, config.run.budget) for config in ranked(alone)] == [("a", 3)]
    tables = export(tmp_path)
    assert tables.trials["status"].tolist() == ["interrupted", "completed"]
    assert tables.trials["epochs"].tolist() == [8, 9]
    assert tables.best["trial_id"].tolist() == ["b", "a"], "what is complete comes first"
    assert tables.best["status"].tolist() == ["completed", "interrupted"]


def test_once_the_lost_epoch_is_trained_again_the_trial_is_completed() -> None:
    lost: list[Event] = [started(), *epochs("a", [*SHORT, *LONG[:-1]]), TrialEnded("a", Status.COMPLETED, COMPLETED)]
    again: list[Event] = [started(), *epochs("a", LONG[-1:]), TrialEnded("a", Status.COMPLETED, COMPLETED)]
    assert trial_of(*lost).status is Status.INTERRUPTED
    assert trial_of(*lost, *again[:2]).status is Status.INTERRUPTED
    assert (trial_of(*lost, *again).status, trial_of(*lost, *again).reason) == (Status.COMPLETED, COMPLETED)


@pytest.mark.parametrize("place", [0, 5, 10])
def test_any_other_lost_epoch_leaves_a_completed_trial_completed(place: int) -> None:
    climb = [*SHORT, *LONG]
    del climb[place]
    assert trial_of(started(), *epochs("a", climb), TrialEnded("a", Status.COMPLETED, "")).status is Status.COMPLETED


# Rungs


def test_scores_arrive_at_the_rungs_in_order_and_each_once() -> None:
    ledger = ledger_of(
        *(started("a", 0), started("b", 1), started("c", 2)),
        *epochs("b", SHORT, 0.4),
        *epochs("a", SHORT, 0.2),
        *epochs("b", SHORT, 0.9, seconds=7.0),
        *epochs("c", [*SHORT, *LONG], math.inf),
    )
    assert {rung: list(arrived.items()) for rung, arrived in ledger.arrivals.items()} == {
        3: [(1, 0.4), (0, 0.2), (2, None)]
    }


def test_what_a_rung_decided_stands_although_an_epoch_before_it_was_lost() -> None:
    first, second = (RungDecided("a", 3, score, 1, 1, goes_on=True) for score in (0.9, 0.1))
    ledger = ledger_of(started(), *epochs("a", SHORT[:2], 0.9), first, second)
    assert ledger.looks == [first]
    assert ledger.trials["a"].looks == {3: first}
    assert ledger.arrivals == {3: {0: 0.9}}


def test_one_that_is_let_go_on_later_has_no_end_any_more_and_both_decisions_are_told() -> None:
    left = RungDecided("a", 3, 0.5, 1, 1, goes_on=False)
    later = RungDecided("a", 3, 0.5, 2, 6, goes_on=True, promoted=True)
    end = TrialEnded("a", Status.STOPPED, "it waits")
    waits = ledger_of(started(), *epochs("a", SHORT), left, end)
    assert waits.trials["a"].status is Status.STOPPED
    for after in ([later], [later, later], [later, left], [later, started(), *epochs("a", LONG[:1])]):
        ledger = ledger_of(started(), *epochs("a", SHORT), left, end, *after)
        trial = ledger.trials["a"]
        assert (trial.status, trial.reason, trial.is_to_go_on) == (Status.INTERRUPTED, None, True)
        assert ledger.looks == [left, later]
        assert trial.looks == {3: later}
        assert ledger.arrivals == {3: {0: 0.5}}, "it has come once"


def test_one_that_went_on_at_once_is_not_let_go_on_again() -> None:
    first = RungDecided("a", 3, 0.5, 1, 3, goes_on=True)
    ledger = ledger_of(
        started(), *epochs("a", SHORT), first, RungDecided("a", 3, 0.5, 1, 4, goes_on=True, promoted=True)
    )
    assert ledger.looks == [first]


def test_one_whose_first_decision_was_lost_goes_on_by_the_second() -> None:
    later = RungDecided("a", 3, 0.5, 2, 6, goes_on=True, promoted=True)
    ledger = ledger_of(started(), *epochs("a", SHORT), TrialEnded("a", Status.STOPPED, "it waits"), later)
    assert (ledger.looks, ledger.trials["a"].status) == ([later], Status.INTERRUPTED)


def test_a_further_seed_arrives_at_no_rung() -> None:
    repeat = TrialStarted("b", 1, {"epochs": 9}, repeat_of=0)
    ledger = ledger_of(started(), *epochs("a", SHORT, 0.5), repeat, *epochs("b", [*SHORT, *LONG], 0.9))
    assert ledger.arrivals == {3: {0: 0.5}}
    assert (ledger.trials["a"].repeat_of, ledger.trials["b"].repeat_of) == (None, 0)


# The score


def with_window(window: int | None, *events: Event) -> Ledger:
    space = CLIMB["space"] if window is None else {**CLIMB["space"], "score_window": window}
    return Ledger([RunStarted({**CLIMB, "space": space}), *events])


def rising(places: list[tuple[int, int]]) -> list[Event]:
    """Epochs whose score is a tenth of their number."""
    return [EpochDone("a", record(epoch, epoch / 10, budget)) for budget, epoch in places]


@pytest.mark.parametrize(
    ("window", "at_rung", "at_end"), [(None, 0.3, 0.9), (1, 0.3, 0.9), (2, 0.25, 0.85), (3, 0.2, 0.8), (20, 0.2, 0.5)]
)
def test_the_score_is_the_mean_of_the_last_epochs_of_its_run(window: int | None, at_rung: float, at_end: float) -> None:
    ledger = with_window(window, started(), *rising([*SHORT, *LONG]))
    assert ledger.arrivals[3][0] == pytest.approx(at_rung)
    assert ledger.trials["a"].final_score == pytest.approx(at_end)


def test_a_score_stands_as_it_was_when_the_rung_was_reached() -> None:
    again = epochs("a", SHORT, 0.9, seconds=5.0)
    ledger = with_window(3, started(), *rising(SHORT), *again)
    assert ledger.arrivals[3][0] == pytest.approx(0.2)
    assert ledger.trials["a"].score(3, 3) == pytest.approx(0.9)


@pytest.mark.parametrize("last", [math.nan, None])
def test_without_a_score_of_its_own_an_epoch_has_none(last: float | None) -> None:
    places = [*SHORT, *LONG]
    ledger = with_window(3, started(), *rising(places[:-1]), *epochs("a", places[-1:], last))
    assert ledger.trials["a"].final_score is None


def test_earlier_epochs_without_a_score_or_a_record_are_left_out_of_the_mean() -> None:
    events = rising([*SHORT, *LONG])
    del events[-3]  # epoch 7, a damaged entry
    events[-2] = EpochDone("a", record(8, None, 9))
    assert with_window(3, started(), *events).trials["a"].final_score == pytest.approx(0.9)


def test_what_was_not_trained_to_its_end_has_no_final_score() -> None:
    assert with_window(1, started(), *rising([*SHORT, *LONG[:-1]])).trials["a"].final_score is None


def test_a_run_that_does_not_tell_its_rungs_has_none_known() -> None:
    assert Ledger([RunStarted(RUN)]).fidelity is None
    assert Ledger([RunStarted(CLIMB)]).fidelity == Fidelity(
        9, "compressed", 3, most_rungs=2
    )  # whose usual rungs these are


# Sessions


def test_a_placement_tells_which_process_drove_the_search() -> None:
    facts = [{"versions": {"torch": version}} for version in ("2", "3")]
    resumed = [RunResumed(f"resume {number}", f"day {number}", (), of) for number, of in enumerate(facts, start=1)]
    longer = RunStarted({**CLIMB, "space": {**CLIMB["space"], "trials": 8}})
    stays = [TrialPlaced("a", "here", pid, (9, pid)) for pid in (1, 2, 3)]
    ledger = ledger_of(started(), stays[0], resumed[0], stays[1], longer, resumed[1], stays[2])
    assert ledger.sessions == [
        Session("python -m tune_lpc.run digits", "2026-11-25", CLIMB),
        Session("resume 1", "day 1", facts[0]),
        Session("resume 2", "day 2", facts[1]),
    ]
    places = [Placement(session, "here", session + 1, (9, session + 1)) for session in range(3)]
    assert ledger.trials["a"].placements == places


def test_a_lost_beginning_that_is_written_again_shifts_no_session() -> None:
    stays = [TrialPlaced("a", "here", pid, None) for pid in (0, 1, 2)]
    resumed = [RunResumed(f"resume {number}", "") for number in (1, 2)]
    ledger = Ledger([started(), stays[0], resumed[0], stays[1], RunStarted(CLIMB), resumed[1], stays[2]])
    assert [place.session for place in ledger.trials["a"].placements] == [0, 1, 2]
    assert [session.command for session in ledger.sessions] == [CLIMB["command"], "resume 1", "resume 2"]


# The records of a run


def test_a_run_with_a_gap_keeps_what_it_has_in_order() -> None:
    run = TrainingRun(9)
    for epoch in (4, 2):
        run.put(record(epoch, epoch / 10, 9))
    assert (len(run), run.epochs, run.best_epoch) == (2, 4, 4)
    assert [epoch in run for epoch in range(6)] == [False, False, True, False, True, False]
    assert run.record(2) == record(2, 0.2, 9)
    assert run.columns()["epoch"].tolist() == [2, 4]
    assert run.columns()["validation_accuracy"].tolist() == [0.2, 0.4]
    for epoch in (0, 1, 3, 5):
        with pytest.raises(KeyError):
            run.record(epoch)


def test_a_record_that_diverged_and_is_trained_again_is_well() -> None:
    run = TrainingRun(9)
    run.put(record(1, None, 9, diverged="train_loss became nan"))
    assert run.diverged(1) == "train_loss became nan"
    assert run.columns()["diverged"].tolist() == ["train_loss became nan"]
    assert not run.holds(record(1, None, 9))
    run.put(record(1, 0.5, 9))
    assert run.diverged(1) is None
    assert run.record(1) == record(1, 0.5, 9)
