"""What the options of `python -m tune_lpc.run` ask of the search, which itself does not run here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused
from tune_lpc.plan import Space, UserError, load_space, shipped_names
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.run import main
from tune_lpc.storage.address import Address, local_copy
from tune_lpc.train import main as train
from tune_lpc.training.data.cache import cache_folder

Asked = Callable[..., list[Any]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The requests that a command makes of the search."""

    def run(*options: str, out: Path | None = tmp_path / "run") -> list[Any]:
        requests: list[Any] = []

        def run_searches(made: list[Any], *_: object) -> Iterator[Any]:
            requests.extend(made)
            yield from ()

        monkeypatch.setattr("tune_lpc.engine.tuner.run_searches", run_searches)
        assert main(["digits", *([] if out is None else ["--out", str(out)]), *options]) == 0
        return requests

    return run


def test_a_trial_goes_on_twice_and_is_stuck_after_twenty_times_the_time_unless_asked_otherwise(asked: Asked) -> None:
    (request,) = asked()
    assert (request.resume, request.max_failures, request.stuck_after) == (False, 2, 20.0)
    assert request.space.fidelity_mode == "truncated"


def test_the_guards_and_the_resume_are_asked_of_every_search(asked: Asked) -> None:
    requests = asked("--method", "lpc", "sliding", "--resume", "--max-failures", "0", "--stuck-after", "2.5")
    assert [(r.resume, r.max_failures, r.stuck_after) for r in requests] == [(True, 0, 2.5)] * 2


def test_the_space_is_searched_in_the_mode_asked_for(asked: Asked) -> None:
    (request,) = asked("--fidelity", "truncated", "--first-rung-after", "0.5", "--control-trials", "3")
    space = request.space
    assert (space.fidelity_mode, space.first_rung_after, space.control_trials) == ("truncated", 0.5, 3)
    assert sum(space.is_control(number) for number in range(space.trials)) == 3


