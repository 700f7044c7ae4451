"""Our own search: the director under the simulated engine, over the recorded curves."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import tune_lpc
from benchmarks.rivals.answering import answer
from benchmarks.rivals.problem import Pool, Problem
from benchmarks.rivals.trace import Contestant, Named
from tests.search.curves import run_of
from tune_lpc.plan import Space, Value
from tune_lpc.plan.record import SCORE
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted
from tune_lpc.results.ledger import Trial
from tune_lpc.results.tables import ranked
from tune_lpc.search.director import Assignment, Director
from tune_lpc.search.sampler import SAMPLERS, Drawn, EstimatorSampler, Sampler
from tune_lpc.search.simulated import MemoryLog, Record, simulate

Change = Callable[[Space], Space]
"""A variant: the space of a recording as it is to be searched."""


def contestant(
    name: str, about: str, change: Change = lambda space: space, sampler: str = "tpe", own_splits: bool = False
) -> Contestant:
    """Our search of the changed space. A search of a budget has as many trials as are expected to cost it.

    own_splits: whether the changed space trains further seeds on splits of their own.
    """

    def search(problem: Problem, number: int, budget: int) -> Iterator[Named | None]:
        return _search(problem, change(problem.space), number, budget, sampler)

    return Contestant(name, about, search, {"code": code_hash(), "about": about}, is_sized=True, own_splits=own_splits)


def contestants() -> list[Contestant]:
    """The search as it is now, with its defaults."""
    return [contestant("ours", "our search with its defaults; names rank 1 of best.parquet")]


def code_hash() -> str:
    """Of the code that decides: a search is run again when it has changed."""
    found = hashlib.sha256()
    root = Path(tune_lpc.__file__).parent
    for file in sorted([*root.glob("plan/*.py"), *root.glob("results/*.py"), *root.glob("search/*.py")]):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def trials_for(space: Space, budget: int, most: int) -> int:
    """The most trials, up to `most`, that are expected to cost no more than `budget` epochs; at least one."""
    fits = (trials for trials in range(most, 1, -1) if space.fidelity.expected_epochs(trials) <= budget)
    return next(fits, 1)


def _search(problem: Problem, space: Space, number: int, budget: int, sampler: str) -> Iterator[Named | None]:
    trials = trials_for(space, budget, len(problem.configs))
    space = dataclasses.replace(space, trials=trials, settings={**space.settings, "seed": number})
    pool, log = Pool(problem, number), MemoryLog()
    log.write(RunStarted(run_of(space)))
    ledger = Ledger(log.events)
    director = Director(space, ledger, log, _Nearest(SAMPLERS[sampler](space, 1), pool, space))
    simulate(director, lambda assignment: _curve(assignment, space, pool), most_events=budget)
    spent = sum(trial.epochs_trained for trial in ledger.trials.values())
    named = _named(ledger, problem)
    # What it would have named on the way is not asked: another budget is another search, with another number of trials.
    yield from repeat(None, spent - 1)
    yield named


def _named(ledger: Ledger, problem: Problem) -> Named | None:
    best = next(iter(ranked(ledger.trials.values())), None)
    if best is None:
        return None
    trial, run = best
    return Named(problem.config_of(_values(trial, problem.space)), run.last[SCORE])


def _values(trial: Trial, space: Space) -> Mapping[str, Value]:
    """The searched values of a trial."""
    return {name: trial.config[name] for name in space.dimensions if trial.config.get(name) is not None}


class _Nearest:
    """A sampler whose proposals are answered by the nearest recorded configs, which it learns as its own."""

    def __init__(self, sampler: Sampler, pool: Pool, space: Space) -> None:
        self._sampler, self._pool, self._space = sampler, pool, space

    def draw(self, number: int, given: Mapping[str, Value] | None) -> Drawn:
        """See `Sampler`."""
        config = self._pool.take(self._sampler.draw(number, given))
        if config is None:
            raise ValueError(f"trial {number} is drawn, but every recorded config has been used")
        values = self._pool.problem.values[config]
        if isinstance(self._sampler, EstimatorSampler):
            answer(self._sampler._running[number], self._space, values)
        return dict(values)

    def learn(self, trial: Trial) -> None:
        """See `Sampler`."""
        self._sampler.learn(trial)


def _curve(assignment: Assignment, space: Space, pool: Pool) -> Iterator[Record]:
    """The recorded epochs of a config, those of another seed for a further seed."""
    spec = assignment.spec
    further = spec.seed - space.seed
    run = pool.run(pool.problem.config_of(assignment.drawn), further, own_split=spec.split != space.fixed("split"))
    for epoch in range(1, len(run.scores) + 1):
        at = epoch - 1
        diverged = run.diverged if epoch == len(run.scores) else None
        yield _record(spec.epochs, epoch, run.scores[at], run.losses[at], run.nc1[at], diverged)


def _record(budget: int, epoch: int, score: Any, loss: Any, nc1: Any, diverged: str | None) -> Record:
    values = {SCORE: float(score), "validation_loss": float(loss), "nc1": float(nc1), "seconds": 1.0}
    return {"budget": budget, "epoch": epoch, **values, "diverged": diverged}
