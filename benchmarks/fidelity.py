"""Early stopping: how well do the scores at a rung foretell the final ranking, and which mode should be the default?

Draws random configs from a search space and trains each fully, in complete short runs of a ninth and a third of the
epochs from scratch (`compressed`), and in a climb that starts each complete short run from the weights of the last
(`warm`). `truncated` looks at the full run early. Scores are those of the validation images. Prints, for each file of
scores, how each rung agrees with the final scores, and what successive halving loses with each mode at equal cost.

    python benchmarks/fidelity.py --epochs 90 --configs 64 --second-seed --out digits.json
    python benchmarks/fidelity.py --space mnist250 --epochs 45 --data-dir ../shared/data --out mnist250.json
    python benchmarks/fidelity.py --from digits.json mnist250.json

A run that was killed goes on with the same command; more --configs add to the file.

Seen on 2026-11-25 with the schedules of version 0.2.0 (commands above, a thread of a busy 2-core AMD EPYC, 8 and 15
minutes). Spearman's correlation of the scores at a look with the validation accuracy at the end, and the share of the
best third that goes on; then the mean regret of successive halving's pick in points, by validation / by another seed
(digits) or images left over (MNIST-250):

| what | digits, 64 configs | MNIST-250, 24 configs |
|---|---|---|
| truncated, 1/9 of the epochs | 0.40, 62 % | 0.40, 50 % |
| compressed (and warm), 1/9 | 0.23, 42 % | 0.74, 60 % |
| truncated, 1/3 | 0.61, 62 % | 0.53, 50 % |
| compressed, 1/3; has cost 4/9 | 0.35, 58 % | 0.77, 90 % |
| truncated, 4/9 | 0.71, 75 % | 0.69, 60 % |
| warm, 1/3 | 0.35, 54 % | 0.62, 70 % |
| full, another seed | 0.38, 75 % | not trained |
| best third with gamma_end >= 10, kept at 1/9: truncated, compressed | 7, 2 of 11 | 1, 0 of 1 |
| regret, cost of 4 full runs: truncated | 0.05 / 4.22 | 0.41 / 0.39 |
| compressed | 0.36 / 0.62 | 0.55 / 0.40 |
| warm, config trained fully | 0.48 / 0.67 | 0.33 / 0.54 |
| full | 0.10 / 6.64 | 0.58 / 0.94 |

90 % intervals of compressed - truncated: digits -0.35 to +0.03 at 1/9, -0.41 to -0.11 at 1/3; MNIST-250 +0.03 to +0.72
and +0.01 to +0.50. On digits one config with a strong penalty reaches 1.00 of 144 validation images with one seed and
0.10 with the next, which rules the regret by another seed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from tune_lpc.plan import TrialSpec, UserError, load_space
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.results.agreement import agreement, among_best
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.device import use_threads
from tune_lpc.training.loop import Training
from tune_lpc.training.prepare import Prepared, prepare, start_training

FACTOR = 3
LATER_LOOKS = (4 / 9, 0.6, 0.8)
"""Other shares of the full run at which `truncated` could look; 4/9 is what both short runs of `compressed` cost."""
BUDGETS = (2, 4, 8, 16)
"""Costs at which the modes are compared, in full trainings."""
STRONG = 10
"""Gamma at the end of its ramp from which the penalty counts as strong."""
LEFT_OVER = 5000
"""The most images, left over by training and validation, that judge a trained network."""
DRAWS, RESAMPLES = 4000, 1000
"""Searches that are simulated for each mode and cost, and bootstrap samples of the configs behind an interval."""
Run = dict[str, Any]
Scores = np.ndarray
"""Validation accuracy of each config, NaN where training diverged."""


# Training


def rungs(epochs: int) -> tuple[int, int]:
    """The two rungs below the full budget: a ninth and a third of it, rounded up."""
    return math.ceil(epochs / FACTOR**2), math.ceil(epochs / FACTOR)


def train(spec: TrialSpec, prepared: Prepared, start_from: Training | None = None) -> tuple[Training, Run]:
    """One complete run: every schedule goes from its start to its end; optionally from another network's weights."""
    begin = time.perf_counter()
    training = start_training(spec, prepared)
    if start_from is not None:
        training.network.load_state_dict(start_from.network.state_dict())
    records = list(training.epochs())
    return training, {
        "epochs": spec.epochs,
        "scores": [record.validation_accuracy for record in records],
        "diverged": records[-1].diverged,
        "seconds": round(time.perf_counter() - begin, 2),
        "left_over": None if records[-1].diverged else left_over_accuracy(training, prepared),
    }


