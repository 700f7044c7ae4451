"""Search spaces: dimensions, conditions between them, and the fixed settings around them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from tune_lpc.plan.as_data import parse_changes, space_as_dict
from tune_lpc.plan.checks import (
    completed_first,
    condition_problems,
    corner_problems,
    dimension_problems,
    effect_problems,
    first_problems,
    outside_problems,
)
from tune_lpc.plan.choosers import Chooser, Given, draw_value
from tune_lpc.plan.compare import canonical_json, space_hash
from tune_lpc.plan.configs import count_configs, every_config
from tune_lpc.plan.dimensions import Dimension, Float, Int, describe_range
from tune_lpc.plan.effects import Effects, possible_values
from tune_lpc.plan.errors import UserError, nearest, shown
from tune_lpc.plan.fidelity import EARLIEST_LOOK, MOST_RUNGS, Fidelity
from tune_lpc.plan.free import knots_to_search
from tune_lpc.plan.methods import METHOD_SWITCHES, METHODS, Method, added_by, dimensions_of, overridden_by
from tune_lpc.plan.objectives import ONE_SCORE
from tune_lpc.plan.own_code import OWN, REFERRING
from tune_lpc.plan.plain import make_plain
from tune_lpc.plan.ramps import epoch_with_ramps_up, slowest_choosers
from tune_lpc.plan.search_settings import (
    AS_MANY_AS_FIT,
    SEARCH_SETTINGS,
    as_search_setting,
    is_control,
    same_controls,
    search_setting_conflicts,
    search_setting_problems,
)
from tune_lpc.plan.settings import Value
from tune_lpc.plan.trial import TrialSpec, setting_default, setting_names, value_problems


@dataclass(frozen=True)
class Space:
    """A search space: what varies (`dimensions`), what is fixed (`settings`), and the size of a search.

    `first` holds configs to begin with, such as a baseline and a paper's own: a value for each dimension with effect.
    Where a method or a change gives a config more dimensions, it takes them from `start`, or else from their priors,
    the method's own start, or the setting's default. `notes` says what a method or a change has made of the space.
    `folder` is where its file lies, and the files of the user's own that it names; None of one that has no file.

    `fidelity_mode`, `reduction_factor` and `first_rung` place the rungs of early stopping: see `Fidelity`.
    `first_rung_after` (mode "truncated" only, in place of `first_rung`) puts the first rung where, in every trial that
    the space can draw, the ramps of gamma and of the topological weight have reached that share (above 0, up to 1)
    of their ends, though not before the usual first rung; there are no rungs where that is never so.
    `rung_rule` says what becomes of a trial that a rung leaves: "promote", it waits with its checkpoint and goes on
    when it is among the best later, or "stop", it ends.
    `control_trials` is the number of trials that no rung stops: they show how well the rungs foretell the end.
    `score_window` is the number of last epochs whose mean validation accuracy is the score, at a rung and at the end.
    `seeds` is the most seeds with which a config is trained, the best alone with more than one; with `seed_splits` each
    further seed also draws a split of its own.
    `objectives` are what it is to do well in: the one score, the validation accuracy, or up to three objectives such as
    ("validation_accuracy", "measure.nc1:min"), of which none is weighed against another; see `plan.objectives`.
    `sampler` draws the configs: "tpe", Optuna's tree-structured Parzen estimator; "gp", its Gaussian process; "prior",
    a mixture of chance, what lies around `first` and the priors of dimensions, and what lies around the best so far; or
    "random". "tpe" and "gp" draw by chance until `random_starts` configs have a result.

    Names are those of `TrialSpec`; a setting not named keeps its default there. A dimension is drawn where its setting
    has an effect; a condition of its own may refer to a setting or to a dimension that stands above it. `checked`
    raises `UserError` with every problem.
    """

    name: str
    about: str
    dimensions: Mapping[str, Dimension]
    settings: Mapping[str, Value] = field(default_factory=dict)
    first: Sequence[Mapping[str, Value]] = ()
    trials: int = 32
    fidelity_mode: str = "truncated"
    reduction_factor: int = 3
    first_rung: int | None = None
    first_rung_after: float | None = None
    rung_rule: str = "promote"
    most_rungs: int = MOST_RUNGS
    control_trials: int = 0
    score_window: int = 1
    seeds: int = 3
    seed_splits: bool = True
    objectives: Sequence[str] = ONE_SCORE
    sampler: str = "tpe"
    random_starts: int = 10
    start: Mapping[str, Value] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), compare=False)
    folder: Path | None = field(default=None, compare=False)

    SEARCH_SETTINGS = SEARCH_SETTINGS

    def __post_init__(self) -> None:
        make_plain(self, *SEARCH_SETTINGS, "settings", "start", "first")

    # What the space says

    @property
    def dataset(self) -> str:
        """The data set that the search trains on."""
        return str(self.fixed("dataset"))

    @property
    def epochs(self) -> int:
        """The full budget of a trial."""
        return cast(int, self.fixed("epochs"))

    @property
    def size(self) -> str:
        """The number of trials in words."""
        if self.is_open:
            return "as many trials as time allows"
        return f"{self.most_configs} trial{'' if self.most_configs == 1 else 's'}"

    @cached_property
    def config_count(self) -> int | None:
        """How many configs there are; None where nobody can count them. Of a space that is right."""
        return count_configs(self.dimensions, self._effects)

    @property
    def most_configs(self) -> int:
        """How many configs a search can train: the trials asked for, or all that there are where those are fewer."""
        return self.trials if self.config_count is None else min(self.trials, self.config_count)

    @property
    def is_open(self) -> bool:
        """Whether nothing but time limits how many configs a search trains."""
        return self.most_configs == AS_MANY_AS_FIT

    @property
    def most_controls(self) -> int:
        """How many control trials there are."""
        return min(self.control_trials, self.most_configs)

    @property
    def seed(self) -> int:
        """The seed of the sampler and of every trial: trials differ by their parameters alone."""
        return cast(int, self.fixed("seed"))

    @property
    def fidelity(self) -> Fidelity:
        """The rungs of early stopping; of a space that is right, as its trials are drawn to place the first."""
        return Fidelity(self.epochs, self.fidelity_mode, self.reduction_factor, self._first_rung, self.most_rungs)

    @cached_property
    def _first_rung(self) -> int | None:
        if self.first_rung_after is None:
            return self.first_rung
        up = self.epoch_with_ramps_up(self.first_rung_after)
        # Where the ramps are up early, or nothing ramps, that is no reason to look earlier than without them.
        usual = Fidelity(self.epochs, self.fidelity_mode, self.reduction_factor, most_rungs=self.most_rungs).rungs()
        return self.epochs if up is None else min(self.epochs, max(up, *usual[:1], EARLIEST_LOOK))

    def epoch_with_ramps_up(self, share: float) -> int | None:
        """The first epoch of a run of the full budget at which every trial's ramps have reached `share` of their ends.

        None where some trial's never do, as when a ramp of gamma ends with the training.
        """
        choosers = [*slowest_choosers(self.dimensions), *map(Given, self.first)]
        return epoch_with_ramps_up((self.trial(self.draw(chooser)) for chooser in choosers), share)

    def is_control(self, number: int) -> bool:
        """Whether trial `number` (from 0) is a control trial, never stopped at a rung."""
        return is_control(number, self.most_configs, self.most_controls)

    def has_controls_of(self, trials: int) -> bool:
        """Whether a search of so many trials has the same control trials."""
        before = dataclasses.replace(self, trials=trials)
        return same_controls(before.most_configs, self.most_configs, self.most_controls)

    def fixed(self, name: str) -> Value:
        """The value of a setting that is not searched."""
        return self.settings.get(name, setting_default(name))

    def possible(self, name: str) -> tuple[Value, ...]:
        """Every value that a fixed setting or a Choice can take, and the ends of a range."""
        return possible_values(self.dimensions.get(name), self.fixed(name))

    @property
    def own_references(self) -> list[str]:
        """The functions of the user's own that any trial may need, FILE.py:FUNCTION each."""
        possible = dict.fromkeys(value for name in REFERRING for value in self.possible(name) if value in OWN)
        return sorted(map(str, possible))

    @cached_property
    def _effects(self) -> Effects:
        return Effects(self.dimensions, self.fixed)

    def highest(self, name: str) -> float:
        """The largest value that a setting of numbers can take in any trial."""
        dimension = self.dimensions.get(name)
        if isinstance(dimension, (Float, Int)):
            return dimension.last
        return max(value for value in self.possible(name) if isinstance(value, (int, float)))

    @property
    def topological_is_possible(self) -> bool:
        """Whether any trial has the topological loss on."""
        return any(value != "off" for value in self.possible("topological_weight_schedule"))

    @property
    def largest_group(self) -> int | None:
        """The largest same-class group that a trial may ask for, None when none asks for groups."""
        if "grouped" not in self.possible("batching") and not self.topological_is_possible:
            return None
        return int(self.highest("group_size"))

    def images_per_epoch(self, images: int) -> int:
        """Images that an epoch of any trial draws, at most, from a data set with so many training images."""
        train_size = self.fixed("train_size")
        share = 1 - self.highest("validation_share")
        train = train_size if isinstance(train_size, int) else round(images * share)
        if self.fixed("epoch_unit") == "anchors" and self.largest_group is not None:
            return train * self.largest_group
        return train

    def canonical_json(self) -> str:
        """The same text for the same search, whatever the order and spelling in the file; the hash is taken of it."""
        return canonical_json(self.as_dict())

    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return space_hash(self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """The space as plain data, settings completed with their defaults.

        The seed is left out, as the same search with another seed is one of the same space; so are `about`, `start` and
        `notes`.
        """
        search = self._search_settings()
        return {"name": self.name} | space_as_dict(self.dimensions, self._effects.when, self.fixed, self.first, search)

    def _search_settings(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.SEARCH_SETTINGS}

    def describe(self, name: str) -> str:
        """A dimension in words, such as '0.0001 to 0.01, logarithmic; unless gamma_ramp is off'."""
        prior = self.dimensions[name].prior
        belief = "" if prior is None else f"prior {prior}"
        return "; ".join(filter(None, [describe_range(self.dimensions[name]), belief, self._effects.describe(name)]))

    @property
    def priors(self) -> dict[str, Value]:
        """The values that the space believes to be good, by dimension, of those that have one."""
        return {name: dimension.prior for name, dimension in self.dimensions.items() if dimension.prior is not None}

    # Drawing

    def draw(self, chooser: Chooser) -> dict[str, Value]:
        """The values of the dimensions that have an effect, drawn in the order of the table.

        One that needs another stands behind it here, wherever it stands in the table.
        """
        drawn: dict[str, Value] = {}
        for name in self._effects.order:
            if self._effects.is_drawn(name, drawn):
                drawn[name] = draw_value(name, self.dimensions[name], chooser)
        return drawn

    def configs(self, seed: int, most: int) -> Iterator[dict[str, Value]]:
        """All values that can be drawn, each config once, from one that chance picks on; `most` values of a number
        that nobody can count."""
        return every_config(self.dimensions, self._effects, seed, most)

    def trial(self, drawn: Mapping[str, Value]) -> TrialSpec:
        """The complete description of the trial with the values drawn."""
        return TrialSpec.build({**self.settings, **drawn})

    # Checking and changing

    def checked(self) -> Space:
        """This space, once everything in it is right; raises UserError with all problems otherwise."""
        if found := self.problems():
            title = self.name if _is_word(self.name) else shown(self.name)
            raise UserError([f"space {title}: {problem}" for problem in found])
        return self

    def problems(self) -> list[str]:
        """Everything that is wrong with the space, one line each."""
        found = []
        if not _is_word(self.name):
            found.append(f"name is {shown(self.name)}, but must be a plain word of letters, digits, _ and -")
        if not isinstance(self.about, str):
            found.append(f"about is {shown(self.about)}, but must be a text that says what the space is for")
        tables = {"dimensions": self.dimensions, "settings": self.settings, "start": self.start}
        wrong = {name: table for name, table in tables.items() if not isinstance(table, Mapping)}
        if wrong:
            return found + [f"{name} is {shown(table)}, but must be a dict" for name, table in wrong.items()]
        for name, value in self.start.items():
            found += [f"start: {problem}" for problem in value_problems(name, value)]
        for name, value in self.settings.items():
            found += value_problems(name, value)
            if name in self.dimensions:
                found.append(f"{name} is both a setting and a dimension; keep one")
        for name, dimension in self.dimensions.items():
            found += dimension_problems(name, dimension)
            if isinstance(dimension, Dimension):
                found += condition_problems(name, dimension, list(self.dimensions), self.possible)
        if not found:
            found += effect_problems(self._effects, self.dimensions, self.settings)
        search = self._search_settings()
        wrong_search = [problem for name, value in search.items() for problem in search_setting_problems(name, value)]
        found += wrong_search or search_setting_conflicts(search)
        if not wrong_search and not value_problems("epochs", self.fixed("epochs")):
            # Without first_rung_after: only a space that is right can say where it lies.
            fidelity = Fidelity(self.epochs, self.fidelity_mode, self.reduction_factor, self.first_rung)
            found += fidelity.problems()
        return found or corner_problems(self.draw, self.trial) + first_problems(self.first, self.draw, self.trial)

    def with_values(self, changes: Mapping[str, Value]) -> Space:
        """The space with settings changed; a dimension that is named becomes fixed.

        A spline that is chosen (`plan.free`) adds its knots to the dimensions. Raises UserError naming every unknown
        name, wrong type, value outside the setting's or dimension's range, and change that can have no effect.
        """
        found = []
        changes = {name: as_search_setting(name, value) for name, value in changes.items()}
        known = [*setting_names(), *self.SEARCH_SETTINGS]
        fixed = METHODS[str(self.settings["method"])].settings if "method" in self.settings else {}
        for name, value in changes.items():
            if name == "method" and value != self.fixed("method"):
                found.append(f"method is {value!r}, but is chosen by --method")
            elif name in fixed and name in METHOD_SWITCHES and value != fixed[name]:
                found.append(f"{name} is {value!r}, but method {self.fixed('method')} has it {fixed[name]!r}")
            elif name in self.SEARCH_SETTINGS:
                found += search_setting_problems(name, value)
            elif name not in known:
                found.append(f"{shown(name)} is not a setting of space {self.name}{nearest(name, known)}")
            else:
                problems = value_problems(name, value)
                if not problems and name in self.dimensions:
                    problems = outside_problems(name, value, self.dimensions[name], self.name)
                found += problems
        if found:
            raise UserError(found)
        search = {name: value for name, value in changes.items() if name in self.SEARCH_SETTINGS}
        changed = dataclasses.replace(self._fixed_at(changes), **search)  # type: ignore[arg-type]
        changed = changed._settled(METHODS.get(str(self.settings.get("method"))), keep=changes)
        more = [f"{name} {changed.describe(name)}" for name in changed.dimensions if name not in self.dimensions]
        notes = (f"a spline adds to the search: {'; '.join(more)}",) if more else ()
        return dataclasses.replace(changed, notes=(*changed.notes, *notes)).checked()

    def without_effect(self, changes: Mapping[str, Value]) -> dict[str, str]:
        """The settings among `changes` that could have no effect in the changed space, each with the reason."""
        effects = self._fixed_at(changes)._effects
        reasons = {name: effects.why_none(name) for name in changes if name in setting_names()}
        return {name: why for name, why in reasons.items() if why is not None}

    def _fixed_at(self, changes: Mapping[str, Value]) -> Space:
        dimensions = {name: d for name, d in self.dimensions.items() if name not in changes}
        fixed = {name: value for name, value in changes.items() if name in setting_names()}
        space = dataclasses.replace(self, settings={**self.settings, **fixed}, dimensions=dimensions)
        knots = knots_to_search(changes, {*space.settings, *dimensions}, dimensions, space.fixed)
        return dataclasses.replace(space, dimensions={**dimensions, **knots})

    def for_method(self, name: str) -> Space:
        """The space of one method: what it fixes, its own parameters, and the name in the files.

        Raises UserError for an unknown name.
        """
        if name not in METHODS:
            raise UserError(f"there is no method {name!r}{nearest(name, METHODS)} (see --list-methods)")
        method = METHODS[name]
        dimensions = dimensions_of(method, self.dimensions, self.settings)
        settings = {n: v for n, v in self.settings.items() if n not in dimensions} | {**method.settings, "method": name}
        changed = dataclasses.replace(self, dimensions=dimensions, settings=settings)._settled(method)
        added = [f"{n} {changed.describe(n)}" for n in added_by(method, self.dimensions, self.settings)]
        notes = [f"method {name} adds to the search: {'; '.join(added)}"] if added else []
        try:
            changed = changed.checked()
        except UserError as error:
            # The space is right by itself, and does not name what the user has to mend.
            raise UserError(
                [*error.problems, *(f"{note}; give the space ranges that fit" for note in notes)]
            ) from error
        taken = [n for n in self.dimensions if n not in changed.dimensions]
        notes += [f"method {name} takes out of the search: {', '.join(taken)}"] if taken else []
        notes += overridden_by(method, self.settings)
        return dataclasses.replace(changed, notes=(*notes, *changed.notes))

    def _settled(self, method: Method | None, keep: Container[str] = ()) -> Space:
        """Without the dimensions, and the settings but for `keep`, that can no longer have an effect, such as beta once
        the topological weight is off; with configs to begin with that fit to that.
        """
        dimensions = {name: d for name, d in self.dimensions.items() if not self._effects.why_none(name)}
        settings = {n: v for n, v in self.settings.items() if n in keep or not self._effects.why_none(n)}
        space = dataclasses.replace(self, dimensions=dimensions, settings=settings)
        fallback = {name: setting_default(name) for name in dimensions}
        fallback |= {**(method.start if method else {}), **space.priors, **self.start}
        on = method.dimensions if method else {}
        first = [{n: v for n, v in config.items() if v != "off" or n not in on} for config in self.first]
        kept, left_out = completed_first(first, fallback, space.draw, space.trial)
        return dataclasses.replace(space, first=kept, notes=(*self.notes, *left_out))

    def parse_changes(self, texts: Iterable[str]) -> dict[str, Value]:
        """NAME=VALUE texts as values; raises UserError for every text without '='."""
        return parse_changes(texts)


def _is_word(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[\w-]+", name) is not None
