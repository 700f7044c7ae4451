"""Early stopping: asynchronous successive halving (ASHA; Li et al., MLSys 2020), in both forms that are in use.

"promote" is the published one: a trial that is not among the best when it comes to a rung waits with its checkpoint,
and goes on when it is later; nothing passes merely for coming first. "stop" decides once and for all when a trial
comes, needs no checkpoints of trials that wait, and lets more pass: the first to come is always the best so far.

With several objectives the trials at a rung are sorted by fronts (see `pareto`), and their places count as scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from tune_lpc.plan.objectives import Objective, Values
from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import RungDecided, number_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.pareto import as_scores, dominators, scaled
from tune_lpc.results.trial import Trial

Arrivals = Mapping[int, float | None]
"""The scores of the trials that have come to a rung, by number, in the order of arrival; None for one that was infinite
or not a number: it is worse than any other, counts as one of those that have come, and never goes on."""


def arrivals_at(rung: int, ledger: Ledger, last: int | None = None) -> Arrivals:
    """Who has come to a rung, with what several objectives come to as a score.

    last: the number of the trial up to whose arrival they count, where not all do.
    """
    if not ledger.objectives:
        return ledger.arrivals.get(rung, {})
    vectors = ledger.vectors.get(rung, {})
    counted = len(vectors) if last is None else list(vectors).index(last) + 1
    return as_scores(dict(islice(vectors.items(), counted)), ledger.objectives)


def undominated(vectors: Mapping[int, Values | None], fewer_than: int, objectives: Sequence[Objective]) -> list[int]:
    """The trials that fewer than so many others dominate: the only ones with a hope to be among so many best.

    What dominates a trial stays before it, whoever else may come; its place among the others may change either way.
    """
    known = {number: values for number, values in vectors.items() if values is not None}
    counts = dominators(scaled(list(known.values()), objectives))
    return [number for number, count in zip(known, counts, strict=True) if count < fewer_than]


def with_objectives(look: RungDecided, ledger: Ledger) -> RungDecided:
    """What is written down in a search with several objectives: all of them, and the score beside the place."""
    if not ledger.objectives:
        return look
    number = number_of(look.trial_id)
    values = ledger.vectors[look.rung][number] or ()
    named = {objective.name: value for objective, value in zip(ledger.objectives, values, strict=bool(values))}
    return replace(look, score=ledger.arrivals[look.rung][number], objectives=named)


def decide(trial: Trial, rung: int, arrivals: Arrivals, reduction_factor: int, rule: str) -> RungDecided:
    """What a rung says of a trial when it comes there; those that came after it do not count.

    "stop": it goes on when it is among the best 1 / reduction_factor of the scores that have come, its own included,
    rounded up. So the first arrival goes on; a tie with the last of the best goes on too.
    "promote": rounded down, and of a tie who came first. So a trial goes on at once when it would be the next to be
    promoted.
    A control trial counts like any other and always goes on.
    """
    score = arrivals[trial.number]
    own = -math.inf if score is None else score
    of = list(arrivals).index(trial.number) + 1
    others = [other for other in islice(arrivals.values(), of - 1) if other is not None]
    better = sum(other > own for other in others)
    if rule == "stop":
        is_among_best = better < math.ceil(of / reduction_factor)
    else:
        is_among_best = sum(other >= own for other in others) < of // reduction_factor
    goes_on = score is not None and (is_among_best or trial.control)
    return RungDecided(trial.trial_id, rung, score, better + 1, of, goes_on, trial.control)


def best_first(arrivals: Arrivals) -> list[int]:
    """The numbers of the trials that have a score, the best first, of equals the one that came first."""
    known = [(number, score) for number, score in arrivals.items() if score is not None]
    return [number for number, _ in sorted(known, key=lambda pair: -pair[1])]  # sorted keeps the order of equals


def places(come: int, reduction_factor: int, *, are_all: bool) -> int:
    """How many of the trials that have come to a rung may be beyond it, the best of them.

    One in `reduction_factor`, rounded down; rounded up when `are_all`, that is when no other will come any more: so a
    small search too ends with a trial that is trained.
    """
    return -(-come // reduction_factor) if are_all else come // reduction_factor


def promote(trial: Trial, rung: int, arrivals: Arrivals) -> RungDecided:
    """What is written down when a trial that waits at a rung goes on."""
    score = arrivals[trial.number]
    assert score is not None  # without one it is not among the best
    better = sum(other is not None and other > score for other in arrivals.values())
    return RungDecided(trial.trial_id, rung, score, better + 1, len(arrivals), goes_on=True, promoted=True)


def reason(look: RungDecided) -> str:
    """Why a trial that does not go on ends."""
    place = f"number {look.rank} of {look.of} at the rung of epoch {look.rung}"
    if look.objectives:
        return f"{', '.join(f'{name} {value:.4g}' for name, value in look.objectives.items())} were {place}"
    score = "that is no number" if look.score is None else f"{look.score:.4f}"
    return f"{SCORE} {score} was {place}"
