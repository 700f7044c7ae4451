"""Optuna's estimator: what it draws, what it is told, and that it goes on after an interruption."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.results.runs import record
from tests.search.searches import SPACE, Search, scored
from tune_lpc.plan import Float, Space
from tune_lpc.plan.search_settings import SAMPLERS as NAMES
from tune_lpc.plan.trial import Value
from tune_lpc.results import Ledger
from tune_lpc.results.events import EpochDone, RungDecided, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.results.trial import Trial
from tune_lpc.search.sampler import Drawn, EstimatorSampler, RandomSampler, Sampler
from tune_lpc.search.samplers import SAMPLERS, sampler_of
from tune_lpc.search.simulated import simulate

TRUNCATED = replace(SPACE, fidelity_mode="truncated", trials=100)
"""One run of 9 epochs, looked at after 3."""
End = tuple[Status, dict[int, float | None], float | None]
"""How a trial ended, its scores at rungs, and that of the last epoch."""


class Lives:
    """Trials as a ledger has them, whose sampler hears of each event."""

    def __init__(self, space: Space, sampler: Sampler) -> None:
        self.space, self.sampler, self.ledger = space, sampler, Ledger([RunStarted({})])
        self.configs: list[Drawn] = []

    def draw(self, number: int, given: Mapping[str, Value] | None = None) -> Drawn:
        self.configs.append(self.sampler.draw(number, given))
        return self.configs[-1]

    def lives(self, number: int, end: End | None, config: Drawn | None = None) -> Trial:
        """A trial that was drawn; None: it goes on."""
        name = trial_id_of(number)
        started = TrialStarted(name, number, self.space.trial(config or self.configs[number]).as_dict())
        status, rungs, last = end or (None, {}, None)
        self.ledger.apply(started)
        for rung, score in rungs.items():
            self.ledger.apply(RungDecided(name, rung, score, 1, 1, goes_on=True))
            self.sampler.learn(number, self.ledger.trials[name])
        if last is not None:
            self.ledger.apply(EpochDone(name, record(9, last, 9)))
        if status is not None:
            self.ledger.apply(TrialEnded(name, status, "as it is"))
        self.sampler.learn(number, self.ledger.trials[name])
        return self.ledger.trials[name]


def end_of(number: int, drawn: Drawn) -> End:
    """Some trials diverge, some are stopped at a rung, the others complete."""
    score = 1.0 - float(drawn["learning_rate"] or 0.0)
    if score < 0.96 and number:
        return Status.DIVERGED, {}, None
    if number % 3 == 1:
        return Status.STOPPED, {3: score}, None
    return Status.COMPLETED, {3: score}, score


def run(sampler: Sampler, numbers: range, space: Space = TRUNCATED) -> Lives:
    """Trials one after another."""
    lives = Lives(space, sampler)
    for number in numbers:
        given = space.first[number] if number < len(space.first) else None
        lives.lives(number, end_of(number, lives.draw(number, given)))
    return lives


# What is drawn


@pytest.mark.parametrize("name", SAMPLERS)
def test_draws_respect_conditions_and_ranges(name: str) -> None:
    sampler = SAMPLERS[name](TRUNCATED, 1, ())
    drawn = [sampler.draw(number, None) for number in range(30)]
    for config in drawn:
        assert 1e-4 <= float(config["learning_rate"] or 0.0) <= 1e-1
        assert ("gamma_end" in config) == (config["gamma_ramp"] == "linear")
    assert {config["gamma_ramp"] for config in drawn} == {"off", "linear"}
    assert len({config["learning_rate"] for config in drawn}) == 30


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_config_that_is_given_is_drawn_as_it_is(name: str) -> None:
    sampler = SAMPLERS[name](TRUNCATED, 1, ())
    assert sampler.draw(0, SPACE.first[0]) == SPACE.first[0]


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_seed_alone_decides_what_is_drawn(name: str) -> None:
    def configs(seed: int) -> list[Drawn]:
        return run(SAMPLERS[name](TRUNCATED.with_values({"seed": seed}), 1, ()), range(20)).configs

    assert configs(1) == configs(1)
    assert configs(1)[1:] != configs(2)[1:]


def test_a_random_draw_depends_on_its_number_alone() -> None:
    one, other = RandomSampler(SPACE), RandomSampler(SPACE)
    run(one, range(5))
    assert one.draw(5, None) == other.draw(5, None)


def test_the_scores_do_steer_the_search() -> None:
    low = [float(config["learning_rate"] or 0.0) for config in run(EstimatorSampler(TRUNCATED), range(60)).configs]
    assert sorted(low[:20])[10] > 1.5 * sorted(low[40:])[10]


def test_of_several_at_once_those_that_run_count_as_poor() -> None:
    def next_of(concurrent: int) -> Drawn:
        lives = run(EstimatorSampler(TRUNCATED, concurrent), range(15))
        lives.draw(15)
        return lives.draw(16)

    assert next_of(1) != next_of(2)


# Going on


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("cut", [0, 1, 5, 13, 29])
def test_a_sampler_told_again_draws_what_would_have_been_drawn(name: str, cut: int) -> None:
    whole = run(SAMPLERS[name](TRUNCATED, 1, ()), range(30))
    sampler = SAMPLERS[name](TRUNCATED, 1, ())
    again = Lives(TRUNCATED, sampler)
    for number in range(cut):
        assert again.draw(number, whole.configs[number]) == whole.configs[number]
        sampler.learn(
            number, whole.ledger.trials[trial_id_of(number)]
        )  # all at once, as a ledger that was read tells it
    for number in range(cut, 30):
        again.lives(number, end_of(number, again.draw(number, TRUNCATED.first[number] if number == 0 else None)))
    assert again.configs == whole.configs


def test_a_search_that_goes_on_in_the_middle_of_trials_draws_what_it_would_have_drawn() -> None:
    space = replace(SPACE, trials=14)
    curve = scored(space, *([0.5, 0.25, None, 0.9, 0.1, 0.2, 0.7] * 2))
    whole = Search(space, sampler=EstimatorSampler(space, 2))
    simulate(whole.director, curve, slots=2)
    cut = Search(space, sampler=EstimatorSampler(space, 2))
    simulate(cut.director, curve, slots=2, most_events=50)
    again = Search(space, cut.log.events, EstimatorSampler(space, 2))
    again.director.settle()
    simulate(again.director, curve, slots=2)
    configs = [[trial.config for trial in search.ledger.in_order()] for search in (whole, again)]
    assert configs[0] == configs[1]


def test_a_rung_of_before_counts_and_is_told_once() -> None:
    lives = Lives(TRUNCATED, sampler := EstimatorSampler(TRUNCATED))
    lives.draw(0)
    trial = lives.lives(0, (Status.INTERRUPTED, {3: 0.25}, None))
    sampler.learn(0, trial)
    assert sampler.trials[0].state == TrialState.RUNNING
    lives.lives(0, (Status.COMPLETED, {3: 0.75}, 0.9))
    (told,) = sampler.trials
    assert (told.state, told.value, told.intermediate_values) == (TrialState.COMPLETE, 0.9, {3: 0.25})


# What Optuna is told


@pytest.mark.parametrize(
    ("end", "state", "scores"),
    [
        ((Status.COMPLETED, {3: 0.5}, 0.7), TrialState.COMPLETE, {3: 0.5}),
        ((Status.COMPLETED, {3: 0.5}, math.nan), TrialState.PRUNED, {}),
        ((Status.STOPPED, {3: 0.7}, None), TrialState.PRUNED, {3: 0.7}),
        ((Status.STOPPED, {3: None}, None), TrialState.PRUNED, {}),
        ((Status.DIVERGED, {}, None), TrialState.PRUNED, {}),
        ((Status.DIVERGED, {3: 0.5}, 0.1), TrialState.PRUNED, {}),
        ((Status.FAILED, {3: 0.5}, None), TrialState.FAIL, {}),
        ((Status.FAILED, {}, None), TrialState.FAIL, {}),
        ((Status.INTERRUPTED, {3: 0.5}, None), TrialState.RUNNING, {3: 0.5}),
        (None, TrialState.RUNNING, {}),
    ],
    ids=[
        "full budget", "no score at the end", "stopped at a rung", "stopped without a score", "diverged",
        "diverged with a score", "failed", "failed at once", "passed a rung", "begun",
    ],
)  # fmt: skip
def test_optuna_hears_how_a_trial_ended(end: End | None, state: TrialState, scores: dict[int, float]) -> None:
    lives = Lives(TRUNCATED, sampler := EstimatorSampler(TRUNCATED))
    lives.draw(0)
    lives.lives(0, end)
    (told,) = sampler.trials
    assert (told.state, told.intermediate_values) == (state, scores)
    assert told.value == (0.7 if state == TrialState.COMPLETE else None)


def test_what_was_told_may_be_told_again() -> None:
    lives = run(sampler := EstimatorSampler(TRUNCATED), range(6))

    def told() -> list[Any]:
        return [(trial.number, trial.state, trial.params, trial.intermediate_values) for trial in sampler.trials]

    before = told()
    for trial in lives.ledger.trials.values():
        sampler.learn(trial.number, trial)
    assert told() == before


def test_in_a_compressed_climb_the_end_of_a_short_run_is_told() -> None:
    search = Search(replace(SPACE, trials=1), sampler=(sampler := EstimatorSampler(SPACE)))
    simulate(search.director, scored(SPACE, 0.75))
    (told,) = sampler.trials
    assert (told.intermediate_values, told.value) == ({3: 0.75}, 0.75)


# Divergence


def wide_search(status: Status) -> float:
    """The share of late trials above 1e-2, where three quarters of the range are, and all trials end so.

    All other scores are equal, so only these ends can steer.
    """
    space = Space("wide", "for tests", {"learning_rate": Float(1e-4, 1e4, log=True)}, {"epochs": 9})
    lives, above = Lives(space, EstimatorSampler(space)), 0
    for number in range(60):
        is_above = float(lives.draw(number)["learning_rate"] or 0.0) > 1e-2
        above += is_above and number >= 30
        end: End = (status, {}, None) if is_above else (Status.COMPLETED, {}, 0.5)
        # A rate of more than 1 is no setting; the config says nothing here.
        lives.lives(number, end, {"learning_rate": 0.01})
    return above / 30


def test_it_keeps_away_from_where_trials_diverged_but_not_from_where_they_failed() -> None:
    assert wide_search(Status.DIVERGED) < 0.4 < wide_search(Status.FAILED)


# Optuna's own names that are used: where one goes, the estimator would quietly learn nothing of divergence any more


def test_a_study_has_the_private_way_to_its_trials() -> None:
    parameters = inspect.signature(optuna.Study._get_trials).parameters
    assert list(parameters) == ["self", "deepcopy", "states", "use_cache"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("infer_relative_search_space", ["self", "study", "trial"]),
        ("sample_relative", ["self", "study", "trial", "search_space"]),
        ("sample_independent", ["self", "study", "trial", "param_name", "param_distribution"]),
    ],
)
def test_the_estimator_has_the_methods_that_are_overridden(name: str, parameters: list[str]) -> None:
    method = getattr(optuna.samplers.TPESampler, name)
    assert list(inspect.signature(method).parameters) == parameters


@pytest.mark.parametrize("name", ["infer_relative_search_space", "sample_relative", "sample_independent"])
def test_the_estimator_asks_for_trials_in_each_of_its_steps_by_that_way_alone(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A study of Optuna's own holds none of them, so each step must ask the study that it is given in their place."""
    asked: list[type] = []
    step: Callable[..., Any] = getattr(optuna.samplers.TPESampler, name)

    def in_this_step(sampler: Any, study: Any, *others: Any) -> Any:
        def noting(*arguments: Any, **options: Any) -> Any:
            asked.append(type(study))
            return type(study)._get_trials(study, *arguments, **options)

        study.__dict__["_get_trials"] = noting
        return step(sampler, study, *others)

    monkeypatch.setattr(optuna.samplers.TPESampler, name, in_this_step)
    run(EstimatorSampler(TRUNCATED), range(40))
    assert asked, "the real estimator no longer asks the study in this way"
    assert optuna.Study not in asked


# Samplers by name


def test_a_space_can_name_each_sampler_that_there_is() -> None:
    assert tuple(SAMPLERS) == NAMES
    kinds = {name: type(sampler_of(replace(TRUNCATED, sampler=name).checked())) for name in NAMES}
    assert len(set(kinds.values())) == len(NAMES) and kinds["tpe"] is EstimatorSampler


def test_the_estimator_draws_at_random_until_it_has_its_random_starts() -> None:
    def configs(random_starts: int) -> list[Drawn]:
        space = replace(TRUNCATED, random_starts=random_starts)
        return run(EstimatorSampler(space), range(9), space).configs

    many, few = configs(8), configs(4)
    assert many[:4] == few[:4] and many[4] != few[4]
    assert configs(100)[:8] == many[:8] and configs(100)[8] != many[8]
