"""The study that follows a search: what it shows, after kills too, and that no password gets out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tests.search.curves import noisy_curve, run_of
from tune_lpc.plan import Choice, Float, Space, UserError
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted, Status
from tune_lpc.search.dashboard import FILE, STUDY_FILE, Mirror, check_storage, rebuild, without_password
from tune_lpc.search.director import Director
from tune_lpc.search.sampler import RandomSampler
from tune_lpc.search.simulated import MemoryLog, simulate

SPACE = Space(
    name="small",
    about="for tests",
    trials=9,
    settings={"epochs": 9},
    dimensions={"learning_rate": Float(1e-4, 1e-1, log=True), "optimizer": Choice(["adamw", "sgd"])},
    seeds=2,
)


def searched(
    folder: Path, *, most_events: int | None = None, log: MemoryLog | None = None
) -> tuple[Director, MemoryLog]:
    """A search with its study, from where it stood to its end or until so many epochs."""
    log = log or MemoryLog([RunStarted(run_of(SPACE))])
    director = Director(SPACE, Ledger(log.events), log, RandomSampler(SPACE))
    mirror = Mirror(SPACE, director.ledger, folder, FILE)
    director.watched_by(mirror)
    director.settle()
    simulate(director, noisy_curve, slots=2, most_events=most_events)
    mirror.close()
    assert mirror.problem is None
    return director, log


def study_in(folder: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


def trials_in(folder: Path) -> list[FrozenTrial]:
    return study_in(folder).get_trials()


def check_agreement(folder: Path, ledger: Ledger) -> None:
    """The last Optuna trial of each of ours says how it stands."""
    shown = {trial.user_attrs["trial_id"]: trial for trial in trials_in(folder)}
    assert shown.keys() == ledger.trials.keys()
    for trial in ledger.trials.values():
        other = shown[trial.trial_id]
        assert other.params == {name: trial.config[name] for name in SPACE.dimensions}
        if trial.status is Status.COMPLETED:
            assert (other.state, other.value) == (TrialState.COMPLETE, trial.final_score)
        elif trial.status is Status.STOPPED:
            assert other.state is TrialState.PRUNED
        elif trial.status is Status.DIVERGED:
            assert other.state is TrialState.FAIL and "nan" in other.user_attrs["reason"]
        else:
            assert other.state is TrialState.RUNNING


def test_the_study_says_what_the_ledger_says(tmp_path: Path) -> None:
    director, _ = searched(tmp_path)
    check_agreement(tmp_path, director.ledger)
    shown = trials_in(tmp_path)
    best = next(trial for trial in shown if trial.state is TrialState.COMPLETE)
    assert best.intermediate_values[9] == best.value
    assert any("further seed of" in trial.user_attrs for trial in shown)
    notes = [value for name, value in study_in(tmp_path)._storage.get_study_system_attrs(0).items() if "note" in name]
    assert any("python -m tune_lpc.train" in str(value) for value in notes)


def test_a_search_that_goes_on_goes_on_in_the_same_study(tmp_path: Path) -> None:
    director, log = searched(tmp_path, most_events=25)
    check_agreement(tmp_path, director.ledger)
    director, _ = searched(tmp_path, log=log)
    check_agreement(tmp_path, director.ledger)


@pytest.mark.parametrize("damage", ["missing", "cut", "no study"])
def test_a_file_that_was_damaged_is_made_anew(damage: str, tmp_path: Path) -> None:
    director, log = searched(tmp_path, most_events=25)
    path = tmp_path / STUDY_FILE
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("no journal\n" if damage == "no study" else path.read_text()[:-40])
    director, _ = searched(tmp_path, log=log)
    check_agreement(tmp_path, director.ledger)


def test_the_study_can_be_made_from_the_ledger_alone(tmp_path: Path) -> None:
    director, _ = searched(tmp_path)
    rebuild(SPACE, director.ledger, tmp_path)
    check_agreement(tmp_path, director.ledger)


def test_a_folder_that_can_not_be_written_harms_no_search(tmp_path: Path) -> None:
    log = MemoryLog([RunStarted(run_of(SPACE))])
    director = Director(SPACE, Ledger(log.events), log, RandomSampler(SPACE))
    mirror = Mirror(SPACE, director.ledger, tmp_path / "missing", FILE)
    director.watched_by(mirror)
    simulate(director, noisy_curve)
    mirror.close()
    assert director.is_over and mirror.problem is not None and "missing" in mirror.problem


def test_a_database_takes_the_study_too(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/team.db"
    check_storage(address)
    log = MemoryLog([RunStarted(run_of(SPACE))])
    director = Director(replace(SPACE, trials=2), Ledger(log.events), log, RandomSampler(SPACE))
    mirror = Mirror(SPACE, director.ledger, tmp_path, address)
    director.watched_by(mirror)
    simulate(director, noisy_curve)
    mirror.close()
    assert mirror.problem is None
    (summary,) = optuna.get_all_study_summaries(address)
    assert summary.n_trials >= 2 and summary.study_name.startswith("small, ")


# Addresses


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://anna:s3cret@db/lpc", "postgresql://anna:***@db/lpc"),
        (
            "run --optuna-storage mysql+pymysql://u:p:w@h/d --seed 1",
            "run --optuna-storage mysql+pymysql://u:***@h/d --seed 1",
        ),
        ("sqlite:///folder/file.db", "sqlite:///folder/file.db"),
        ("postgresql://db/lpc", "postgresql://db/lpc"),
    ],
)
def test_passwords_are_taken_out(text: str, shown: str) -> None:
    assert without_password(text) == shown


@pytest.mark.parametrize("address", ["somewhere", "nosuch://u:hidden@h/d", "postgresql://u:hidden@127.0.0.1:1/d"])
def test_an_address_of_no_use_is_told_without_its_password(address: str) -> None:
    with pytest.raises(UserError) as error:
        check_storage(address)
    (line,) = error.value.problems
    assert line.startswith("--optuna-storage ") and "hidden" not in line and "\n" not in line
