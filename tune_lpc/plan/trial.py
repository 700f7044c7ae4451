"""The frozen description of one trial: everything that decides how one network is trained."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

from tune_lpc.plan.batching import BatchSettings
from tune_lpc.plan.contrast import ContrastSettings
from tune_lpc.plan.errors import UserError, nearest, shown, shown_limit
from tune_lpc.plan.extra_loss import ExtraLossSettings
from tune_lpc.plan.gamma import GammaSettings
from tune_lpc.plan.learning_rate import LearningRateSettings
from tune_lpc.plan.margin import MarginSettings
from tune_lpc.plan.own_code import OWN, PUBLISHED, TIMM, TORCHVISION
from tune_lpc.plan.settings import Above, AnyForm, Way, in_effect, setting
from tune_lpc.plan.settings import Value as Value
from tune_lpc.plan.topology import TopologySettings

NETWORKS = (
    "mlp",
    "small_cnn",
    "cnn13",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wrn16_8",
    "wrn28_10",
    "wrn40_4",
    "wide_resnet50_2",
)

SPLITS = 10
"""Fixed stratified splits of a data set."""


@dataclass(frozen=True)
class DataSettings:
    """The settings of the method's name and of the data."""

    method: str = setting("lpc_topological", "name of the method, for the files")
    dataset: str = setting("digits", "name of the data set")
    train_size: int | None = setting(
        None, "images to train on, stratified; None takes all that remain", low=1, high=10**9
    )
    split: int = setting(0, "which of the fixed stratified splits", low=0, high=SPLITS - 1)
    validation_share: float | None = setting(
        0.1, "share split off for validation", above=0.0, high=0.5, needs=({"train_size": (None,)},)
    )
    validation_size: int | None = setting(
        None,
        "images to validate on beside train_size, those that train left what they are; None takes as many as train",
        low=1,
        high=10**9,
        needs=({"train_size": Above(0)},),
    )
    hold_out: float = setting(
        0.1,
        "share of the images kept apart for a final test, which no search reads; without effect where the data have a "
        "test part of their own",
        low=0.0,
        high=0.5,
    )
    image_size: int | None = setting(None, "side in pixels to scale images to; None keeps them", low=8, high=512)
    augmentation: str = setting(
        "none",
        "batched augmentation, or a function of your own",
        choices=("none", "flip_crop", "crop", "resized_crop"),
        forms=AnyForm((OWN,)),
    )
    input_noise: float = setting(
        0.0, "standard deviation of Gaussian noise added to the normalised training images", low=0.0, high=10.0
    )
    data_from: str = setting(
        "memory",
        "all decoded images in memory, or image folders read from disk again for each batch",
        choices=("memory", "disk"),
    )
    data_workers: int | None = setting(
        2, "processes that read images from disk", low=0, high=256, needs=({"data_from": ("disk",)},)
    )


@dataclass(frozen=True)
class NetworkSettings:
    """The settings of the network."""

    network: str = setting(
        "mlp",
        "the backbone: one that comes with the package, one of timm or of torchvision, or a function of your own",
        choices=NETWORKS,
        forms=AnyForm((TIMM, TORCHVISION, OWN)),
    )
    pretrained: bool | None = setting(
        False,
        "begin with weights trained on other images: a file's, or those that timm or torchvision keep on this machine",
        needs=({"network": PUBLISHED},),
        later=True,
    )
    pretrained_file: str | None = setting(
        None,
        "file of these weights, a path from / on; None takes what timm or torchvision have fetched before",
        needs=({"pretrained": (True,)},),
        later=True,
    )
    activation: str | None = setting(
        "silu",
        "activation of the backbone, of those that come with the package, and of a nonlinear penultimate layer",
        choices=("silu", "relu", "leaky_relu"),
        needs=({"network": NETWORKS}, {"head": ("nonlinear",)}),
    )
    head: str = setting(
        "linear",
        "penultimate layer: linear, nonlinear (an activation after it), or none (the backbone's features)",
        choices=("linear", "nonlinear", "none"),
    )
    penultimate_width: int | None = setting(
        64, "dimensions of the penultimate layer", low=1, high=65536, needs=({"head": ("linear", "nonlinear")},)
    )
    dropout: float = setting(0.0, "dropout on the penultimate representation", low=0.0, high=0.95)


@dataclass(frozen=True)
class Momentum:
    """What stochastic gradient descent takes besides its learning rate."""

    momentum: float
    nesterov: bool


