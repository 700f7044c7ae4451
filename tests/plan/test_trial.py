from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.contrast import Contrast
from tune_lpc.plan.gamma import GammaRamp
from tune_lpc.plan.learning_rate import LearningRate
from tune_lpc.plan.margin import AngularMargin
from tune_lpc.plan.topology import Topology
from tune_lpc.plan.trial import (
    Value,
    describe_rule,
    parse_value,
    setting_default,
    setting_names,
    setting_type,
    value_problems,
)


def _problems(**values: Value) -> list[str]:
    with pytest.raises(UserError) as caught:
        TrialSpec.build(values)
    return caught.value.problems


def test_without_values_a_trial_has_the_defaults() -> None:
    spec = TrialSpec.build({})
    assert (spec.dataset, spec.network, spec.learning_rate, spec.epochs) == ("digits", "mlp", 1e-3, 10)


def test_a_trial_can_be_built_again_from_its_own_values() -> None:
    spec = TrialSpec.build({"gamma_ramp": "linear", "optimizer": "sgd", "epochs": 3})
    assert TrialSpec.build(spec.as_dict()) == spec


def test_a_trial_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrialSpec.build({}).epochs = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("switched_off", "without_effect"),
    [
        ({"gamma_ramp": "off"}, ["gamma_start", "gamma_end", "gamma_ramp_begin", "gamma_ramp_length"]),
        ({"gamma_ramp": "off"}, ["penalty_convention"]),
        (
            {"topological_weight_schedule": "off"},
            ["topological_weight", "beta", "beta_schedule", "distance"],
        ),
        ({"optimizer": "adamw"}, ["momentum", "nesterov"]),
        ({"head": "none"}, ["penultimate_width"]),
        ({"train_size": 100}, ["validation_share"]),
        ({"train_size": None}, ["validation_size"]),
        ({"batching": "grouped"}, ["batch_size"]),
        ({"topological_weight_schedule": "rising"}, ["batch_size"]),
        ({"batching": "shuffled"}, ["groups", "group_size", "epoch_unit"]),
        ({"topological_weight_schedule": "off"}, ["groups", "group_size", "epoch_unit"]),
        ({"warmup_length": 0.0}, ["warmup_factor"]),
        ({"data_from": "memory"}, ["data_workers"]),
    ],
)
def test_a_setting_without_effect_is_none_whatever_was_given(
    switched_off: dict[str, Value], without_effect: list[str]
) -> None:
    given_anyway = {name: setting_default(name) for name in without_effect}
    spec = TrialSpec.build({**given_anyway, **switched_off})
    assert [getattr(spec, name) for name in without_effect] == [None] * len(without_effect)


def test_settings_with_an_effect_keep_their_values() -> None:
    spec = TrialSpec.build({"gamma_ramp": "two_regime", "topological_weight_schedule": "rising", "optimizer": "sgd"})
    assert (spec.gamma_start, spec.gamma_end, spec.gamma_ramp_length) == (1e-4, 1e6, 0.266)
    assert (spec.topological_weight, spec.beta, spec.distance) == (0.1, 1.0, "l2")
    assert (spec.momentum, spec.nesterov) == (0.9, False)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gamma_end", {"gamma_ramp": "linear", "gamma_end": None}),
        ("beta", {"topological_weight_schedule": "constant", "beta": None}),
        ("momentum", {"optimizer": "sgd", "momentum": None}),
        ("penultimate_width", {"penultimate_width": None}),
    ],
)
def test_a_setting_with_an_effect_must_not_be_none(name: str, values: dict[str, Value]) -> None:
    (problem,) = _problems(**values)
    assert problem.startswith(f"{name} is none, but must be ")


def test_none_stays_where_it_is_a_default_with_a_meaning() -> None:
    assert TrialSpec.build({"train_size": 100}).validation_size is None
    assert TrialSpec.build({"train_size": 100, "validation_size": 500}).validation_size == 500


def test_whole_numbers_of_real_settings_become_real() -> None:
    spec = TrialSpec.build({"learning_rate": 1, "weight_decay": 0})
    assert isinstance(spec.learning_rate, float)
    assert isinstance(spec.weight_decay, float)


def test_every_problem_is_told_at_once() -> None:
    problems = _problems(learning_rat=1e-3, epochs=0, momentum="high", network="resnet81", seed=1.5)
    assert len(problems) == 5
    assert problems[0] == "'learning_rat' is not a setting; did you mean 'learning_rate'?"
    assert problems[1] == "epochs is 0, but must be a whole number from 1 to 1000000"
    assert problems[2] == "momentum is 'high', but must be a number from 0 to 1"
    assert "but must be one of mlp, small_cnn, cnn13, resnet18, " in problems[3]
    assert problems[3].endswith("; did you mean 'resnet18'?")
    assert problems[4] == "seed is 1.5, but must be a whole number from 0 to 2147483647"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", -1e-9),
        ("validation_share", 0.0),
        ("validation_share", 0.6),
        ("split", 10),
        ("batch_size", 1),
        ("batch_size", True),
        ("batch_size", "64"),
        ("epochs", None),
        ("nesterov", 1),
        ("dataset", 3),
        ("head", "Linear"),
        ("gamma_start", 0.0),
        ("learning_rate_hold", 1.0),
    ],
)
def test_a_value_out_of_its_type_or_range_is_a_problem(name: str, value: Value) -> None:
    (problem,) = value_problems(name, value)
    assert problem.startswith(f"{name} is ")
    assert describe_rule(name) in problem


