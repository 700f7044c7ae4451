"""Our own search: the director under the simulated engine, over the recorded curves."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import tune_lpc
from benchmarks.rivals.problem import Pool, Problem
from benchmarks.rivals.trace import Contestant, Named
from tests.search.curves import run_of
from tune_lpc.plan import Space, UserError, Value
from tune_lpc.plan.choosers import Given
from tune_lpc.plan.record import SCORE
from tune_lpc.results import Ledger
from tune_lpc.results.events import RunStarted
from tune_lpc.results.ranking import ranked
from tune_lpc.results.trial import Trial
from tune_lpc.search.assignment import Assignment
from tune_lpc.search.director import Director
from tune_lpc.search.earlier import Observation
from tune_lpc.search.sampler import Drawn, Sampler
from tune_lpc.search.samplers import sampler_of
from tune_lpc.search.seeds import FEWEST
from tune_lpc.search.simulated import MemoryLog, Record, simulate

OWN_CHANGES = {"fill": "1"}
"""What a variant can change besides the settings of a space: the share of the budget that a search is planned to cost,
as it ends unfinished where it comes to cost more."""


def contestants(variants: Sequence[Sequence[str]] = ()) -> list[Contestant]:
    """Our search with its defaults, and variants of it: a name, then changes, NAME=VALUE, as `run --set` takes them.

    See also `OWN_CHANGES`. Raises UserError for a variant without a name or with a text that is no change.
    """
    wrong = [" ".join(variant) for variant in variants if not variant or "=" in variant[0]]
    if wrong:
        raise UserError([f"--variant takes a name, then NAME=VALUE, but got {variant!r}" for variant in wrong])
    return [contestant("ours", ()), *(contestant(f"ours-{name}", changes) for name, *changes in variants)]


def contestant(name: str, changes: Sequence[str]) -> Contestant:
    """Our search with changes. A search of a budget has as many trials as are expected to cost it."""
    pairs = [(text.partition("=")[0].strip(), text.partition("=")[2].strip()) for text in changes]
    own = OWN_CHANGES | {key: value for key, value in pairs if key in OWN_CHANGES}
    changes = [text for text, (key, _) in zip(changes, pairs, strict=True) if key not in OWN_CHANGES]

    @functools.cache
    def changed(problem: Problem) -> Space:
        return problem.space.with_values(problem.space.parse_changes(changes))

    def search(problem: Problem, number: int, budget: int) -> Iterator[Named | None]:
        space, most = changed(problem), len(problem.configs)
        space = dataclasses.replace(
            space,
            trials=trials_for(space, round(float(own["fill"]) * budget), most),
            settings={**space.settings, "seed": number},
        )
        return _search(problem, space, number, budget)

    shown = " ".join([*changes, *(f"{key}={value}" for key, value in own.items() if value != OWN_CHANGES[key])])
    parameters = {"code": code_hash(), "changes": shown}
    about = f"our search{f', {shown}' if shown else ' with its defaults'}; names rank 1 of best.parquet"
    return Contestant(name, about, search, parameters, is_sized=True)


@functools.cache
def code_hash() -> str:
    """Of the code that decides: a search is run again when it has changed."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    root = Path(tune_lpc.__file__).parent
    for file in sorted([*root.glob("plan/*.py"), *root.glob("results/*.py"), *root.glob("search/*.py")]):
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def trials_for(space: Space, budget: int, most: int) -> int:
    """The most trials, up to `most`, that are expected to cost no more than `budget` epochs; at least one."""
    return next((trials for trials in range(most, 1, -1) if expected_epochs(space, trials) <= budget), 1)


def expected_epochs(space: Space, trials: int) -> int:
    """What a search of so many configs costs, their further seeds included, when none diverges."""
    fidelity, factor = space.fidelity, space.reduction_factor
    if space.rung_rule == "stop":
        cost, finished = fidelity.expected_epochs(trials), trials
        for _ in fidelity.rungs():
            finished = max(1, math.floor(finished / factor))
    else:
        cost, finished, before = 0, trials, 0
        for rung in fidelity.rungs():
            cost += finished * (rung - before)
            finished, before = math.ceil(finished / factor), rung
        cost += finished * (space.epochs - before)
    stage = finished
    for _ in range(1, space.seeds):
        stage = min(stage, max(FEWEST, math.ceil(stage / factor)))
        cost += stage * space.epochs
    return cost


def replay(
    problem: Problem,
    space: Space,
    number: int,
    budget: int | None = None,
    earlier: Sequence[Observation] = (),
    sampler: Sampler | None = None,
) -> Ledger:
    """Search `space` over the curves of a problem, to the end or until `budget` epochs are spent.

    sampler: another than that of the space.
    """
    pool, log = Pool(problem, number), MemoryLog()
    log.write(RunStarted(run_of(space, data={"validation_images": problem.validation})))
    ledger = Ledger(log.events)
    director = Director(space, ledger, log, _Nearest(sampler or sampler_of(space, earlier=earlier), pool))
    simulate(director, lambda assignment: _curve(assignment, space, pool), most_events=budget)
    return ledger


def _search(problem: Problem, space: Space, number: int, budget: int) -> Iterator[Named | None]:
    ledger = replay(problem, space, number, budget)
    spent = sum(trial.epochs_trained for trial in ledger.trials.values())
    # What it would have named on the way is not asked: another budget is another search, with another number of trials.
    yield from repeat(None, spent - 1)
    yield named(ledger, problem)


def named(ledger: Ledger, problem: Problem) -> Named | None:
    """The first of the ranking; None where none is ranked."""
    best = next(iter(ranked(ledger)), None)
    if best is None:
        return None
    values = problem.space.draw(Given(best.trial.config))
    return Named(problem.config_of(values), best.score, best.low, best.high)


class _Nearest:
    """A sampler whose proposals are answered by the nearest recorded configs, which it learns as its own."""

    def __init__(self, sampler: Sampler, pool: Pool) -> None:
        self._sampler, self._pool = sampler, pool

    def draw(self, place: int, given: Mapping[str, Value] | None, again: int = 0) -> Drawn:
        """See `Sampler`."""
        config = self._pool.take(self._sampler.draw(place, given, again))
        if config is None:
            raise ValueError(f"config {place} is drawn, but every recorded one has been used")
        return self._sampler.draw(place, self._pool.problem.values[config])

    def learn(self, place: int, trial: Trial) -> None:
        """See `Sampler`."""
        self._sampler.learn(place, trial)


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
