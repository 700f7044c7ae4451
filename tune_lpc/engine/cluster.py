"""The Ray cluster of a search: one that is there, or one of our own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import worker
from ray.exceptions import RayError
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from tune_lpc.engine.head import Head
from tune_lpc.engine.loopback import is_on_loopback_alone, on_loopback
from tune_lpc.engine.temporary import RayFolder, private_ray_folder
from tune_lpc.engine.token import token_as_asked_for
from tune_lpc.plan.errors import Interrupted, UserError
from tune_lpc.training.device import best_device, computes_in_bfloat16

ANSWER_SECONDS = 60.0
LONGEST_REASON = 200
NO_TOKEN_NOTE = "note: Ray asks for no token: every user of this machine can run code in this search"
_SCRATCH = "tune_lpc-ray-"
_QUOTES_A_LOG = re.compile(r"The last \d+ lines of \S+\.(log|err)\b")
_TIMED_OUT = re.compile("tim(?:ed|e) ?out|in time|deadline", re.IGNORECASE)

_RAY_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the journal and a line of the terminal tell them
    # How long an actor in the middle of an epoch is waited for when a search is interrupted.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


_JOINING_ENVIRONMENT = {
    # Without its head Ray would kill this process after 60 s, tables or not; `lifeline` is quicker.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "300",
}


@contextmanager
def cluster(address: str | None, console: Console, *, without_token: bool = False) -> Iterator[RayFolder | None]:
    """A Ray cluster: the one at `address`, the one that this process already uses, or a local one, always stopped.

    A local one listens on this machine alone, asks for a token, and keeps its files where no other user can look: in
    the folder that this yields.
    """
    of_others = {} if address in (None, "local") else _JOINING_ENVIRONMENT
    for name, value in (_RAY_ENVIRONMENT | of_others).items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield None
        return
    console.print("starting Ray …" if address is None else f"joining Ray at {address} …", highlight=False)
    with ExitStack() as stack:
        folder = None
        if address is None or address == "local":
            folder = stack.enter_context(_of_our_own(console, without_token=without_token))
        elif is_on_loopback_alone(address):
            stack.enter_context(on_loopback())
        context = _started(address, console, folder)
        stack.callback(ray.shutdown)
        if context.dashboard_url:
            console.print(f"dashboard: http://{context.dashboard_url}", highlight=False)
        yield folder


@contextmanager
def _of_our_own(console: Console, *, without_token: bool) -> Iterator[RayFolder]:
    """What holds of a Ray that is started here; its folder. Raises UserError."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(private_ray_folder())
            asks = stack.enter_context(token_as_asked_for(without=without_token))
        except OSError as error:
            raise UserError(
                f"no Ray cluster could be started: {error}; see that temporary files and ~/.ray can be written"
            ) from error
        if not asks:
            console.print(NO_TOKEN_NOTE, highlight=False, soft_wrap=True)
        stack.enter_context(on_loopback())
        yield folder


def _started(address: str | None, console: Console, folder: RayFolder | None) -> Any:
    """What ray.init returns. Raises UserError where Ray does not start, with the reason and the mend."""
    for tries_left in (1, 0):
        try:
            return ray.init(
                address=address or "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=True
            )
        except Interrupted:
            ray.shutdown()
            raise
        except SystemExit as error:
            # While it starts, Ray answers SIGTERM in our place, and leaves with a status of its own.
            ray.shutdown()
            raise Interrupted(signal.SIGTERM) from error
        except Exception as error:  # Ray raises bare ones, of many lines
            ray.shutdown()
            reason = _reason(error)
            if tries_left and address in (None, "local") and _TIMED_OUT.search(str(error)):
                console.print(f"Ray did not start in time ({reason}); once more …", markup=False, highlight=False)
                continue
            logs = None if folder is None else folder.keep_logs()
            raise UserError(
                f"no Ray cluster could be {'joined at ' + address if address else 'started'}: {reason}; "
                + _mend(address, str(error))
                + ("" if logs is None else f"; Ray's logs are kept in {logs}")
            ) from error
    raise AssertionError("the last try returns or raises")


def _reason(error: BaseException) -> str:
    """The first line that says something; of a log that is quoted, the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and _QUOTES_A_LOG.match(lines[0]):
        lines = lines[-1:]
    return textwrap.shorten(lines[0] if lines else type(error).__name__, LONGEST_REASON, placeholder=" …").rstrip(".;:")


def _mend(address: str | None, text: str) -> str:
    """What a user can do about a Ray that does not start."""
    if address is not None and address != "local":
        if "RAY_AUTH_MODE" not in os.environ:
            return "one that asks for a token needs RAY_AUTH_MODE=token here"
        return "see that it runs there, in this version of Ray"
    if _TIMED_OUT.search(text):
        return "the machine may be overloaded: try again when it has time, or join a Ray that runs with --address"
    if "shm" in text or "object store" in text.lower():
        return "it needs more shared memory: in Docker --shm-size=1g"
    return (
        "see that there are free memory, processes and open files (ulimit -a), and that temporary files can be written"
    )


def head_of_cluster() -> Head:
    """The head of the running Ray."""
    rays_worker: Any = worker
    return Head(str(ray.get_runtime_context().gcs_address), rays_worker.global_worker.node.cluster_id.hex())


def end_process(status: int) -> None:
    """End this process at once: Ray would not let it go while its head does not answer."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def nodes_without_bfloat16(address: str | None, *, use_gpus: bool) -> list[str]:
    """The hosts of the running cluster that would train and don't compute in bfloat16, rising.

    A local cluster is this machine; of another one each node is asked. One that does not answer in time, as all its
    GPUs are in use, counts as one that does: should it not, its workers say so and take no trial.
    """
    if address in (None, "local"):
        return [] if computes_in_bfloat16(best_device()) else [socket.gethostname()]
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    nodes = [node for node in alive if not use_gpus or node["Resources"].get("GPU")] or alive
    # A share of a GPU, that the process sees it; others that use it are in no way disturbed.
    ask = ray.remote(num_cpus=0, num_gpus=0.01 if use_gpus else 0)(_lacks_bfloat16)
    asked = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote()
        for node in nodes
    ]
    answered, silent = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_SECONDS) if asked else ([], [])
    for each in silent:
        ray.cancel(each, force=True)
    found = set()
    for each in answered:
        with suppress(RayError):  # a node that was lost meanwhile
            found.add(ray.get(each))
    return sorted(host for host in found if host is not None)


def _lacks_bfloat16() -> str | None:
    """The name of this host when it does not compute in bfloat16."""
    return None if computes_in_bfloat16(best_device()) else socket.gethostname()


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A temporary folder for what Ray writes and nobody reads. Those of searches that were killed are removed."""
    prefix = f"{_SCRATCH}{socket.gethostname()}-"  # processes of other hosts, that share the folder, can't be seen
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        process = left.name.removeprefix(prefix).partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def with_the_first_experiment_state_only() -> Iterator[None]:
    """Ray writes its state of the experiment once, at the start: it asks for such a file at the end, nobody reads it.

    The journal is the record. Of a long search the state takes some 50 kB of memory a trial.
    """
    ray_manager: Any = _ExperimentCheckpointManager
    write = ray_manager.sync_up_experiment_state
    written = False

    def write_once(manager: Any, save_fn: Any, force: bool = False, wait: bool = False) -> None:
        nonlocal written
        if not written:
            write(manager, save_fn, force=True, wait=True)
            written = True

    ray_manager.sync_up_experiment_state = write_once
    try:
        yield
    finally:
        ray_manager.sync_up_experiment_state = write
