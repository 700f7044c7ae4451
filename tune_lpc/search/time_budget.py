"""A budget in time: what may still begin so that it ends within it, and when all has to end.

Nothing begins that would not end in time if no rung stopped it, and after a new config there must be time for the
further seeds of the best; but as long as nothing is trained to its end, one trial runs. What does begin, at the start
or after a misjudgement, and has not ended when time is up, is left as it stands: it has no end, and a search that is
given more time goes on with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_lpc.plan.space import Space
from tune_lpc.results.events import Status
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.trial import Trial
from tune_lpc.search.pace import Pace
from tune_lpc.search.seeds import stages

KEPT_SHARE = 1 / 3
"""Of the budget, at most, is kept for further seeds: as many trainings as fit. In a small budget, time for all of them
would leave none for anything to choose from."""
GRACE = 0.03
"""Of the budget: so much longer it may take if a trial ends by that."""
UNKNOWN = 10**6
"""Configs that may fit where nobody knows how long one takes."""


@dataclass(frozen=True)
class Limits:
    """What a search may take, and what it takes it with.

    seconds: by the clock. gpu_seconds: of all trials together, epoch by epoch, each counted by the share of GPUs that
    it has; None: no limit. slots: trials at once. gpus_per_trial: of this process; that of earlier ones is in the
    ledger.
    began: when this process's part began, on the clock of every `now`. spent: seconds by the clock before that.
    ending: seconds by the clock that are needed when nothing trains any more.
    """

    seconds: float | None = None
    gpu_seconds: float | None = None
    slots: int = 1
    gpus_per_trial: float = 0.0
    began: float = 0.0
    spent: float = 0.0
    ending: float = 0.0

    @property
    def deadline(self) -> float:
        """When the time to train is up, by the clock."""
        return math.inf if self.seconds is None else self.began + self.seconds - self.spent - self.ending


class TimeBudget:
    """Says what still fits, as things stand in the ledger and at the time that it was last told; with no limits, all.

    All times are seconds of one clock, given as `now`.
    """

    def __init__(self, space: Space, ledger: Ledger, limits: Limits | None = None) -> None:
        self._space, self._ledger = space, ledger
        self.limits = limits or Limits()
        self.pace = Pace(space.fidelity, ledger)
        self._now = self.limits.began

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.limits.seconds is not None or self.limits.gpu_seconds is not None

    # Told

    def asked(self, now: float) -> None:
        """Somebody asks for a trial."""
        self._now = max(self._now, now)

    def begins(self, number: int, now: float) -> None:
        """A trial is given to a worker, for the first time or again."""
        self.asked(now)
        self.pace.begins(number, now)

    def passes(self, number: int, now: float, *, is_last: bool) -> None:
        """A trial has reported an epoch, its last one or another."""
        self.asked(now)
        self.pace.passes(number, now, is_last=is_last)

    def ends(self, number: int) -> None:
        """A trial has left its worker."""
        self.pace.ends(number)

    # Asked

    def admits_config(self) -> bool:
        """Whether a new config would end in time, with its further seeds after it."""
        return not self.is_limited or self._fits(self.pace.whole(), more=1)

    def most_configs(self) -> int:
        """How many new configs may yet begin, at the very most: were each as fast as the fastest, and stopped early."""
        cheapest = self.pace.fastest * (self._space.fidelity.rungs() or [self._space.epochs])[0]
        by_clock, by_gpus = self.seconds_left(self._now), self.gpu_seconds_left(self._now)
        rooms = [] if by_clock is None else [by_clock * self.limits.slots]
        rooms += [] if by_gpus is None else [by_gpus / (self.limits.gpus_per_trial or 1.0)]
        return min([UNKNOWN, *(math.ceil(room / cheapest) for room in rooms if cheapest)])

    def admits_rest(self, trial: Trial) -> bool:
        """Whether a trial that waits at a rung would end in time, with further seeds after it."""
        return not self.is_limited or self._fits(self.pace.rest(trial), more=1)

    def admits_seed(self, number: int, *, is_planned: bool) -> bool:
        """Whether a further seed of trial `number` would end in time; one beyond the plan must leave room for that."""
        if not self.is_limited:
            return is_planned
        return self._fits(self.pace.whole(number), more=0, keeps=not is_planned)

    def ends_at(self) -> float:
        """When all has to end as things stand now: when time is up, or a little later for what ends by then."""
        return min(self._end(self.limits.deadline, self.limits.seconds), self._end(*self._gpu_deadline()))

    @property
    def is_over(self) -> bool:
        """Whether time is up."""
        return self.is_over_at(self._now)

    def is_over_at(self, now: float) -> bool:
        """Whether time is up, should nothing have happened until `now`."""
        return now >= self.ends_at()

    def seconds_left(self, now: float) -> float | None:
        """Time left by the clock; None without a limit."""
        return None if self.limits.seconds is None else max(0.0, self.limits.deadline - now)

    def gpu_seconds_left(self, now: float) -> float | None:
        """GPU time left; None without a limit."""
        if self.limits.gpu_seconds is None:
            return None
        return max(0.0, self.limits.gpu_seconds - self._gpu_seconds_spent(now))

    def shares_spent(self, now: float) -> list[float]:
        """How much of each limit is spent, from 0 to 1; of nothing where there is none."""
        clock, gpus = self.seconds_left(now), self.gpu_seconds_left(now)
        found = []
        if clock is not None and self.limits.seconds is not None:
            found.append((clock, self.limits.seconds - self.limits.ending))
        if gpus is not None and self.limits.gpu_seconds is not None:
            found.append((gpus, self.limits.gpu_seconds))
        return [1.0 - left / whole if whole > 0 else 1.0 for left, whole in found]

    # What fits

    def _fits(self, seconds: float | None, *, more: int, keeps: bool = True) -> bool:
        """Whether a trial of so many seconds ends in time, and what is kept for further seeds after it.

        more: configs that would train their full budget besides those that have, and would want further seeds too.
        """
        whole = self.pace.whole()
        if seconds is None or whole is None or self._has_nothing():
            return not self.is_over
        wanted = self._seeds_wanted(more) if keeps else []
        return self._fits_clock(seconds, whole, wanted, keeps=keeps) and self._fits_gpus(seconds, whole, wanted)

    def _fits_clock(self, seconds: float, whole: float, wanted: Sequence[int], *, keeps: bool) -> bool:
        if self.limits.seconds is None:
            return True
        first, *others = self._slots_free(whole)
        end, latest = first + seconds, self.limits.deadline + GRACE * self.limits.seconds
        if keeps:  # further seeds begin when all that run have ended; what can't end in time is cut off
            end = max([end, *(other for other in others if other <= latest)])
        rounds = sum(math.ceil(count / self.limits.slots) for count in wanted)
        end += _kept(rounds, whole, self.limits.seconds)
        return end <= self.limits.deadline

    def _slots_free(self, whole: float) -> list[float]:
        """When each slot is free, the first to be so first, if nothing stops what runs."""
        known = [self.pace.end_of(number) for number in self.pace.running]
        taken = [max(self._now, self._now + whole if end is None else end) for end in known]
        return [self._now] * max(0, self.limits.slots - len(taken)) + sorted(taken)

    def _fits_gpus(self, seconds: float, whole: float, wanted: Sequence[int]) -> bool:
        left = self.gpu_seconds_left(self._now)
        if left is None or self.limits.gpu_seconds is None:
            return True
        gpus = self.limits.gpus_per_trial
        running = sum(end - self._now for end in self._slots_free(whole))
        kept = _kept(sum(wanted), whole * gpus, self.limits.gpu_seconds)
        return (running + seconds) * gpus + kept <= left

    def _has_nothing(self) -> bool:
        """Whether no trial was trained to its end yet and none is on its way: then one begins all the same."""
        ended = any(trial.status is Status.COMPLETED for trial in self._ledger.trials.values())
        return not ended and not self.pace.running

    def _seeds_wanted(self, more: int) -> list[int]:
        """How many trainings with a second seed, with a third and so on are still to come.

        more: configs that would train their full budget besides those that have; each stage may want one of them.
        """
        if self._space.seeds == 1:
            return []
        firsts = [trial for trial in self._ledger.trials.values() if trial.repeat_of is None]
        trained = {trial.number for trial in firsts if trial.status is Status.COMPLETED}
        begun = Counter(trial.repeat_of for trial in self._ledger.trials.values())
        certain = sum(self._is_certain(trial) for trial in firsts if trial.number in self.pace.running)
        sizes = stages(len(trained) + certain + more, self._space.seeds, self._space.reduction_factor)
        have = [sum(begun[number] >= seeds for number in trained) for seeds in range(1, len(sizes) + 1)]
        return [max(min(more, 1), size - number) for size, number in zip(sizes, have, strict=True)]

    def _is_certain(self, trial: Trial) -> bool:
        """Whether no rung can stop a trial any more."""
        rungs = self._space.fidelity.rungs()
        return trial.control or not rungs or (rungs[-1] in trial.looks and trial.looks[rungs[-1]].goes_on)

    # When it ends

    def _end(self, deadline: float, limit: float | None) -> float:
        if limit is None:
            return math.inf
        latest = deadline + GRACE * limit
        ends = [self.pace.end_of(number) for number in self.pace.running]
        return latest if any(end is not None and end <= latest for end in ends) else deadline

    def _gpu_deadline(self) -> tuple[float, float | None]:
        """When the GPU time is up if all that runs goes on, and how long the whole of it would last so."""
        limit, count = self.limits.gpu_seconds, len(self.pace.running)
        if limit is None:
            return math.inf, None
        left = limit - self._gpu_seconds_spent(self._now)
        if left <= 0 or not count:
            return (self._now if left <= 0 else math.inf), limit
        rate = self.limits.gpus_per_trial * count
        return self._now + left / rate, limit / rate

    def _gpu_seconds_spent(self, now: float) -> float:
        """All epochs in the ledger, and what runs since it was last heard of."""
        own = self.limits.gpus_per_trial
        sessions = zip(self._ledger.sessions, self._ledger.session_seconds, strict=True)
        spent = sum(seconds * gpus_of(session.facts, own) for session, seconds in sessions)
        return spent + own * sum(max(0.0, now - self.pace.heard(number)) for number in self.pace.running)


def gpus_of(facts: Mapping[str, Any], default: float) -> float:
    """The GPUs of a trial in a session, from what is known of it."""
    resources = facts.get("resources") or {}
    return float(resources.get("gpus_per_trial", default))


def _kept(wanted: int, each: float, limit: float) -> float:
    """What is kept for so many trainings, each of which takes so much."""
    return min(wanted, int(KEPT_SHARE * limit / each)) * each if each else 0.0