def left_over_accuracy(training: Training, prepared: Prepared) -> float | None:
    """Accuracy on training images of the data set that were neither trained nor validated on; None without any."""
    assert isinstance(prepared.images, torch.Tensor)
    used = np.concatenate([prepared.split.train, prepared.split.validation])
    rest = np.setdiff1d(np.arange(len(prepared.labels)), used)
    if not len(rest):
        return None
    some = torch.from_numpy(np.random.default_rng(0).permutation(rest)[:LEFT_OVER])
    logits, _, labels = training.represent(select_rows(prepared.images, prepared.labels, some, torch.device("cpu")))
    return float((logits.argmax(dim=1) == labels).double().mean())


def all_runs(spec: TrialSpec, prepared: Prepared) -> dict[str, Run]:
    """The full run, the short runs from scratch, and the two later runs of the warm climb, whose first is `short1`."""
    first, second = rungs(spec.epochs)
    found: dict[str, Run] = {}
    _, found["full"] = train(spec, prepared)
    last, found["short1"] = train(replace(spec, epochs=first), prepared)
    _, found["short2"] = train(replace(spec, epochs=second), prepared)
    for name, epochs in (("warm2", second - first), ("warm3", spec.epochs - second)):
        last, found[name] = train(replace(spec, epochs=epochs), prepared, last)
    return found


def measure(options: argparse.Namespace) -> None:
    """Train what the file does not hold yet, and write it after each config."""
    use_threads(1)
    if options.epochs < FACTOR**2:
        raise UserError(f"--epochs is {options.epochs}, but must be {FACTOR**2} or more, so that each rung has a run")
    space = load_space(options.space)
    space = space.with_values({**space.parse_changes(options.set), "epochs": options.epochs})
    head = {"space": options.space, "set": sorted(options.set), "epochs": options.epochs, "seed": options.seed}
    data: dict[str, Any] = {**head, "configs": []}
    if options.out.exists():
        data = json.loads(options.out.read_text(encoding="utf-8"))
        if other := {name: data[name] for name in head if data[name] != head[name]}:
            raise UserError(f"{options.out} was made with {other}; give another file, or the same options")
    chooser = RandomChooser(options.seed)
    specs = [space.trial(space.draw(chooser)) for _ in range(options.configs)]
    prepared = prepare(specs[0], options.data_dir, space.largest_group)
    for number, spec in enumerate(specs):
        if number == len(data["configs"]):
            data["configs"].append({"config": spec.as_dict(), "runs": all_runs(spec, prepared)})
        runs = data["configs"][number]["runs"]
        if options.second_seed and "second_seed" not in runs:
            _, runs["second_seed"] = train(replace(spec, seed=spec.seed + 1), prepared)
        part = options.out.with_suffix(".part")  # a kill leaves the file as it was
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(options.out)
        print(json.dumps({"config": number, **{name: run["scores"][-1] for name, run in runs.items()}}), flush=True)


# Reading the scores


