from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.training.measures.points import clusters
from tune_lpc.training.measures import MEASURES, Evaluated, Measure, MeasureError, compute_measures, registry

NAMES = [
    "nc1",
    "nc2_equinorm",
    "nc2_equiangular",
    "nc2_max_angle",
    "nc3_self_duality",
    "nc4_disagreement",
    "within_class_covariance",
    "within_class_covariance_relative",
    "mean_norm",
    "norm_variation",
    "entry_variation",
    "entropy",
    "entropy_raw",
    "distance_margin",
    "knn_accuracy_20",
    "knn_accuracy_200",
    "binarity_score",
    "binarity_deviation",
    "binarity_peak_distance",
    "deepfool",
    "deepfool_median",
    "deepfool_correct",
    "deepfool_changed",
    "deepfool_excess",
    "shortest_flip",
    "shortest_flip_mean",
    "pgd_l2",
    "pgd_linf",
    "margin_gradient_norm",
    "margin_gradient_norm_max",
    "margin_gradient_norm_relative",
    "margin_gradient_norm_max_relative",
]


@pytest.fixture
def evaluated() -> Evaluated:
    """A linear network on 200 points of 8 pixels, whose representation is the image itself."""
    z, labels = clusters(0.1)
    z = z.float()
    weight = torch.stack([z[labels == c].mean(0) for c in range(5)])
    weight = weight - weight.mean(0)

    def logits_of(images: Tensor) -> Tensor:
        return images.flatten(1) @ weight.T

    images = z[::5].reshape(-1, 2, 2, 2)
    deviation = torch.tensor([0.25, 0.3])
    return Evaluated(
        z, labels, logits_of(z), weight, images, labels[::5], logits_of, deviation, training=lambda: (z, labels)
    )


def test_the_registry_holds_every_measure_under_its_name() -> None:
    assert list(MEASURES) == NAMES
    assert all(measure.name == name for name, measure in MEASURES.items())
    assert all(measure.text and measure.source and "\n" not in measure.text for measure in MEASURES.values())


def test_every_measure_has_a_value_on_a_sound_network(evaluated: Evaluated) -> None:
    values, reasons = compute_measures(NAMES, evaluated)
    assert reasons == {}
    assert list(values) == NAMES
    assert all(isinstance(value, float) and math.isfinite(value) for value in values.values())


def test_the_measures_are_those_asked_for_in_that_order(evaluated: Evaluated) -> None:
    values, _ = compute_measures(["mean_norm", "nc1"], evaluated)
    assert list(values) == ["mean_norm", "nc1"]
    with pytest.raises(KeyError, match="nc0"):
        compute_measures(["nc0"], evaluated)


def test_a_network_whose_representations_are_not_finite_has_no_value_and_a_reason_for_each(
    evaluated: Evaluated,
) -> None:
    nan = torch.full_like
    broken = replace(
        evaluated,
        z=nan(evaluated.z, torch.nan),
        logits=nan(evaluated.logits, torch.nan),
        logits_of=lambda images: evaluated.logits_of(images) * torch.nan,
    )
    values, reasons = compute_measures(NAMES, broken)
    assert set(values.values()) == {None}
    assert list(reasons) == NAMES
    assert all("not a number" in reason for reason in reasons.values())


def test_a_measure_without_a_value_leaves_the_others_theirs(evaluated: Evaluated) -> None:
    values, reasons = compute_measures(
        ["mean_norm", "nc1"], replace(evaluated, labels=torch.zeros_like(evaluated.labels))
    )
    assert values["nc1"] is None and values["mean_norm"] is not None
    assert reasons == {"nc1": "NC1 needs at least two classes, but found 1"}


def test_a_result_that_is_not_finite_becomes_a_null(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.MEASURES, "odd", Measure("odd", "an odd one", "nowhere", lambda _: math.inf))
    assert compute_measures(["odd"], evaluated) == ({"odd": None}, {"odd": "odd came out as inf"})


def test_a_measure_that_runs_out_of_memory_is_null_with_that_reason_and_costs_no_other(
    evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Evaluated) -> float:
        raise RuntimeError("CUDA out of memory\nmore of the message")

    monkeypatch.setitem(registry.MEASURES, "odd", Measure("odd", "an odd one", "nowhere", fail))
    values, reasons = compute_measures(["odd", "nc1"], evaluated)
    assert values["odd"] is None
    assert reasons == {"odd": "odd failed: RuntimeError: CUDA out of memory"}
    assert values["nc1"] is not None


