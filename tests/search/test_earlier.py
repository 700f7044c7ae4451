"""What is taken over from earlier searches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.results.runs import record
from tests.search.folders import RUN
from tests.search.searches import SPACE
from tune_lpc.plan import Choice, Float, Int, Space, UserError
from tune_lpc.plan.trial import Value
from tune_lpc.results import JOURNAL_FILE, Journal, write_run
from tune_lpc.results.events import EpochDone, RungDecided, RunStarted, Status, TrialEnded, TrialStarted, trial_id_of
from tune_lpc.search.earlier import MOST, Earlier, folder_of, read_earlier

OFF: dict[str, Value] = {"learning_rate": 0.01, "gamma_ramp": "off"}
ON: dict[str, Value] = {"learning_rate": 0.02, "gamma_ramp": "linear", "gamma_end": 5.0}


class Run:
    """A run in a folder, written as an earlier search would have."""

    def __init__(self, folder: Path, space: Space = SPACE) -> None:
        self.folder, self.space, self.trials = folder, space, 0
        folder.mkdir()
        run = {**RUN, "space": space.as_dict(), "space_hash": space.hash()}
        with Journal(folder / JOURNAL_FILE, new=True) as journal:
            journal.write(RunStarted(run))
        write_run(folder, run)

    def trial(
        self,
        values: Mapping[str, Value],
        score: float | None = None,
        status: Status | None = Status.COMPLETED,
        rungs: Mapping[int, float | None] | None = None,
        repeat_of: int | None = None,
    ) -> None:
        """A trial with its score after the full budget, or without that, and its scores at rungs."""
        number, self.trials = self.trials, self.trials + 1
        name, epochs = trial_id_of(number), self.space.epochs
        with Journal(self.folder / JOURNAL_FILE) as journal:
            journal.write(TrialStarted(name, number, self.space.trial(values).as_dict(), repeat_of=repeat_of))
            for rung, look in (rungs or {}).items():
                journal.write(RungDecided(name, rung, look, 1, 1, goes_on=status is Status.COMPLETED))
            if score is not None:
                for epoch in range(1, epochs + 1):
                    journal.write(EpochDone(name, record(epoch, score, epochs)))
            if status is not None:
                journal.write(TrialEnded(name, status, "as it is"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "earlier")


def read(run: Run, space: Space = SPACE) -> Earlier:
    (found,) = read_earlier(space, [run.folder])
    return found


def searching(*without: str, **dimensions: Any) -> Space:
    """The space with other dimensions."""
    kept = {name: dimension for name, dimension in SPACE.dimensions.items() if name not in without}
    return replace(SPACE, dimensions={**kept, **dimensions}, first=())


# Configs and their order


def test_configs_come_in_the_order_of_their_own_search_whatever_their_scores(run: Run) -> None:
    run.trial({**OFF, "learning_rate": 0.001}, 0.2)
    run.trial({**OFF, "learning_rate": 0.002}, status=Status.STOPPED, rungs={3: 0.9})
    run.trial({**OFF, "learning_rate": 0.003}, 0.3)
    run.trial({**OFF, "learning_rate": 0.004}, status=Status.DIVERGED)
    run.trial({**OFF, "learning_rate": 0.005}, status=Status.STOPPED, rungs={3: None})
    found = read(run)
    rates = [observation.values["learning_rate"] for observation in found.observations]
    assert rates == [0.003, 0.001, 0.002, 0.004, 0.005]
    assert [observation.quality for observation in found.observations] == pytest.approx([0.9, 0.7, 0.5, 0.2, 0.2])
    assert (found.trials, found.left_out) == (5, {})


def test_a_config_counts_once_by_the_mean_of_its_seeds(run: Run) -> None:
    run.trial({**OFF, "learning_rate": 0.001}, 0.9)
    run.trial({**OFF, "learning_rate": 0.002}, 0.8)
    run.trial({**OFF, "learning_rate": 0.001}, 0.5, repeat_of=0)
    found = read(run)
    assert [observation.values["learning_rate"] for observation in found.observations] == [0.002, 0.001]
    assert found.trials == 2


def test_a_search_that_goes_on_tells_what_its_rungs_have_seen(run: Run) -> None:
    run.trial(OFF, status=None, rungs={3: 0.5})
    run.trial({**OFF, "learning_rate": 0.02}, status=None)  # nothing known of it
    run.trial({**OFF, "learning_rate": 0.03}, status=Status.FAILED, rungs={3: 0.9})
    assert [observation.values["learning_rate"] for observation in read(run).observations] == [0.01]


# Parameters


def test_a_parameter_without_an_effect_in_a_trial_is_not_taken_over(run: Run) -> None:
    run.trial(OFF, 0.5)
    run.trial(ON, 0.6)
    assert [dict(observation.values) for observation in read(run).observations] == [ON, OFF]


def test_only_parameters_that_both_search_are_taken_over(run: Run) -> None:
    run.trial(ON, 0.5)
    found = read(run, searching("gamma_ramp", "gamma_end", weight_decay=Float(0, 1)))
    assert list(found.shared) == ["learning_rate"]
    assert [dict(observation.values) for observation in found.observations] == [{"learning_rate": 0.02}]


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (searching(learning_rate=Float(1e-4, 0.015, log=True)), "learning_rate"),
        (searching(gamma_end=Float(6.0, 10.0)), "gamma_end"),
        (searching(gamma_ramp=Choice(["off", "exponential"])), "gamma_ramp"),
    ],
)
def test_a_config_outside_a_range_is_left_out_and_counted(run: Run, space: Space, name: str) -> None:
    run.trial(OFF, 0.5)
    run.trial(ON, 0.6)
    found = read(run, space)
    assert [(dict(seen.values), seen.quality) for seen in found.observations] == [(OFF, 0.25)]
    assert found.left_out == {f"with {name} outside its range here": 1}
    assert found.trials == 2


def test_of_a_number_that_is_whole_here_only_whole_ones_fit(tmp_path: Path) -> None:
    wide = searching(penultimate_width=Int(16, 64))
    run = Run(tmp_path / "earlier", wide)
    run.trial({**OFF, "penultimate_width": 32}, 0.5)
    (observation,) = read(run, wide).observations
    assert observation.values["penultimate_width"] == 32


def test_a_long_search_gives_its_best_and_some_of_the_others(run: Run) -> None:
    for number in range(MOST + 36):
        run.trial({**OFF, "learning_rate": 0.001 + number * 1e-4}, 0.9 - number * 1e-3)
    found = read(run)
    kept = [round((float(seen.values["learning_rate"] or 0) - 0.001) * 1e4) for seen in found.observations]
    assert len(kept) == len(set(kept)) == MOST
    assert kept == sorted(kept) and kept[: MOST // 2] == list(range(MOST // 2)), "the best first"
    gaps = [after - before for before, after in zip(kept[MOST // 2 :], kept[MOST // 2 + 1 :], strict=False)]
    assert kept[-1] > MOST + 32 and set(gaps) == {2, 3}
    assert found.left_out == {f"beyond the {MOST} that are kept": 36}


def test_a_run_of_version_0_1_0_can_be_learned_from() -> None:
    from tune_lpc.plan import load_space

    folder = Path(__file__).parents[1] / "journals" / "version-0.1.0" / "finished"
    (found,) = read_earlier(load_space("digits"), [folder])
    assert (found.name, found.dataset, found.trials) == ("digits", "digits", 6)
    assert len(found.shared) == 11
    assert found.left_out == {"with gamma_end outside its range here": 3}, "its ranges were wider"
    assert len(found.observations) == 3


# What is written down


def test_what_was_taken_over_comes_back_from_run_json(run: Run) -> None:
    run.trial(OFF, 0.5)
    run.trial({**ON, "learning_rate": 0.05}, 0.6)
    found = read(run, searching(learning_rate=Float(1e-4, 0.04)))
    content = json.loads(json.dumps({"warm_start": [found.as_dict()]}))
    assert Earlier.of_run(content) == [found]
    (told,) = content["warm_start"]
    assert told["folder"] == folder_of(run.folder) and told["name"] == "small" and told["dataset"] == "digits"
    assert told["space_hash"] == SPACE.hash()
    assert told["observations"] == [{"values": OFF, "quality": 0.25}]
    assert Earlier.of_run({}) == [], "as in runs of before"


def test_a_line_says_what_comes_from_where(run: Run) -> None:
    run.trial(OFF, 0.5)
    run.trial({**ON, "learning_rate": 0.05}, 0.6)
    assert read(run, searching(learning_rate=Float(1e-4, 0.04))).describe() == (
        f"warm start: 1 of 2 configs of small (digits; {folder_of(run.folder)}), 3 shared parameters; "
        "left out: 1 with learning_rate outside its range here"
    )


def test_a_folder_that_is_named_twice_counts_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.trial(OFF, 0.5)
    monkeypatch.chdir(run.folder.parent)
    assert (
        len(read_earlier(SPACE, [run.folder, Path("earlier"), Path("../") / run.folder.parent.name / "earlier"])) == 1
    )


# What is refused


def test_all_problems_of_all_folders_are_told_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('{"space": {"name": "x", "dimensions": []}}')
    gone = Run(tmp_path / "gone")
    (gone.folder / JOURNAL_FILE).unlink()
    names = ["nowhere", "damaged", "foreign", "gone", "earlier"]
    with pytest.raises(UserError) as error:
        read_earlier(SPACE, [tmp_path / name for name in names])
    problems = error.value.problems
    assert [problem.startswith("--warm-start: ") for problem in problems] == [True] * 5
    wanted = [
        "holds no run: there is no such folder; check the path",
        "is damaged, it must be JSON",
        "is damaged: it lacks",
        f"has no {JOURNAL_FILE} that can be read",
        "has no trial with a score yet; leave it out",
    ]
    assert [text in problem for text, problem in zip(wanted, problems, strict=True)] == [True] * 5


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (searching("learning_rate", "gamma_ramp", "gamma_end", weight_decay=Float(0, 1)), "none of the parameters of"),
        (searching(learning_rate=Float(0.5, 0.9)), "no config that lies in space small (2 with learning_rate outside"),
    ],
)
def test_a_run_that_has_nothing_to_give_is_refused(run: Run, space: Space, told: str) -> None:
    run.trial(OFF, 0.5)
    run.trial(ON, 0.5)
    with pytest.raises(UserError, match="leave it out") as error:
        read(run, space)
    assert told in str(error.value)


def test_a_dimension_that_is_none_is_damage(run: Run) -> None:
    run.trial(OFF, 0.5)
    content = json.loads((run.folder / "run.json").read_text())
    content["space"]["dimensions"]["learning_rate"] = 3
    (run.folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"run\.json is damaged: its dimension learning_rate is 3"):
        read(run)
