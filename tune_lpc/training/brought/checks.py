"""What is tried of a network, an augmentation or a loss term of others before a search depends on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.own_code import OWN, PUBLISHED, OwnCode
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import NETWORKS
from tune_lpc.training.brought.backbones import brought_backbone
from tune_lpc.training.brought.functions import OwnAugmentation, OwnTerm

SETS_THE_SEED = "sets the seed of torch's random numbers, so that all seeds would train alike; leave that out"
LARGER = (16, 32, 64, 128, 224, 256)
"""Sides of images, one of which a network takes that others are too small for."""
_BATCH, _WIDTH = 4, 8


@dataclass(frozen=True)
class Shape:
    """Of what a search trains on: how many classes, and the channels and the side in pixels of its images."""

    classes: int
    channels: int
    side: int

    @property
    def text(self) -> str:
        """Of an image."""
        return f"{self.channels} x {self.side} x {self.side}"


def network_problem(
    name: str, shape: Shape, code: OwnCode, pretrained: bool = False, file: str | None = None
) -> str | None:
    """What is wrong with a network, in a line; None where a step of training works and is what it should be.

    Where it does not take images of that size, a larger one that it takes is told.
    """
    problem = _problem_at(name, shape, code, pretrained, file)
    if problem is None or f"{shape.channels} x {shape.side} x {shape.side}: " not in problem:
        return problem
    for side in (side for side in LARGER if side > shape.side):
        if _problem_at(name, dataclasses.replace(shape, side=side), code, pretrained, file) is None:
            return f"{problem}; it takes {side} x {side}: --set image_size={side}"
    return problem


def _problem_at(name: str, shape: Shape, code: OwnCode, pretrained: bool, file: str | None) -> str | None:
    def build(seed: int, *, with_weights: bool = pretrained) -> nn.Module:
        torch.manual_seed(seed)
        size = (shape.classes, shape.channels, shape.side)
        return brought_backbone(name, *size, code, pretrained=with_weights, file=file if with_weights else None)[0]

    try:
        found = _of_network(build, shape)
    except UserError as error:
        return error.problems[0]
    return None if found is None else f"{name} {found}"


def _of_network(build: Callable[..., nn.Module], shape: Shape) -> str | None:
    network, drawn = build(1), torch.rand(1)
    other = build(2, with_weights=False)
    if torch.equal(drawn, torch.rand(1)):
        return SETS_THE_SEED
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return "has no parameter that is trained (requires_grad)"
    images = torch.randn(_BATCH, shape.channels, shape.side, shape.side, generator=torch.Generator().manual_seed(3))
    if not _differs_by_seed(lambda: network(images)):
        return f"{SETS_THE_SEED[: -len('; leave that out')]}, when it is called; leave that out"
    features = network(images)
    if not torch.isfinite(features).all():
        return f"gives values that are not finite for images of {shape.text}"
    if not features.requires_grad:
        return "gives features that don't depend on its parameters, as nothing has a gradient"
    features.sum().backward()
    if not any(parameter.grad is not None for parameter in network.parameters()):
        return "gives features that don't depend on its parameters, as none has a gradient"
    return _not_restored(network, other, images)


def _not_restored(network: nn.Module, other: nn.Module, images: Tensor) -> str | None:
    """A search goes on from checkpoints, and the network is loaded in the end: by its state alone."""
    other.load_state_dict(network.state_dict())
    network.eval(), other.eval()
    with torch.no_grad():
        torch.manual_seed(4)
        before = network(images)
        torch.manual_seed(4)
        if torch.allclose(before, other(images), equal_nan=True):
            return None
    return "gives other features once its state_dict is loaded again: what it keeps elsewhere would be lost on a resume"


def augmentation_problem(name: str, shape: Shape, code: OwnCode) -> str | None:
    """What is wrong with an augmentation of the user's own, in a line; None where it works."""
    pixels = torch.randint(256, (_BATCH, shape.side, shape.side, shape.channels), dtype=torch.uint8)
    try:
        augment = OwnAugmentation(name, code)
        if not _differs_by_seed(lambda: augment(pixels, torch.Generator().manual_seed(0))):
            return f"{name} {SETS_THE_SEED}"
    except UserError as error:
        return error.problems[0]
    return None


