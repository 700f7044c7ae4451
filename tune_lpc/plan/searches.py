"""The searches of several methods over the same space, and the trial that stands for all of a space."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.plan.dimensions import describe_values, missed_end
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec


def spaces_of_methods(space: Space, methods: Iterable[str], changes: Mapping[str, Value]) -> list[Space]:
    """The space of each method, with `changes` made.

    A change that can have an effect under some of the methods only is made there, and left out of the others, whose
    notes say so. Raises UserError with the problems of all methods; a change that has an effect under none is one.
    """
    found: list[str] = []
    of_methods: list[Space] = []
    for name in methods:
        try:
            of_methods.append(space.for_method(name))
        except UserError as error:
            found += error.problems
    without_effect = [one.without_effect(changes) for one in of_methods]
    useless = set(changes).intersection(*without_effect)
    spaces = []
    for one, reasons in zip(of_methods, without_effect, strict=True):
        left_out = {name: why for name, why in reasons.items() if name not in useless}
        notes = [f"{name}={changes[name]} is left out: it has no effect when {why}" for name, why in left_out.items()]
        try:
            changed = one.with_values({name: value for name, value in changes.items() if name not in left_out})
            notes += filter(None, (missed_end(*dimension) for dimension in changed.dimensions.items()))
            spaces.append(dataclasses.replace(changed, notes=(*changed.notes, *notes)))
        except UserError as error:
            found += error.problems
    if found:
        raise UserError(dict.fromkeys(found))
    return spaces


def typical_trial(space: Space) -> tuple[TrialSpec, str]:
    """The trial by which a search is measured, and what it is called: the first of the space, else one drawn."""
    drawn = dict(space.first[0]) if space.first else space.draw(RandomChooser(0))
    return space.trial(drawn), describe_values(drawn) or "as fixed"
