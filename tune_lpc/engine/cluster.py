"""The Ray cluster of a search: one that is there, or one of our own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from tune_lpc.engine.token import ensure_users_token
from tune_lpc.plan.errors import Interrupted, UserError
from tune_lpc.training.device import best_device, computes_in_bfloat16

ADDRESS_SECONDS = 10.0
ANSWER_SECONDS = 60.0
_SCRATCH = "tune_lpc-ray-"

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


def address_problems(address: str | None) -> list[str]:
    """Why no Ray can be joined at `address`; Ray itself would try for minutes where nothing listens."""
    host, colon, port = (address or "auto").removeprefix("ray://").rpartition(":")
    if address in (None, "auto", "local"):
        return []
    if not colon or not port.isdigit():
        return [f"--address is {address!r}, but must be auto, HOST:PORT or ray://HOST:PORT"]
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ADDRESS_SECONDS):
            return []
    except (OSError, OverflowError) as error:
        return [f"nothing can be joined at --address {address} ({error}); is Ray running there?"]


@contextmanager
def cluster(address: str | None, console: Console) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one that this process already uses, or a local one, always stopped."""
    for name, value in _RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    console.print("starting Ray …" if address is None else f"joining Ray at {address} …", highlight=False)
    try:
        if address in (None, "local"):
            ensure_users_token()
        context = ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, include_dashboard=True
        )
    except Interrupted:
        ray.shutdown()
        raise
    except SystemExit as error:
        # While it starts, Ray answers SIGTERM in our place, and leaves with a status of its own.
        ray.shutdown()
        raise Interrupted(signal.SIGTERM) from error
    except (OSError, ValueError, RuntimeError) as error:
        without = address and "RAY_AUTH_MODE" not in os.environ
        raise UserError(
            f"no Ray cluster could be {'joined at ' + address if address else 'started'}: {_first_line(error)}"
            + ("; one that asks for a token needs RAY_AUTH_MODE=token here" if without else "")
        ) from error
    try:
        if context.dashboard_url:
            console.print(f"dashboard: http://{context.dashboard_url}", highlight=False)
        yield
    finally:
        ray.shutdown()


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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
