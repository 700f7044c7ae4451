"""The names of Ray that are not promised to stay, each against the real Ray: a test fails when one goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager

from tune_lpc.engine import cluster
from tune_lpc.engine.callback import reason_of_failure
from tune_lpc.engine.cluster import with_the_first_experiment_state_only

REPORTS = 3


def worker() -> type[tune.Trainable]:
    """Reports a few times; the trial that is told to, fails."""

    # Defined here, so that it goes to the workers by value: they can't import the tests.
    class Worker(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.fails, self.steps = new_config["fails"], 0
            return True

        def step(self) -> dict[str, Any]:
            began = time.time()
            self.steps += 1
            if self.fails and self.steps == 2:
                raise RuntimeError("first line\nas it was told to")
            return {"report": "a report", "began": began, "loss": 0.5, "done": self.steps == REPORTS}

    return Worker


class Notes(tune.Callback):
    """Reads what the engine's callback reads, at the same moments."""

    def __init__(self) -> None:
        self.actors: list[Any] = []
        self.started: dict[Any, float] = {}
        self.first_steps: dict[Any, float] = {}
        self.statistics: list[tuple[Any, Any, Any]] = []
        self.statistics_after: list[tuple[Any, Any, Any]] = []
        self.reasons: list[str] = []
        self.states: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.started[trial] = time.time()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.actors.append(trial.temporary_state.ray_actor)
        self.first_steps.setdefault(trial, result["began"])
        self.states.append(trial.status)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        kept = trial.run_metadata
        self.statistics.append((kept.last_result.pop("report"), dict(kept.metric_analysis), dict(kept.metric_n_steps)))
        kept.metric_analysis.clear()
        kept.metric_n_steps.clear()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.reasons.append(reason_of_failure(trial))
        assert Path(trial.error_file).read_text().startswith("Failure # 1 (occurred at ")


@pytest.fixture(scope="module")
def writes() -> list[str]:
    """A line for each time that Ray wrote its state of the experiment."""
    return []


@pytest.fixture(scope="module")
def seen(ray_session: str, writes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """A small run of Ray Tune of its own, that is over: a trial that fails, and one that does not."""
    folder, notes = tmp_path_factory.mktemp("tune"), Notes()
    write = _ExperimentCheckpointManager.sync_up_experiment_state

    def noted(manager: Any, save_fn: Callable[..., None], force: bool = False, wait: bool = False) -> None:
        writes.append(type(manager).__name__)
        write(manager, save_fn, force=force, wait=wait)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster._RAY_ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setattr(_ExperimentCheckpointManager, "sync_up_experiment_state", noted)
        with with_the_first_experiment_state_only():
            found = tune.Tuner(
                worker(),
                param_space={"fails": tune.grid_search([True, False])},
                tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
                run_config=tune.RunConfig(
                    name="ray",
                    storage_path=str(folder),
                    verbose=0,
                    callbacks=[notes],
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                ),
            ).fit()
        assert _ExperimentCheckpointManager.sync_up_experiment_state is noted, "it is given back"
    assert len(found) == 2 and found.num_errors == 1
    assert list((folder / "ray").glob("experiment_state-*.json"))
    return notes


def test_the_worker_of_a_running_trial_can_be_killed(seen: Notes) -> None:
    assert len(seen.actors) == 1 + REPORTS
    assert all(isinstance(actor, ray.actor.ActorHandle) for actor in seen.actors)
    assert set(seen.states) == {tune.experiment.Trial.RUNNING}


def test_a_trial_is_told_to_have_started_before_its_first_step(seen: Notes) -> None:
    """In which the data are prepared: so whoever watches knows of it."""
    assert seen.first_steps.keys() == seen.started.keys()
    assert all(seen.started[trial] <= began for trial, began in seen.first_steps.items())


def test_what_is_kept_of_a_trial_that_ended_lies_where_it_is_dropped(seen: Notes) -> None:
    ((report, analysis, steps),) = seen.statistics
    assert report == "a report"
    assert analysis["loss"]["last"] == 0.5
    assert "loss" in steps


def test_the_note_of_an_error_is_there_when_the_trial_fails_and_holds_its_message(seen: Notes) -> None:
    assert seen.reasons == ["RuntimeError: as it was told to"]


def test_the_state_of_the_experiment_is_written_once(seen: Notes, writes: list[str]) -> None:
    assert writes == ["_ExperimentCheckpointManager"]


@pytest.mark.parametrize("name", sorted(cluster._RAY_ENVIRONMENT))
def test_ray_still_reads_the_variables_that_are_set_for_it(name: str, sources_of_ray: str) -> None:
    assert name.removeprefix("RAY_") in sources_of_ray


@pytest.fixture(scope="module")
def sources_of_ray() -> str:
    """The Python sources of Ray Tune and of what starts Ray."""
    folder = Path(ray.__file__).parent
    places = [folder / name for name in ("_common", "_private", "air", "train/_internal", "tune")]
    return "\n".join(path.read_text() for place in places for path in sorted(place.rglob("*.py")))
