"""The objectives of a search: which there are, what they mean, and what is said of wrong ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.test_space import SPACE
from tune_lpc.plan import UserError
from tune_lpc.plan.compare import differences
from tune_lpc.plan.objectives import (
    OBJECTIVES,
    Objective,
    measures_of,
    objective_of,
    objectives_problems,
    several_objectives,
)
from tune_lpc.plan.record import record_fields
from tune_lpc.training.measures import MEASURES

TWO = ("validation_accuracy", "measure.nc1")
KNOWN = (
    "validation_accuracy", "train_accuracy", "validation_loss", "train_classification", "mean_norm:min", "nc1",
    "measure.nc1", "measure.nc2_equinorm", "measure.nc3_self_duality", "measure.nc4_disagreement",
    "measure.within_class_covariance", "measure.norm_variation", "measure.entropy:max", "measure.entropy_raw:min",
    "measure.distance_margin", "measure.knn_accuracy_20", "measure.mean_norm:max",
)  # fmt: skip


def problems(*texts: str) -> list[str]:
    return objectives_problems(texts)


# What is an objective


@pytest.mark.parametrize("text", KNOWN)
def test_an_objective_is_taken(text: str) -> None:
    assert problems(*dict.fromkeys(["validation_accuracy", text])) == []
    objective = objective_of(text)
    assert (objective.column is None) != (objective.measure is None)
    assert objective.name == text.partition(":")[0]


def test_each_column_and_each_measure_is_an_objective_or_refused_with_a_reason() -> None:
    """So a new one can't be forgotten here."""
    names = [field.name for field in record_fields()] + [f"measure.{name}" for name in MEASURES]
    for name in names:
        told = problems(f"{name}:max", *({"validation_accuracy"} - {name}))
        assert told == [] or told[0].startswith(f"{name} can't be an objective: it "), told


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("validation_accuracy", "max"),
        ("validation_loss", "min"),
        ("measure.nc1", "min"),
        ("nc1:max", "max"),
        ("measure.knn_accuracy_20", "max"),
        ("measure.distance_margin:min", "min"),
    ],
)
def test_a_direction_is_the_natural_one_unless_it_is_named(text: str, direction: str) -> None:
    assert objective_of(text).direction == direction


def test_what_an_epoch_holds_is_taken_from_there() -> None:
    assert (objective_of("measure.nc1").column, objective_of("measure.nc1").measure) == ("nc1", None)
    assert (objective_of("measure.entropy:min").column, objective_of("measure.entropy:min").measure) == (
        None,
        "entropy",
    )
    assert measures_of(["validation_accuracy", "measure.mean_norm:min", "measure.entropy:min"]) == ["entropy"]


def test_one_score_is_not_several_objectives() -> None:
    assert several_objectives(("validation_accuracy",)) == ()
    assert several_objectives(TWO) == (Objective("validation_accuracy", "max"), Objective("measure.nc1", "min"))


# The scale


@pytest.mark.parametrize("text", KNOWN)
def test_the_scale_is_0_at_the_reference_and_rises_with_what_is_better(text: str) -> None:
    objective = objective_of(text)
    assert objective.scaled(objective.worst) == pytest.approx(0.0)
    better = objective.worst + (0.01 if objective.direction == "max" else -0.01)
    assert objective.scaled(better) > 0.0


def test_the_scale_of_nc1_counts_decades() -> None:
    nc1 = objective_of("nc1")
    assert [nc1.scaled(value) for value in (100.0, 1.0, 1e-2, 1e-6)] == pytest.approx([0.0, 0.25, 0.5, 1.0])
    assert nc1.scaled(0.0) > nc1.scaled(1e-200) > 1.0


@given(st.floats(1e-9, 1e6), st.floats(1e-9, 1e6))
def test_both_directions_order_the_same_values_the_other_way_round(one: float, other: float) -> None:
    down, up = objective_of("nc1:min"), objective_of("nc1:max")
    assert (down.scaled(one) > down.scaled(other)) == (up.scaled(one) < up.scaled(other))


# What is refused


