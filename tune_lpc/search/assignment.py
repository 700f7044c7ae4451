"""What a director gives out: trials, numbered in order of creation, their configs drawn or taken up from before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tune_lpc.plan.choosers import Given
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results.events import Status, trial_id_of
from tune_lpc.results.ledger import Ledger
from tune_lpc.results.trial import Trial
from tune_lpc.search.sampler import Drawn, Sampler, seed_of
from tune_lpc.search.seeds import Repeats

DRAWS = 8
"""Draws of the sampler, at most, until there is a config that the search does not have; after that one is looked up."""


@dataclass(frozen=True)
class Assignment:
    """A trial to be trained.

    drawn: the values of the searched settings. control: no rung stops it. repeat_of: number of the first trial of its
    config, of which this is a further seed; None for a first trial.
    """

    number: int
    spec: TrialSpec
    drawn: Drawn
    control: bool = False
    repeat_of: int | None = None

    @property
    def trial_id(self) -> str:
        """Its name in all files."""
        return trial_id_of(self.number)


class Assignments:
    """All trials of a search.

    sampler: draws the configs, and knows nothing of those of before. repeats: is told of each further seed.
    precision: see `Director`.
    firsts: the first trials of the configs, by number.
    """

    def __init__(
        self, space: Space, sampler: Sampler, repeats: Repeats, precision: Callable[[TrialSpec], str] | None = None
    ) -> None:
        self._space, self._sampler, self._repeats, self._precision = space, sampler, repeats, precision
        self.firsts: dict[int, Assignment] = {}
        self._places: dict[int, int] = {}
        self._known: set[TrialSpec] = set()
        self._is_used_up = False
        self._next = 0

    @property
    def most(self) -> int:
        """How many configs there can be in all: as many as were asked for, or as the space has."""
        return len(self.firsts) + self._room(len(self.firsts))

    @property
    def used_up(self) -> str | None:
        """What is to be said where the space has fewer configs than were asked for, and each is there."""
        if len(self.firsts) >= self._space.trials or self._room(len(self.firsts)):
            return None
        count = len(self._known)
        return (
            f"the space has only {count} config{'' if count == 1 else 's'}; {'it' if count == 1 else 'each'} was tried"
        )

    def _room(self, firsts: int) -> int:
        """How many configs may yet be drawn where there are so many."""
        count = self._space.config_count
        left = 0 if self._is_used_up else self._space.trials - firsts
        return max(0, left if count is None else min(left, count - len(self._known)))

    def learn(self, trial: Trial) -> None:
        """Let the sampler know how a trial stands; of further seeds it is not told."""
        if trial.repeat_of is None:
            self._sampler.learn(self._places[trial.number], trial)

    def recall(self, ledger: Ledger) -> list[Assignment]:
        """Take up the trials of before, in order of number; those that are to go on.

        One whose record is lost is drawn again; one that failed is tried again, as what made it fail may have been
        mended.
        """
        trials = {trial.number: trial for trial in ledger.trials.values()}
        specs = {number: spec_of(trial.config) for number, trial in trials.items()}
        firsts = [number for number, trial in trials.items() if trial.repeat_of is None]
        # Before any is drawn again: it must not be one that comes after it.
        self._known.update(specs[number] for number in firsts)
        lost = self._room(len(firsts))
        found = []
        for number in range(max(trials, default=-1) + 1):
            trial = trials.get(number)
            if trial is None and lost and (drawn := self.draw()) is not None:
                lost -= 1
                found.append(drawn)
            elif trial is None:
                self._next += 1  # a further seed, which is decided again
            else:
                assignment = self._of_before(trial, specs[number])
                found.extend([assignment] if trial.is_to_go_on else [])
        return found

    def draw(self) -> Assignment | None:
        """The first trial of the next config, one that the search does not have; None where there is no other.

        Two configs are the same where their trials would be: a setting without an effect makes no difference.
        """
        place = len(self.firsts)
        given = self._space.first[place] if place < len(self._space.first) else None
        drawn = self._sampler.draw(place, given)
        spec = self._spec(drawn)
        for again in range(1, DRAWS):
            if spec not in self._known:
                break
            drawn = self._sampler.draw(place, None, again)
            spec = self._spec(drawn)
        if spec in self._known:
            other = self._other(place)
            if other is None:
                self._is_used_up = True
                return None
            drawn, spec = self._sampler.draw(place, other), self._spec(other)
        return self._first(Assignment(self._number(), spec, drawn, self._space.is_control(place)))

    def _other(self, place: int) -> Drawn | None:
        """A config that the search does not have, whatever the sampler would draw; None where there is none."""
        configs = self._space.configs(seed_of(self._space, place, DRAWS), len(self._known) + 1)
        return next((config for config in configs if self._spec(config) not in self._known), None)

    def _spec(self, drawn: Drawn) -> TrialSpec:
        spec = self._space.trial(drawn)
        return spec if self._precision is None else dataclasses.replace(spec, precision=self._precision(spec))

    def repeat(self, of: int) -> Assignment:
        """A further seed of the config whose first trial has that number."""
        first = self.firsts[of]
        return self._repeat(of, self._repeats.spec(of, first.spec), first.drawn)

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _first(self, assignment: Assignment) -> Assignment:
        self._places[assignment.number] = len(self.firsts)
        self.firsts[assignment.number] = assignment
        self._known.add(assignment.spec)
        return assignment

    def _repeat(self, of: int, spec: TrialSpec, drawn: Drawn) -> Assignment:
        assignment = Assignment(self._number(), spec, drawn, repeat_of=of)
        self._repeats.note(assignment.number, of, spec)
        return assignment

    def _of_before(self, trial: Trial, spec: TrialSpec) -> Assignment:
        drawn = self._space.draw(Given(trial.config))
        if trial.repeat_of is not None:
            return self._repeat(trial.repeat_of, spec, drawn)
        drawn = self._sampler.draw(len(self.firsts), drawn)
        assignment = self._first(Assignment(self._number(), spec, drawn, trial.control))
        if trial.status is not Status.FAILED:
            self.learn(trial)
        return assignment


def spec_of(config: Mapping[str, Any]) -> TrialSpec:
    """The trial that a journal's config describes; settings that it lacks, as an older version had none, by default."""
    return TrialSpec.build({name: value for name, value in config.items() if value is not None})
