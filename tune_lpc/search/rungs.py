"""Early stopping: the rule of asynchronous successive halving (ASHA; Li et al., MLSys 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice

from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import RungDecided
from tune_lpc.results.ledger import Trial


def decide(trial: Trial, rung: int, arrivals: Mapping[int, float | None], reduction_factor: int) -> RungDecided:
    """What a rung says of a trial that has come to it.

    arrivals: the scores of the trials that have come to the rung, by number, in the order of arrival, None for one that
    was infinite or not a number; those that came after this one do not count.

    A trial goes on when it is among the best of the scores that have come so far, its own included: the best
    1 / reduction_factor of them, rounded up. So the first arrival goes on; a tie with the last of the best goes on too.
    A score that is infinite or not a number is worse than any other, counts as one of those that have come, and never
    goes on. A control trial counts like any other and always goes on.
    """
    score = arrivals[trial.number]
    own = -math.inf if score is None else score
    of = list(arrivals).index(trial.number) + 1
    better = sum(other is not None and other > own for other in islice(arrivals.values(), of))
    goes_on = score is not None and (better < math.ceil(of / reduction_factor) or trial.control)
    return RungDecided(trial.trial_id, rung, score, better + 1, of, goes_on, trial.control)


def reason(look: RungDecided) -> str:
    """Why a trial that does not go on ends."""
    score = "that is no number" if look.score is None else f"{look.score:.4f}"
    return f"{SCORE} {score} was number {look.rank} of {look.of} at the rung of epoch {look.rung}"
