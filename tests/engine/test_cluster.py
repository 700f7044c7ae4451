"""The Ray cluster of a search: what needs none, and what the nodes of one say."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tune_lpc.engine import cluster as cluster_module
from tune_lpc.engine import loopback
from tune_lpc.engine.cluster import cluster, nodes_without_bfloat16, scratch_folder
from tune_lpc.plan.errors import Interrupted, UserError
from tune_lpc.training.device import best_device, computes_in_bfloat16


def test_a_scratch_folder_goes_with_its_search_and_takes_those_of_killed_ones_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / f"tune_lpc-ray-{socket.gethostname()}-{ended.stdout.strip()}-x" / "ray").mkdir(parents=True)
    alive = tmp_path / f"tune_lpc-ray-{socket.gethostname()}-{os.getppid()}-y"
    alive.mkdir()
    with scratch_folder() as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(folder).name, alive.name])
    assert list(tmp_path.iterdir()) == [alive]


# Which nodes compute in bfloat16


@pytest.mark.parametrize("address", [None, "local"])
@pytest.mark.parametrize("computes", [True, False])
def test_of_a_local_cluster_this_machine_tells(
    monkeypatch: pytest.MonkeyPatch, address: str | None, computes: bool
) -> None:
    monkeypatch.setattr(cluster_module, "computes_in_bfloat16", lambda device: computes)
    found = nodes_without_bfloat16(address, use_gpus=False)
    assert found == ([] if computes else [socket.gethostname()])


def test_of_another_cluster_every_node_is_asked(ray_session: str) -> None:
    here = [] if computes_in_bfloat16(best_device()) else [socket.gethostname()]
    assert nodes_without_bfloat16(ray_session, use_gpus=False) == here


def test_a_node_that_lacks_it_tells_its_name(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_lacks_bfloat16", lambda: "node-7")
    assert nodes_without_bfloat16(ray_session, use_gpus=False) == ["node-7"]


def test_a_node_that_is_in_use_or_lost_is_not_waited_for(ray_session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy() -> str:
        time.sleep(600)
        return "too late"

    def lost() -> str:
        os._exit(1)

    for answer, most in ((busy, 1.0), (lost, 60.0)):
        monkeypatch.setattr(cluster_module, "ANSWER_SECONDS", most)
        monkeypatch.setattr(cluster_module, "_lacks_bfloat16", answer)
        start = time.monotonic()
        assert nodes_without_bfloat16(ray_session, use_gpus=False) == []
        assert time.monotonic() - start < 60


def test_without_a_gpu_in_the_cluster_the_nodes_with_cpus_are_asked(
    ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"Alive": True, "Resources": {}, "NodeID": "head"}, {"Alive": False, "Resources": {"CPU": 4.0}}]
    monkeypatch.setattr(cluster_module.ray, "nodes", lambda: nodes)
    assert nodes_without_bfloat16(ray_session, use_gpus=False) == []


# A Ray of one's own


class Started:
    """A stand-in for `ray.init`, which ends as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, end: BaseException) -> None:
        self.asked: dict[str, object] = {}
        self.shut_down = 0
        self._end = end
        monkeypatch.setattr(cluster_module.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(cluster_module.ray, "init", self._init)
        monkeypatch.setattr(cluster_module.ray, "shutdown", self._shutdown)
        monkeypatch.setattr(cluster_module, "token_as_asked_for", lambda without: nullcontext(True))

    def _init(self, **asked: object) -> None:
        self.asked = asked
        raise self._end

    def _shutdown(self) -> None:
        self.shut_down += 1

    def told(self, address: str | None = None) -> BaseException:
        """What the start of the cluster ends with."""
        with pytest.raises(BaseException) as raised, cluster(address, Console(file=io.StringIO())):  # noqa: PT011
            pass
        return raised.value


def test_ctrl_c_while_ray_starts_ends_what_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Started(monkeypatch, Interrupted(signal.SIGINT))
    told = start.told()
    assert isinstance(told, Interrupted) and told.signal_number == signal.SIGINT
    assert start.shut_down == 1


def test_sigterm_while_ray_starts_which_ray_answers_itself_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Started(monkeypatch, SystemExit(1))
    told = start.told()
    assert isinstance(told, Interrupted) and told.signal_number == signal.SIGTERM
    assert start.shut_down == 1


def test_a_cluster_that_cannot_be_started_or_joined_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    error = ConnectionError("no answer\nand many more lines")
    for address, named in ((None, "started"), ("10.0.0.1:6379", "joined at 10.0.0.1:6379")):
        told = Started(monkeypatch, error).told(address)
        assert isinstance(told, UserError)
        (line,) = told.problems
        assert line.startswith(f"no Ray cluster could be {named}: no answer")
        assert ("needs RAY_AUTH_MODE=token here" in line) == (address is not None)


# Ray that does not start


def started_with(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> tuple[int, str, str]:
    """How often ray.init was called, raising these one after another, the problem that was told, what was printed."""
    left, calls = list(errors), []

    def init(**options: object) -> None:
        calls.append(options)
        raise left.pop(0)

    monkeypatch.setattr(cluster_module.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster_module.ray, "init", init)
    monkeypatch.setattr(cluster_module.ray, "shutdown", lambda: None)
    monkeypatch.setattr(cluster_module, "token_as_asked_for", lambda without: nullcontext(True))
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(UserError) as caught, cluster(None, console):
        pass
    (problem,) = caught.value.problems
    assert "\n" not in problem
    return len(calls), problem, console.file.getvalue()  # type: ignore[attr-defined]


LONG = Exception("\n  The current node timed out during startup. This could happen because\n" + "a\n" * 40)


def test_a_bare_exception_of_many_lines_is_one_with_a_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, problem, _ = started_with(
        monkeypatch, Exception("AF_UNIX path length cannot exceed 107 bytes\n" + "b\n" * 60)
    )
    assert calls == 1
    assert problem.startswith("no Ray cluster could be started: AF_UNIX path length cannot exceed 107 bytes; see that")


def test_of_a_log_that_ray_quotes_the_last_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = "\nThe last 20 lines of /t/dashboard.log (it contains the error message from the dashboard): \nloaded\n"
    calls, problem, _ = started_with(monkeypatch, Exception(quoted + "\nRuntimeError: Module MetricsHead failed\n"))
    assert calls == 1 and problem.startswith("no Ray cluster could be started: RuntimeError: Module MetricsHead failed")


def test_a_start_that_timed_out_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, problem, printed = started_with(monkeypatch, LONG, LONG)
    assert calls == 2
    assert "The current node timed out during startup" in problem and "overloaded" in problem
    assert "once more" in printed


@pytest.mark.parametrize(
    "error", [KeyError("x"), OSError(28, "No space left on device"), AssertionError(), TypeError("y")]
)
def test_whatever_ray_raises_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    calls, problem, _ = started_with(monkeypatch, error)
    assert calls == 1 and problem.startswith("no Ray cluster could be started: ") and "; " in problem


def test_the_logs_of_a_start_that_failed_are_kept_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        logs = Path(os.environ["RAY_TMPDIR"], "ray", "session_1", "logs")
        logs.mkdir(parents=True)
        (logs / "raylet.err").write_text("no memory")
        raise OSError("no answer")

    monkeypatch.setattr(cluster_module.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster_module.ray, "init", init)
    monkeypatch.setattr(cluster_module.ray, "shutdown", lambda: None)  # else that of the session would end
    monkeypatch.setattr(cluster_module, "token_as_asked_for", lambda without: nullcontext(True))
    with pytest.raises(UserError) as caught, cluster(None, Console(file=io.StringIO())):
        pass
    (problem,) = caught.value.problems
    logs = Path(problem.rpartition("Ray's logs are kept in ")[2])
    assert (logs / "raylet.err").read_text() == "no memory"
    folder = logs.parents[2]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    shutil.rmtree(folder)


@pytest.mark.parametrize("without", [True, False])
def test_a_ray_of_ones_own_is_private(monkeypatch: pytest.MonkeyPatch, without: bool, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def init(**options: object) -> SimpleNamespace:
        folder = Path(os.environ["RAY_TMPDIR"])
        seen["folder"], seen["mode"] = folder, stat.S_IMODE(folder.stat().st_mode)
        seen["token"] = os.environ.get("RAY_AUTH_MODE")
        seen["switch"], seen["constant"] = os.environ[loopback._SWITCH], loopback.ray_constants.ENABLE_RAY_CLUSTER
        return SimpleNamespace(dashboard_url=None)

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "TUNE_LPC_NO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster_module.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster_module.ray, "init", init)
    monkeypatch.setattr(cluster_module.ray, "shutdown", lambda: None)
    before, console = dict(os.environ), Console(file=io.StringIO())
    with cluster(None, console, without_token=without):
        assert Path(str(seen["folder"])).is_dir()
    assert seen.pop("mode") == 0o700 and not Path(str(seen.pop("folder"))).exists()
    assert seen == {"token": "disabled" if without else None, "switch": "0", "constant": False}
    assert (tmp_path / ".ray" / "auth_token").exists() != without
    assert ("asks for no token" in console.file.getvalue()) == without  # type: ignore[attr-defined]
    set_by_us = cluster_module._RAY_ENVIRONMENT.keys()
    assert {name: value for name, value in os.environ.items() if name not in set_by_us} == {
        name: value for name, value in before.items() if name not in set_by_us
    }
    assert loopback.ray_constants.ENABLE_RAY_CLUSTER
