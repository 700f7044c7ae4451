"""What the worker of a trial reports, step by step, without Ray around it."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tune_lpc.engine.report import REPORT, Report, trial_config
from tune_lpc.engine.trainable import Job, TrialTrainable, checkpoint_folder
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.training import trainer
from tune_lpc.training.measures import MEASURES
from tune_lpc.training.prepare import prepare

SPEC = TrialSpec.build({"dataset": "digits", "network": "mlp", "epochs": 3, "gamma_ramp": "off"})


@pytest.fixture(autouse=True)
def _threads() -> Any:
    """The process of the tests computes on as many threads as before."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "journal.jsonl").touch()
    fingerprint = prepare(SPEC, None).source.fingerprint
    return Job(tmp_path, None, (3,), fingerprint, None, threads=1, needs_bfloat16=False)


def worker(job: Job, number: int = 0, spec: TrialSpec = SPEC) -> TrialTrainable:
    """A worker as Ray would start it, without the folders that Ray makes for it."""
    made = TrialTrainable.__new__(TrialTrainable)
    made.setup(trial_config(number, spec), job)
    return made


def reports(of: TrialTrainable, count: int) -> list[Report]:
    return [of.step()[REPORT] for _ in range(count)]


def epochs(of: list[Report]) -> list[int]:
    return [report.record["epoch"] for report in of if report.record is not None]


def test_a_new_process_says_that_the_data_are_there_then_reports_an_epoch_a_step(job: Job) -> None:
    prepared, *trained = reports(worker(job), 4)
    assert prepared == Report()
    assert epochs(trained) == [1, 2, 3]
    first, *others = trained
    assert first.placed is not None
    assert (first.placed.trial_id, first.placed.host, first.placed.pid) == (
        "trial-00000",
        socket.gethostname(),
        os.getpid(),
    )
    assert (first.placed.continued_from, list(first.placed.left_out)) == (None, [])
    assert all(report.placed is None and report.measured is None and report.problem is None for report in others)


def test_the_next_trial_in_the_same_process_begins_with_its_first_epoch(job: Job) -> None:
    of = worker(job)
    reports(of, 4)
    assert of.reset_config(trial_config(7, replace(SPEC, seed=1)))
    (first,) = reports(of, 1)
    assert epochs([first]) == [1]
    assert first.placed is not None and first.placed.trial_id == "trial-00007"


def test_a_further_seed_with_a_split_of_its_own_is_trained_on_that(job: Job) -> None:
    of, found = worker(job), []
    for number, split in enumerate((0, 1, 1, 0)):
        if number:
            of.reset_config(trial_config(number, replace(SPEC, split=split)))
        *_, first = reports(of, 1 if number else 2)
        found.append(first.record)
    alone = reports(worker(job, number=9, spec=replace(SPEC, split=1)), 2)[1].record
    losses = [record["validation_loss"] for record in found if record is not None]
    assert alone is not None
    assert losses == [losses[0], alone["validation_loss"], alone["validation_loss"], losses[0]]
    assert losses[0] != losses[1]