@pytest.mark.parametrize("name", [name for name in setting_names() if setting_type(name) is int])
@pytest.mark.parametrize(("digits", "told"), [(19, "1" + "0" * 19), (400, "about 10^400"), (5000, "about 10^5000")])
def test_a_very_large_whole_number_is_beyond_every_limit(name: str, digits: int, told: str) -> None:
    (problem,) = value_problems(name, 10**digits)
    assert problem.startswith(f"{name} is {told}, but must be a whole number from ")


def test_whole_numbers_are_compared_exactly() -> None:
    assert value_problems("batch_size", 10**9) == []
    assert value_problems("batch_size", 10**9 + 1) != []
    assert value_problems("weight_decay", 10**300) == []
    (problem,) = value_problems("weight_decay", 10**400)
    assert problem == "weight_decay is about 10^400, but must be a number, 0 or more"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"topological_weight_schedule": "constant", "batching": "shuffled"}, "the topological loss needs 'grouped'"),
        ({"gamma_ramp": "linear", "gamma_start": 2.0, "gamma_end": 1.0}, "gamma_end is 1, but must be above gamma_st"),
        ({"gamma_ramp": "linear", "gamma_start": 2.0, "gamma_end": 2.0}, "gamma_end is 2, but must be above gamma_st"),
        ({"gamma_ramp": "cosine", "gamma_ramp_begin": 0.8, "gamma_ramp_length": 0.5}, "is 1.3, but must be 1 or less"),
        ({"optimizer": "sgd", "nesterov": True, "momentum": 0.0}, "nesterov is true, but needs momentum above 0"),
        ({"learning_rate": 1e-3, "learning_rate_end": 1e-2}, "learning_rate_end is 0.01, but must not exceed"),
    ],
)
def test_settings_that_contradict_each_other_are_a_problem(values: dict[str, Value], told: str) -> None:
    (problem,) = _problems(**values)
    assert told in problem


def test_all_contradictions_are_told_at_once() -> None:
    values: dict[str, Value] = {
        "topological_weight_schedule": "rising",
        "batching": "shuffled",
        "learning_rate_end": 1.0,
    }
    assert len(_problems(**values, gamma_ramp="linear", gamma_start=5.0, gamma_end=1.0)) == 3


@pytest.mark.parametrize(
    ("batching", "weight", "grouped"),
    [
        ("auto", "off", False),
        ("auto", "rising", True),
        ("grouped", "off", True),
        ("grouped", "constant", True),
        ("shuffled", "off", False),
    ],
)
def test_batches_are_grouped_when_asked_or_when_the_topological_loss_is_on(
    batching: str, weight: str, grouped: bool
) -> None:
    spec = TrialSpec.build({"batching": batching, "topological_weight_schedule": weight})
    assert spec.grouped is grouped
    assert spec.topological is (weight != "off")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "12", 12),
        ("epochs", "1e1", "1e1"),
        ("epochs", "many", "many"),
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "2", 2.0),
        ("nesterov", "True", True),
        ("nesterov", "no", False),
        ("nesterov", "maybe", "maybe"),
        ("train_size", "none", None),
        ("train_size", "None", None),
        ("augmentation", "none", "none"),
        ("head", "none", "none"),
        ("network", "mlp", "mlp"),
    ],
)
def test_text_from_a_command_line_becomes_a_value(name: str, text: str, value: Value) -> None:
    parsed = parse_value(name, text)
    assert parsed == value
    assert type(parsed) is type(value)


@settings(max_examples=50)
@given(st.data())
def test_every_value_of_a_trial_comes_back_from_its_text(data: st.DataObject) -> None:
    values = TrialSpec.build({"gamma_ramp": "linear", "learning_rate": data.draw(st.floats(1e-9, 1e3))}).as_dict()
    for name, value in values.items():
        assert parse_value(name, str(value)) == value


def test_every_setting_has_a_default_that_keeps_its_own_rule_and_a_type() -> None:
    for name in setting_names():
        assert value_problems(name, setting_default(name)) == []
        assert setting_type(name) in (str, int, float, bool)


def test_what_belongs_together_is_there_in_one_piece_or_none() -> None:
    off = TrialSpec.build({})
    assert (off.gamma, off.topology, off.angular_margin, off.contrast, off.sgd) == (None,) * 5
    on = TrialSpec.build(
        {
            "gamma_ramp": "linear",
            "penalty_convention": "sum",
            "topological_weight_schedule": "rising",
            "classification": "cosface",
            "contrastive": "supervised",
            "optimizer": "sgd",
            "warmup_length": 0.1,
        }
    )
    assert on.gamma == GammaRamp("linear", 1e-4, 1e6, 0.0, 0.266, convention="sum")
    assert on.topology == Topology("rising", 0.1, "constant", 1.0, "l2")
    assert on.angular_margin == AngularMargin("cosface", 0.5, 64.0)
    assert on.contrast == Contrast(1.0, 0.05)
    assert on.learning_rates == LearningRate(1e-3, 0.0, 0.0, 0.1, 0.1, False)
