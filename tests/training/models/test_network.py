from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.golden import golden_json
from tune_lpc.spec import TrialSpec
from tune_lpc.spec.trial import Value
from tune_lpc.training.models import Network, build_network

COUNTS = golden_json("parameter_counts.json")
HEADS = {"lin_pen": "linear", "nonlin_pen": "nonlinear", "no_pen": "none"}
RESNETS = [tuple(name.split("/")[1:]) for name in COUNTS if name.startswith("ResNet-18/")]


def _network(classes: int = 10, channels: int = 1, side: int = 8, **settings: Value) -> Network:
    torch.manual_seed(0)
    return build_network(TrialSpec.build(settings), classes, channels, side).eval()


@pytest.mark.parametrize(("head", "classes"), RESNETS)
def test_resnet18_has_as_many_parameters_as_in_the_source_project(head: str, classes: str) -> None:
    expected = COUNTS[f"ResNet-18/{head}/{classes}"]
    network = _network(int(classes), 3, 32, network="resnet18", head=HEADS[head], penultimate_width=64)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected["params"]
    assert network.penultimate_width == expected["pen"]


@pytest.mark.parametrize(
    ("settings", "channels", "side", "width"),
    [
        ({"network": "mlp", "head": "linear", "penultimate_width": 24}, 1, 8, 24),
        ({"network": "mlp", "head": "nonlinear", "penultimate_width": 24}, 1, 8, 24),
        ({"network": "mlp", "head": "none"}, 1, 8, 256),
        ({"network": "small_cnn", "head": "none"}, 1, 28, 128),
        ({"network": "cnn13", "head": "none"}, 3, 32, 128),
        ({"network": "resnet18", "head": "linear"}, 3, 32, 64),
        ({"network": "resnet18", "head": "none"}, 3, 64, 512),
    ],
)
def test_a_network_returns_logits_and_the_penultimate_representation(
    settings: dict[str, Value], channels: int, side: int, width: int
) -> None:
    network = _network(7, channels, side, **settings)
    with torch.inference_mode():
        logits, z = network(torch.randn(3, channels, side, side))
        assert logits.shape == (3, 7)
        assert z.shape == (3, width)
        torch.testing.assert_close(network.output(z), logits)
    assert network.penultimate_width == width


def test_z_of_a_linear_head_is_a_linear_map_of_the_features() -> None:
    network, images = _network(head="linear"), torch.randn(4, 1, 8, 8)
    assert isinstance(network.penultimate, nn.Linear)
    torch.testing.assert_close(network(images)[1], network.penultimate(network.backbone(images)))


def test_z_of_a_nonlinear_head_has_passed_the_activation() -> None:
    network = _network(head="nonlinear", activation="relu")
    assert bool((network(torch.randn(16, 1, 8, 8))[1] >= 0).all())


def test_z_without_a_penultimate_layer_is_the_features_themselves() -> None:
    network, images = _network(head="none"), torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images)[1], network.backbone(images))


def test_under_autocast_only_the_backbone_runs_in_low_precision() -> None:
    network, images = _network(channels=1, side=28, network="small_cnn", head="linear"), torch.randn(4, 1, 28, 28)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features = network.backbone(images)
        logits, z = network(images)
    assert features.dtype == torch.bfloat16
    assert (logits.dtype, z.dtype) == (torch.float32, torch.float32)
    assert not torch.equal(z, z.bfloat16().float())
