"""Spaces written with NumPy's numbers, ranges and the like."""

from __future__ import annotations

import json
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest

from tune_lpc.plan import Choice, Float, Int, Space, UserError

SETTINGS: dict[str, Any] = {"dataset": "digits", "network": "mlp", "optimizer": "sgd", "nesterov": True, "epochs": 3}


class Width(IntEnum):
    NARROW = 16
    WIDE = 64


class Kind(Enum):
    MLP = "mlp"


def space(dimensions: Any, **others: Any) -> Space:
    return Space("x", "", dimensions, **{"settings": SETTINGS, **others}).checked()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (range(16, 65, 16), [16, 32, 48, 64]),
        (np.arange(16, 49, 16), [16, 32, 48]),
        (np.array([16, 32], dtype=np.uint8), [16, 32]),
        ((np.int32(16), 32), [16, 32]),
        ({64, 16, 32}, [16, 32, 64]),
        ({16: "a", 32: "b"}.keys(), [16, 32]),
        ((width for width in (16, 32)), [16, 32]),
        (list(Width), [16, 64]),
    ],
)
def test_options(options: Any, wanted: list[int]) -> None:
    dimension = space({"penultimate_width": Choice(options)}).dimensions["penultimate_width"]
    assert isinstance(dimension, Choice)
    assert dimension.options == wanted and all(type(option) is int for option in dimension.options)


def test_options_that_are_real_numbers_and_truths() -> None:
    rates = space({"learning_rate": Choice(np.logspace(-4, -2, 3))}).dimensions["learning_rate"]
    assert isinstance(rates, Choice) and list(rates.options) == pytest.approx([1e-4, 1e-3, 1e-2])
    others = {name: value for name, value in SETTINGS.items() if name != "nesterov"}
    truths = space({"nesterov": Choice([np.True_, np.False_])}, settings=others).dimensions["nesterov"]
    assert isinstance(truths, Choice) and truths.options == [True, False]


def test_ranges_settings_first_and_the_size_of_a_search() -> None:
    made = space(
        {
            "learning_rate": Float(np.float32(1e-3), np.float64(1e-2), log=True, prior=np.float64(2e-3)),
            "penultimate_width": Int(np.int64(16), np.int16(64), step=np.int64(16)),
        },
        settings={**SETTINGS, "epochs": np.int64(9), "network": Kind.MLP, "dataset": np.str_("digits")},
        first=[{"learning_rate": np.float64(5e-3), "penultimate_width": Width.WIDE}],
        trials=np.int64(4),
    )
    assert made.epochs == 9 and made.trials == 4
    text = json.dumps(made.as_dict())  # plain all through
    assert json.loads(text)["first"] == [{"learning_rate": 5e-3, "penultimate_width": 64}]


def test_the_same_space_has_the_same_hash() -> None:
    ours = space({"penultimate_width": Choice([16, 32])}, trials=4)
    theirs = space({"penultimate_width": Choice(np.array([16, 32]))}, trials=np.int64(4))
    assert ours.as_dict() == theirs.as_dict()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("mlp", "has 'mlp' for its options, but Choice takes a list"),
        (np.array([[16, 32]]), "16, 32"),
        ([], "has no options"),
        (np.array([]), "has no options"),
        ({"a": 1}, "Choice takes a list"),
        (np.array([16.5]), "16.5"),
        (7, "has 7 for its options"),
    ],
)
def test_a_reason_says_what_is_so(options: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        space({"penultimate_width": Choice(options)})
    assert words in " ".join(caught.value.problems)
