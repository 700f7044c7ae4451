"""What earlier searches have found, for the sampler of a new one: of the same data set or of another.

A parameter is taken over where both spaces search it and it had an effect in the earlier trial; of a score only its
place among those of its own search. Nothing of it enters the tables: it is written into run.json once, `warm_start`,
and read back from there when the search goes on, as the earlier folder may be gone or changed by then.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_lpc.plan.choosers import Given, draw_value
from tune_lpc.plan.dimensions import Dimension, is_stepped
from tune_lpc.plan.errors import UserError, shown
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import has_effect, setting_default, setting_names
from tune_lpc.results import JOURNAL_FILE, Ledger, load_run, read_ledger
from tune_lpc.results.events import Status
from tune_lpc.results.export import RUN_FILE
from tune_lpc.results.trial import Trial
from tune_lpc.search.quality import WORST, Result, qualities

MOST = 64
"""Configs that are taken over from one search, at most: the better half the best ones, the others spread evenly."""
_NEEDED: Mapping[str, tuple[type, ...]] = {
    "space.name": (str,),
    "space.dimensions": (dict,),
    "space.settings.dataset": (str,),
    "space_hash": (str,),
}


@dataclass(frozen=True)
class Observation:
    """A config of an earlier search.

    values: of the parameters that are shared. quality: the share of the configs of its own search that it was better
    than, from 0 to 1.
    """

    values: Mapping[str, Value]
    quality: float


@dataclass(frozen=True)
class Earlier:
    """What is taken over from an earlier search, the best first.

    folder: of its results. name, dataset: of its space. shared: the parameters that both search. trials: configs that
    it has a result of. left_out: why some of them were not taken over, and how many.
    """

    folder: str
    name: str
    dataset: str
    space_hash: str
    shared: Sequence[str]
    trials: int
    left_out: Mapping[str, int]
    observations: Sequence[Observation]

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for run.json."""
        return dataclasses.asdict(self)

    @classmethod
    def of_run(cls, run: Mapping[str, Any]) -> list[Earlier]:
        """Those that a run began with, from the content of its run.json.

        Raises KeyError, TypeError or ValueError where that is damaged.
        """
        return [
            cls(**{**entry, "observations": [Observation(**observation) for observation in entry["observations"]]})
            for entry in run.get("warm_start", ())
        ]

    def describe(self) -> str:
        """A line for people."""
        left_out = ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        taken = f"{len(self.observations)} of {self.trials} configs of {self.name} ({self.dataset}; {self.folder})"
        told = f"warm start: {taken}, {len(self.shared)} shared parameters"
        return told + (f"; left out: {left_out}" if left_out else "")


def folder_of(directory: Path) -> str:
    """The name by which the folder of an earlier search is known in run.json."""
    return str(directory.resolve())


def read_earlier(space: Space, directories: Sequence[Path]) -> list[Earlier]:
    """What a search of `space` takes over from the searches in `directories`, each once.

    Raises UserError with the problems of all: a folder without a run, a damaged one, one that has nothing to take over.
    """
    found, problems = [], []
    for directory in {folder_of(directory): directory for directory in directories}.values():
        try:
            found.append(_read(space, directory))
        except UserError as error:
            problems += [f"--warm-start: {problem}" for problem in error.problems]
    if problems:
        raise UserError(problems)
    return found


def _read(space: Space, directory: Path) -> Earlier:
    run = load_run(directory, _NEEDED)
    try:
        ledger, _ = read_ledger(directory / JOURNAL_FILE)
    except OSError as error:
        raise UserError(
            f"{directory} has no {JOURNAL_FILE} that can be read ({error.strerror or error}); give another folder"
        ) from error
    searched: dict[str, Any] = run["space"]["dimensions"]
    if wrong := [name for name, dimension in searched.items() if not isinstance(dimension, Mapping)]:
        raise UserError(f"{directory / RUN_FILE} is damaged: its dimension {wrong[0]} is {shown(searched[wrong[0]])}")
    shared = [name for name in space.dimensions if name in searched]
    if not shared:
        raise UserError(f"{directory} searched none of the parameters of space {space.name}; leave it out")
    trials, left_out, observations = taken_over(space, searched, ledger)
    if not trials:
        raise UserError(f"{directory} has no trial with a score yet; leave it out")
    if not observations:
        told = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise UserError(f"{directory} has no config that lies in space {space.name} ({told}); leave it out")
    name, dataset = run["space"]["name"], run["space"]["settings"]["dataset"]
    return Earlier(folder_of(directory), name, dataset, run["space_hash"], shared, trials, left_out, observations)


