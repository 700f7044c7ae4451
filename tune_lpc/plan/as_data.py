"""A space as plain data, for run.json and its hash; and changes of one out of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tune_lpc.plan.dimensions import Choice, Dimension, Float, dimension_as_dict
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.objectives import several_objectives
from tune_lpc.plan.search_settings import SEARCH_SETTINGS, parse_search_setting
from tune_lpc.plan.settings import Value
from tune_lpc.plan.trial import as_declared, parse_value, setting_default, setting_field, setting_names


def space_as_dict(
    dimensions: Mapping[str, Dimension],
    when: Callable[[str], Mapping[str, Sequence[Value]]],
    fixed: Callable[[str], Value],
    first: Sequence[Mapping[str, Value]],
    search: Mapping[str, Any],
) -> dict[str, object]:
    """All but the name of a space as plain data, settings completed with their defaults; see `Space.as_dict`.

    when: the condition of a dimension. fixed: the value of a setting that is not searched. search: the settings of the
    search.
    """
    names = [
        name for name in setting_names() if name not in (*dimensions, "seed") and not _is_unused(name, fixed(name))
    ]
    search = dict(search)
    if search["first_rung_after"] is not None:
        search["first_rung_after"] = float(search["first_rung_after"])
    if several := several_objectives(search["objectives"]):
        search["objectives"] = [str(objective) for objective in several]
    else:
        del search["objectives"]  # one score is no difference to a search of before there were several
    return {
        "dimensions": {name: _described(name, dimension, when(name)) for name, dimension in dimensions.items()},
        "settings": {name: as_declared(name, fixed(name)) for name in names},
        "first": [{n: _canonical(dimensions.get(n), value) for n, value in config.items()} for config in first],
        **search,
    }


def _is_unused(name: str, value: Value) -> bool:
    """Whether a setting that came later says nothing: no difference to a search of before there was one."""
    return setting_field(name).metadata["later"] and value == setting_default(name)


def _canonical(dimension: Dimension | None, value: Value) -> Value:
    return float(value) if isinstance(dimension, Float) and isinstance(value, int) else value


def _described(name: str, dimension: Dimension, when: Mapping[str, Sequence[Value]]) -> dict[str, object]:
    if isinstance(dimension, Choice):
        options = [as_declared(name, option) for option in dimension.options]
        described: dict[str, object] = {"type": "choice", "options": options, "when": when}
    else:
        described = {**dimension_as_dict(dimension), "when": when}
    prior = {} if dimension.prior is None else {"prior": as_declared(name, dimension.prior)}
    return {**described, **prior}


def parse_changes(texts: Iterable[str]) -> dict[str, Value]:
    """NAME=VALUE texts as values; raises UserError for every text without '='."""
    changes: dict[str, Value] = {}
    found = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if name in changes:
            found.append(f"{name} is given twice by --set; give it once")
        elif not equals or not name:
            found.append(f"--set takes NAME=VALUE, but got {text!r}")
        elif name in SEARCH_SETTINGS:
            changes[name] = parse_search_setting(name, value)
        else:
            changes[name] = parse_value(name, value) if name in setting_names() else value
    if found:
        raise UserError(found)
    return changes
