"""Networks, augmentations and loss terms as people write them: twenty-five that are wrong, each told in a line."""

from __future__ import annotations

import textwrap

import pytest

from tune_lpc.plan.own_code import OwnCode
from tune_lpc.plan.space import Space
from tune_lpc.training.brought.checks import (
    Shape,
    ToTry,
    augmentation_problem,
    network_problem,
    term_problem,
    to_try,
)

SHAPE = Shape(classes=10, channels=1, side=8)
BEGINNING = """
import os, sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.layer = nn.Linear(channels * side * side, 16)
    def forward(self, x):
        return self.layer(x.flatten(1))

def build(classes, channels, side):
    return Mine(channels, side)
"""
RIGHT = {
    "plain": "Mine = Net",
    "lazy layers": "def build(*sizes): return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d())",
    "dropout and batch norm": """
        def build(classes, channels, side):
            return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(channels * side * side, 8), nn.BatchNorm1d(8))
    """,
    "always the same weights": """
        class Mine(Net):
            def __init__(self, channels, side):
                super().__init__(channels, side)
                nn.init.constant_(self.layer.weight, 0.01)
    """,
    "partly frozen": """
        class Mine(Net):
            def __init__(self, channels, side):
                super().__init__(channels, side)
                self.layer.weight.requires_grad_(False)
    """,
}
IN_FORWARD = "class Mine(Net):\n    def forward(self, x):\n        {}"
WRONG = {
    "four axes": ("Mine = lambda channels, side: nn.Conv2d(channels, 3, 3)", "gives (2, 3, 6, 6) for a batch of 2"),
    "one axis": (IN_FORWARD.format("return super().forward(x)[:, 0]"), "gives (2,) for a batch of 2"),
    "another batch": (IN_FORWARD.format("return super().forward(x[:1])"), "gives (1, 16) for a batch of 2"),
    "a tuple": (IN_FORWARD.format("return super().forward(x), x"), "gives tuple, but must give features of shape"),
    "a dict": (IN_FORWARD.format("return {'features': super().forward(x)}"), "gives dict"),
    "whole numbers": (IN_FORWARD.format("return super().forward(x).long()"), "gives numbers of type torch.int64"),
    "raises when built": (
        "def build(*sizes): raise ValueError('first\\nsecond')",
        "fails for 10 classes, 1 x 8 x 8: ValueError: first",
    ),
    "raises when called": (IN_FORWARD.format("raise KeyError('x')"), "fails on images of 1 x 8 x 8: KeyError: 'x'"),
    "no parameters": ("def build(*sizes): return nn.Flatten()", "returns a network without parameters"),
    "all frozen": (
        "Mine = lambda *sizes: Net(*sizes).requires_grad_(False)",
        "has no parameter that is trained (requires_grad)",
    ),
    "not a number": (IN_FORWARD.format("return super().forward(x) / 0"), "gives values that are not finite for images"),
    "larger images": (
        "Mine = lambda channels, side: nn.Sequential(nn.Conv2d(channels, 4, 9), nn.Flatten())",
        "Kernel size can't be greater than actual input size; it takes 16 x 16: --set image_size=16",
    ),
    "colours only": (
        "Mine = lambda channels, side: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())",
        "fails on images of 1 x 8 x 8: RuntimeError: Given groups=1, weight of size [4, 3, 3, 3]",
    ),
    "no module": ("def build(*sizes): return lambda x: x", "returns function, but must return a torch.nn.Module"),
    "nothing": ("def build(*sizes): pass", "returns NoneType, but must return a torch.nn.Module"),
    "other arguments": ("def build(classes): return Net(1, 8)", "TypeError: build() takes 1 positional argument but 3"),
    "sets the seed": (
        "def build(classes, *sizes): torch.manual_seed(0); return Net(*sizes)",
        "sets the seed of torch's random numbers, so that all seeds would train alike; leave that out",
    ),
    "sets the seed when called": (
        IN_FORWARD.format("torch.manual_seed(0); return super().forward(x)"),
        "so that all seeds would train alike, when it is called",
    ),
    "no gradient": (IN_FORWARD.format("return super().forward(x).detach()"), "don't depend on its parameters"),
    "others' gradient": (
        IN_FORWARD.format("return torch.zeros(len(x), 4, requires_grad=True)"),
        "don't depend on its parameters, as none has a gradient",
    ),
    "layers in a list": (
        """
        class Mine(nn.Module):
            def __init__(self, channels, side):
                super().__init__()
                self.layers = [nn.Linear(channels * side * side, 8)]
                self.last = nn.Linear(8, 8)
            def forward(self, x):
                return self.last(self.layers[0](x.flatten(1)))
        """,
        "gives other features once its state_dict is loaded again",
    ),
    "not there": ("del build", "build is not there in mine.py"),
    "not importable": ("import nothing_of_that_name", "mine.py can't be run: ModuleNotFoundError"),
    "no Python": ("def (:", "mine.py can't be run: SyntaxError"),
}