_SGD = ({"optimizer": ("sgd",)},)


@dataclass(frozen=True)
class OptimizerSettings:
    """The settings of the optimiser but for its learning rate."""

    optimizer: str = setting("adamw", "the optimiser", choices=("adamw", "sgd"))
    weight_decay: float = setting(5e-4, "weight decay", low=0.0)
    momentum: float | None = setting(0.9, "momentum", low=0.0, high=1.0, needs=_SGD)
    nesterov: bool | None = setting(False, "Nesterov's momentum", needs=_SGD)

    @property
    def sgd(self) -> Momentum | None:
        """What stochastic gradient descent takes; None for AdamW."""
        return Momentum(in_effect(self.momentum), in_effect(self.nesterov)) if self.optimizer == "sgd" else None


@dataclass(frozen=True)
class TrialSpec(
    # Dataclasses take the fields of the last base first.
    TopologySettings,
    GammaSettings,
    ExtraLossSettings,
    ContrastSettings,
    MarginSettings,
    LearningRateSettings,
    OptimizerSettings,
    NetworkSettings,
    BatchSettings,
    DataSettings,
):
    """One trial, by the public names of its settings. One without effect (beta when the topological weight is off,
    say) is None.

    What belongs together is also there in one piece, None where it is off: `gamma`, `topology`, `angular_margin`,
    `contrast`, `learning_rates`, `batches`, `sgd`.
    Built by `TrialSpec.build`, which checks every value and raises `UserError` with all problems at once.
    """

    epochs: int = setting(10, "epochs of the full budget", low=1, high=10**6)
    seed: int = setting(0, "seed of initialisation, order and augmentation", low=0, high=2**31 - 1)
    precision: str = setting(
        "auto",
        "arithmetic of the network; auto is bfloat16 on a GPU or CPU that computes in it, else float32",
        choices=("auto", "float32", "bfloat16"),
    )
    compile: str = setting(
        "off",
        "mode of torch.compile for the training steps; it starts with half a minute or more, and gains nothing on CPUs",
        choices=("off", "default", "reduce-overhead", "max-autotune"),
    )

    @classmethod
    def build(cls, values: Mapping[str, Value]) -> TrialSpec:
        """The trial that `values` describe; settings not named keep their defaults, those without effect become None.

        Raises UserError naming every unknown name, wrong type, value out of range and conflict at once.
        """
        found = [problem for name, value in values.items() for problem in value_problems(name, value)]
        if found:
            raise UserError(found)
        complete = {name: as_declared(name, values.get(name, setting_default(name))) for name in setting_names()}
        spec = cls(**without_effect_removed(complete))  # type: ignore[arg-type]
        if conflicts := spec.conflicts():
            raise UserError(conflicts)
        return spec

    def conflicts(self) -> list[str]:
        """Every setting that is none though needed, else every pair that contradict each other, one line each."""
        if found := self._missing():
            return found
        if self.topological and self.batching == "shuffled":
            found.append("batching is 'shuffled', but the topological loss needs 'grouped' (or 'auto')")
        found += self.gamma_conflicts()
        if self.sgd is not None and self.sgd.nesterov and not self.sgd.momentum:
            found.append("nesterov is true, but needs momentum above 0")
        if self.learning_rate_end > self.learning_rate:
            found.append(
                f"learning_rate_end is {self.learning_rate_end:g}, "
                f"but must not exceed learning_rate ({self.learning_rate:g})"
            )
        if self.pretrained_file is not None and not self.pretrained_file.startswith("/"):
            found.append(f"pretrained_file is {shown(self.pretrained_file)}, but must be a path from / on")
        return found

    def _missing(self) -> list[str]:
        values, found = self.as_dict(), []
        for name, value in values.items():
            needs = setting_needs(name)
            # Where None is the default it has a meaning of its own.
            if value is None and setting_default(name) is not None and needs and has_effect(name, values):
                way = next(way for way in needs if all(values[other] in allowed for other, allowed in way.items()))
                others = " and ".join(f"{other} is {shown(values[other])}" for other in way)
                found.append(f"{name} is none, but must be {describe_rule(name)} when {others}")
        return found

    @property
    def grouped(self) -> bool:
        """Whether batches are made of same-class groups."""
        return self.batching == "grouped" or (self.batching == "auto" and self.topological)

    def as_dict(self) -> dict[str, Value]:
        """All settings by name, in the order of declaration."""
        return {name: getattr(self, name) for name in setting_names()}


