"""Syne Tune's ASHA of the promotion type, by its own scheduler, in a Python environment of its own.

Syne Tune wants another numpy than we do. Make the environment with

    python -m venv syne-env && syne-env/bin/pip install "syne-tune==0.13.0"

Later versions (seen: 0.16.0) have only the variant that stops.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rivals.problem import Pool, Problem
from benchmarks.rivals.trace import Contestant, Named
from tune_lpc.plan import Choice, Space
from tune_lpc.plan.choosers import Given

SERVER = Path(__file__).with_name("syne_asha_server.py")
NAMES = "names tuner.best_config(): the best score that any trial had after any epoch"


class Server:
    """A scheduler in another process, which answers a line of JSON with a line of JSON."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, **question: Any) -> Any:
        """The answer; raises ValueError when the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"{SERVER.name} has ended; run it by hand to see why")
        return json.loads(line)


def contestants(python: Path) -> list[Contestant]:
    """Its ASHA. python: of the environment that holds Syne Tune."""
    server = Server(python)
    version = server.ask(op="version")

    def search(problem: Problem, number: int, _: int) -> Iterator[Named | None]:
        server.ask(op="begin", space=_ranges(problem.space), max_t=problem.epochs, seed=number)
        return _search(server, problem, number)

    about = f"ASHA(type='promotion', max_t=epochs) of Syne Tune {version}: first rung at epoch 1, factor 3; {NAMES}"
    return [Contestant("syne-asha", about, search, {"syne-tune": version})]


def _search(server: Server, problem: Problem, number: int) -> Iterator[Named | None]:
    pool, best = Pool(problem, number), None
    configs: list[int] = []
    trained: list[int] = []
    while True:
        suggested = server.ask(op="suggest", trial=len(configs))
        if suggested["resume"] is None:
            # It knows no conditions, so it proposes a value for each dimension; those without effect are left out.
            config = pool.take(problem.space.draw(Given(suggested["config"])))
            if config is None:
                return
            configs.append(config)
            trained.append(0)
        trial = len(configs) - 1 if suggested["resume"] is None else suggested["resume"]
        run = pool.run(configs[trial])
        fails = run.diverged is not None
        scores = run.scores.tolist()[trained[trial] :]
        epochs = server.ask(op="train", trial=trial, done=trained[trial], scores=scores, fails=fails)
        trained[trial] += epochs
        for score in scores[:epochs]:
            if best is None or score > best.score:
                best = Named(configs[trial], score)
            yield best


def _ranges(space: Space) -> dict[str, Any]:
    """The dimensions as plain data."""
    return {
        name: {"options": list(dimension.options)}
        if isinstance(dimension, Choice)
        else {"low": dimension.low, "high": dimension.high, "log": dimension.log, "type": type(dimension).__name__}
        for name, dimension in space.dimensions.items()
    }
