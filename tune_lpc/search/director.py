"""The one place that decides: what to train next, which trials go on, when the search ends.

No engine, no clock and no process: it is asked, told what happened, and told the time. Whatever it is told goes the
same way: event, journal, ledger, decision. So a search that is resumed needs nothing but its ledger, and the same
director runs on Ray, under a simulated clock, and in tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results.events import (
    EpochDone,
    Event,
    FrontFound,
    Measured,
    Position,
    RungDecided,
    Status,
    Tested,
    TrialEnded,
    TrialPlaced,
    TrialRestarted,
    TrialStarted,
    number_of,
    trial_id_of,
)
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.ranking import front_found
from tune_lpc.results.trial import Trial
from tune_lpc.search.assignment import Assignment, Assignments
from tune_lpc.search.promotions import Promotions
from tune_lpc.search.rungs import arrivals_at, decide, reason, with_objectives
from tune_lpc.search.sampler import Sampler
from tune_lpc.search.seeds import Repeats
from tune_lpc.search.time_budget import TimeBudget
from tune_lpc.search.watch import MEASURING, MEASURING_AT_RUNG, Breaker, Watch, first_epoch, later_epoch


class Verdict(Enum):
    """What a trial that has just reported does next."""

    GOES_ON = "goes on"
    ENDS = "ends"


class Log(Protocol):
    """Where events are written down before anything follows from them: the journal, or a list in memory."""

    def write(self, event: Event) -> bool:
        """Write an event down; False when it could not be, and the search is about to end: then it did not happen."""


class Director:
    """Decides a search. Raises nothing for what a worker or a disk does; those are events.

    ledger: what has happened so far, nothing in a search that begins. sampler: knows nothing of that yet.
    precision: of a trial, resolved for the machines that train; by trial, as small networks gain nothing by bfloat16.
    watched: told of each event, once the ledger has it. budget: of time; without one there is no limit.
    """

    def __init__(
        self,
        space: Space,
        ledger: Ledger,
        log: Log,
        sampler: Sampler,
        *,
        precision: Callable[[TrialSpec], str] | None = None,
        watch: Watch | None = None,
        watched: Sequence[Callable[[Event], None]] = (),
        budget: TimeBudget | None = None,
    ) -> None:
        self._space, self._ledger, self._log, self._watched = space, ledger, log, list(watched)
        self.watch = watch or Watch(20.0)
        self.budget = budget or TimeBudget(space, ledger)
        self._breaker = Breaker()
        self._fidelity: Fidelity = space.fidelity
        self._runs = self._fidelity.runs()
        self._promotions, self._repeats = Promotions(space, ledger), Repeats(space, ledger)
        self._trials = Assignments(space, sampler, self._repeats, precision)
        self._handed_out: dict[int, Assignment] = {}
        self._running: set[int] = set()
        self._waiting = deque(self._trials.recall(ledger))
        self.ends_early: str | None = None
        """Why no further trial is to be trained although some are to come; None while all is well."""

    @property
    def space(self) -> Space:
        """What is searched."""
        return self._space

    @property
    def ledger(self) -> Ledger:
        """What has happened."""
        return self._ledger

    def watched_by(self, watcher: Callable[[Event], None]) -> None:
        """From now on tell also `watcher` of each event."""
        self._watched.append(watcher)

    @property
    def to_come(self) -> int:
        """How many trials could be asked for as things stand; 0 when none can be asked for now.

        Those interrupted, and configs to be drawn; when there are none, 1 for trials that a rung lets go on now; and
        when there is none either, the further seeds.
        """
        if self.budget.is_over:
            return 0
        found = len(self._waiting) + (self._configs_at_most if self._draws else 0)
        if found or self._promotion() is not None:
            return found or 1
        return self._repeats.to_come(self._running) if self._next_repeat() is not None else 0

    @property
    def has_configs_left(self) -> bool:
        """Whether the search has drawn fewer configs than it may, whatever time allows."""
        return len(self._trials.firsts) < self._trials.most

    @property
    def used_up(self) -> str | None:
        """What is to be said where the space has fewer configs than were asked for, and each was drawn; else None."""
        return self._trials.used_up

    @property
    def _draws(self) -> bool:
        """Whether a config is to be drawn as things stand."""
        return self.has_configs_left and self.budget.admits_config()

    @property
    def _configs_at_most(self) -> int:
        """How many configs may yet be drawn."""
        return max(0, min(self._trials.most - len(self._trials.firsts), self.budget.most_configs()))

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing is to come."""
        return not self._running and not self.to_come

    @property
    def waiting(self) -> set[int]:
        """The numbers of the trials that a rung has left, and may still let go on: they keep their checkpoint."""
        return self._promotions.waiting(len(self._trials.firsts) + self._configs_at_most)

    # Asked

    def ask(self, now: float) -> Assignment | None:
        """The trial to train next; None when there is none, or none before one that runs has come further.

        First those that were interrupted, then those that a rung lets go on now, from the highest rung down, then new
        configs, and when all of them have come as far as they will, further seeds of the best.
        """
        self.budget.asked(now)
        if self.ends_early is not None or self.budget.is_over:
            return None
        if self._waiting:
            assignment = self._waiting.popleft()
        elif (promotion := self._promotion()) is not None:
            if not self._record(promotion):
                return None
            assignment = self._trials.firsts[number_of(promotion.trial_id)]
        elif self._draws:
            drawn = self._trials.draw()
            if drawn is None:
                return self.ask(now)  # there is no other config, so what comes after them may begin
            assignment = drawn
        elif (number := self._next_repeat()) is not None:
            assignment = self._trials.repeat(number)
        else:
            return None
        self._handed_out[assignment.number] = assignment
        self._running.add(assignment.number)
        self.budget.begins(assignment.number, now)
        return assignment

    # Told

    def settle(self) -> None:
        """Decide what a search that was interrupted had no time to decide, or to write down."""
        by_number = {trial.number: trial for trial in self._ledger.trials.values()}
        for rung, arrived in self._ledger.arrivals.items():
            for number in list(arrived):
                if rung not in by_number[number].looks:
                    self._record(self._decided(by_number[number], rung))
        for trial in self._ledger.in_order():
            if trial.status is Status.INTERRUPTED and (position := trial.position(self._runs)) is not None:
                self._verdict(trial, position)
            elif trial.status is Status.COMPLETED:
                self._find_front(trial.trial_id)
        ended = {trial.trial_id for trial in by_number.values() if not trial.is_to_go_on}
        self._waiting = deque(waiting for waiting in self._waiting if waiting.trial_id not in ended)

    def told(self, event: Event, now: float) -> Verdict:
        """Write down what happened, and say what follows for the trial that it happened to."""
        if isinstance(event, EpochDone):
            return self._epoch(event, now)
        elif isinstance(event, TrialRestarted):
            self.watch.ends(number_of(event.trial_id))
            self._record(event)
        elif isinstance(event, TrialEnded):
            self._end(event)
            return Verdict.ENDS
        else:
            self._record(event)
        return Verdict.GOES_ON

    def starts(self, number: int, now: float) -> None:
        """A trial that was asked for is given to a worker, for the first time or again."""
        self.watch.begins(number, now)
        self.budget.begins(number, now)
        assignment = self._handed_out.pop(number, None)
        if assignment is not None:
            config = assignment.spec.as_dict()
            repeat_of = assignment.repeat_of
            self._record(TrialStarted(assignment.trial_id, number, config, assignment.control, repeat_of))

    def prepared(self, number: int, now: float) -> None:
        """A new worker has prepared the data for its first trial."""
        self.watch.passes(number, first_epoch(self._runs[0]), now)

    def measuring(self, number: int, now: float) -> None:
        """A worker has trained the last epoch of a trial, or up to a rung, and takes measures before it reports."""
        trial = self._ledger.trials.get(trial_id_of(number))
        position = None if trial is None else trial.position(self._runs)
        following = self._fidelity.after(position)
        # That of a checkpoint is measured once more.
        stands = [place for place in (position, following) if place is not None]
        is_last = following == (self._runs[-1], self._runs[-1])
        is_rung = not is_last and any(self._fidelity.rung_at(*place) is not None for place in stands)
        self.watch.passes(number, MEASURING_AT_RUNG if is_rung else MEASURING, now, budget=self._runs[-1])

    # What follows

    def _epoch(self, event: EpochDone, now: float) -> Verdict:
        trial = self._ledger.trials.get(event.trial_id)
        if trial is None:
            return Verdict.GOES_ON  # its start could not be written down, so the search is about to end
        budget, epoch = event.record["budget"], event.record["epoch"]
        is_known = trial.has(budget, epoch) and trial.runs[budget].holds(event.record)
        # The first epoch after a checkpoint is the checkpoint's own, once more.
        self.watch.passes(trial.number, self._step_after(budget, epoch, is_known), now, budget=budget)
        self.budget.passes(trial.number, now, is_last=budget == epoch == self._runs[-1])
        if not is_known and not self._record(event):
            return Verdict.GOES_ON
        return self._verdict(trial, (budget, epoch))

    def _step_after(self, budget: int, epoch: int, is_known: bool) -> tuple[str, int]:
        following, _ = self._fidelity.after((budget, epoch))
        return first_epoch(following) if is_known or following != budget else later_epoch(budget)

    def _verdict(self, trial: Trial, position: Position) -> Verdict:
        """Decide about a trial that stands at `position`: its rung, and whether it has come to its end."""
        rung = self._fidelity.rung_at(*position) if trial.repeat_of is None else None
        if rung is not None and rung not in trial.looks:
            self._record(self._decided(trial, rung))
        end = self._end_at(trial, position)
        if end is None:
            return Verdict.GOES_ON
        self._end(end)
        return Verdict.ENDS

    def _end_at(self, trial: Trial, position: Position) -> TrialEnded | None:
        budget, epoch = position
        if (diverged := trial.runs[budget].diverged(epoch)) is not None:
            return TrialEnded(trial.trial_id, Status.DIVERGED, diverged)
        if position == (self._runs[-1], self._runs[-1]):
            return TrialEnded(trial.trial_id, Status.COMPLETED, f"trained all {budget} epochs")
        look = trial.looks.get(self._fidelity.rung_at(*position) or 0)
        if look is not None and not look.goes_on:
            return TrialEnded(trial.trial_id, Status.STOPPED, reason(look))
        return None

    def _decided(self, trial: Trial, rung: int) -> RungDecided:
        arrivals = arrivals_at(rung, self._ledger, last=trial.number)
        look = decide(trial, rung, arrivals, self._fidelity.reduction_factor, self._space.rung_rule)
        return with_objectives(look, self._ledger)

    @property
    def _all_have_begun(self) -> bool:
        """Whether no further config is to be drawn, and no trial to go on after an interruption."""
        return not self._draws and not self._waiting

    @property
    def _first_running(self) -> list[int]:
        """The first trials of configs that are being trained."""
        return [number for number in self._running if number in self._trials.firsts]

    @property
    def _may_repeat(self) -> bool:
        """Whether all configs have come as far as they will, but for those that a rung lets go on now."""
        return self._all_have_begun and not self._first_running

    def _promotion(self) -> RungDecided | None:
        """What lets a trial that waits at a rung go on, if one is among the best there now."""
        return self._promotions.next(
            self._first_running, all_begun=self._all_have_begun, admits=self.budget.admits_rest
        )

    def _next_repeat(self) -> int | None:
        """The number of the config to train with a further seed now."""
        if not self._may_repeat:
            return None
        number = self._repeats.next(self._running)
        is_planned = number is not None
        if not is_planned and self.has_configs_left:
            # Time has ended the drawing. What is left of it, or a slot that waits for its stage, is for the next best.
            number = self._repeats.next(self._running, of_all=True)
        return number if number is not None and self.budget.admits_seed(number, is_planned=is_planned) else None

    def _end(self, event: TrialEnded) -> None:
        self.watch.ends(number_of(event.trial_id))
        self.budget.ends(number_of(event.trial_id))
        self._running.discard(number_of(event.trial_id))
        if self._record(event):
            problem = self._breaker.ended(event.reason if event.status is Status.FAILED else None)
            self.ends_early = self.ends_early or problem
            if event.status is Status.COMPLETED:
                self._find_front(event.trial_id)

    def _find_front(self, trial_id: str) -> None:
        """Write down the front that there is with a trial that has trained its full budget, once."""
        if self._ledger.objectives and trial_id not in self._ledger.fronts:
            self._record(front_found(self._ledger, trial_id))

    def _record(self, event: Event) -> bool:
        """Event, journal, ledger; then those who watch. Whether it was written down."""
        if not self._log.write(event):
            return False
        self._ledger.apply(event)
        trial = self._ledger.trials.get(getattr(event, "trial_id", ""))
        if trial is not None and not isinstance(event, (EpochDone, TrialPlaced, Measured, Tested, FrontFound)):
            self._trials.learn(trial)
        for watched in self._watched:
            watched(event)
        return True