def taken_over(
    space: Space, searched: Mapping[str, Any], ledger: Ledger
) -> tuple[int, dict[str, int], list[Observation]]:
    """How many configs of a search have a result, how many are left out for which reason, and those taken over.

    searched: the dimensions of its space as `Space.as_dict` gives them. The best come first.
    """
    left_out: Counter[str] = Counter()
    observations = []
    ranked = _ranked(ledger)
    for trial, quality in ranked:
        values = {name: value for name, value in _effective(trial, searched) if name in space.dimensions}
        outside = next((name for name, value in values.items() if not _fits(space, name, value)), None)
        if outside is not None:
            left_out[f"with {outside} {_beside(space.dimensions[outside])} here"] += 1
        elif not values:
            left_out["in which no shared parameter had an effect"] += 1
        else:
            observations.append(Observation(values, quality))
    kept = _thinned(observations)
    if len(kept) < len(observations):
        left_out[f"beyond the {MOST} that are kept"] = len(observations) - len(kept)
    return len(ranked), dict(left_out), kept


def _ranked(ledger: Ledger) -> list[tuple[Trial, float]]:
    """The configs that have a result, each by its first trial, with their qualities, the best first."""
    scores: dict[int, list[float]] = {}
    for trial in ledger.in_order():
        first = trial.number if trial.repeat_of is None else trial.repeat_of
        if not trial.has_diverged and (score := trial.final_score) is not None:
            scores.setdefault(first, []).append(score)
    trials, results = [], []
    for trial in ledger.in_order():
        result = _result(trial, scores.get(trial.number, [])) if trial.repeat_of is None else None
        if result is not None:
            trials.append(trial)
            results.append(result)
    pairs = zip(trials, qualities(results), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0].number))


def _result(trial: Trial, scores: Sequence[float]) -> Result | None:
    """What a config came to; scores: of its seeds that trained the full budget. None where nothing is known."""
    if trial.has_diverged:
        return WORST
    if trial.is_trained:
        return Result(True, 0, math.fsum(scores) / len(scores)) if scores else WORST
    if trial.status is Status.FAILED or not trial.looks:
        return None
    rung = max(trial.looks)
    score = trial.looks[rung].score
    return WORST if score is None else Result(False, rung, score)


def _effective(trial: Trial, searched: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """The searched parameters that had an effect in a trial, by its own settings and the conditions of its space."""
    config = {name: trial.config.get(name, setting_default(name)) for name in setting_names()}
    for name in searched:
        when = searched[name].get("when", {})
        if name in config and has_effect(name, config) and all(config.get(other) in when[other] for other in when):
            yield name, config[name]


def _fits(space: Space, name: str, value: Value) -> bool:
    given = Given({name: value})
    draw_value(name, space.dimensions[name], given)
    return not given.problems


def _beside(dimension: Dimension) -> str:
    """Where a value lies that a dimension does not have."""
    return "outside its range" if not is_stepped(dimension) else "outside its range or between its steps"


def _thinned(observations: Sequence[Observation]) -> list[Observation]:
    """At most MOST of them, the best first."""
    if len(observations) <= MOST:
        return list(observations)
    best, others = observations[: MOST // 2], observations[MOST // 2 :]
    many = MOST - len(best)
    spread = [others[(2 * place + 1) * len(others) // (2 * many)] for place in range(many)]
    return list(itertools.chain(best, spread))
