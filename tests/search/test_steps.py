"""Ranges with steps in searches: under every sampler, after a warm start, and in what tells which setting matters."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.search.test_earlier import Run, searching
from tests.search.test_sampler import Lives
from tune_lpc.plan import Choice, Float, Int, Space
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.results.events import Status
from tune_lpc.search.earlier import Observation, read_earlier
from tune_lpc.search.importance import importances
from tune_lpc.search.samplers import SAMPLERS

SPACE = Space(
    "steps",
    "for tests",
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.1, 0.75, step=0.1),
        "penultimate_width": Int(16, 130, step=16),
        "gamma_ramp": Choice(["off", "linear"]),
        "gamma_end": Float(1.0, 11.0, step=2.5),
    },
    {"epochs": 9},
    trials=100,
    random_starts=4,
)
STEPS = {
    "dropout": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    "penultimate_width": list(range(16, 129, 16)),
    "gamma_end": [1.0, 3.5, 6.0, 8.5, 11.0],
}
EARLIER = [Observation({"dropout": 0.7, "penultimate_width": 32}, 0.9), Observation({"dropout": 0.1}, 0.5)]


@pytest.mark.parametrize("earlier", [(), EARLIER], ids=["alone", "warm start"])
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_keeps_to_the_steps_and_learns_in_them(name: str, earlier: Any) -> None:
    count = 24 if name == "gp" else 60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lives = Lives(SPACE, SAMPLERS[name](SPACE, 1, earlier))
        for number in range(count):
            score = float(lives.draw(number)["dropout"] or 0)
            lives.lives(number, (Status.COMPLETED, {3: score}, score))
    for config in lives.configs:
        for setting, values in STEPS.items():
            assert setting not in config or config[setting] in values
        assert type(config["penultimate_width"]) is int
    best = sum(config["dropout"] == 0.7 for config in lives.configs[count // 2 :]) / (count - count // 2)
    assert best > 0.2 or name == "random", "the last step counts in full"


def test_a_search_that_goes_on_reads_its_values_as_they_were_drawn() -> None:
    drawn = [SAMPLERS["tpe"](SPACE, 1, ()).draw(place, None) for place in range(20)]
    for config in drawn:
        assert all(SPACE.trial(config).as_dict()[name] == value for name, value in config.items())


def test_configs_between_the_steps_are_left_out_of_a_warm_start_and_told(tmp_path: Path) -> None:
    run = Run(tmp_path / "earlier", searching(dropout=Float(0.0, 0.9)))
    for dropout in (0.1 + 0.2, 0.25, 0.9):
        run.trial({"learning_rate": 0.01, "gamma_ramp": "off", "dropout": dropout}, 0.5)
    (found,) = read_earlier(SPACE, [run.folder])
    assert [seen.values["dropout"] for seen in found.observations] == [0.1 + 0.2]
    assert found.left_out == {"with dropout outside its range or between its steps here": 2}
    again = [replace(seen, quality=0.9) for seen in found.observations]
    assert Lives(SPACE, SAMPLERS["tpe"](SPACE, 1, again)).draw(0)["dropout"] == 0.3


def test_the_importance_of_a_setting_with_steps_is_known() -> None:
    told: Any = SPACE.as_dict()["dimensions"]
    dimensions = {name: told[name] for name in ("dropout", "penultimate_width")}
    rows = []
    for number in range(60):
        drawn = SPACE.draw(RandomChooser(number))
        row = {"number": number, "repeat_of": None, "status": "completed", "epochs": 9}
        row |= {"last.validation_accuracy": float(drawn["dropout"] or 0) + 1e-4 * number}
        rows.append({**row, **{f"config.{name}": drawn[name] for name in dimensions}})
    found = {
        row["parameter"]: row for row in importances(pd.DataFrame(rows), dimensions) if row["trials"] == "completed"
    }
    assert found["dropout"]["count"] == 60
    assert found["dropout"]["importance"] > found["penultimate_width"]["importance"]  # type: ignore[operator]
