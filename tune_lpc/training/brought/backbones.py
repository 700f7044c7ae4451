"""Networks that don't come with the package: those of timm and torchvision, and functions of the user's own.

Each becomes a backbone, images (batch, channels, height, width) to features (batch, features), without its own last
layer: the penultimate layer and the output layer are ours, as for every network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.plan.own_code import OWN, TIMM, OwnCode
from tune_lpc.training.brought.weights import weights_of_timm, weights_of_torchvision

COLOURS = 3
"""Channels that torchvision's networks take."""
_WITH_MORE_OUTPUTS = ("googlenet", "inception_v3")


class Brought(nn.Module):
    """A backbone that somebody else wrote. Raises UserError for whatever it does wrong, with its name."""

    def __init__(self, name: str, backbone: nn.Module, channels_wanted: int | None = None) -> None:
        super().__init__()
        self.name, self.backbone, self._channels_wanted = name, backbone, channels_wanted

    def forward(self, images: Tensor) -> Tensor:
        """images (batch, channels, height, width) to features (batch, features); grey ones as colours, if need be."""
        if self._channels_wanted is not None and images.shape[1] == 1:
            images = images.expand(-1, self._channels_wanted, -1, -1)
        if torch.compiler.is_compiling():
            features: Tensor = self.backbone(images)
            return features
        try:
            found = self.backbone(images)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            shape = " x ".join(map(str, images.shape[1:]))
            raise UserError(f"{self.name} fails on images of {shape}: {told(error)}") from error
        if problem := self._problem(found, len(images)):
            raise UserError(f"{self.name} {problem}, but must give features of shape (batch, features)")
        features = found
        return features

    def _problem(self, found: object, batch: int) -> str | None:
        if not isinstance(found, Tensor):
            return f"gives {type(found).__name__}"
        if found.ndim != 2 or found.shape[0] != batch:
            return f"gives {tuple(found.shape)} for a batch of {batch}"
        return None if found.is_floating_point() else f"gives numbers of type {found.dtype}"


def brought_backbone(
    name: str,
    classes: int,
    channels: int,
    side: int,
    code: OwnCode,
    *,
    pretrained: bool = False,
    file: str | None = None,
) -> tuple[nn.Module, int]:
    """The backbone that `name` stands for, timm/NAME, torchvision/NAME or FILE.py:FUNCTION, and its features.

    pretrained: with the weights in `file`, or else with those that timm or torchvision keep on this machine.
    Raises UserError where there is none of that name, where its weights are not here, or where it can't take such
    images.
    """
    weights = None if file is None else Path(file)
    if name in OWN:
        backbone = Brought(name, _own(name, classes, channels, side, code))
    elif name in TIMM:
        backbone = Brought(name, _of_timm(name, channels, side, pretrained, weights))
    else:
        backbone = Brought(name, _of_torchvision(name, channels, side, pretrained, weights), COLOURS)
    return backbone, _features(backbone, channels, side)


def _features(backbone: nn.Module, channels: int, side: int) -> int:
    """How many features it gives for such images; lazy layers know their sizes from then on."""
    backbone.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        width = int(backbone(torch.zeros(2, channels, side, side)).shape[1])
    backbone.train()
    return width


def _own(name: str, classes: int, channels: int, side: int, code: OwnCode) -> nn.Module:
    try:
        found = code.function(name)(classes, channels, side)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name} fails for {classes} classes, {channels} x {side} x {side}: {told(error)}") from error
    if not isinstance(found, nn.Module):
        raise UserError(f"{name} returns {type(found).__name__}, but must return a torch.nn.Module")
    if not any(True for _ in found.parameters()):
        raise UserError(f"{name} returns a network without parameters, so that there is nothing to train")
    return found


def _of_timm(name: str, channels: int, side: int, pretrained: bool, weights: Path | None) -> nn.Module:
    try:
        import timm  # an extra: few searches need it
    except ImportError as error:
        raise UserError(f"network is {name!r}, which needs timm: pip install 'tune_lpc[timm]'") from error
    short = name.partition("/")[2]
    if not timm.is_model(short):
        raise UserError(f"timm has no network {short!r}{nearest(short, timm.list_models())}")
    more: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
    config = timm.get_pretrained_cfg(short)
    if config is not None and config.fixed_input_size:
        more["img_size"] = side
    path = (weights or weights_of_timm(short)) if pretrained else None
    try:
        if path is None:
            return timm.create_model(short, **more)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            plain = timm.create_model(short, **more)
            torch.manual_seed(0)
            found = timm.create_model(short, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **more)
    except Exception as error:
        raise UserError(f"{name} can't be made for images of {channels} x {side} x {side}: {told(error)}") from error
    # timm takes what fits, and says nothing of the rest, which is as it was drawn.
    for (part, before), after in zip(plain.named_parameters(), found.parameters(), strict=True):
        if before.ndim > 1 and torch.equal(before, after):
            raise UserError(f"{path} has the weights of another network: none for {part} of {name}")
    return found


def _of_torchvision(name: str, channels: int, side: int, pretrained: bool, weights: Path | None) -> nn.Module:
    from torchvision import models  # 160 MB, which the process that drives a search does without

    short = name.partition("/")[2]
    known = models.list_models(module=models)
    if short not in known:
        raise UserError(f"torchvision has no network {short!r}{nearest(short, known)}")
    if channels not in (1, COLOURS):
        raise UserError(f"{name} takes images of {COLOURS} channels, or grey ones, but these have {channels}")
    more: dict[str, object] = {"aux_logits": False, "init_weights": True} if short in _WITH_MORE_OUTPUTS else {}
    if short.startswith("vit_"):
        more["image_size"] = side
    try:
        found: nn.Module = models.get_model(short, weights=None, **more)
        if pretrained:
            _load(found, weights or weights_of_torchvision(short))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name} can't be made for images of {channels} x {side} x {side}: {told(error)}") from error
    if (last := _last_layer(found)) is None:
        raise UserError(f"{name} has no linear output layer to take away; choose another network")
    found.set_submodule(last, nn.Identity())
    return found


def _last_layer(network: nn.Module) -> str | None:
    """The name of the last linear layer, in the order of torchvision's networks that of the output."""
    linear = [part for part, module in network.named_modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def _load(network: nn.Module, path: Path) -> None:
    """Load weights, of whatever number of classes. Raises UserError where they are of another network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path} can't be read as weights: {told(error)}") from error
    last = f"{_last_layer(network)}."
    found = {name: value for name, value in state.items() if not name.startswith(last)}
    expected = {name for name in network.state_dict() if not name.startswith(last)}
    if set(found) != expected:
        differing = sorted(set(found) ^ expected)
        raise UserError(f"{path} has the weights of another network: {differing[0]} is in one of the two alone")
    network.load_state_dict(found, strict=False)


def told(error: BaseException) -> str:
    """An error in a line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
