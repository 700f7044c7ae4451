from __future__ import annotations

import pytest
import torch
from torch import nn

from tune_lpc.training.models.wide_resnet import PreActivationBlock, wide_resnet_backbone

META = torch.device("meta")


@pytest.mark.parametrize(
    ("depth", "widening", "millions"),
    [(16, 8, 11.0), (28, 10, 36.5), (40, 4, 8.9)],  # as arXiv 1605.07146 gives them for CIFAR-10
)
def test_it_has_as_many_parameters_as_the_paper_says(depth: int, widening: int, millions: float) -> None:
    with META:
        module, features = wide_resnet_backbone(depth, widening, 3, 32, "relu")
    count = sum(parameter.numel() for parameter in module.parameters()) + 10 * (features + 1)
    assert round(count / 1e6, 1) == millions
    assert features == 64 * widening


@pytest.mark.parametrize(("depth", "widening"), [(16, 8), (28, 10), (40, 4)])
def test_the_depth_counts_the_3_by_3_convolutions_and_the_output_layer_and_three_shortcuts(
    depth: int, widening: int
) -> None:
    with META:
        module = wide_resnet_backbone(depth, widening, 3, 32, "relu")[0]
    kernels = [part.kernel_size[0] for part in module.modules() if isinstance(part, nn.Conv2d)]
    assert kernels.count(3) == depth - 3
    assert kernels.count(1) == 3


def test_the_last_stage_works_on_a_quarter_of_the_side() -> None:
    with META:
        module = wide_resnet_backbone(16, 1, 3, 32, "relu")[0]
        sides = [out.shape[-1] for out in _outputs_of_blocks(module, torch.zeros(2, 3, 32, 32))]
    assert sides == [32, 32, 16, 16, 8, 8]


def _outputs_of_blocks(module: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for layer in module.children():
        images = layer(images)
        if isinstance(layer, PreActivationBlock):
            found.append(images)
    return found


def test_a_block_that_keeps_the_shape_adds_to_its_unchanged_input() -> None:
    torch.manual_seed(0)
    block, x = PreActivationBlock(4, 4, 1, "relu").eval(), torch.randn(2, 4, 8, 8)
    nn.init.zeros_(block.residual[-1].weight)  # type: ignore[arg-type]
    assert block.shortcut is None
    torch.testing.assert_close(block(x), x)


def test_a_block_that_changes_the_shape_projects_the_activated_input() -> None:
    torch.manual_seed(0)
    block, x = PreActivationBlock(4, 6, 2, "relu").eval(), torch.randn(2, 4, 8, 8)
    nn.init.zeros_(block.residual[-1].weight)  # type: ignore[arg-type]
    assert block.shortcut is not None
    torch.testing.assert_close(block(-x.abs()), torch.zeros(2, 6, 4, 4))
    assert float(block(x.abs()).detach().std()) > 0


@pytest.mark.parametrize("depth", [4, 18, 29])
def test_a_depth_that_gives_no_whole_blocks_is_an_error(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth is {depth}"):
        wide_resnet_backbone(depth, 1, 3, 32, "relu")