def code(text: str) -> OwnCode:
    return OwnCode({"mine.py": (BEGINNING + textwrap.dedent(text)).encode()})


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_networks_that_work(text: str) -> None:
    assert network_problem("mine.py:build", SHAPE, code(text)) is None


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG)
def test_networks_that_do_not_are_told_in_a_line(text: str, told: str) -> None:
    problem = network_problem("mine.py:build", SHAPE, code(text))
    assert problem is not None and told in problem, problem
    assert "\n" not in problem and problem.startswith("mine.py")


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("timm/resnet10", SHAPE, "timm has no network 'resnet10'; did you mean"),
        ("torchvision/resnet81", SHAPE, "torchvision has no network 'resnet81'; did you mean"),
        ("torchvision/squeezenet1_0", Shape(10, 3, 64), "has no linear output layer to take away"),
        ("torchvision/resnet18", Shape(10, 4, 32), "takes images of 3 channels, or grey ones, but these have 4"),
        (
            "torchvision/densenet121",
            Shape(10, 3, 16),
            "Output size is too small; it takes 32 x 32: --set image_size=32",
        ),
        ("timm/resnet10t", SHAPE, None),
        ("timm/vit_tiny_patch16_224", Shape(10, 3, 32), None),
        ("torchvision/mobilenet_v3_small", SHAPE, None),
        ("torchvision/vit_b_16", Shape(10, 1, 32), None),
    ],
)
def test_published_networks(name: str, shape: Shape, told: str | None) -> None:
    problem = network_problem(name, shape, OwnCode())
    assert problem is None if told is None else problem is not None and told in problem, problem


AUGMENTATIONS = {
    "as it is": ("return images", None),
    "mirrored": ("return images.flip(3)", None),
    "floats": ("return images / 255", "gives a tensor (4, 1, 8, 8) of float32, but must give uint8 images of shape"),
    "smaller": ("return images[:, :, 1:]", "gives a tensor (4, 1, 7, 8) of uint8"),
    "nothing": ("pass", "gives NoneType"),
    "raises": ("raise ValueError('no')", "fails on images (4, 1, 8, 8): ValueError: no"),
    "sets the seed": ("torch.manual_seed(1); return images", "sets the seed of torch's random numbers"),
}


@pytest.mark.parametrize(("body", "told"), AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_augmentations(body: str, told: str | None) -> None:
    text = f"def augment(images, generator):\n    {body}\n"
    problem = augmentation_problem("mine.py:augment", SHAPE, code(text))
    assert problem is None if told is None else problem is not None and told in problem, problem


TERMS = {
    "of z": ("return z.square().mean()", None),
    "of all": ("return progress * (z.mean() + logits[labels == 1].sum())", None),
    "an image each": ("return z.mean(dim=1)", "gives a tensor (4,) of float32, but must give a scalar tensor"),
    "a number": ("return 1.0", "gives float, but must give a scalar tensor"),
    "infinite": ("return z.sum() / 0", "which is not finite"),
    "no gradient": ("return z.detach().mean()", "has no gradient, so that it would train nothing"),
    "raises": ("raise IndexError", "fails on z (4, 8), logits (4, 10): IndexError"),
    "sets the seed": ("torch.manual_seed(1); return z.mean()", "sets the seed of torch's random numbers"),
}


@pytest.mark.parametrize(("body", "told"), TERMS.values(), ids=TERMS)
def test_loss_terms(body: str, told: str | None) -> None:
    text = f"def term(z, logits, labels, progress):\n    {body}\n"
    problem = term_problem("mine.py:term", SHAPE, code(text))
    assert problem is None if told is None else problem is not None and told in problem, problem


def test_what_any_trial_may_need_is_tried_and_ours_is_not() -> None:
    from tune_lpc.plan import Choice

    networks = Choice(["mlp", "timm/resnet10t", "mine.py:build"])
    settings = {"augmentation": "mine.py:augment", "pretrained": True, "pretrained_file": "/w.pt"}
    space = Space("mine", "", {"network": networks, "extra_loss": Choice(["off", "mine.py:term"])}, settings)
    found = to_try([space, space], SHAPE, OwnCode())
    assert found.networks == (("timm/resnet10t", True, "/w.pt"), ("mine.py:build", False, "/w.pt"))
    assert (found.augmentations, found.terms) == (("mine.py:augment",), ("mine.py:term",))
    assert found and not to_try([Space("ours", "", {"learning_rate": Choice([0.1])})], SHAPE, OwnCode())
    assert ToTry.from_json(found.as_json()) == found
