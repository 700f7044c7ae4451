"""Values that a space is written with as those of plain Python: NumPy's numbers and arrays, ranges, members of Enum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """A value as plain Python has it, where it stands for such a one; else as it is, to be told of."""
    if isinstance(value, Enum):
        return plain(value.value)
    # NumPy's, and what acts like it: `plan` imports none of them.
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    for kind in (str, int, float):
        if isinstance(value, kind) and type(value) is not kind and not isinstance(value, bool):
            return str.__str__(value) if kind is str else kind(value)
    return value


def plain_options(options: Any) -> Any:
    """Options as a list: of a list, tuple, range or array in their order, of a set, which has none, by their size."""
    if isinstance(options, (str, bytes, Mapping)) or not isinstance(options, Iterable):
        return options
    if isinstance(options, (set, frozenset)):
        options = sorted(options, key=lambda option: (str(type(option)), option))
    return [plain(option) for option in options]


def make_plain(frozen: Any, *names: str) -> None:
    """Make what stands in these fields of a frozen dataclass plain: values, mappings of values, lists of mappings."""
    for name in names:
        value = getattr(frozen, name)
        if isinstance(value, (list, tuple)):
            value = type(value)(map(_plain_mapping, value))
        object.__setattr__(frozen, name, _plain_mapping(plain(value)))


def _plain_mapping(values: Any) -> Any:
    return {name: plain(value) for name, value in values.items()} if isinstance(values, Mapping) else plain(values)