def test_the_data_are_split_again_only_where_the_split_is_another(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    splits: list[int] = []

    def noting(spec: TrialSpec, *others: Any) -> Any:
        splits.append(spec.split)
        return prepare(spec, *others)

    monkeypatch.setattr(trainer, "prepare", noting)
    of = worker(job)
    reports(of, 2)
    for number, split in enumerate((0, 2, 2, 3), start=1):
        of.reset_config(trial_config(number, replace(SPEC, split=split)))
        reports(of, 1)
    assert splits == [0, 2, 3]


def test_where_a_rung_may_leave_it_there_is_a_checkpoint_however_dear_one_is(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_lpc.training.climb.CHECKPOINT_SHARE", 1e-9)  # none after the first that need not be
    reports(worker(replace(job, rungs=frozenset({(3, 2)}))), 3)
    again = reports(worker(job), 2)[1]
    assert again.placed is not None and again.placed.continued_from == (3, 2)


def test_measures_are_announced_and_come_with_the_last_epoch(job: Job) -> None:
    name = "nc1"
    assert name in MEASURES
    of = worker(replace(job, measures=(name,)))
    *trained, announced, last = reports(of, 5)
    assert epochs(trained) == [1, 2]
    assert announced == Report(measures_come_next=True)
    assert last.record is not None and last.record["epoch"] == 3
    assert last.measured is not None
    assert (last.measured.trial_id, set(last.measured.values)) == ("trial-00000", {name})
    assert last.measured.values[name] == pytest.approx(last.record["nc1"])


def test_measures_of_a_trial_of_one_epoch_come_with_its_place(job: Job) -> None:
    of = worker(replace(job, measures=("nc1",), runs=(1,)), spec=replace(SPEC, epochs=1))
    _, announced, last = reports(of, 3)
    assert announced.placed is None
    assert last.placed is not None and last.measured is not None


def test_measures_that_are_objectives_are_taken_at_the_rung_too(job: Job) -> None:
    of = worker(replace(job, measures=("nc1", "entropy"), objectives={(3, 2): ("entropy",)}))
    _, first, announced, second, announced_again, last = reports(of, 6)
    assert first.measured is None
    assert announced == announced_again == Report(measures_come_next=True)
    assert second.record is not None and second.record["epoch"] == 2
    assert second.measured is not None and last.measured is not None
    assert (second.measured.position, set(second.measured.values)) == ((3, 2), {"entropy"})
    assert (last.measured.position, set(last.measured.values)) == (None, {"nc1", "entropy"})


def test_a_trial_that_goes_on_from_a_rung_is_measured_there_again(job: Job) -> None:
    at_rung = replace(job, objectives={(3, 2): ("entropy",)}, rungs=frozenset({(3, 2)}))
    told = reports(worker(at_rung), 4)
    _, announced, again, last = reports(worker(at_rung), 4)
    assert announced.measures_come_next
    assert (again.record, again.measured) == (told[3].record, told[3].measured)
    assert last.record is not None and last.record["epoch"] == 3 and last.measured is None


@pytest.mark.parametrize("name", ["nc1", "mean_norm"])
def test_what_each_epoch_holds_is_what_the_measure_of_that_name_measures(job: Job, name: str) -> None:
    """So as an objective it need not be measured again."""
    last = reports(worker(replace(job, measures=(name,))), 5)[-1]
    assert last.record is not None and last.measured is not None
    assert last.record[name] == last.measured.values[name]


def test_a_trial_that_has_diverged_has_no_measures(job: Job) -> None:
    wild = TrialSpec.build({**SPEC_VALUES, "optimizer": "sgd", "learning_rate": 1e30, "epochs": 1})
    _, last = reports(worker(replace(job, measures=("nc1",), runs=(1,)), spec=wild), 2)
    assert last.record is not None and last.record["diverged"]
    assert last.measured is None


SPEC_VALUES: dict[str, Any] = {"dataset": "digits", "network": "mlp", "gamma_ramp": "off"}


def test_a_trial_goes_on_from_its_checkpoint_with_that_epoch_once_more(job: Job) -> None:
    told = reports(worker(job), 3)
    folder = checkpoint_folder(job.folder, 0)
    newest = max(int(path.name.split("-")[1]) for path in folder.glob("*.pt"))
    _, again = reports(worker(job), 2)
    assert again.placed is not None and again.placed.continued_from == (3, newest)
    assert again.record == told[newest].record


def test_a_checkpoint_that_cannot_be_written_is_a_problem_and_training_goes_on(job: Job) -> None:
    checkpoint_folder(job.folder, 0).parent.write_text("no folder")
    _, *trained = reports(worker(job), 4)
    assert epochs(trained) == [1, 2, 3]
    problems = [report.problem for report in trained]
    assert problems[0] is not None and problems[0].startswith("no checkpoint could be written: ")


def test_a_process_is_there_before_it_prepares_the_data_so_that_it_is_watched(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "prepare", lambda *_: pytest.fail("the data are prepared"))
    of = worker(job)
    assert of.reset_config(trial_config(1, SPEC)), "its first trial may end before its first step"
    with pytest.raises(pytest.fail.Exception, match="the data are prepared"):
        of.step()


# What a worker refuses


def test_a_node_without_the_results_folder_is_told_where_it_must_lie(job: Job, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not there on .*put it, with --out .*, where all nodes see the same files"):
        worker(replace(job, folder=tmp_path / "elsewhere")).step()


def test_a_node_with_other_images_is_refused(job: Job) -> None:
    with pytest.raises(UserError, match="differ from those where the search was started"):
        worker(replace(job, fingerprint="0" * 64)).step()


@pytest.mark.parametrize("computes", [True, False])
def test_a_node_that_does_not_compute_in_the_precision_of_the_search_is_refused(
    job: Job, monkeypatch: pytest.MonkeyPatch, computes: bool
) -> None:
    monkeypatch.setattr(trainer, "computes_in_bfloat16", lambda device: computes)
    worker(job).step()  # a search in float32 trains anywhere
    needing = replace(job, needs_bfloat16=True)
    if computes:
        worker(needing).step()
        return
    with pytest.raises(UserError) as raised:
        worker(needing).step()
    (line,) = raised.value.problems
    assert line == (
        f"the search trains in bfloat16, but {socket.gethostname()} does not compute in it; "
        "leave that node out, or search with --set precision=float32"
    )


# Several processes


def test_a_trial_in_two_processes_reports_as_one_in_one(job: Job) -> None:
    before = set(psutil.Process().children())  # a Ray of other tests, say
    one, two = (worker(replace(job, processes=count, measures=("nc1",)), number=count) for count in (1, 2))
    try:
        pairs = list(zip(reports(two, 5), reports(one, 5), strict=True))
        for found, wanted in pairs:
            assert (found.record is None) == (wanted.record is None)
            if found.record is not None and wanted.record is not None:
                assert found.record["train_loss"] == pytest.approx(wanted.record["train_loss"], rel=1e-4)
        (of_two, of_one), (last, wanted) = pairs[1], pairs[-1]
        assert of_two.placed is not None and of_one.placed is not None
        assert of_two.placed == replace(of_one.placed, trial_id="trial-00002", processes=2)
        assert last.measured is not None and wanted.measured is not None
        assert last.measured.values["nc1"] == pytest.approx(wanted.measured.values["nc1"], rel=1e-3)
        children = set(psutil.Process().children()) - before
        assert len(children) == 2
    finally:
        two.cleanup()
    assert not any(child.is_running() for child in children)
