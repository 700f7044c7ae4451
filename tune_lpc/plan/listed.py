"""A space of trials that are known from the start: nothing is drawn, each is trained to its end."""

from __future__ import annotations

from collections.abc import Sequence

from tune_lpc.plan.dimensions import Choice
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec, setting_default, setting_names


def listed_space(name: str, about: str, specs: Sequence[TrialSpec]) -> Space:
    """The space of the trials `specs`, one or more, in their order: what differs between them is its dimensions.

    It has no rungs and no further seeds, so a search over it trains each of them in full, once.
    """
    rows = [spec.as_dict() for spec in specs]
    settings: dict[str, Value] = {}
    dimensions = {}
    for setting in setting_names():
        # None: without effect there, unless it is the default.
        values = list(dict.fromkeys(row[setting] for row in rows if row[setting] is not None))
        if len(values) > 1:
            dimensions[setting] = Choice(values)
        elif values and values[0] != setting_default(setting):
            settings[setting] = values[0]
    first = [{setting: row[setting] for setting in dimensions if row[setting] is not None} for row in rows]
    return Space(
        name=name,
        about=about,
        dimensions=dimensions,
        settings=settings,
        first=first,
        trials=len(specs),
        fidelity_mode="full",
        seeds=1,
        sampler="random",
    )