def setting_names() -> list[str]:
    """The names of all settings, in the order of declaration."""
    return [f.name for f in dataclasses.fields(TrialSpec)]


@functools.cache
def setting_type(name: str) -> type:
    """The type of a setting's values (str, int, float or bool), whether or not it may be None."""
    hint = _type_hints()[name]
    kind: type = next((part for part in get_args(hint) if part is not type(None)), hint)
    return kind


@functools.cache
def _type_hints() -> dict[str, Any]:
    # Read once: it evaluates every annotation, and checking a space asks for thousands.
    return get_type_hints(TrialSpec)


def setting_field(name: str) -> dataclasses.Field[Any]:
    """The dataclass field of a setting: its default, and its rule in `metadata`."""
    return TrialSpec.__dataclass_fields__[name]


def setting_default(name: str) -> Value:
    """The value of a setting that is not given."""
    return cast(Value, setting_field(name).default)


def setting_needs(name: str) -> tuple[Way, ...]:
    """The ways in which a setting has an effect, one of which must hold; empty for one that always has."""
    return cast(tuple[Way, ...], setting_field(name).metadata["needs"])


def has_effect(name: str, values: Mapping[str, Value]) -> bool:
    """Whether setting `name` does anything, given the others."""
    needs = setting_needs(name)
    return not needs or any(all(values[other] in allowed for other, allowed in way.items()) for way in needs)


def without_effect_removed(values: Mapping[str, Value]) -> dict[str, Value]:
    """`values` with None for each setting that does nothing."""
    return {name: value if has_effect(name, values) else None for name, value in values.items()}


def value_problems(name: str, value: Value) -> list[str]:
    """What is wrong with `value` for setting `name`: its name, type or range; empty when nothing is."""
    if name not in TrialSpec.__dataclass_fields__:
        return [f"{shown(name)} is not a setting{nearest(name, setting_names())}"]
    kind, rule = setting_type(name), setting_field(name).metadata
    if value is None:
        optional = type(None) in get_args(_type_hints()[name])
        return [] if optional else [f"{name} is none, but must be {describe_rule(name)}"]
    fits = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        return [f"{name} is {shown(value)}, but must be {describe_rule(name)}"]
    if kind in (int, float) and isinstance(value, (int, float)):
        low, above, high = rule["low"], rule["above"], rule["high"]
        # Whole numbers are compared as such: not each of them can become a float.
        inside = abs(value) <= sys.float_info.max and (low is None or value >= low)
        inside = inside and (above is None or value > above) and (high is None or value <= high)
        if not inside:
            return [f"{name} is {shown(value)}, but must be {describe_rule(name)}"]
    if rule["choices"] and value not in rule["choices"] and value not in rule["forms"]:
        hint = nearest(value, rule["choices"])
        return [f"{name} is {shown(value)}, but must be {describe_rule(name)}{hint}"]
    return []


def as_declared(name: str, value: Value) -> Value:
    """A whole number given for a float setting becomes a float, so that columns keep one type.

    What is more than plain, such as a member of an Enum of a space's own, becomes plain: no worker could read it.
    """
    kind = setting_type(name)
    if kind is float and isinstance(value, int):
        return float(value)
    if isinstance(value, kind) and type(value) not in (kind, bool):
        return str.__str__(value) if isinstance(value, str) else cast(Value, kind(value))
    return value


def describe_rule(name: str) -> str:
    """The rule of a setting in words, such as 'a whole number from 0 to 9'."""
    kind, rule = setting_type(name), setting_field(name).metadata
    if rule["choices"]:
        return "one of " + ", ".join([*rule["choices"], *(form.text for form in rule["forms"].forms)])
    noun = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}[kind]
    low, above, high = rule["low"], rule["above"], rule["high"]
    if low is not None and high is not None:
        return f"{noun} from {shown_limit(low)} to {shown_limit(high)}"
    if above is not None and high is not None:
        return f"{noun} above {shown_limit(above)} and up to {shown_limit(high)}"
    if low is not None:
        return f"{noun}, {shown_limit(low)} or more"
    if above is not None:
        return f"{noun} above {shown_limit(above)}"
    return noun


def parse_value(name: str, text: str) -> Value:
    """The value that `text` (from a command line) stands for as setting `name`; text that does not parse stays text."""
    if text.lower() == "none" and "none" not in setting_field(name).metadata["choices"]:
        return None
    kind = setting_type(name)
    try:
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except ValueError:
        return text
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(text.lower(), text)
    return text
