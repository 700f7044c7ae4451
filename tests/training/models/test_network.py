from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.golden import golden_json
from tune_lpc.plan import TrialSpec
from tune_lpc.plan.trial import Value
from tune_lpc.training.models import Network, Output, build_network

COUNTS = golden_json("parameter_counts.json")
HEADS = {"lin_pen": "linear", "nonlin_pen": "nonlinear", "no_pen": "none"}


def _network(classes: int = 10, channels: int = 1, side: int = 8, **settings: Value) -> Network:
    torch.manual_seed(0)
    return build_network(TrialSpec.build(settings), classes, channels, side).eval()


def _name(backbone: str) -> str:
    """Our name of a golden backbone: resnet18 of ResNet-18, wrn28_10 of WideResNet-28-10."""
    family, _, size = backbone.partition("-")
    return {"ResNet": "resnet", "WideResNet": "wrn"}[family] + size.replace("-", "_")


@pytest.mark.parametrize("golden", COUNTS)
def test_it_has_as_many_parameters_as_in_the_source_project(golden: str) -> None:
    backbone, head, classes = golden.split("/")
    with torch.device("meta"):
        network = _network(int(classes), 3, 32, network=_name(backbone), head=HEADS[head], penultimate_width=64)
        features = network.backbone(torch.zeros(1, 3, 32, 32))
    assert sum(parameter.numel() for parameter in network.parameters()) == COUNTS[golden]["params"]
    assert network.penultimate_width == COUNTS[golden]["pen"]
    assert features.shape[1] == COUNTS[golden]["backbone_dim"]


@pytest.mark.parametrize(
    ("settings", "channels", "side", "width", "features"),
    [
        ({"network": "mlp", "head": "linear", "penultimate_width": 24}, 1, 8, 24, 256),
        ({"network": "mlp", "head": "nonlinear", "penultimate_width": 24}, 1, 8, 24, 256),
        ({"network": "mlp", "head": "none"}, 1, 8, 256, 256),
        ({"network": "small_cnn", "head": "none"}, 1, 28, 128, 128),
        ({"network": "cnn13", "head": "none"}, 3, 32, 128, 128),
        ({"network": "resnet18", "head": "linear"}, 3, 8, 64, 512),
        ({"network": "resnet18", "head": "none"}, 3, 64, 512, 512),
        ({"network": "wrn16_8", "head": "linear"}, 3, 8, 64, 512),
    ],
)
def test_a_network_returns_logits_the_penultimate_representation_and_the_features(
    settings: dict[str, Value], channels: int, side: int, width: int, features: int
) -> None:
    network = _network(7, channels, side, **settings)
    with torch.inference_mode():
        output = network(torch.randn(3, channels, side, side))
        assert isinstance(output, Output)
        assert [tuple(part.shape) for part in output] == [(3, 7), (3, width), (3, features)]
        torch.testing.assert_close(network.output(output.z), output.logits)
        torch.testing.assert_close(network.penultimate(output.features), output.z)
    assert network.penultimate_width == width


def test_features_are_those_of_the_backbone() -> None:
    network, images = _network(head="linear"), torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(images).features, network.backbone(images))


def test_z_of_a_linear_head_is_a_linear_map_of_the_features() -> None:
    network, images = _network(head="linear"), torch.randn(4, 1, 8, 8)
    assert isinstance(network.penultimate, nn.Linear)
    torch.testing.assert_close(network(images).z, network.penultimate(network.backbone(images)))


def test_z_of_a_nonlinear_head_has_passed_the_activation() -> None:
    network = _network(head="nonlinear", activation="relu")
    assert bool((network(torch.randn(16, 1, 8, 8)).z >= 0).all())


def test_z_without_a_penultimate_layer_is_the_features_themselves() -> None:
    network, images = _network(head="none"), torch.randn(4, 1, 8, 8)
    output = network(images)
    torch.testing.assert_close(output.z, network.backbone(images))
    torch.testing.assert_close(output.features, output.z)


@pytest.mark.parametrize("classification", ["cross_entropy", "arcface"])
def test_under_autocast_only_the_backbone_runs_in_low_precision(classification: str) -> None:
    network = _network(channels=1, side=28, network="small_cnn", head="linear", classification=classification)
    images = torch.randn(4, 1, 28, 28)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        features = network.backbone(images)
        output = network(images)
    assert features.dtype == torch.bfloat16
    assert {part.dtype for part in output} == {torch.float32}
    assert not torch.equal(output.z, output.z.bfloat16().float())
    assert not torch.equal(output.logits, output.logits.bfloat16().float())


def test_dropout_hides_dimensions_of_z_from_the_output_layer_in_training() -> None:
    network, images = _network(head="linear", dropout=0.5, classes=64).train(), torch.randn(8, 1, 8, 8)
    nn.init.eye_(network.output.weight)  # logits are what the output layer sees
    nn.init.zeros_(network.output.bias)
    output = network(images)
    hidden = output.logits == 0
    assert 0.3 < float(hidden.double().mean()) < 0.7
    torch.testing.assert_close(output.logits[~hidden], 2 * output.z[~hidden])
    torch.testing.assert_close(output.z, network.penultimate(output.features))  # z itself is whole
    assert not torch.equal(network(images).logits, output.logits)


@pytest.mark.parametrize(("dropout", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_hidden_outside_training_or_without_dropout(dropout: float, training: bool) -> None:
    network = _network(head="linear", dropout=dropout).train(training)
    output = network(torch.randn(8, 1, 8, 8))
    torch.testing.assert_close(output.logits, network.output(output.z))


@pytest.mark.parametrize("classification", ["arcface", "cosface"])
def test_the_logits_of_margin_losses_are_cosines_without_bias(classification: str) -> None:
    network, images = _network(head="linear", classification=classification), torch.randn(16, 1, 8, 8)
    logits, z, _ = network(images)
    assert network.output.bias is None
    assert float(logits.detach().abs().max()) <= 1.0
    expected = torch.nn.functional.cosine_similarity(z[:, None, :], network.output.weight[None, :, :], dim=2)
    torch.testing.assert_close(logits, expected)


def test_cosines_of_parallel_vectors_do_not_pass_1() -> None:
    network, images = _network(head="linear", classification="arcface", classes=64), torch.randn(64, 1, 8, 8)
    with torch.inference_mode():
        z = network(images).z
        network.output.weight.copy_(torch.cat([z[:32], -z[32:]]) * 7)
        logits = network(images).logits
    assert float(logits.abs().max()) <= 1.0
    torch.testing.assert_close(logits.diagonal(), torch.tensor([1.0] * 32 + [-1.0] * 32))


def test_cosines_of_an_empty_representation_are_0_with_finite_gradients() -> None:
    network = _network(head="linear", classification="cosface")
    assert isinstance(network.penultimate, nn.Linear)
    nn.init.zeros_(network.penultimate.weight)
    nn.init.zeros_(network.penultimate.bias)
    logits = network(torch.randn(4, 1, 8, 8)).logits
    assert logits.tolist() == torch.zeros(4, 10).tolist()
    logits[:, 0].sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)