@pytest.mark.parametrize(
    "name",
    [
        "deepfool",
        "deepfool_correct",
        "deepfool_changed",
        "pgd_l2",
        "pgd_linf",
        "margin_gradient_norm",
        "margin_gradient_norm_max_relative",
    ],
)
def test_what_collapsed_networks_fool_is_refused_with_the_reason(name: str) -> None:
    for text in (f"measure.{name}", f"measure.{name}:max", name):
        (told,) = problems("validation_accuracy", text)
        assert "is fooled by collapsed networks" in told and told.startswith(text.partition(":")[0])


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["measure.binarity_score"], "measure.binarity_score can't be an objective: it takes longer than an epoch"),
        (["train_penalty:min"], "train_penalty can't be an objective: it is weighed by settings"),
        (["gamma:min"], "gamma can't be an objective: it is set by a schedule"),
        (["seconds"], "seconds can't be an objective: it tells of the machine"),
        (["measure.nc11"], "there is no objective 'measure.nc11'; did you mean 'measure.nc1'?"),
        (["knn_accuracy_20"], "there is no objective 'knn_accuracy_20'; did you mean 'measure.knn_accuracy_20'?"),
        (["measure.validation_loss"], "there is no objective 'measure.validation_loss'"),
        (["#"], "there is no objective '#', it must be one of validation_accuracy, train_accuracy"),
        ([""], "there is no objective '', it must be one of"),
        (["nc1:down"], "objective 'nc1:down' must end in :min or :max, or name no direction"),
        (["nc1:"], "objective 'nc1:' must end in :min or :max, or name no direction"),
        (["mean_norm"], "objective mean_norm has no natural direction; say mean_norm:min or mean_norm:max"),
        (["nc1", "measure.nc1:min"], "objective measure.nc1 is named twice; keep one"),
        (["nc1:min", "nc1:max"], "objective nc1 is named twice; keep one"),
        (["validation_accuracy"], "objective validation_accuracy is named twice; keep one"),
        (["nc1", "validation_loss", "train_accuracy"], "objectives are 4, but must be 1 to 3"),
    ],
)
def test_a_wrong_objective_is_told_in_a_line(texts: list[str], told: str) -> None:
    (problem,) = problems("validation_accuracy", *texts)
    assert problem.startswith(told)
    assert "\n" not in problem


@pytest.mark.parametrize("texts", [["nc1"], ["validation_loss", "nc1"], []])
def test_without_the_accuracy_there_is_no_search(texts: list[str]) -> None:
    assert problems(*texts)[-1].startswith("objectives lack validation_accuracy, without which")


def test_the_accuracy_is_never_to_be_small() -> None:
    assert problems("validation_accuracy:min") == [
        "objective validation_accuracy:min looks for the worst networks; leave out :min"
    ]


@pytest.mark.parametrize("value", ["validation_accuracy", None, 3, [1], {"a": 1}])
def test_what_is_no_list_of_names_is_told(value: object) -> None:
    (problem,) = objectives_problems(value)
    assert problem.startswith("objectives is ") and "must be a list of names" in problem


def test_all_problems_are_told_at_once() -> None:
    assert len(problems("measure.pgd_l2", "mean_norm", "nothing")) == 4


def test_the_page_lists_every_objective_with_its_direction_and_range() -> None:
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
    better = {"max": "more", "min": "less", None: "say `:min` or `:max`"}
    rows = [
        f"| `{name}` | {better[of.direction]} | {of.low:g} to {of.high:g}{', logarithmic' if of.log else ''} |"
        for name, of in OBJECTIVES.items()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


# In a space


def test_the_hash_of_a_space_with_one_score_is_what_it_was() -> None:
    assert "objectives" not in SPACE.as_dict()
    assert replace(SPACE, objectives=("validation_accuracy:max",)).hash() == SPACE.hash()


def test_objectives_are_part_of_what_a_space_is_in_whatever_spelling() -> None:
    two = replace(SPACE, objectives=TWO)
    assert two.as_dict()["objectives"] == ["validation_accuracy:max", "measure.nc1:min"]
    assert two.hash() != SPACE.hash()
    assert two.hash() == replace(SPACE, objectives=("validation_accuracy:max", "measure.nc1:min")).hash()
    assert differences(SPACE.as_dict(), two.as_dict()) == [
        "objectives: absent before, ['validation_accuracy:max', 'measure.nc1:min'] now"
    ]


def test_a_space_tells_all_that_is_wrong_with_its_objectives() -> None:
    with pytest.raises(UserError) as caught:
        replace(SPACE, objectives=("measure.deepfool", "nothing")).checked()
    assert len(caught.value.problems) == 3


def test_objectives_can_be_set_as_a_text() -> None:
    changes = SPACE.parse_changes(["objectives=validation_accuracy, measure.nc1:min"])
    assert SPACE.with_values(changes).objectives == ("validation_accuracy", "measure.nc1:min")
    with pytest.raises(UserError, match=r"there is no objective 'nc'"):
        SPACE.with_values(SPACE.parse_changes(["objectives=validation_accuracy,nc"]))
