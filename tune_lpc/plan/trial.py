"""The frozen description of one trial: everything that decides how one network is trained."""

from __future__ import annotations

import dataclasses
import functools
import sys
from dataclasses import dataclass, field
from typing import Any, cast, get_args, get_type_hints

from tune_lpc.plan.errors import UserError, nearest, shown, shown_limit

Value = str | int | float | bool | None


def _setting(
    default: Value,
    text: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    needs: tuple[str, tuple[str, ...]] | None = None,
) -> Any:
    """A field with its meaning, its rule, and the other setting without which it has no effect."""
    rule = {"text": text, "low": low, "above": above, "high": high, "choices": choices, "needs": needs}
    return field(default=default, metadata=rule)


_LPC = ("gamma_ramp", ("two_regime", "exponential", "linear", "cosine"))
_MARGIN = ("classification", ("arcface", "cosface"))
_CONTRASTIVE = ("contrastive", ("supervised",))
_TOPOLOGICAL = ("topological_weight_schedule", ("constant", "rising"))


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


@dataclass(frozen=True)
class TrialSpec:
    """One trial. A setting without effect (beta when the topological weight is off, say) is None.

    Built by `TrialSpec.build`, which checks every value and raises `UserError` with all problems at once.
    """

    method: str = _setting("lpc_topological", "name of the method, for the files")
    # Data
    dataset: str = _setting("digits", "name of the data set")
    train_size: int | None = _setting(
        None, "images to train on, stratified; None takes all that remain", low=1, high=10**9
    )
    split: int = _setting(0, "which of the fixed stratified splits", low=0, high=9)
    validation_share: float = _setting(0.1, "share split off for validation", above=0.0, high=0.5)
    hold_out: float = _setting(
        0.1,
        "share of the images kept apart for a final test, which no search reads; without effect where the data have a "
        "test part of their own",
        low=0.0,
        high=0.5,
    )
    image_size: int | None = _setting(None, "side in pixels to scale images to; None keeps them", low=8, high=512)
    augmentation: str = _setting("none", "batched augmentation", choices=("none", "flip_crop", "crop", "resized_crop"))
    input_noise: float = _setting(
        0.0, "standard deviation of Gaussian noise added to the normalised training images", low=0.0, high=10.0
    )
    batching: str = _setting(
        "auto",
        "shuffled batches, or same-class groups; auto takes groups when the topological weight is on",
        choices=("auto", "shuffled", "grouped"),
    )
    batch_size: int = _setting(128, "images in a shuffled batch", low=2, high=10**9)
    groups: int = _setting(8, "same-class groups in a grouped batch", low=1, high=65536)
    group_size: int = _setting(16, "images in a group: an anchor, the others drawn with replacement", low=2, high=10**9)
    epoch_unit: str = _setting(
        "images",
        "an epoch of groups draws as many images as there are, or takes each image once as the anchor of a group",
        choices=("images", "anchors"),
    )
    data_from: str = _setting(
        "memory",
        "all decoded images in memory, or image folders read from disk again for each batch",
        choices=("memory", "disk"),
    )
    data_workers: int | None = _setting(
        2, "processes that read images from disk", low=0, high=256, needs=("data_from", ("disk",))
    )
    # Network
    network: str = _setting("mlp", "the backbone", choices=NETWORKS)
    activation: str = _setting("silu", "activation of the backbone", choices=("silu", "relu", "leaky_relu"))
    head: str = _setting(
        "linear",
        "penultimate layer: linear, nonlinear (an activation after it), or none (the backbone's features)",
        choices=("linear", "nonlinear", "none"),
    )
    penultimate_width: int | None = _setting(
        64, "dimensions of the penultimate layer", low=1, high=65536, needs=("head", ("linear", "nonlinear"))
    )
    dropout: float = _setting(0.0, "dropout on the penultimate representation", low=0.0, high=0.95)
    # Optimiser
    optimizer: str = _setting("adamw", "the optimiser", choices=("adamw", "sgd"))
    learning_rate: float = _setting(1e-3, "learning rate at the start", above=0.0)
    learning_rate_hold: float = _setting(0.0, "share of training before the cosine sets in", low=0.0, high=0.99)
    learning_rate_end: float = _setting(0.0, "learning rate at the end of the cosine", low=0.0)
    warmup_length: float = _setting(0.0, "share of training in which the learning rate warms up", low=0.0, high=0.5)
    warmup_factor: float = _setting(0.1, "share of the learning rate that the warm-up starts from", above=0.0, high=1.0)
    output_learning_rate: str = _setting(
        "scheduled",
        "learning rate of the output layer: as that of all others, or constant at its start",
        choices=("scheduled", "constant"),
    )
    weight_decay: float = _setting(5e-4, "weight decay", low=0.0)
    momentum: float | None = _setting(0.9, "momentum", low=0.0, high=1.0, needs=("optimizer", ("sgd",)))
    nesterov: bool | None = _setting(False, "Nesterov's momentum", needs=("optimizer", ("sgd",)))
    # Classification and contrast
    classification: str = _setting(
        "cross_entropy",
        "the classification loss; arcface and cosface set an angular margin and take the bias from the output layer",
        choices=("cross_entropy", "arcface", "cosface"),
    )
    margin: float | None = _setting(0.5, "margin at the end of its ramp", low=0.0, high=1.5, needs=_MARGIN)
    scale: float | None = _setting(64.0, "scale of the cosines at the end of its ramp", above=0.0, needs=_MARGIN)
    contrastive: str = _setting("off", "contrastive loss added to the classification", choices=("off", "supervised"))
    contrastive_weight: float | None = _setting(1.0, "weight of the contrastive loss", above=0.0, needs=_CONTRASTIVE)
    contrastive_temperature: float | None = _setting(
        0.05, "temperature of the contrastive loss", above=0.0, needs=_CONTRASTIVE
    )
    # Latent point collapse
    gamma_ramp: str = _setting(
        "off", "how gamma grows", choices=("off", "two_regime", "exponential", "linear", "cosine")
    )
    gamma_start: float | None = _setting(1e-4, "gamma at the start of the ramp", above=0.0, needs=_LPC)
    gamma_end: float | None = _setting(1e6, "gamma at the end of the ramp", above=0.0, needs=_LPC)
    gamma_ramp_begin: float | None = _setting(0.0, "progress at which the ramp begins", low=0.0, high=0.99, needs=_LPC)
    gamma_ramp_length: float | None = _setting(
        0.266, "length of the ramp as a share of training", above=0.0, high=1.0, needs=_LPC
    )
    penalty_convention: str | None = _setting(
        "mean",
        "gamma weighs the mean of z squared over the dimensions, or its sum",
        choices=("mean", "sum"),
        needs=_LPC,
    )
    # Topological densification
    topological_weight_schedule: str = _setting(
        "off", "constant, or rising linearly from 0", choices=("off", "constant", "rising")
    )
    topological_weight: float | None = _setting(0.1, "weight of the topological loss", above=0.0, needs=_TOPOLOGICAL)
    beta_schedule: str | None = _setting(
        "constant",
        "constant, sliding (falling as a square root) or linear (falling)",
        choices=("constant", "sliding", "linear"),
        needs=_TOPOLOGICAL,
    )
    beta: float | None = _setting(1.0, "scale of the persistence, at the start", low=0.0, needs=_TOPOLOGICAL)
    distance: str | None = _setting("l2", "distance between representations", choices=("l2", "l1"), needs=_TOPOLOGICAL)
    persistence_backend: str | None = _setting(
        "auto",
        "what computes the persistence: our own kernels (auto), plain torch, or a reference implementation",
        choices=("auto", "plain", "gudhi", "torchph"),
        needs=_TOPOLOGICAL,
    )
    # Budget
    epochs: int = _setting(10, "epochs of the full budget", low=1, high=10**6)
    seed: int = _setting(0, "seed of initialisation, order and augmentation", low=0, high=2**31 - 1)
    precision: str = _setting(
        "auto",
        "arithmetic of the network; auto is bfloat16 on a GPU or CPU that computes in it, else float32",
        choices=("auto", "float32", "bfloat16"),
    )
    compile: str = _setting(
        "off",
        "mode of torch.compile for the training steps; it starts with half a minute or more, and gains nothing on CPUs",
        choices=("off", "default", "reduce-overhead", "max-autotune"),
    )

    @classmethod
    def build(cls, values: dict[str, Value]) -> TrialSpec:
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
        if self.gamma_ramp != "off":
            assert self.gamma_start is not None and self.gamma_end is not None
            assert self.gamma_ramp_begin is not None and self.gamma_ramp_length is not None
            if self.gamma_end <= self.gamma_start:
                found.append(f"gamma_end is {self.gamma_end:g}, but must be above gamma_start ({self.gamma_start:g})")
            if self.gamma_ramp_begin + self.gamma_ramp_length > 1.0 + 1e-9:
                found.append(
                    f"gamma_ramp_begin + gamma_ramp_length is {self.gamma_ramp_begin + self.gamma_ramp_length:g}, "
                    "but must be 1 or less: the ramp must end within training"
                )
        if self.nesterov and not self.momentum:
            found.append("nesterov is true, but needs momentum above 0")
        if self.learning_rate_end > self.learning_rate:
            found.append(
                f"learning_rate_end is {self.learning_rate_end:g}, "
                f"but must not exceed learning_rate ({self.learning_rate:g})"
            )
        return found

    def _missing(self) -> list[str]:
        values, found = self.as_dict(), []
        for name, value in values.items():
            needs = setting_field(name).metadata["needs"]
            if value is None and needs and has_effect(name, values):
                other = f"{needs[0]} is {values[needs[0]]!r}"
                found.append(f"{name} is none, but must be {describe_rule(name)} when {other}")
        return found

    @property
    def topological(self) -> bool:
        """Whether the topological loss is on."""
        return self.topological_weight_schedule != "off"

    @property
    def grouped(self) -> bool:
        """Whether batches are made of same-class groups."""
        return self.batching == "grouped" or (self.batching == "auto" and self.topological)

    def as_dict(self) -> dict[str, Value]:
        """All settings by name, in the order of declaration."""
        return dataclasses.asdict(self)


