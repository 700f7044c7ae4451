"""What Ray tells of trials that start, fail and say nothing more, and how a full disk is met."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from tests.engine.searches import SPACE, STUCK_AFTER, Search, made_up_clock, placed
from tune_lpc.engine.callback import (
    DISK_CHECK_EVERY,
    LONGEST_REASON,
    DirectorCallback,
    EndOfSearch,
    UnusedCheckpoints,
    reason_of_failure,
)
from tune_lpc.engine.report import NUMBER, Report
from tune_lpc.results.events import Status, TrialEnded
from tune_lpc.search.watch import SHORTEST_FIRST_WAIT

TRACEBACK = """\x1b[36mray::TrialTrainable.train()\x1b[39m (pid=71, ip=10.0.0.1)
  File "/lib/ray/tune/trainable/trainable.py", line 328, in train
    result = self.step()
             ^^^^^^^^^^^
tune_lpc.plan.errors.{type}: {message}"""
WORKER_DIED = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialTrainable
\tpid: 71
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"""


def note(search: Search, trial: Any, error: Exception | str) -> Any:
    """The trial, its error noted where and how Ray notes it, after those of before."""
    path = search.folder / f"error-{trial.config['number']}.txt"
    text = error if isinstance(error, str) else TRACEBACK.format(type=type(error).__name__, message=error)
    with path.open("a") as file:
        file.write(f"Failure # 1 (occurred at 2026-11-22_05-00-00)\n{text}\n")
    trial.error_file = str(path)
    return trial


def fail(search: Search, trial: Any, error: Exception | str) -> None:
    search.callback.on_trial_error(0, [], note(search, trial, error))


def recover(search: Search, trial: Any, error: Exception | str | None = None) -> None:
    search.callback.on_trial_recover(0, [], trial if error is None else note(search, trial, error))


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The workers that were killed."""
    found: list[str] = []
    monkeypatch.setattr("ray.kill", found.append)
    return found


# Why a trial failed


def test_a_failed_trial_names_its_exception_in_a_line(search: Search) -> None:
    fail(search, search.start(), RuntimeError("first line\nthe disk is on fire"))
    assert search.ends() == {"trial-00000": ("failed", "RuntimeError: the disk is on fire")}


def test_the_reason_of_a_failure_is_that_of_the_last_and_never_long(search: Search) -> None:
    trial = note(search, search.start(), RuntimeError("the first time"))
    fail(search, trial, RuntimeError("many words " * 1000))
    (entry,) = search.entries("trial_ended")
    assert entry["reason"].startswith("RuntimeError: many words many")
    assert len(entry["reason"]) <= LONGEST_REASON


def test_a_worker_that_died_is_told_in_the_words_of_ray(search: Search) -> None:
    recover(search, search.start(), WORKER_DIED)
    (reason,) = search.restarts()
    assert reason.startswith("The actor is dead because its worker process has died.")


def test_a_note_of_the_error_that_cannot_be_read_ends_nothing(search: Search) -> None:
    trial = search.start()
    trial.error_file = str(search.folder / "gone.txt")
    search.callback.on_trial_error(0, [], trial)
    (entry,) = search.entries("trial_ended")
    assert "No such file or directory" in entry["reason"]


@pytest.mark.parametrize("text", ["", "Failure # 1 (occurred at 2026-11-22_05-00-00)\n"])
def test_a_failure_without_a_message_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "error.txt").write_text(text)
    trial: Any = SimpleNamespace(error_file=str(tmp_path / "error.txt"))
    assert reason_of_failure(trial) == "the worker failed without a message; see Ray's logs"


# The life of a trial


def test_a_trial_that_starts_again_after_a_failure_is_noted_once(search: Search) -> None:
    trial = search.start()
    recover(search, trial)
    search.callback.on_trial_start(0, [], trial)
    (entry,) = search.entries("trial_started")
    assert (entry["trial_id"], entry["number"], entry["control"]) == ("trial-00000", 0, False)
    assert entry["config"]["learning_rate"] == trial.config["spec"].learning_rate
    assert entry["config"]["epochs"] == 9


def test_a_trial_that_fails_before_it_starts_is_told_whole(search: Search) -> None:
    # Ray calls nothing else when the preparation of the data fails.
    first, second = search.suggest(), search.suggest()
    recover(search, first, FileNotFoundError("gone"))
    fail(search, first, FileNotFoundError("gone"))
    fail(search, second, FileNotFoundError("gone"))
    assert search.kinds() == ["trial_started", "trial_restarted", "trial_ended", "trial_started", "trial_ended"]
    assert search.ends()["trial-00001"] == ("failed", "FileNotFoundError: gone")


def test_a_restart_has_the_reason_of_whoever_killed_the_worker_or_that_of_ray(
    search: Search, killed: list[str]
) -> None:
    trial, other = search.start(), search.start()
    search.epoch(trial, 1)
    search.steps(35, [trial, other], epochs_of=(other,))
    for _ in range(2):
        recover(search, trial, RuntimeError("the worker died"))
    trial.error_file = None
    recover(search, trial)
    stuck, *others = search.restarts()
    assert stuck.startswith("no epoch in 31 s, where one takes ")
    assert others == ["RuntimeError: the worker died", "the worker failed without a message; see Ray's logs"]
    assert search.view.lines[0] == f"trial 0 is restarted: {stuck}"


def test_a_trial_stuck_once_too_often_fails_with_that_reason(search: Search, killed: list[str]) -> None:
    trial, other = search.start(), search.start()
    search.epoch(trial, 1)
    search.steps(35, [trial, other], epochs_of=(other,))
    fail(search, trial, RuntimeError("the actor died"))
    status, reason = search.ends()["trial-00000"]
    assert status == "failed" and reason.startswith("no epoch in 31 s")


def test_a_trial_cut_off_by_an_interruption_has_no_end(search: Search) -> None:
    trial = search.start()
    for epoch in range(1, 5):
        search.epoch(trial, epoch)
    search.complete(trial)
    assert search.ends() == {}


def test_the_checkpoints_of_a_trial_that_ended_are_removed_but_those_of_a_failed_one_kept(search: Search) -> None:
    completed, stopped, failed, running = (search.checkpoint(number) for number in range(4))
    trials = [search.start() for _ in range(4)]
    for epoch in range(1, 10):
        search.epoch(trials[0], epoch)
    assert not completed.exists(), "it ends with its last epoch"
    for epoch in range(1, 4):
        search.epoch(trials[1], epoch, 0.25)
    assert not stopped.exists()
    fail(search, trials[2], RuntimeError("mend me and resume"))
    assert failed.exists() and running.exists()


# Checkpoints of trials that wait at a rung


@pytest.fixture
def promoting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A search of three trials with a rung at epoch 3, of which one goes on as soon as all have come."""
    space = replace(SPACE, rung_rule="promote", seeds=1, trials=3)
    return Search(tmp_path, made_up_clock(monkeypatch), space)


def to_the_rung(search: Search, score: float, checkpoints: tuple[int, ...] = (2, 3)) -> tuple[Any, Path]:
    """The next trial, left at the rung; and the folder of its checkpoints."""
    trial = search.start()
    folder = search.checkpoint(trial.config[NUMBER], *checkpoints)
    for epoch in (1, 2, 3):
        verdict = search.epoch(trial, epoch, score)
    assert verdict == TrialScheduler.STOP
    return trial, folder


def epochs_in(folder: Path) -> list[int]:
    """After which epochs there are checkpoints."""
    return sorted(int(path.name.split("-")[1]) for path in folder.iterdir()) if folder.exists() else []


def test_of_a_trial_that_waits_the_newest_checkpoint_is_kept(promoting: Search) -> None:
    _, folder = to_the_rung(promoting, 0.5)
    assert epochs_in(folder) == [3]


def test_the_checkpoint_of_one_without_hope_is_removed_and_that_of_the_better_one_kept(promoting: Search) -> None:
    _, worse = to_the_rung(promoting, 0.5)
    _, better = to_the_rung(promoting, 0.6)
    assert (epochs_in(worse), epochs_in(better)) == ([], [3])
    _, third = to_the_rung(promoting, 0.4)
    assert (epochs_in(third), epochs_in(better)) == ([], [3])


def test_one_that_has_gone_on_keeps_its_checkpoints_until_it_ends(promoting: Search) -> None:
    for score in (0.5, 0.6, 0.4):
        to_the_rung(promoting, score)
    again = promoting.start()
    folder = promoting.checkpoint(1, 4)
    assert again.config[NUMBER] == 1
    # Another trial ends meanwhile, which is when those of no hope are looked for.
    promoting.director.told(TrialEnded("trial-00002", Status.STOPPED, "once more"), 0.0)
    assert epochs_in(folder) == [3, 4]
    for epoch in range(4, 10):
        promoting.epoch(again, epoch)
    assert epochs_in(folder) == []


def test_one_that_failed_after_it_had_gone_on_keeps_its_checkpoints(promoting: Search) -> None:
    for score in (0.5, 0.6, 0.4):
        to_the_rung(promoting, score)
    fail(promoting, promoting.start(), RuntimeError("mend me and resume"))
    promoting.director.told(TrialEnded("trial-00002", Status.STOPPED, "once more"), 0.0)
    assert epochs_in(promoting.folder / "checkpoints" / "1") == [3]


def test_those_that_waited_in_an_earlier_process_are_given_up_in_this_one(promoting: Search) -> None:
    _, worse = to_the_rung(promoting, 0.5)
    now = UnusedCheckpoints(promoting.folder, lambda: promoting.director.waiting)
    to_the_rung(promoting, 0.6)
    promoting.checkpoint(0, 3)  # as the process that knew it from the beginning would have left it, were it gone
    now(TrialEnded("trial-00001", Status.STOPPED, ""))
    assert epochs_in(worse) == []


def test_where_a_rung_ends_a_trial_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(tmp_path, made_up_clock(monkeypatch), replace(SPACE, rung_rule="stop", trials=9))
    first = search.start()
    for epoch in (1, 2, 3):
        search.epoch(first, epoch, 0.9)
    _, folder = to_the_rung(search, 0.5)
    assert epochs_in(folder) == []


def test_what_ray_keeps_of_the_metrics_of_an_ended_trial_is_dropped(search: Search) -> None:
    trial = search.start()
    search.epoch(trial, 1)
    search.complete(trial)
    assert trial.run_metadata.last_result == {"done": True}
    assert trial.run_metadata.metric_analysis == trial.run_metadata.metric_n_steps == {}


def test_failures_in_a_row_for_the_same_reason_end_the_search(search: Search) -> None:
    for number in range(3):
        assert search.director.ends_early is None
        fail(search, search.start(), FileNotFoundError(f"/data/{number}.png is gone"))
    assert search.director.ends_early == (
        "3 trials in a row failed for the same reason: FileNotFoundError: /data/2.png is gone"
    )
    assert search.searcher.suggest("the next") is None
    assert search.interrupt.requested is None, "nobody interrupted it"
    assert EndOfSearch(search.interrupt, search.director).stop_all(), "those that still run need not go on"


def test_a_search_whose_results_another_has_taken_over_ends_and_says_so(search: Search) -> None:
    reasons = [""]
    end = EndOfSearch(search.interrupt, search.director, None, lambda: reasons[0])
    assert not end.stop_all() and search.director.ends_early is None
    reasons[0] = "another search has taken over s3://bucket/path"
    assert end.stop_all() and search.director.ends_early == reasons[0]
    assert search.director.ask(0.0) is None


def test_the_search_goes_on_until_somebody_asks_it_to_end(search: Search) -> None:
    end = EndOfSearch(search.interrupt, search.director)
    assert not end.stop_all()
    search.interrupt.requested = "SIGTERM"
    assert end.stop_all()
    assert not end("a trial", {}), "of one trial the scheduler hears"


# Trials that say nothing more


@pytest.fixture
def watched(search: Search, killed: list[str]) -> list[Any]:
    """Two trials that run, each with two epochs of five seconds."""
    trials = [search.start(), search.start()]
    for epoch in (1, 2):
        search.clock.now += 5
        search.callback.on_step_begin(0, trials)
        for trial in trials:
            search.epoch(trial, epoch)
    return trials


def test_the_worker_of_a_stuck_trial_is_killed_once_and_the_reason_noted(
    search: Search, killed: list[str], watched: list[Any]
) -> None:
    search.steps(49, watched, epochs_of=(watched[1],))
    assert killed == []
    search.steps(5, watched, epochs_of=(watched[1],))
    assert killed == ["actor of trial 0"]
    recover(search, watched[0], WORKER_DIED)
    assert search.restarts() == ["no epoch in 51 s, where one takes 5 s"]


def test_a_trial_that_starts_again_may_be_stuck_again(search: Search, killed: list[str], watched: list[Any]) -> None:
    search.steps(60, watched, epochs_of=(watched[1],))
    recover(search, watched[0])
    search.steps(60, watched, epochs_of=(watched[1],))
    assert len(killed) == 1, "it waits for a worker, and no worker of it is there"
    search.callback.on_trial_start(0, [], watched[0])
    search.report(watched[0], Report())  # the data are there
    search.steps(int(SHORTEST_FIRST_WAIT) + 10, watched, epochs_of=(watched[1],))
    assert len(killed) == 2


def test_a_trial_is_watched_while_a_worker_prepares_the_data(search: Search, killed: list[str]) -> None:
    trial, expected = search.start(), int(SHORTEST_FIRST_WAIT / STUCK_AFTER) + 10
    search.steps(expected, [trial])
    search.report(trial, Report())
    search.complete(trial)
    following, most = search.start(), int(STUCK_AFTER * expected)
    search.steps(most, [following])
    assert killed == []
    search.steps(1, [following])
    assert killed == ["actor of trial 1"]
    recover(search, following)
    assert search.restarts() == [f"no sign of the data in {most + 1} s, where one takes {expected} s"]


@pytest.mark.parametrize("end", ["complete", "error", "recover"])
def test_a_trial_that_has_ended_or_lost_its_worker_is_not_watched(
    search: Search, killed: list[str], watched: list[Any], end: str
) -> None:
    getattr(search.callback, f"on_trial_{end}")(0, watched, watched[0])
    search.steps(60, watched, epochs_of=(watched[1],))
    assert killed == []


def test_a_trial_that_has_no_worker_is_left_alone(search: Search, killed: list[str], watched: list[Any]) -> None:
    watched[0].temporary_state.ray_actor = None
    search.steps(60, watched, epochs_of=(watched[1],))
    assert killed == []
    recover(search, watched[0], RuntimeError("the worker died"))
    assert search.restarts() == ["RuntimeError: the worker died"]


def test_measures_have_all_the_time_they_need_until_their_time_is_known(
    search: Search, killed: list[str], watched: list[Any]
) -> None:
    search.report(watched[0], Report(measures_come_next=True))
    search.steps(1000, watched, epochs_of=(watched[1],))
    assert killed == []


def test_no_trial_is_stuck_because_the_driver_itself_stood_still(
    search: Search, killed: list[str], watched: list[Any]
) -> None:
    search.steps(5, watched)
    search.clock.now += 600  # such as a journal that could not be written, or the process stopped
    search.steps(40, watched)
    assert killed == []
    search.steps(10, watched, epochs_of=(watched[1],))
    assert killed == ["actor of trial 0"]


# The disk


class Disk:
    """The disk of the results: so many bytes are free, or an error is met."""

    def __init__(self) -> None:
        self.free: int | OSError = 2**40
        self.looks: list[object] = []

    def usage(self, folder: object) -> Any:
        self.looks.append(folder)
        if isinstance(self.free, OSError):
            raise self.free
        return SimpleNamespace(free=self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr("shutil.disk_usage", made.usage)
    return made


def test_a_full_disk_lets_the_search_wait_and_no_trial_is_stuck_for_it(
    search: Search, killed: list[str], disk: Disk, watched: list[Any]
) -> None:
    def free_some() -> None:
        search.clock.now += 600
        disk.free = 2**40

    disk.free = 5 * 2**20
    search.view.at_pause = free_some
    search.steps(30, watched)
    paused, continued = search.entries("paused", "continued")
    assert paused["reason"] == continued["reason"]
    assert paused["reason"] == f"the disk of {search.folder} is full (5 MB free, 32 MB needed)"
    assert killed == []


def test_a_folder_that_cannot_be_reached_lets_the_search_wait(search: Search, disk: Disk) -> None:
    def mend() -> None:
        disk.free = 2**40

    disk.free = OSError(5, "Input/output error")
    search.view.at_pause = mend
    search.steps(30, [])
    (entry,) = search.entries("paused")
    assert entry["reason"].endswith("can't be reached (Input/output error)")


def test_a_wait_for_the_disk_ends_with_the_search(search: Search, disk: Disk) -> None:
    def give_up() -> None:
        search.interrupt.requested = "SIGINT"

    disk.free = 0
    search.view.at_pause = give_up
    search.steps(1, [])
    assert search.kinds() == ["paused"]


def test_the_disk_is_looked_at_every_so_often(search: Search, disk: Disk) -> None:
    search.callback.on_step_begin(0, [])
    search.clock.now += DISK_CHECK_EVERY / 2
    search.callback.on_step_begin(0, [])
    assert disk.looks == [search.folder]
    search.clock.now += DISK_CHECK_EVERY
    search.callback.on_step_begin(0, [])
    assert len(disk.looks) == 2


# Ray's own saves


def test_ray_may_save_what_it_calls_and_nothing_of_this_process_is_in_it(search: Search) -> None:
    search.epoch(search.start(), 1, placed=placed(0))
    end = EndOfSearch(search.interrupt, search.director)
    for part in (search.callback, search.scheduler, search.searcher, end):
        copy = pickle.loads(pickle.dumps(part))
        assert type(copy) is type(part)
        assert vars(copy) == {}
    assert isinstance(search.callback, DirectorCallback)
