"""What a confirmation is to do: which configs of a search, with which seeds; or what was begun, to go on with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.errors import shown
from tune_lpc.plan.listed import listed_space
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import SPLITS
from tune_lpc.results import folder_problems, holds_run, load_ranked, load_run
from tune_lpc.results.confirmed import ALL, CONFIRM_FOLDER, PLAN, TRAIN, openings
from tune_lpc.results.journal import JOURNAL_FILE, journal_in_use
from tune_lpc.results.loading import load_best, seeds_used

SEEDS = 5
"""Networks of each config, where the user does not say."""
TIES = 2
"""Configs tied with the named one that are confirmed with it, at most."""
FIRST_SEED = 100
"""Of the fresh seeds; searches count from their own, most of them from 0. So those of several methods pair."""
NEEDED: Mapping[str, tuple[type, ...]] = {
    "space.name": (str,),
    "space.seeds": (int,),
    "data.data_dir": (str, type(None)),
    "data.fingerprint": (str,),
    "data.train_images": (int,),
    "data.validation_images": (int,),
}
"""What is read of run.json of the search, with the types that it has."""


@dataclass(frozen=True)
class Confirmation:
    """What is to be done in the folder of one search.

    plan: as run.json of the confirmation holds it. specs: the trainings, in the order of plan["networks"].
    """

    directory: Path
    run: Mapping[str, Any]
    plan: dict[str, Any]
    specs: list[TrialSpec]

    @property
    def folder(self) -> Path:
        """Of the confirmation."""
        return self.directory / CONFIRM_FOLDER

    @property
    def space(self) -> Space:
        """The trainings as a space."""
        return listed_space(self.plan["space"], f"confirmation of {self.directory}", self.specs)

    @property
    def files(self) -> dict[int, str]:
        """Where each network goes in the folder of the confirmation, without an ending."""
        networks = enumerate(self.plan["networks"])
        return {number: f"networks/rank{one['rank']}-seed{one['index']}" for number, one in networks}


def planned(directory: Path, asked: Mapping[str, Any], *, resume: bool) -> Confirmation:
    """What is asked for of one search; what was begun, where that goes on. Raises UserError with all problems."""
    run = load_run(directory, NEEDED)
    if journal_in_use(directory / JOURNAL_FILE):
        raise UserError(f"a search is running in {directory}; wait for it, or end it first")
    folder = directory / CONFIRM_FOLDER
    if resume and holds_run(folder):
        plan = load_run(folder, {PLAN: (dict,)})[PLAN]
        if problems := _changes(directory, plan, asked):
            raise UserError(problems)
    else:
        plan = _new_plan(directory, run, asked)
    if problems := folder_problems(directory if holds_run(folder) and not resume else folder, resume=True):
        raise UserError(problems)
    specs = []
    for network in plan["networks"]:
        spec = load_ranked(directory, network["rank"])
        specs.append(dataclasses.replace(spec, seed=network["seed"], split=network["split"]))
    return Confirmation(directory, run, plan, specs)


def _changes(directory: Path, plan: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What is asked for otherwise than in the confirmation that goes on."""
    before = {**plan, "measures": sorted(plan["measures"])}
    now = {**asked, "measures": None if asked["measures"] is None else sorted(_measures(asked["measures"]))}
    return [
        f"the confirmation in {directory} can't be resumed with a change: --{name.replace('_', '-')}: "
        f"{shown(before[name])} before, {shown(value)} now; leave it out, or begin again without --resume"
        for name, value in now.items()
        if value is not None and before[name] != value
    ]


def _measures(names: Sequence[str] | None) -> dict[str, str]:
    """The measures by name, each with its line of explanation. Raises UserError for an unknown one."""
    # torch takes seconds to import: only where measures are asked for.
    if not names:
        return {}
    from tune_lpc.training.measures import MEASURES, measures_asked_for

    return {name: MEASURES[name].text for name in measures_asked_for(names)}


def _new_plan(directory: Path, run: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `confirm` in run.json of a confirmation that begins."""
    measures = _measures(asked["measures"])
    before = openings(directory)
    seeds, train_on = asked["seeds"] or SEEDS, asked["train_on"] or TRAIN
    used = seeds_used(directory)
    fresh = list(islice((seed for seed in count(FIRST_SEED) if seed not in used), seeds))
    networks = []
    for row in _chosen(directory, asked["top"]):
        spec = load_ranked(directory, row["rank"])
        for index, seed in enumerate(fresh):
            # The splits after those that chose the config, as the search has one for each of its seeds.
            shift = run["space"]["seeds"] + index if run["space"].get("seed_splits", False) else 0
            networks.append(
                {
                    "rank": row["rank"],
                    "trial_id": row["trial_id"],
                    "index": index,
                    "seed": seed,
                    "split": (spec.split + shift) % SPLITS,
                    "announced": row["score"],
                    "announced_low": row["low"],
                    "announced_high": row["high"],
                    "config": spec.as_dict(),
                }
            )
    data = run["data"]
    return {
        "space": run["space"]["name"],
        "top": asked["top"],
        "seeds": seeds,
        "train_on": train_on,
        "train_images": data["train_images"] + (data["validation_images"] if train_on == ALL else 0),
        "measures": measures,
        "opened_before": sum(one["openings"] for one in before),
        "networks": networks,
    }


def _without_copies(best: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of best.parquet, of those of one config the first: older versions could draw a config again."""
    distinct: dict[str, dict[str, Any]] = {}
    for row in best:
        config = {name: value for name, value in row.items() if name.startswith("config.")}
        distinct.setdefault(repr(sorted(config.items())), row)
    return list(distinct.values())


def _chosen(directory: Path, top: int | None) -> list[dict[str, Any]]:
    """The rows of best.parquet to confirm. Raises UserError where one has not trained its full budget."""
    best = load_best(directory)
    if not best:
        raise UserError(f"{directory} ranks no config: no trial ended an epoch with a score; there is none to confirm")
    best = _without_copies(best)
    if top is None:
        # With several objectives nothing is tied, and the front takes its place.
        ties = [row for row in best[1:] if row["tied"] or (row["tied"] is None and row["front"] == 1)]
        chosen = [best[0], *ties[:TIES]]
    else:
        chosen = best[:top]
    short = [row for row in chosen if row["epochs"] < row["config.epochs"]]
    if short and top is None:
        chosen = [row for row in chosen if row not in short]
    if short and (top is not None or not chosen):
        ranks = ", ".join(str(row["rank"]) for row in short[:8])
        raise UserError(
            f"{directory}: rank {ranks} has not trained its full budget, so its score says little; go on with the "
            f"search by --resume, or confirm fewer with --top"
        )
    return chosen