def setting_names() -> list[str]:
    """The names of all settings, in the order of declaration."""
    return [f.name for f in dataclasses.fields(TrialSpec)]


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


def has_effect(name: str, values: dict[str, Value]) -> bool:
    """Whether setting `name` does anything, given the others."""
    needs = setting_field(name).metadata["needs"]
    return needs is None or values[needs[0]] in needs[1]


def without_effect_removed(values: dict[str, Value]) -> dict[str, Value]:
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
    if kind in (int, float):
        assert isinstance(value, (int, float))
        low, above, high = rule["low"], rule["above"], rule["high"]
        # Whole numbers are compared as such: not each of them can become a float.
        inside = abs(value) <= sys.float_info.max and (low is None or value >= low)
        inside = inside and (above is None or value > above) and (high is None or value <= high)
        if not inside:
            return [f"{name} is {shown(value)}, but must be {describe_rule(name)}"]
    if rule["choices"] and value not in rule["choices"]:
        hint = nearest(value, rule["choices"])
        return [f"{name} is {shown(value)}, but must be {describe_rule(name)}{hint}"]
    return []


def as_declared(name: str, value: Value) -> Value:
    """A whole number given for a float setting becomes a float, so that columns keep one type."""
    return float(value) if setting_type(name) is float and isinstance(value, int) else value


def describe_rule(name: str) -> str:
    """The rule of a setting in words, such as 'a whole number from 0 to 9'."""
    kind, rule = setting_type(name), setting_field(name).metadata
    if rule["choices"]:
        return "one of " + ", ".join(rule["choices"])
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
