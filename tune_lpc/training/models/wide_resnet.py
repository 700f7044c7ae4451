"""Wide residual networks for small images, WRN-depth-widening (Zagoruyko & Komodakis, arXiv 1605.07146)."""

from __future__ import annotations

from torch import Tensor, nn

from tune_lpc.training.models.activations import ACTIVATIONS

STEM_WIDTH = 16


class PreActivationBlock(nn.Module):
    """Two 3 x 3 convolutions, each after batch norm and activation, added to a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, activation: str):
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(channels), ACTIVATIONS[activation]())
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            ACTIVATIONS[activation](),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        self.shortcut: nn.Module | None = None
        if stride != 1 or channels != width:
            self.shortcut = nn.Conv2d(channels, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (batch, channels, height, width) to (batch, width, height / stride, width / stride)."""
        active = self.before(x)
        # As in the authors' code: only a shortcut that changes the shape starts from the activated input.
        shortcut = x if self.shortcut is None else self.shortcut(active)
        out: Tensor = shortcut + self.residual(active)
        return out


def wide_resnet_backbone(depth: int, widening: int, channels: int, side: int, activation: str) -> tuple[nn.Module, int]:
    """WRN-`depth`-`widening`: three stages of (depth - 4) / 6 blocks with 16, 32 and 64 times `widening` channels.

    The 3 x 3 stem is followed by batch norm and activation, as in the code of arXiv 2310.08224: 32 parameters more
    than in the original. It is the same for images of any side: this family was made for 32 pixels.

    Raises ValueError for a depth that is not 4 more than a multiple of 6.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth is {depth}, but must be 4 more than a multiple of 6, and 10 or more")
    stem = nn.Conv2d(channels, STEM_WIDTH, 3, padding=1, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(STEM_WIDTH), ACTIVATIONS[activation]()]
    before = STEM_WIDTH
    for stage, stride in enumerate((1, 2, 2)):
        width = STEM_WIDTH * 2**stage * widening
        for block in range((depth - 4) // 6):
            layers.append(PreActivationBlock(before, width, stride if block == 0 else 1, activation))
            before = width
    layers += [nn.BatchNorm2d(before), ACTIVATIONS[activation](), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network, before
