"""What a page says in words and tables: its head, the best configs, their measures, all trials, their provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tune_lpc.pages.figure import plain
from tune_lpc.pages.folder import CONFIG, MEASURE, OBJECTIVE, SCORE_COLUMN, Run
from tune_lpc.pages.words import brief, interval, percent, short
from tune_lpc.plan.dimensions import describe_values
from tune_lpc.results.summary import epochs_without_stopping

SHOWN_CONFIGS = 5
MEASURED_CONFIGS = 4
SCORE_DIGITS = 4


@dataclass(frozen=True)
class BestConfig:
    """A config of the ranking in words. values: of what was searched."""

    rank: int
    trial: int
    score: str
    interval: str
    seeds: int
    tied: str
    status: str
    values: Sequence[str]
    objectives: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class MeasureTable:
    """Measures of some configs. header: the configs. rows: the name of a measure, its text, a value a config."""

    header: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]
    images: str


def state(run: Run) -> str:
    """How far the search is."""
    if run.is_running:
        return "still running: this page shows it as it was"
    if run.times.ended is None:
        return "was cut off: its process ended without a word" if run.times.sessions else "its journal is missing"
    return {"finished": "finished", "failed": "ended early"}.get(run.times.ended, run.times.ended)


def facts(run: Run) -> list[tuple[str, str]]:
    """The figures in the head of the page: a name and a value each."""
    trials = run.trials
    found = []
    if len(run.best) and not run.objectives:
        found.append(("best score", percent(float(run.best.iloc[0]["score"]))))
    found += [("configs", f"{len(run.firsts):,}"), ("trainings", f"{len(trials):,}")]
    epochs = int(trials["epochs_trained"].fillna(0).sum())
    found.append(("epochs", f"{epochs:,}"))
    without = epochs_without_stopping(trials) if len(trials) else 0
    if without > epochs:
        found.append(("epochs saved", f"{100 * (1 - epochs / without):.0f} %"))
    if run.times.hours:
        found.append(("search", brief(run.times.hours)))
    seconds = float(trials["seconds"].fillna(0).sum())
    if seconds:
        found.append(("training", brief(seconds / 3600)))
        if without > epochs:
            found.append(("saved, about", brief(seconds / 3600 * (without / epochs - 1))))
    return found


def best_configs(run: Run) -> list[BestConfig]:
    """The first of the ranking in words."""
    found = []
    for _, row in run.best.head(SHOWN_CONFIGS).iterrows():
        values = {name: row.get(f"{CONFIG}{name}") for name in run.searched}
        found.append(
            BestConfig(
                rank=int(row["rank"]),
                trial=int(row["number"]),
                score=percent(float(row["score"])) if pd.notna(row["score"]) else "none",
                interval=interval(row["low"], row["high"]) or "none",
                seeds=1 if pd.isna(row["seeds"]) else int(row["seeds"]),
                tied=_tied(row),
                status=str(row["status"]),
                values=[describe_values({name: _bare(value)}) for name, value in values.items() if pd.notna(value)],
                objectives=[(name, _number(row.get(f"{OBJECTIVE}{name}"))) for name in run.objectives],
            )
        )
    return found


def _tied(row: pd.Series[Any]) -> str:
    if int(row["rank"]) == 1 or pd.isna(row["tied"]):
        return ""
    return "can't be told from rank 1" if row["tied"] else "behind rank 1"


def measures(run: Run) -> MeasureTable | None:
    """The measures of the first configs, those on test images where the search is confirmed; None without any."""
    found = run.confirmed
    if len(found) and found[_measured(found, "test.")].notna().any(axis=None):
        return _measures_of(run, found, "test.", "test images, the mean over seeds")
    return _measures_of(run, run.trials, MEASURE, "validation images, of the first seed")


def _measures_of(run: Run, table: pd.DataFrame, prefix: str, images: str) -> MeasureTable | None:
    """The measures in the columns of `table` that begin with `prefix`."""
    names = _measured(table, prefix)
    ranked = run.best[run.best["trial_id"].isin(table.dropna(subset=names, how="all")["trial_id"])]
    chosen = ranked.head(MEASURED_CONFIGS)
    if not names or chosen.empty:
        return None
    texts = {**run.part("measures"), **(run.part("confirm").get("measures") or {})}
    rows = []
    for name in names:
        values = [_number(table[table["trial_id"] == trial_id][name].mean()) for trial_id in chosen["trial_id"]]
        bare = name.removeprefix(prefix)
        rows.append((bare, str(texts.get(bare, "")), values))
    return MeasureTable([f"rank {int(rank)}" for rank in chosen["rank"]], rows, images)


def _measured(table: pd.DataFrame, prefix: str) -> list[str]:
    """The columns of measures."""
    return [name for name in map(str, table.columns) if name.startswith(prefix) and not name.endswith(".reason")]


def all_trials(run: Run) -> dict[str, Any]:
    """The trials for the table that sorts and filters: columns by name, compact."""
    trials = run.trials
    measured = [f"{MEASURE}{name}" for name in run.part("measures") if f"{MEASURE}{name}" in trials]
    names = ["number", "status", SCORE_COLUMN, "epochs", *(f"{CONFIG}{name}" for name in run.searched), *measured]
    names += ["repeat_of"] if trials["repeat_of"].notna().any() else []
    names += ["reason"] if trials["status"].isin(["failed", "diverged"]).any() else []
    titles = {"number": "trial", SCORE_COLUMN: "last score", "repeat_of": "seed of"}
    columns = []
    for name in names:
        values = [None if pd.isna(value) else _compact(value) for value in trials[name]]
        title = titles.get(name, name.removeprefix(CONFIG).removeprefix(MEASURE))
        digits = {"digits": SCORE_DIGITS} if name == SCORE_COLUMN else {}
        columns.append({"name": title, "values": _coded(values), **digits})
    return {"count": len(trials), "columns": columns}


def _coded(values: list[Any]) -> Any:
    """The values; texts as numbers of a list of them, as thousands of trials have the same few."""
    if not any(isinstance(value, str) for value in values):
        return values
    texts = list(dict.fromkeys(str(value) for value in values if value is not None))
    place = {text: number for number, text in enumerate(texts)}
    return {"texts": texts, "codes": [None if value is None else place[str(value)] for value in values]}


def _compact(value: Any) -> Any:
    found = plain(value)
    return float(f"{found:.5g}") if isinstance(found, float) else found


def provenance(run: Run) -> list[tuple[str, str]]:
    """Command, versions and hashes."""
    about = run.about
    if not about:
        return []
    data, git = run.part("data"), run.part("git")
    rows = [
        ("command", str(about.get("command", ""))),
        ("started", str(about.get("started", ""))),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.part("versions").items())),
        ("git commit", f"{git.get('commit', '')}{', with changes' if git.get('dirty') else ''}"),
        ("hardware", _named(run.part("hardware"))),
        ("resources", _named(run.part("resources"))),
        ("space", _with_hash(str(run.space.get("name", "")), about.get("space_hash"))),
        ("data", _with_hash(str(data.get("source", "")), data.get("fingerprint"))),
        ("split", _with_hash("", about.get("split_hash"))),
        ("seeds", _named(run.part("seeds"))),
        ("rungs", ", ".join(map(str, about.get("rungs") or ()))),
        ("precision", str(about.get("precision", ""))),
        ("processes", f"{run.times.sessions}" if run.times.sessions > 1 else ""),
    ]
    opened = about.get("test_openings")
    if isinstance(opened, list) and opened:
        times = sum(int(one.get("openings", 0)) for one in opened if isinstance(one, dict))
        rows.append(("test images opened", f"{times:,} times"))
    return [(name, value) for name, value in rows if value]


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items() if value is not None)


def _with_hash(text: str, digest: Any) -> str:
    return ", ".join(part for part in (text, f"SHA-256 {digest}" if digest else "") if part)


def _number(value: Any) -> str:
    return "none" if value is None or pd.isna(value) else short(float(value))


def _bare(value: Any) -> Any:
    """A value of a table as plain Python."""
    return value.item() if hasattr(value, "item") else value
