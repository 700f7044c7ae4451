"""The figures that a search ends with, taken from its tables; printing them is the terminal's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tune_lpc.plan.record import SCORE
from tune_lpc.plan.trial import Value
from tune_lpc.results.events import Status
from tune_lpc.results.export import Tables
from tune_lpc.results.schema import OBJECTIVE


@dataclass(frozen=True)
class RankedConfig:
    """A row of the ranking.

    trial_id, number, status: of the first trial with it. budget: epochs that the ranked run was to train; epochs: those
    it reached. score: mean validation accuracy at its end over `seeds` (0 to 1); low, high: its 95 % interval, None
    where there is none. tied: whether it cannot be told from rank 1. regularisers: how many are on. best_score: the
    validation accuracy of `best_epoch` of the first trial. config: the searched settings; None where one has no effect.
    front, objectives: where there are several, the number of its front and their values, None where there is none.
    """

    rank: int
    trial_id: str
    number: int
    status: str
    score: float
    low: float | None
    high: float | None
    seeds: int
    tied: bool
    regularisers: int
    budget: int
    epochs: int
    best_epoch: int
    best_score: float
    config: dict[str, Value]
    front: int | None = None
    objectives: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RungAgreement:
    """How well the scores at a rung foretell the final ones, from the control trials; None where there is no figure.

    trials: how many were compared. spearman: rank correlation, -1 to 1. kept: share of the truly best that the rung
    lets through, 0 to 1. regret: best final score of all minus the best of those let through.
    """

    rung: int
    trials: int
    spearman: float | None
    kept: float | None
    regret: float | None


@dataclass(frozen=True)
class Summary:
    """A search in figures.

    trials: how many, further seeds included; repeats: how many of them are further seeds.
    counts: how many ended in each status, every status named.
    restarts: how often a trial was started again, since its worker or node was lost, or it was stuck.
    epochs_spent: everything trained: all runs of all trials, and the epochs done again.
    epochs_repeated: those done again, after a failure or on resuming.
    epochs_without_stopping: what the same trials would have cost with no rungs: one run of the full budget for each
        that was completed or stopped. Diverged, failed and interrupted trials count as they are: it is not a rung that
        ended them. So do further seeds, of which there would have been as many.
    share_saved: the share of those that the rungs saved, repeated epochs left out: they are not the rungs' doing.
        Below 0 when the short runs of climbs cost more than was saved by stopping; at most 1.
    seconds: wall time of all epochs added up; trials that ran side by side count each.
    agreements: a line a rung, empty without control trials.
    ranked: how many configs are. best: the first of the ranking.
    tied: how many configs, from rank 1 on, cannot be told from it, 1 when rank 1 stands alone; tied_in_a_row: whether
        they are the first ones, none between them being told from it; simplest: of these the one with the fewest
        regularisers, None where rank 1 has as few. With several objectives nothing is told of that.
    front: the configs on the Pareto front, as ranked; none with one objective. hypervolume: what it covers, 0 to 1.
    """

    trials: int
    repeats: int
    counts: dict[str, int]
    restarts: int
    epochs_spent: int
    epochs_repeated: int
    epochs_without_stopping: int
    share_saved: float
    seconds: float
    agreements: list[RungAgreement]
    ranked: int
    best: list[RankedConfig]
    tied: int
    tied_in_a_row: bool
    simplest: RankedConfig | None
    front: list[RankedConfig]
    hypervolume: float | None


def summarise(tables: Tables, *, searched: list[str], top: int = 5) -> Summary:
    """The figures of a search, with its `top` best configs and their values of the `searched` settings."""
    trials = tables.trials
    trained, repeated = int(trials["epochs_trained"].sum()), int(trials["epochs_repeated"].sum())
    without = epochs_without_stopping(trials)
    best = [_ranked_config(row, searched) for row in tables.best.to_dict("records")]
    tied = [config for config in best if config.tied]
    simplest = min(tied, key=lambda config: (config.regularisers, config.rank), default=None)
    return Summary(
        trials=len(trials),
        repeats=int(trials["repeat_of"].notna().sum()),
        counts={str(status): int((trials["status"] == status).sum()) for status in Status},
        restarts=int(trials["restarts"].sum()),
        epochs_spent=trained + repeated,
        epochs_repeated=repeated,
        epochs_without_stopping=without,
        share_saved=1 - trained / without if without else 0.0,
        seconds=float(trials["seconds"].sum()),
        agreements=[_rung_agreement(row) for row in tables.fidelity.to_dict("records")],
        ranked=len(best),
        best=best[:top],
        tied=len(tied),
        tied_in_a_row=all(config.rank <= len(tied) for config in tied),
        simplest=None if simplest is None or simplest.rank == 1 else simplest,
        front=[config for config in best if config.front == 1],
        hypervolume=None if tables.front.empty else float(tables.front["hypervolume"].iloc[-1]),
    )


def epochs_without_stopping(trials: pd.DataFrame) -> int:
    """What the trials of trials.parquet would have cost with no rungs; see `Summary`."""
    has_run_its_course = trials["status"].isin(["completed", "stopped"])
    return int(trials["epochs_trained"].mask(has_run_its_course, trials["config.epochs"]).sum())


def _rung_agreement(row: dict[Any, Any]) -> RungAgreement:
    figures = {name: None if pd.isna(row[name]) else row[name] for name in ("spearman", "kept", "regret")}
    return RungAgreement(rung=row["rung"], trials=row["trials"], **figures)


def _ranked_config(row: dict[Any, Any], searched: list[str]) -> RankedConfig:
    return RankedConfig(
        rank=row["rank"],
        trial_id=row["trial_id"],
        number=row["number"],
        status=row["status"],
        score=row["score"],
        low=None if pd.isna(row["low"]) else row["low"],
        high=None if pd.isna(row["high"]) else row["high"],
        seeds=row["seeds"],
        tied=not pd.isna(row["tied"]) and bool(row["tied"]),
        regularisers=row["regularisers"],
        budget=row["budget"],
        epochs=row["epochs"],
        best_epoch=row["best_epoch"],
        best_score=row[f"best.{SCORE}"],
        front=None if pd.isna(row["front"]) else row["front"],
        objectives={
            name.removeprefix(OBJECTIVE): None if pd.isna(value) else value
            for name, value in row.items()
            if name.startswith(OBJECTIVE)
        },
        config={name: None if pd.isna(row[f"config.{name}"]) else row[f"config.{name}"] for name in searched},
    )