def test_the_best_are_trained_with_as_many_seeds_as_asked_for(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (request,) = asked("--seeds", "4", "--set", "seed_splits=true")
    assert (request.space.seeds, request.space.seed_splits) == (4, True)
    for given, told in (
        (["--seeds", "0"], "seeds is 0, but must be a whole number from 1 to 20"),
        (["--seeds", "many"], "--seeds is 'many', but must be a whole number"),
        (["--seeds", "2", "--set", "seeds=3"], "seeds is given by --seeds and by --set; give it once"),
    ):
        assert refused(["digits", "--out", str(tmp_path / "run"), *given], capsys) == [f"error: {told}"]


def test_the_objectives_asked_for_are_those_of_the_space_and_bring_their_measures(asked: Asked) -> None:
    three = ("validation_accuracy", "measure.nc1:min", "measure.entropy:min")
    (request,) = asked("--objective", *three, "--measure", "nc1")
    assert request.space.objectives == three
    assert request.measures == ("nc1", "entropy")


def test_objectives_of_every_method_are_the_same(asked: Asked) -> None:
    requests = asked("--objective", "nc1", "validation_accuracy", "--method", "lpc", "sliding")
    assert [request.space.objectives for request in requests] == [("nc1", "validation_accuracy")] * 2
    assert [request.measures for request in requests] == [(), ()]


def test_wrong_objectives_are_all_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objectives = ["--objective", "measure.deepfool", "measure.nc", "--trials", "none at all"]
    assert main(["digits", "--out", str(tmp_path / "run"), *objectives]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4 and all(line.startswith("error: ") for line in told)
    assert "is fooled by collapsed networks" in "".join(told)
    assert not (tmp_path / "run").exists()


def test_objectives_are_given_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--objective", "validation_accuracy", "nc1", "--set", "objectives=validation_accuracy"]
    assert main(["digits", "--out", str(tmp_path / "run"), *twice]) == 2
    assert "objectives is given by --objective and by --set; give it once" in capsys.readouterr().err


def test_the_sampler_and_the_earlier_searches_are_asked_of_every_search(asked: Asked) -> None:
    folder = Path(__file__).parent / "journals" / "version-0.1.0" / "finished"
    requests = asked("--method", "lpc", "sliding", "--sampler", "gp", "--warm-start", str(folder))
    assert [(request.space.sampler, request.warm_start) for request in requests] == [("gp", (folder,))] * 2
    (plain,) = asked()
    assert (plain.space.sampler, plain.space.random_starts, plain.warm_start) == ("tpe", 10, ())


def test_a_search_that_goes_on_does_not_need_the_folders_that_it_began_with(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (request,) = asked("--resume", "--warm-start", "/nowhere")
    assert request.warm_start == (Path("/nowhere"),)


def test_with_a_time_and_no_number_as_many_trials_are_asked_for_as_fit(asked: Asked) -> None:
    (request,) = asked("--hours", "0.5")
    assert request.hours == HoursAsked(0.5)
    assert request.space.trials == AS_MANY_AS_FIT
    (request,) = asked("--gpu-hours", "3", "--hours", "2")
    assert request.hours == HoursAsked(2.0, 3.0)
    assert request.space.trials == AS_MANY_AS_FIT
    (request,) = asked()
    assert not request.hours.is_limited


@pytest.mark.parametrize("number", [("--trials", "5"), ("--set", "trials=5")])
def test_a_number_beside_a_time_is_the_most(asked: Asked, number: tuple[str, str]) -> None:
    (request,) = asked("--hours", "0.5", *number)
    assert (request.space.trials, request.hours.hours) == (5, 0.5)


def test_the_time_is_that_of_each_search_and_begins_with_the_command(asked: Asked) -> None:
    before = time.monotonic()
    requests = asked("--hours", "1", "--method", "lpc", "sliding")
    assert [request.hours.hours for request in requests] == [1.0, 1.0]
    assert all(before <= request.began <= time.monotonic() for request in requests)


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--hours", "0"], ["--hours is 0.0, but must be a number above 0 and up to 1000000"]),
        (["--hours", "soon"], ["--hours is 'soon', but must be a number"]),
        (["--gpu-hours", "nan"], ["--gpu-hours is nan, but must be a number above 0 and up to 1000000"]),
        (
            ["--gpu-hours", "2", "--gpus-per-trial", "0"],
            ["--gpu-hours is 2, but the trials use no GPU; limit the search with --hours"],
        ),
        (
            ["--hours", "-1", "--epochs", "0"],
            [
                "--hours is -1.0, but must be a number above 0 and up to 1000000",
                "epochs is 0, but must be a whole number from 1 to 1000000",
            ],
        ),
    ],
)
def test_a_time_that_is_none_is_refused(
    options: list[str], lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(["digits", "--out", str(tmp_path / "run"), *options], capsys)
    assert told == [f"error: {line}" for line in lines]
    assert not (tmp_path / "run").exists()


# The defaults that help tells


def defaults_told(command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What the help of a command calls the default of each option: "2" for "(default 2, at least 1)"."""
    with pytest.raises(SystemExit):
        command(["--help"])
    text = capsys.readouterr().out
    told = {}
    for option, words in re.findall(r"^  (--[a-z-]+)(.*?)(?=^  -|\Z)", text, re.MULTILINE | re.DOTALL):
        if found := re.search(r"\(default:? ([^,;()]+)", " ".join(words.split())):
            told[option] = found[1].strip()
        assert found or "default" not in words, f"{option} tells a default in a way that this test does not read"
    return told


def test_every_default_that_the_help_of_run_tells_is_the_one_in_force(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = defaults_told(main, capsys)
    monkeypatch.chdir(tmp_path)
    (request,) = asked(out=None)
    plain = load_space("digits")
    on_cpus, on_gpus = (request.resources.plan(cpus=8, gpus=gpus)[0] for gpus in (0, 2))
    assert (on_cpus.concurrent, on_gpus.concurrent) == (8, 2)
    assert on_cpus.gpus_per_trial == 0
    assert (request.space.trials, request.space.epochs) == (plain.trials, plain.epochs)
    copy = local_copy(Address("bucket", "path"), "http://localhost")
    assert told == {
        "--local-copy": "below the cache folder" if copy.is_relative_to(cache_folder()) else str(copy),
        "--out": str(request.out).replace("digits", "SPACE"),
        "--optuna-storage": request.optuna_storage,
        "--trials": "the space's",
        "--epochs": "the space's",
        "--fidelity": request.space.fidelity_mode,
        "--control-trials": f"{request.space.control_trials}",
        "--seeds": f"{request.space.seeds}",
        "--objective": " ".join(request.space.objectives),
        "--max-failures": f"{request.max_failures}",
        "--stuck-after": f"{request.stuck_after:g}",
        "--concurrent": "as many as fit",
        "--cpus-per-trial": f"{on_cpus.cpus_per_trial}",
        "--gpus-per-trial": f"{on_gpus.gpus_per_trial:g} if there are any",
        "--processes-per-trial": "one a GPU of it",
        "--seed": f"{request.space.seed}",
        "--sampler": request.space.sampler,
        "--method": request.space.fixed("method"),
    }


def test_every_default_that_the_help_of_train_tells_is_the_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = defaults_told(train, capsys)
    ranks, folders = [], []
    monkeypatch.setattr("tune_lpc.train.load_ranked", lambda folder, rank: ranks.append(rank))
    run = {"data": {"data_dir": str(tmp_path)}, "resources": {"cpus_per_trial": 1, "gpus_per_trial": 0}}
    monkeypatch.setattr("tune_lpc.train.load_run", lambda *_: run)
    monkeypatch.setattr("tune_lpc.train.sessions_of", lambda *_: [])

    def prepare(spec: object, folder: Path, code: object) -> None:
        folders.append(folder)
        raise UserError("far enough")

    monkeypatch.setattr("tune_lpc.training.prepare.prepare", prepare)
    assert train([str(tmp_path)]) == 2
    assert folders == [tmp_path]
    assert told == {
        "--rank": f"{ranks[0]}",
        "--data-dir": "where the search had them",
        "--processes": "as in the search",
    }


@pytest.mark.parametrize("name", shipped_names())
def test_no_shipped_space_sets_what_help_says_unless(name: str) -> None:
    space = load_space(name)
    assert (space.fidelity_mode, space.control_trials, space.seed) == (Space.fidelity_mode, Space.control_trials, 0)
    assert space.seeds == Space.seeds
