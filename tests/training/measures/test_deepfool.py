from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.golden import TOLERANCE
from tests.training.measures.points import golden_network, linear_network, shuffled
from tune_lpc.training.measures import MeasureError, deepfool


def _images(*pixels: list[float]) -> Tensor:
    """Images of 1 channel, 1 row each."""
    return torch.tensor(pixels)[:, None, None, :]


def test_deepfool_agrees_with_the_golden_norms_iterations_and_labels() -> None:
    logits_of, golden = golden_network()
    found = deepfool(logits_of, golden["x"])
    assert found.norms.tolist() == pytest.approx(golden["perturbation_norm"].tolist(), rel=TOLERANCE)
    assert found.relative.tolist() == pytest.approx(golden["relative"].tolist(), rel=TOLERANCE)
    assert torch.equal(found.iterations, golden["iterations"])
    assert torch.equal(found.original, golden["label"])
    assert torch.equal(found.fooled, golden["fooled"])


def test_deepfool_changes_the_label_of_every_image() -> None:
    logits_of, golden = golden_network()
    found = deepfool(logits_of, golden["x"])
    before, after = (logits_of(images).argmax(dim=1) for images in (golden["x"], golden["x"] + found.perturbation))
    assert torch.equal(before, found.original)
    assert torch.equal(after, found.fooled)
    assert bool((before != after).all())
    assert not bool(found.stuck.any())


def test_deepfool_of_a_linear_network_takes_the_straight_way_to_the_nearest_border() -> None:
    weight = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # To class 1 from (1, 0.5): the gap is 1.5, its gradient (2, -1).
    found = deepfool(linear_network(weight), _images([1.0, 0.5]))
    assert found.norms.tolist() == pytest.approx([1.02 * (1.5 / 5**0.5 + 1e-4)], rel=1e-5)
    assert found.fooled.tolist() == [1]
    assert found.perturbation.flatten().tolist() == pytest.approx([-2 * 0.3 * 1.02, 0.3 * 1.02], rel=1e-3)
    assert found.relative.tolist() == pytest.approx((found.norms / 1.25**0.5).tolist())


def test_images_do_not_depend_on_those_beside_them() -> None:
    logits_of, golden = golden_network()
    whole = deepfool(logits_of, golden["x"])
    order = shuffled(len(golden["x"]))
    parts = deepfool(logits_of, golden["x"][order], batch_size=5)
    assert parts.norms.tolist() == pytest.approx(whole.norms[order].tolist(), rel=1e-5)
    assert torch.equal(parts.fooled, whole.fooled[order])


def test_only_the_candidates_with_the_largest_logits_are_tried() -> None:
    def logits_of(images: Tensor) -> Tensor:
        a, b, _ = images.flatten(1).T
        # At a = b = 0 class 1 has the larger logit, class 2 the nearer border: 0.1 away, and not 1.
        return torch.stack([0 * a, 0.1 * b - 0.1, 2 * a - 0.2], dim=1)

    images = _images([0.0, 0.0, 1.0])
    assert deepfool(logits_of, images).fooled.tolist() == [2]
    assert deepfool(logits_of, images, candidates=2).fooled.tolist() == [1]


def _bowl(images: Tensor) -> Tensor:
    """Two classes; the second never wins, and the way up to it has a slope everywhere but at 0."""
    height = images.flatten(1).square().sum(dim=1)
    return torch.stack([torch.ones_like(height), -height], dim=1)


def test_the_steps_end_where_the_label_cannot_change() -> None:
    found = deepfool(_bowl, _images([1.0, 2.0]), max_steps=3)
    assert found.iterations.tolist() == [3]
    assert torch.equal(found.fooled, found.original)


def test_an_image_without_a_gradient_is_stuck_and_does_not_spoil_the_others() -> None:
    def logits_of(images: Tensor) -> Tensor:
        pixels = images.flatten(1).relu()
        return torch.stack([1 + 0 * pixels[:, 0], pixels[:, 0]], dim=1)

    found = deepfool(logits_of, _images([-1.0, 1.0], [0.5, 1.0]))
    assert found.stuck.tolist() == [True, False]
    assert found.norms.tolist() == pytest.approx([0, 1.02 * 0.5001], rel=1e-5)
    assert found.fooled.tolist() == [0, 1]


def test_deepfool_runs_in_inference_mode_and_leaves_no_gradient_behind() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)).eval()
    with torch.inference_mode():
        found = deepfool(network, torch.linspace(0, 1, 8).reshape(2, 1, 2, 2))
    assert bool((found.original != found.fooled).all())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("logits_of", "images", "told"),
    [
        (linear_network(torch.ones(1, 2)), _images([1.0, 1.0]), "two classes, but the network has one"),
        (linear_network(torch.full((3, 2), torch.nan)), _images([1.0, 1.0]), "finite logits"),
        (linear_network(torch.ones(3, 2)), _images([1.0, torch.inf]), "finite values"),
        (linear_network(torch.eye(2)), _images([0.0, 0.0]), "an image is 0 throughout"),
        (linear_network(torch.eye(2)), torch.empty(0, 1, 1, 2), "none"),
    ],
    ids=["one class", "nan logits", "infinite pixel", "black image", "no image"],
)
def test_deepfool_that_cannot_be_computed_is_an_error(
    logits_of: Callable[[Tensor], Tensor], images: Tensor, told: str
) -> None:
    with pytest.raises(MeasureError, match=told):
        deepfool(logits_of, images)
