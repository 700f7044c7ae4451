"""A trained network in a file, with all that it takes to use it.

Reading one runs no code of the file's, unless the network is one of a user's own and its code is trusted.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tune_lpc import __version__
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import OWN, OwnCode
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.results.confirmed import load_confirmed
from tune_lpc.training.loop import Training
from tune_lpc.training.models import Output, build_network
from tune_lpc.training.prepare import Prepared

CODE = "code"
"""Of the metadata: the text of each file of the user's own that the network needs, by its name."""


@dataclass(frozen=True)
class About:
    """What a file says of its network.

    spec: how it was trained. classes: the names of the classes, by output. image_shape: (height, width, channels).
    pixel_mean, pixel_deviation: of each channel over the training images, pixels from 0 to 1.
    """

    spec: TrialSpec
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    pixel_mean: tuple[float, ...]
    pixel_deviation: tuple[float, ...]


class TrainedNetwork(nn.Module):
    """A trained network with its preprocessing, in evaluation mode, without gradients for its weights.

    Called with images (n, channels, height, width), uint8 from 0 to 255 or floats from 0 to 1, of the size in
    `about.image_shape`, it returns the logits (n, classes). `represent` returns the penultimate representations, too.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, about: About) -> None:
        super().__init__()
        self.network, self.about = network, about
        self.register_buffer("mean", torch.tensor(about.pixel_mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(about.pixel_deviation).view(1, -1, 1, 1))
        self.requires_grad_(False).eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by output."""
        return self.about.classes

    def forward(self, images: Tensor) -> Tensor:
        """The logits (n, classes) of images (n, channels, height, width)."""
        return self.represent(images).logits

    def represent(self, images: Tensor) -> Output:
        """The logits (n, classes) and the penultimate representations z (n, penultimate width)."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        output: Output = self.network((pixels - self.mean) / self.deviation)
        return output


def network_bytes(training: Training, prepared: Prepared) -> bytes:
    """The content of the file of a trained network: its weights, and in the metadata what `About` tells."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in training.network.state_dict().items()}
    mean, deviation = training.normalisation
    # What loading it needs; augmentation and loss terms are of the training alone.
    code = prepared.code.files if training.spec.network in OWN else {}
    metadata = {
        "config": json.dumps(training.spec.as_dict()),
        "classes": json.dumps(list(prepared.source.class_names)),
        "image_shape": json.dumps(list(prepared.images.shape[1:])),
        "pixel_mean": json.dumps(mean),
        "pixel_deviation": json.dumps(deviation),
        "tune_lpc": __version__,
        **({CODE: json.dumps({name: content.decode() for name, content in code.items()})} if code else {}),
    }
    content: bytes = save(weights, metadata)
    return content


def read_network(path: Path, *, trust_code: bool = False) -> TrainedNetwork:
    """The network in a file that `confirm` or `train --save` wrote.

    trust_code: whether the code in the file may run, where the network is one of a user's own.
    Raises UserError where there is none, where the file is damaged or of something else, and where it holds code that
    may not run.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        about = _about(metadata)
        height, _, channels = about.image_shape
        code = _code(metadata)
        if about.spec.network in OWN and not trust_code:
            raise _CodeNotTrustedError(
                f"{path} holds code of a user's own ({', '.join(code.files)}), which loading it would run; look at it "
                "(docs/own_network.md), and if it may run here give trust_code=True"
            )
        # The weights are those of the file; none have to be there that it began with.
        spec = dataclasses.replace(about.spec, pretrained=False, pretrained_file=None)
        network = build_network(spec, len(about.classes), channels, height, code)
        network.load_state_dict(load_file(path))
    except _CodeNotTrustedError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}; check the path") from error
    except (OSError, SafetensorError, UserError, ValueError, KeyError, TypeError, RuntimeError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged, or no network that tune_lpc wrote: {told}") from error
    return TrainedNetwork(network.to(memory_format=torch.channels_last), about)


class _CodeNotTrustedError(UserError):
    """Nothing is wrong with the file."""


def _code(metadata: dict[str, str]) -> OwnCode:
    return OwnCode({str(name): str(text).encode() for name, text in json.loads(metadata.get(CODE, "{}")).items()})


def _about(metadata: dict[str, str]) -> About:
    def told(name: str, kind: Callable[[Any], Any]) -> tuple[Any, ...]:
        return tuple(kind(value) for value in json.loads(metadata[name]))

    shape: Sequence[int] = told("image_shape", int)
    return About(
        TrialSpec.build(json.loads(metadata["config"])),
        told("classes", str),
        (shape[0], shape[1], shape[2]),
        told("pixel_mean", float),
        told("pixel_deviation", float),
    )


def load_network(directory: str | Path, rank: int, seed: int, *, trust_code: bool = False) -> TrainedNetwork:
    """See `tune_lpc.load`."""
    path = Path(directory)
    if path.is_file():
        return read_network(path, trust_code=trust_code)
    table = load_confirmed(path)
    rows = table[(table["rank"] == rank) & (table["index"] == seed)]
    if rows.empty or rows["network"].isna().all():
        there = [f"rank {r.rank}, seed {r.index}" for r in table[table["network"].notna()].itertuples(name="Row")]
        raise UserError(
            f"{path} has no network of rank {rank}, seed {seed}; it has {'; '.join(there[:12]) or 'none'}; train more: "
            f"python -m tune_lpc.confirm {path} --top M --seeds K"
        )
    return read_network(path / str(rows["network"].iloc[0]), trust_code=trust_code)