def test_an_error_of_programming_is_not_hidden(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Evaluated) -> float:
        raise ZeroDivisionError

    monkeypatch.setitem(registry.MEASURES, "odd", Measure("odd", "an odd one", "nowhere", fail))
    with pytest.raises(ZeroDivisionError):
        compute_measures(["odd"], evaluated)


def test_deepfool_runs_once_for_all_its_measures(evaluated: Evaluated) -> None:
    calls = 0

    def counted(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return evaluated.logits_of(images)

    compute_measures(["deepfool"], replace(evaluated, logits_of=counted))
    alone, calls = calls, 0
    compute_measures(["deepfool", "deepfool_correct", "deepfool_changed"], replace(evaluated, logits_of=counted))
    assert calls == alone


def test_deepfool_of_right_images_leaves_the_wrong_ones_out(evaluated: Evaluated) -> None:
    wrong = evaluated.input_labels.clone()
    wrong[1:] = (wrong[1:] + 1) % 5
    only_first = replace(evaluated, input_labels=wrong)
    values, _ = compute_measures(["deepfool_correct"], only_first)
    assert values["deepfool_correct"] == pytest.approx(float(evaluated.fooling.relative[0]))
    values, reasons = compute_measures(["deepfool_correct"], replace(evaluated, input_labels=(wrong + 2) % 5))
    assert "gets none right" in reasons["deepfool_correct"]


def test_deepfool_without_a_gradient_is_a_null_and_the_share_changed_is_not(evaluated: Evaluated) -> None:
    flat = replace(evaluated, logits_of=lambda images: 0 * images.flatten(1)[:, :5] + torch.arange(5.0))
    values, reasons = compute_measures(["deepfool", "deepfool_correct", "deepfool_changed"], flat)
    assert values == {"deepfool": None, "deepfool_correct": None, "deepfool_changed": 0.0}
    assert "at 40 of 40 images" in reasons["deepfool"]


def test_the_relative_margin_gradient_does_not_depend_on_the_scale_of_the_logits(evaluated: Evaluated) -> None:
    names = ["margin_gradient_norm", "margin_gradient_norm_relative", "margin_gradient_norm_max_relative"]
    plain, _ = compute_measures(names, evaluated)
    louder, _ = compute_measures(names, replace(evaluated, logits_of=lambda images: 8 * evaluated.logits_of(images)))
    quiet = plain[names[0]]
    assert quiet is not None and louder[names[0]] == pytest.approx(8 * quiet, rel=1e-5)
    for name in names[1:]:
        assert louder[name] == pytest.approx(plain[name], rel=1e-5)


def test_a_margin_of_0_has_no_relative_gradient(evaluated: Evaluated) -> None:
    level = replace(evaluated, logits_of=lambda images: images.flatten(1)[:, :1].expand(-1, 5))
    with pytest.raises(MeasureError, match="0 at every image"):
        MEASURES["margin_gradient_norm_relative"].function(level)


def test_the_training_representations_are_asked_for_once_and_only_by_what_needs_them(evaluated: Evaluated) -> None:
    asked = []
    counted = replace(evaluated, training=lambda: asked.append("") or (evaluated.z, evaluated.labels))
    compute_measures([name for name in NAMES if not name.startswith("knn_")], counted)
    assert not asked
    values, _ = compute_measures(["knn_accuracy_20", "knn_accuracy_200"], counted)
    assert len(asked) == 1
    assert values == {"knn_accuracy_20": 1, "knn_accuracy_200": 1}  # where all 200 vote the nearest decides


def test_few_training_points_leave_the_accuracy_of_few_neighbours(evaluated: Evaluated) -> None:
    few = replace(evaluated, training=lambda: (evaluated.z[:100], evaluated.labels[:100]))
    values, reasons = compute_measures(["knn_accuracy_20", "knn_accuracy_200"], few)
    assert values["knn_accuracy_20"] is not None
    assert "200 neighbours needs as many training points, but found 100" in reasons["knn_accuracy_200"]
    _, reasons = compute_measures(["knn_accuracy_20"], replace(evaluated, training=None))
    assert "not given" in reasons["knn_accuracy_20"]
