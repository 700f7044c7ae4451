"""Weights that timm and torchvision have fetched before: where they lie on this machine, and for which pixels.

Nothing is fetched here: of many workers each would, and none could say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlparse

import torch

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import TIMM

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, for which torchvision's weights were trained."""
_FILES = ("model.safetensors", "pytorch_model.bin")


def weights_of_timm(name: str) -> Path:
    """The weights of a network of timm. Raises UserError where they are not on this machine."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    config = timm.get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        for file in (config.hf_hub_filename,) if config.hf_hub_filename else _FILES:
            if isinstance(found := try_to_load_from_cache(config.hf_hub_id, file), str):
                return Path(found)
    if config is not None and isinstance(config.url, str) and (path := _fetched_by_torch(config.url)).is_file():
        return path
    if config is None or not (config.hf_hub_id or config.url):
        raise UserError(f"timm has no pretrained weights of {name}; leave pretrained out, or give pretrained_file")
    raise _not_here(f"timm/{name}", f"import timm; timm.create_model('{name}', pretrained=True)")


def weights_of_torchvision(name: str) -> Path:
    """The weights of a network of torchvision. Raises UserError where they are not on this machine."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    if not (path := _fetched_by_torch(url)).is_file():
        raise _not_here(
            f"torchvision/{name}", f"import torchvision; torchvision.models.get_model('{name}', weights='DEFAULT')"
        )
    return path


def normalisation_of_weights(network: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, pixels from 0 to 1, for which a network's weights were trained."""
    mean: Sequence[float] = MEAN
    deviation: Sequence[float] = DEVIATION
    if network in TIMM:
        import timm

        config = timm.get_pretrained_cfg(network.partition("/")[2])
        if config is not None:
            mean, deviation = config.mean, config.std
    if len(mean) != channels:  # of grey images, and of those with more channels
        return [sum(mean) / len(mean)] * channels, [sum(deviation) / len(deviation)] * channels
    return list(mean), list(deviation)


def _fetched_by_torch(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)


def _not_here(name: str, command: str) -> UserError:
    return UserError(
        f'the pretrained weights of {name} are not on this machine; fetch them once: python -c "{command}", or give a '
        "file with --set pretrained_file=FILE"
    )
