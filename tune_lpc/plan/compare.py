"""What differs between two spaces, told for a resume that is refused; and the hash by which one is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tune_lpc.plan.errors import shown, shown_limit
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT

_PARTS = ("dimensions", "settings", "first")
_WHOLE = ("name", "method")
"""Where one of these differs, it is another search altogether, and what else differs follows from it."""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between two spaces as `Space.as_dict` gives them, one line each; empty when they are the same.

    Of a space of another name, or of another method, only that is told. More trials than before are no difference, as a
    search that is resumed may be made longer; fewer are one. Either may have been through JSON.
    """
    old, new = _values(before), _values(now)
    of_another = [name for name in _WHOLE if name in old and name in new and old[name] != new[name]]
    found = []
    for name in of_another[:1] or dict.fromkeys([*old, *new]):
        if _longer(name, old, new) or (name in old and name in new and _plain(old[name]) == _plain(new[name])):
            continue
        told = [_told(values[name]) if name in values else "absent" for values in (old, new)]
        mend = ": it may rise, but not fall" if name == "trials" else ""
        if name == "trials" and old.get(name) == AS_MANY_AS_FIT:
            told[0], mend = "as many as time allows", ": give --hours or --gpu-hours, as before or others"
        found.append(f"{name}: {told[0]} before, {told[1]} now{mend}")
    return found


def canonical_json(space: Mapping[str, Any]) -> str:
    """The same text for the same space as `Space.as_dict` gives it, whether or not it has been through JSON.

    Raises ValueError for a number that is infinite or none.
    """
    return json.dumps(space, sort_keys=True, separators=(",", ":"), allow_nan=False)


def space_hash(space: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal. Raises ValueError as that does."""
    return hashlib.sha256(canonical_json(space).encode()).hexdigest()


def _values(space: Mapping[str, Any]) -> dict[str, Any]:
    """Everything in the space by one name each; a name is a dimension or a setting, never both."""
    first = {f"config {position} of first": config for position, config in enumerate(space.get("first", ()), start=1)}
    others = {name: value for name, value in space.items() if name not in _PARTS}
    dimensions = {name: _Dimension(value) for name, value in space.get("dimensions", {}).items()}
    return {**others, **dimensions, **space.get("settings", {}), **first}


class _Dimension(dict[str, Any]):
    """A dimension as plain data, told from a config."""


def _longer(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return name == "trials" and name in old and name in new and new[name] >= old[name]


def _plain(value: Any) -> Any:
    """The value with lists for tuples, as JSON gives them back."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _told(value: Any) -> str:
    if isinstance(value, _Dimension):
        return _told_dimension(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_told(inner)}" for name, inner in value.items()) or "nothing given"
    if isinstance(value, str):
        return value
    return shown_limit(value) if isinstance(value, float) else shown(value)


def _told_dimension(dimension: Mapping[str, Any]) -> str:
    if dimension["type"] == "choice":
        text = "one of " + ", ".join(_told(option) for option in dimension["options"])
    else:
        text = "whole numbers " if dimension["type"] == "int" else ""
        text += f"{_told(dimension['low'])} to {_told(dimension['high'])}"
        text += f" in steps of {_told(dimension['step'])}" if "step" in dimension else ""
        text += ", logarithmic" if dimension["log"] else ""
    if "prior" in dimension:
        text += f"; prior {_told(dimension['prior'])}"
    for other, allowed in dimension["when"].items():
        text += f"; when {other} is {' or '.join(_told(value) for value in allowed)}"
    return text
