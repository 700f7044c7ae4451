from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.training.measures.points import golden_network, linear_network
from tune_lpc.training.measures import MeasureError, deepfool, pgd_accuracy
from tune_lpc.training.measures.pgd import Ball

BALLS: list[Ball] = ["l2", "linf"]
ONE = torch.ones(1)


def _line(*places: float) -> Tensor:
    """Images of two pixels: the place, then its negative."""
    return torch.tensor([[place, -place] for place in places])[:, None, None, :]


SIGN = linear_network(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
"""Class 0 where the place is positive: its border is sqrt(2) times the place away in L2, the place in L-infinity."""


@pytest.mark.parametrize(("ball", "reach"), [("l2", 0.5**0.5 * 0.1), ("linf", 0.1)])
def test_an_image_falls_if_and_only_if_the_border_is_in_the_ball(ball: Ball, reach: float) -> None:
    images = _line(0.98 * reach, 1.02 * reach, -1.0)
    labels = torch.tensor([0, 0, 0])  # the last is wrong from the start
    assert pgd_accuracy(SIGN, images, labels, ONE, ball, epsilon=0.1) == pytest.approx(1 / 3)


@pytest.mark.parametrize("ball", BALLS)
def test_the_radius_is_in_pixel_units(ball: Ball) -> None:
    logits_of, golden = golden_network()
    x, label = golden["x"], golden["label"]
    expected = [pgd_accuracy(logits_of, x, label, ONE, ball, epsilon=0.2 * share) for share in (0.1, 0.5)]
    deviation = torch.tensor([0.2])
    found = [pgd_accuracy(logits_of, x, label, deviation, ball, epsilon=0.04 * share) for share in (0.1, 0.5)]
    assert found == expected
    assert expected[0] > expected[1]


def test_deepfool_finds_no_smaller_perturbation_than_the_attack() -> None:
    logits_of, golden = golden_network()
    norms = deepfool(logits_of, golden["x"]).norms
    # DeepFool's perturbations reach the border, so the images that need no more than epsilon must fall.
    for epsilon in (0.1, 0.3, 0.5):
        accuracy = pgd_accuracy(logits_of, golden["x"], golden["label"], ONE, "l2", epsilon=epsilon)
        assert accuracy <= float((norms > epsilon).double().mean()) + 1e-9


@pytest.mark.parametrize("ball", BALLS)
def test_large_margins_do_not_hide_the_gradient(ball: Ball) -> None:
    steep = linear_network(1e4 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    assert pgd_accuracy(steep, _line(0.05), torch.tensor([0]), ONE, ball, epsilon=0.1) == 0


@pytest.mark.parametrize("ball", BALLS)
def test_pixels_stay_between_0_and_1_where_the_mean_is_known(ball: Ball) -> None:
    first_pixel = linear_network(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    images = torch.tensor([[0.05, 0.5]])[:, None, None, :]  # of mean 0: the pixel can't go below 0
    free = pgd_accuracy(first_pixel, images, torch.tensor([0]), ONE, ball, epsilon=0.2)
    # A margin of 0 is no longer right, so the border is moved out of reach.
    beyond = lambda batch: first_pixel(batch) + torch.tensor([0.01, 0.0])  # noqa: E731
    bounded = pgd_accuracy(beyond, images, torch.tensor([0]), ONE, ball, epsilon=0.2, pixel_mean=torch.zeros(1))
    assert (free, bounded) == (0, 1)


@pytest.mark.parametrize("ball", BALLS)
def test_the_attack_never_leaves_the_ball(ball: Ball) -> None:
    logits_of, golden = golden_network()
    images, largest = golden["x"][:1], 0.0

    def watched(batch: Tensor) -> Tensor:
        nonlocal largest
        order = 2 if ball == "l2" else torch.inf
        shift = (batch - images).flatten(1).detach()
        largest = max(largest, float(torch.linalg.vector_norm(shift, ord=order, dim=1).max()))
        return logits_of(batch)

    pgd_accuracy(watched, images, golden["label"][:1], ONE, ball, epsilon=0.02)
    assert 0.019 < largest <= 0.02 * (1 + 1e-4)


@pytest.mark.parametrize("ball", BALLS)
def test_an_image_that_is_wrong_without_an_attack_is_wrong(ball: Ball) -> None:
    image = _line(0.5)

    def logits_of(images: Tensor) -> Tensor:
        """Wrong at the image itself and right all about it, too narrowly for the attack to hit the place again."""
        height = (images - image).flatten(1).square().sum(dim=1) - 1e-12
        return torch.stack([height, 0 * height], dim=1)

    assert pgd_accuracy(logits_of, image, torch.tensor([0]), ONE, ball, epsilon=0.1) == 0


def test_the_accuracy_is_the_same_twice_and_in_inference_mode() -> None:
    logits_of, golden = golden_network()
    first = pgd_accuracy(logits_of, golden["x"], golden["label"], ONE, "linf", epsilon=0.02)
    with torch.inference_mode():
        assert pgd_accuracy(logits_of, golden["x"], golden["label"], ONE, "linf", epsilon=0.02) == first
    assert 0 < first < 1


def test_an_accuracy_that_cannot_be_computed_is_an_error() -> None:
    images, labels = torch.ones(2, 1, 1, 2), torch.tensor([0, 0])
    with pytest.raises(MeasureError, match="two classes"):
        pgd_accuracy(linear_network(torch.ones(1, 2)), images, labels, ONE, "l2")
    with pytest.raises(MeasureError, match="finite logits"):
        pgd_accuracy(linear_network(torch.full((3, 2), torch.nan)), images, labels, ONE, "l2")
    with pytest.raises(MeasureError, match="none"):
        pgd_accuracy(SIGN, images[:0], labels[:0], ONE, "l2")
