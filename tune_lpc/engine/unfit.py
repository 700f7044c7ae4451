"""Nodes of a cluster that can't train: the results folder or the data are not there. No trial is sent to them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_lpc.engine.lifeline import HeadLost
from tune_lpc.engine.trainable import Job
from tune_lpc.results import JOURNAL_FILE

ANSWER_SECONDS = 30.0
LOOKED_EVERY = 10.0
"""Seconds between two looks for nodes that have joined the cluster."""


class UnfitNodes:
    """Finds them, tells of each once, and takes what trials would use there, as Ray can leave out no node."""

    def __init__(self, job: Job, say: Callable[[str], None]) -> None:
        self._job, self._say = job, say
        self._asked: set[str] = set()
        self._held: list[Any] = []
        self._over = threading.Event()

    def look(self) -> None:
        """Ask the nodes that are new."""
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        new = [node for node in nodes if node["NodeID"] not in self._asked]
        ask = ray.remote(num_cpus=0)(why_unfit)
        answers = [
            ask.options(scheduling_strategy=_on(node)).remote(self._job.folder, self._job.data_dir) for node in new
        ]
        unfit = []
        for node, answer in zip(new, answers, strict=True):
            self._asked.add(node["NodeID"])
            with suppress(RayError):  # one that does not answer counts as fit: its workers tell
                if (reason := ray.get(answer, timeout=ANSWER_SECONDS)) is not None:
                    unfit.append((node, reason))
        if len(self._held) + len(unfit) >= len(nodes):
            return  # none is left: the trials fail, and tell why
        held = [self._hold(node) for node, _ in unfit]
        ray.wait(held, num_returns=len(held), timeout=ANSWER_SECONDS) if held else None
        for _, reason in unfit:
            self._say(f"left out: {reason}")

    def keep_looking(self) -> None:
        """Look again and again, in a thread of its own, until the search is over."""
        while not self._over.wait(LOOKED_EVERY):
            with suppress(RayError, RuntimeError, OSError, HeadLost):
                self.look()

    def close(self) -> None:
        """Give back what was taken."""
        self._over.set()
        for each in self._held:
            with suppress(RayError, RuntimeError):
                ray.kill(each)

    def _hold(self, node: dict[str, Any]) -> Any:
        """Take all CPUs and GPUs of a node; returns what is ready once they are taken."""
        taken = {"num_cpus": node["Resources"]["CPU"], "num_gpus": node["Resources"].get("GPU", 0)}
        make: Any = ray.remote(_Holder)
        holder = make.options(scheduling_strategy=_on(node), **taken).remote()
        self._held.append(holder)
        return holder.ready.remote()


class _Holder:
    """Does nothing with what it was given."""

    def ready(self) -> None:
        """It is there."""


def _on(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


def why_unfit(folder: Path, data_dir: Path | None) -> str | None:
    """Why this node can't train; None where it can, as far as a look tells."""
    if not (folder / JOURNAL_FILE).exists():
        return f"{socket.gethostname()}, where the results folder {folder} is not there; put it where all nodes see it"
    if data_dir is not None and not data_dir.exists():
        return f"{socket.gethostname()}, where the data folder {data_dir} is not there; put it where all nodes see it"
    return None


@contextmanager
def without_unfit_nodes(address: str | None, job: Job, say: Callable[[str], None]) -> Iterator[None]:
    """Within, no trial begins on a node of the cluster at `address` that can't train; each is told of once."""
    if address in (None, "local"):
        yield
        return
    nodes = UnfitNodes(job, say)
    nodes.look()
    threading.Thread(target=nodes.keep_looking, name="unfit nodes", daemon=True).start()
    try:
        yield
    finally:
        nodes.close()
