"""What a run is made of may not change when it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.search.folders import RUN, Made, everything_in
from tests.search.searches import SPACE
from tune_lpc.plan import Float, Space, UserError
from tune_lpc.results import JOURNAL_FILE, Journal, Ledger, read_ledger, write_run
from tune_lpc.results.events import RunStarted, Status

OLD = Path(__file__).parents[1] / "journals" / "version-0.1.0"


def changed(**settings: Any) -> dict[str, Space]:
    """The space with something else in it."""
    parts = {name: settings.pop(name) for name in list(settings) if name in Space.SEARCH_SETTINGS}
    return {"space": replace(SPACE, settings={**SPACE.settings, **settings}, **parts)}


OTHER_RANGE = {**SPACE.dimensions, "learning_rate": Float(1e-4, 1.0, log=True)}
CHANGES: list[tuple[dict[str, Any], str]] = [
    (
        {"space": replace(SPACE, dimensions=OTHER_RANGE)},
        "learning_rate: 0.0001 to 0.1, logarithmic before, 0.0001 to 1, logarithmic now",
    ),
    (changed(batch_size=32), "batch_size: 128 before, 32 now"),
    (changed(trials=3), "trials: 6 before, 3 now: it may rise, but not fall"),
    (changed(seed=2), "seed: 3 before, 2 now"),
    (changed(control_trials=2), "control_trials: 0 before, 2 now"),
    (
        changed(objectives=("validation_accuracy", "nc1")),
        "objectives: absent before, ['validation_accuracy:max', 'nc1:min'] now",
    ),
    (changed(sampler="gp"), "sampler: tpe before, gp now"),
    (changed(random_starts=5), "random_starts: 10 before, 5 now"),
    ({"measures": ()}, "measures: entropy before, none now"),
    ({"warm_start": (Path("/earlier"),)}, "warm_start: none before, /earlier now"),
    ({"processes": 2}, "processes of a trial: 1 before, 2 now"),
    ({"fingerprint": "of others"}, "the training images are others than before"),
    ({"split_hash": "of another"}, "the split into training and validation images is another than before"),
]
MOVES_A_RUNG: list[tuple[dict[str, Any], str]] = [
    (changed(epochs=27), "epochs: 9 before, 27 now"),
    (changed(epochs=4), "epochs: 9 before, 4 now"),
    (changed(fidelity_mode="truncated"), "fidelity_mode: compressed before, truncated now"),
    (changed(reduction_factor=2), "reduction_factor: 3 before, 2 now"),
    (changed(first_rung=5), "first_rung: 3 before, 5 now"),
    (changed(first_rung=9), "first_rung: 3 before, 9 now"),
]


@pytest.mark.parametrize(("change", "difference"), [*CHANGES, *MOVES_A_RUNG], ids=lambda value: str(value)[:30])
def test_a_change_is_refused_with_the_difference(
    opened: Any, made: Made, change: dict[str, Any], difference: str
) -> None:
    made.trial(0, 12, Status.COMPLETED)
    made.trial(1, 3)
    before = everything_in(made.folder)
    with pytest.raises(UserError) as caught:
        opened(**change)
    assert caught.value.problems == [
        f"{made.folder} can't be resumed with a change: {difference}",
        "give what was given before, or choose another folder with --out",
    ]
    assert everything_in(made.folder) == before
    Journal(made.path).close()  # it is left for others


@pytest.mark.parametrize(
    "space",
    [
        changed(fidelity_mode="full", first_rung=None)["space"],
        changed(fidelity_mode="truncated", first_rung=None, first_rung_after=0.9)["space"],
    ],
    ids=["full", "first_rung_after"],
)
def test_a_change_of_how_rungs_are_placed_is_refused_whole(opened: Any, made: Made, space: Space) -> None:
    made.trial(0, 3)
    with pytest.raises(UserError) as caught:
        opened(space=space)
    told = [problem.partition(": ")[2] for problem in caught.value.problems[:-1]]
    assert f"fidelity_mode: compressed before, {space.fidelity_mode} now" in told
    assert "first_rung: 3 before, none now" in told


def test_rungs_that_another_version_would_place_elsewhere_are_a_difference(opened: Any, made: Made) -> None:
    with Journal(made.path) as journal:
        journal.write(RunStarted({**RUN, "rungs": [4]}))
    with pytest.raises(UserError, match=r"rungs: \[4\] before, \[3\] now"):
        opened()


# Earlier searches


def earlier_run(folder: Path) -> Path:
    """The folder of an earlier search with one config."""
    run = Made(folder)
    run.trial(0, 12, Status.COMPLETED)
    return folder


def test_what_a_run_began_with_is_read_from_it_again_though_the_folder_is_gone(opened: Any, tmp_path: Path) -> None:
    folder = earlier_run(tmp_path / "earlier")
    begun = opened(warm_start=(folder,))
    assert [(one.folder, len(one.observations)) for one in begun.earlier] == [(str(folder), 1)]
    begun.begin({**RUN, "warm_start": [one.as_dict() for one in begun.earlier]}).close()
    shutil.rmtree(folder)
    assert opened(warm_start=(folder,)).earlier == begun.earlier


@pytest.mark.parametrize(
    ("now", "told"), [([], "none"), (["other"], "{0}/other"), (["earlier", "other"], "{0}/earlier {0}/other")]
)
def test_other_earlier_searches_are_refused(opened: Any, tmp_path: Path, now: list[str], told: str) -> None:
    begun = opened(warm_start=(earlier_run(tmp_path / "earlier"),))
    begun.begin({**RUN, "warm_start": [one.as_dict() for one in begun.earlier]}).close()
    with pytest.raises(UserError) as caught:
        opened(warm_start=tuple(tmp_path / name for name in now))
    difference = f"warm_start: {tmp_path}/earlier before, {told.format(tmp_path)} now"
    assert caught.value.problems[0].endswith(f"can't be resumed with a change: {difference}")


def test_the_order_of_the_folders_is_no_change(opened: Any, tmp_path: Path) -> None:
    folders = earlier_run(tmp_path / "one"), earlier_run(tmp_path / "two")
    begun = opened(warm_start=folders)
    begun.begin({**RUN, "warm_start": [one.as_dict() for one in begun.earlier]}).close()
    assert opened(warm_start=folders[::-1]).earlier == begun.earlier


def test_where_a_run_was_killed_before_it_began_the_folders_are_read(opened: Any, tmp_path: Path) -> None:
    folder = earlier_run(tmp_path / "earlier")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / JOURNAL_FILE).touch()
    with pytest.raises(UserError, match="holds no run"):
        opened(warm_start=(tmp_path / "nowhere",))
    assert len(opened(warm_start=(folder,)).earlier) == 1, "and the journal was left for others"


@pytest.mark.parametrize("damage", [3, [3], [{"folder": "x"}], [{"observations": [3]}]])
def test_a_run_json_whose_warm_start_is_damaged_does_not_stand_in_for_the_journal(
    opened: Any, made: Made, damage: object
) -> None:
    made.trial(0, 12, Status.COMPLETED)
    write_run(made.folder, {**RUN, "warm_start": damage})
    content = bytearray(made.path.read_bytes())
    content[100] ^= 1
    made.path.write_bytes(content)
    with pytest.raises(UserError, match=r"neither journal\.jsonl nor run\.json says what was run"):
        opened()


def test_every_difference_is_told_at_once(opened: Any, made: Made) -> None:
    other = replace(SPACE, trials=2, dimensions=OTHER_RANGE, settings={**SPACE.settings, "seed": 2})
    with pytest.raises(UserError) as caught:
        opened(space=other, measures=("entropy", "pgd_l2"))
    told = [problem.partition(": ")[2].partition(":")[0] for problem in caught.value.problems]
    assert sorted(told[:-1]) == ["learning_rate", "measures", "seed", "trials"]


def test_more_trials_are_no_change(opened: Any, made: Made) -> None:
    made.trial(0, 12, Status.COMPLETED)
    assert opened(space=replace(SPACE, trials=10)).to_come == 9


def test_more_trials_that_would_make_others_control_trials_are_refused(opened: Any, made: Made) -> None:
    few, enough = replace(SPACE, trials=3, control_trials=2), replace(SPACE, trials=6, control_trials=2)
    with Journal(made.path) as journal:
        journal.write(RunStarted(run_like_made(few)))
    with pytest.raises(UserError) as caught:
        opened(space=replace(few, trials=10))
    assert caught.value.problems[0] == (
        f"{made.folder} can't be resumed with a change: control_trials: 2 of 3 trials before, of 10 now: "
        "other trials would be control trials"
    )
    with Journal(made.path) as journal:
        journal.write(RunStarted(run_like_made(enough)))
    assert opened(space=replace(enough, trials=10)).to_come == 10, "the control trials are the same"


def run_like_made(space: Space) -> dict[str, Any]:
    """What run.json says of another space searched in the same folder."""
    return {**RUN, "space": json.loads(space.canonical_json())}


# Runs of older versions


def test_a_run_of_version_0_1_0_is_refused_in_one_line_that_says_why(opened: Any, tmp_path: Path) -> None:
    shutil.copytree(OLD / "killed", tmp_path / "run")
    before = everything_in(tmp_path / "run")
    with pytest.raises(UserError) as caught:
        opened()
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / 'run'} can't be resumed: it was begun by tune_lpc 0.1.0, whose schedules")
    assert problem.endswith("finish it with that version, or begin again in another folder with --out")
    assert "\n" not in problem
    assert everything_in(tmp_path / "run") == before
    Journal(tmp_path / "run" / JOURNAL_FILE).close()


def test_a_run_of_other_schedules_whose_version_nobody_knows_is_refused_too(opened: Any, made: Made) -> None:
    with Journal(made.path) as journal:
        journal.write(RunStarted({name: value for name, value in RUN.items() if name not in ("schedules", "versions")}))
    with pytest.raises(UserError, match="it was begun by tune_lpc an unknown version, whose schedules"):
        opened()


def test_a_ledger_of_version_0_1_0_is_read_whole() -> None:
    for name, epochs in (("finished", 48), ("killed", 60)):
        ledger, damaged = read_ledger(OLD / name / JOURNAL_FILE)
        assert isinstance(ledger, Ledger) and damaged == []
        assert sum(trial.epochs_trained for trial in ledger.trials.values()) == epochs
        assert ledger.fidelity is not None and ledger.fidelity.rungs() == ledger.run["rungs"]