def term_problem(name: str, shape: Shape, code: OwnCode) -> str | None:
    """What is wrong with a loss term of the user's own, in a line; None where it works."""
    labels = torch.arange(_BATCH) // 2 % shape.classes
    z, logits = (torch.randn(_BATCH, width, requires_grad=True) for width in (_WIDTH, shape.classes))
    try:
        term = OwnTerm(name, code)
        if not _differs_by_seed(lambda: term(z, logits, labels, 0.5)):
            return f"{name} {SETS_THE_SEED}"
        value = term(z, logits, labels, 0.5)
    except UserError as error:
        return error.problems[0]
    if not torch.isfinite(value):
        return f"{name} gives {float(value.detach())}, which is not finite"
    if not value.requires_grad:
        return f"{name} has no gradient, so that it would train nothing"
    value.backward()
    return None


def _differs_by_seed(call: Callable[[], object]) -> bool:
    """Whether what is drawn after a call depends on the seed before it."""
    drawn = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        call()
        drawn.append(torch.rand(1))
    return not torch.equal(*drawn)


@dataclass(frozen=True)
class ToTry:
    """What is to be tried. networks: each with whether it is pretrained, and the file of its weights."""

    shape: Shape
    code: OwnCode
    networks: tuple[tuple[str, bool, str | None], ...] = ()
    augmentations: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()

    def as_json(self) -> str:
        """It as text."""
        files = {name: content.decode("latin-1") for name, content in self.code.files.items()}
        return json.dumps({**dataclasses.asdict(self), "code": files})

    @classmethod
    def from_json(cls, text: str) -> ToTry:
        """What `as_json` has told."""
        told = json.loads(text)
        code = OwnCode({name: content.encode("latin-1") for name, content in told["code"].items()})
        networks = tuple((name, pretrained, file) for name, pretrained, file in told["networks"])
        return cls(Shape(**told["shape"]), code, networks, tuple(told["augmentations"]), tuple(told["terms"]))

    def __bool__(self) -> bool:
        """Whether there is anything to try."""
        return bool(self.networks or self.augmentations or self.terms)

    def results(self) -> Iterator[tuple[str, str | None]]:
        """Each name before it is tried, with None, and once more with what is wrong, if anything is."""
        for name, pretrained, file in dict.fromkeys(self.networks):
            yield name, None
            if problem := network_problem(name, self.shape, self.code, pretrained, file):
                yield name, problem
        for names, tried in ((self.augmentations, augmentation_problem), (self.terms, term_problem)):
            for name in names:
                yield name, None
                if problem := tried(name, self.shape, self.code):
                    yield name, problem


def to_try(spaces: Iterable[Space], shape: Shape, code: OwnCode) -> ToTry:
    """What others wrote that any trial of the spaces may need, on images of that shape."""
    spaces = list(spaces)

    def possible(name: str) -> list[Value]:
        return list(dict.fromkeys(value for space in spaces for value in space.possible(name) if value is not None))

    networks = [str(name) for name in possible("network") if name not in NETWORKS]
    augmentations, terms = ([str(name) for name in possible(setting)] for setting in ("augmentation", "extra_loss"))
    pretrained = [bool(value) for value in possible("pretrained")]
    files: list[str | None] = [str(file) for file in possible("pretrained_file")]
    return ToTry(
        shape,
        code,
        tuple(
            (name, each and name in PUBLISHED, file)
            for name in networks
            for each in pretrained
            for file in files or [None]
        ),
        tuple(name for name in augmentations if name in OWN),
        tuple(name for name in terms if name in OWN),
    )