class Pool:
    """The scores of all configs of a file."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.epochs: int = data["epochs"]
        self.rungs = rungs(self.epochs)
        self.title = " ".join([data["space"], *data["set"]])
        self.runs: list[dict[str, Run]] = [config["runs"] for config in data["configs"]]
        gamma_end = [config["config"]["gamma_end"] for config in data["configs"]]
        self.gamma_end = np.array([math.nan if gamma is None else gamma for gamma in gamma_end])
        self.seconds = sum(run["seconds"] for runs in self.runs for run in runs.values())

    def at(self, name: str, epoch: int | None = None) -> Scores:
        """Validation accuracy after an epoch of a run, the last one without `epoch`."""
        return np.array([_score(runs[name], epoch) for runs in self.runs])

    def left_over(self, name: str) -> Scores:
        """Accuracy at the end of a run on images left over, all NaN where none are."""
        found = [runs[name].get("left_over") for runs in self.runs]
        return np.array([math.nan if accuracy is None else accuracy for accuracy in found])

    def has(self, name: str) -> bool:
        """Whether all configs have that run."""
        return all(name in runs for runs in self.runs)


def _score(run: Run, epoch: int | None) -> float:
    epoch = epoch or run["epochs"]
    score = run["scores"][epoch - 1] if epoch <= len(run["scores"]) else None
    return math.nan if score is None else score


class Look(NamedTuple):
    """A moment at which configs are compared.

    spent: epochs that a config has cost until then. scores: at the look. end: the run whose end they should foretell.
    """

    name: str
    spent: int
    scores: Scores
    end: str = "full"


def looks(pool: Pool) -> Iterator[Look]:
    """Every look that the table compares."""
    (first, second), epochs = pool.rungs, pool.epochs
    short1, short2, warm2, warm3 = (pool.at(name) for name in ("short1", "short2", "warm2", "warm3"))
    yield Look(f"truncated, epoch {first}", first, pool.at("full", first))
    yield Look(f"compressed and warm, run of {first}", first, short1)
    yield Look(f"truncated, epoch {second}", second, pool.at("full", second))
    yield Look(f"compressed, run of {second}", first + second, short2)
    yield Look(f"warm, run of {second - first} after {first}", second, warm2)
    for share in LATER_LOOKS:
        epoch = round(share * epochs)
        yield Look(f"truncated, epoch {epoch}", epoch, pool.at("full", epoch))
    yield Look(f"warm, run of {epochs - second} after {second - first}: its end", epochs, warm3)
    yield Look(f"warm, run of {first}, against its own end", first, short1, "warm3")
    yield Look(f"warm, run of {second - first}, against its own end", second, warm2, "warm3")
    if pool.has("second_seed"):
        yield Look("full run with another seed", epochs, pool.at("second_seed"))


def print_agreement(pool: Pool) -> None:
    """How each look agrees with the final validation accuracy, and with the accuracy on images left over."""
    print(f"\n### {pool.title}: {len(pool.runs)} configs, {pool.epochs} epochs, {pool.seconds / 60:.0f} minutes\n")
    print("Foretelling the validation accuracy at the end | accuracy on images left over; regret in points\n")
    print("| look | epochs | Spearman | best third kept | regret | Spearman | best third kept | regret | goes on |")
    print("|---|---|---|---|---|---|---|---|---|")
    for look in looks(pool):
        cells = []
        for truth in (pool.at(look.end), pool.left_over(look.end)):
            found = agreement(look.scores.tolist(), truth.tolist(), FACTOR)
            kept = "-" if found.kept is None else f"{100 * found.kept:.0f} %"
            cells += [shown(found.spearman), kept, shown(found.regret, 100)]
        cells.append(f"{int(among_best(look.scores, FACTOR).sum())} of {len(pool.runs)}")
        print(f"| {look.name} | {look.spent} | {' | '.join(cells)} |")


def print_differences(pool: Pool) -> None:
    """Whether a mode foretells better than another: difference of Spearman's correlations on the same configs."""
    first, second = pool.rungs
    short1, short2, warm2 = (pool.at(name) for name in ("short1", "short2", "warm2"))
    at_second = pool.at("full", second)
    pairs = {
        f"compressed {first} - truncated {first}": (short1, pool.at("full", first)),
        f"compressed {second} - truncated {second}": (short2, at_second),
        f"compressed {second} - truncated {first + second}, equal cost": (short2, pool.at("full", first + second)),
        f"warm {second} - truncated {second}": (warm2, at_second),
        f"warm {second} - compressed {second}": (warm2, short2),
    }
    truths = {"validation accuracy": pool.at("full")}
    if pool.has("second_seed"):
        truths["validation accuracy with another seed"] = pool.at("second_seed")
    if np.isfinite(pool.left_over("full")).any():
        truths["accuracy on images left over"] = pool.left_over("full")
    print(f"\nDifference of Spearman's correlations and its 90 % interval ({RESAMPLES} resamplings of the configs):\n")
    print("| pair | " + " | ".join(truths) + " |")
    print("|---" * (len(truths) + 1) + "|")
    for name, (one, other) in pairs.items():
        cells = [difference(one, other, truth) for truth in truths.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_bias(pool: Pool) -> None:
    """Whether a rung favours weak or strong penalties: place gained there over the end, against gamma_end."""
    on = np.isfinite(pool.gamma_end)
    final = pool.at("full")
    strong = among_best(final, FACTOR) & (np.nan_to_num(pool.gamma_end) >= STRONG)
    print(f"\n| look | Spearman of place gained and gamma_end | best third with gamma_end >= {STRONG}: goes on |")
    print("|---|---|---|")
    for look in list(looks(pool))[:5]:
        scores = np.nan_to_num(look.scores, nan=-1.0)
        gained = pd.Series(scores).rank() - pd.Series(np.nan_to_num(final, nan=-1.0)).rank()
        found = agreement(pool.gamma_end[on].tolist(), gained[on].tolist(), FACTOR)
        goes_on = int((among_best(look.scores, FACTOR) & strong).sum())
        print(f"| {look.name} | {shown(found.spearman)} | {goes_on} of {int(strong.sum())} |")


def difference(one: Scores, other: Scores, truth: Scores) -> str:
    """A cell of the table of differences."""

    def gain(rows: np.ndarray) -> float:
        better, worse = (agreement(s[rows].tolist(), truth[rows].tolist(), FACTOR).spearman for s in (one, other))
        return math.nan if better is None or worse is None else better - worse

    random = np.random.default_rng(0)
    found = [gain(random.integers(len(truth), size=len(truth))) for _ in range(RESAMPLES)]
    if np.isnan(found).all():
        return "-"
    low, high = np.nanquantile(found, (0.05, 0.95))
    return f"{gain(np.arange(len(truth))):+.2f} ({low:+.2f} to {high:+.2f})"


def shown(value: float | None, scale: float = 1, digits: int = 2) -> str:
    """A number of the table, a dash where there is none."""
    return "-" if value is None else f"{scale * value:.{digits}f}"


# Successive halving at equal cost


def affordable(budget: int, costs: Sequence[int]) -> int:
    """The most configs that successive halving can take within the budget, at so many epochs for each step of each."""
    configs = 0
    while sum(cost * math.ceil((configs + 1) / FACTOR**step) for step, cost in enumerate(costs)) <= budget:
        configs += 1
    return configs


def halving_regret(configs: int, ladder: Sequence[Scores], judge: Scores, best: float) -> float:
    """Mean of `best` minus the score, by `judge`, of what successive halving picks of `configs` random ones.

    Each step keeps the best third by its scores; luck decides between equal ones, so that the cost is exact. The last
    step picks one.
    """
    random = np.random.default_rng(0)
    comparable = [np.nan_to_num(scores, nan=-1.0) for scores in ladder]
    picked = []
    for _ in range(DRAWS):
        alive = random.permutation(len(judge))[:configs]
        for scores in comparable:
            best_first = alive[np.argsort(-scores[alive], kind="stable")]
            alive = best_first[: math.ceil(len(alive) / FACTOR)]
        picked.append(best_first[0])
    return float(best - np.nan_to_num(judge[picked], nan=0.0).mean())


Mode = tuple[list[int], list[Scores]]
"""What a config costs at each step of the ladder, in epochs, and the scores there."""


def modes(pool: Pool) -> dict[str, Mode]:
    """The modes that are compared."""
    (first, second), epochs, final = pool.rungs, pool.epochs, pool.at("full")
    continued = [first, second - first, epochs - second]
    short1 = pool.at("short1")
    return {
        "truncated": (continued, [pool.at("full", first), pool.at("full", second), final]),
        "compressed": ([first, second, epochs], [short1, pool.at("short2"), final]),
        "warm": (continued, [short1, pool.at("warm2"), pool.at("warm3")]),
        "full": ([epochs], [final]),
    }


def print_halving(pool: Pool) -> None:
    """What each mode loses at equal cost, by several judges of the config or network that it picks."""
    ladders = modes(pool)
    made = {mode: "warm3" if mode == "warm" else "full" for mode in ladders}
    full, again = dict.fromkeys(made, "full"), dict.fromkeys(made, "second_seed")
    judges: list[tuple[str, dict[str, str], Callable[[str], Scores]]] = [
        ("validation, network made", made, pool.at),
        ("validation, config", full, pool.at),
        *([("validation, another seed", again, pool.at)] if pool.has("second_seed") else []),
    ]
    if np.isfinite(pool.left_over("full")).any():
        judges += [("left over, network made", made, pool.left_over), ("left over, config", full, pool.left_over)]
    print("\nMean regret of the pick in points, at the cost of so many full runs (configs tried):\n")
    print("| judge | mode | " + " | ".join(f"{budget} runs" for budget in BUDGETS) + " |")
    print("|---" * (len(BUDGETS) + 2) + "|")
    for judge, runs, scores_of in judges:
        best = float(np.nanmax(scores_of(runs["full"])))
        for mode, (costs, ladder) in ladders.items():
            cells = []
            for budget in BUDGETS:
                configs = affordable(budget * pool.epochs, costs)
                fits = 0 < configs <= len(pool.runs)
                regret = halving_regret(configs, ladder, scores_of(runs[mode]), best) if fits else None
                cells.append(f"{shown(regret, 100)} ({configs})")
            print(f"| {judge} | {mode} | {' | '.join(cells)} |")


def main() -> int:
    """Measure, or read what was measured, and print the tables."""
    parser = argparse.ArgumentParser(description="How well do rung scores foretell the final ranking?")
    parser.add_argument("--space", default="digits", help="a shipped search space, or a file")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
    parser.add_argument("--epochs", type=int, default=90, help="epochs of a full training")
    parser.add_argument("--configs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0, help="of the draw of configs")
    parser.add_argument("--second-seed", action="store_true", help="train each config fully once more")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("fidelity.json"), help="the scores; goes on where it stands")
    parser.add_argument("--from", dest="files", type=Path, nargs="+", metavar="FILE", help="only print the tables")
    options = parser.parse_args()
    try:
        if options.files is None:
            measure(options)
    except UserError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    for path in options.files or [options.out]:
        pool = Pool(json.loads(path.read_text(encoding="utf-8")))
        print_agreement(pool)
        print_differences(pool)
        print_bias(pool)
        print_halving(pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())
