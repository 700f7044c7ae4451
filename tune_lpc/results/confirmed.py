"""The table of a confirmation, confirm.parquet, made from its journal; and how often test images were opened.

A confirmation is a run of its own in the folder `confirm` of a search. What it found never gets back into the search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.methods import regularisers_on
from tune_lpc.plan.record import SCORE
from tune_lpc.results.events import trial_id_of
from tune_lpc.results.export import as_pandas, note_files, write_files
from tune_lpc.results.journal import JOURNAL_FILE
from tune_lpc.results.ledger import Ledger, read_ledger
from tune_lpc.results.loading import load_run
from tune_lpc.results.schema import confirm_schema
from tune_lpc.results.tables import made_table, named
from tune_lpc.results.trial import Trial

CONFIRM_FOLDER = "confirm"
"""Where the confirmation lies in the folder of its search; an earlier one is moved to confirm-1, and so on."""
CONFIRM_FILE = "confirm.parquet"
PLAN = "confirm"
"""Where run.json of a confirmation says what is confirmed."""
OPENINGS = "test_openings"
"""Where run.json of the search says how often test images were opened."""
TRAIN, ALL = "train", "all"
"""What a confirmation trains on: the images that a search trains on, or its validation images as well."""
MEASURE = "test."
"""What the columns of measures on test images begin with."""


def export_confirmed(directory: Path) -> tuple[pd.DataFrame, list[str]]:
    """Write confirm.parquet in the folder of a search, from the journal of its confirmation.

    The table, and a line for each damaged entry of the journal. Raises UserError where there is no confirmation,
    OSError when the file can't be written.
    """
    journal = directory / CONFIRM_FOLDER / JOURNAL_FILE
    if not journal.is_file():
        raise UserError(f"{directory} is not confirmed; do so: python -m tune_lpc.confirm {directory}")
    ledger, damaged = read_ledger(journal)
    table = confirm_table(ledger)
    write_files({}, {directory / CONFIRM_FILE: table})
    note_files(directory, [CONFIRM_FILE])
    folder = directory / CONFIRM_FOLDER
    tested = [trial.tested for trial in ledger.trials.values() if trial.tested is not None]
    files = [name for one in tested for name in (one.network, str(Path(one.network).with_suffix(".json")))]
    note_files(folder, [name for name in files if (folder / name).is_file()])
    return as_pandas(table), damaged


def confirm_table(ledger: Ledger) -> pa.Table:
    """A row a network, those of a config together, the first of the ranking first."""
    plan = ledger.run.get(PLAN, {})
    rows = (
        _row(network, ledger.trials.get(trial_id_of(number)), ledger, plan)
        for number, network in enumerate(plan.get("networks", ()))
    )
    return made_table(rows, confirm_schema(ledger.about))


def load_confirmed(directory: Path) -> pd.DataFrame:
    """The content of confirm.parquet in the folder of a search.

    Raises UserError where there is none, or where it is damaged.
    """
    path = directory / CONFIRM_FILE
    if not path.is_file():
        load_run(directory)  # tells where there is no run at all
        raise UserError(f"{directory} is not confirmed; do so: python -m tune_lpc.confirm {directory}")
    try:
        return as_pandas(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged, it must be a Parquet file: {str(error).splitlines()[0]}") from error


def openings(directory: Path) -> list[dict[str, Any]]:
    """What is known of each confirmation of the search in `directory`, the first one first.

    For each: its folder, when it began, its command, the networks that were tested, and how often test images were
    opened for them. Empty where they never were.
    """
    found = []
    places = {folder: place for folder in directory.glob(f"{CONFIRM_FOLDER}*") if (place := _place(folder)) is not None}
    for folder in sorted(places, key=places.__getitem__):
        journal = folder / JOURNAL_FILE
        if not journal.is_file():
            continue
        ledger, _ = read_ledger(journal)
        tested = [trial.tested for trial in ledger.trials.values() if trial.tested is not None]
        if tested:
            found.append(
                {
                    "folder": folder.name,
                    "started": ledger.run.get("started", ""),
                    "command": ledger.run.get("command", ""),
                    "networks": len(tested),
                    "openings": sum(one.openings for one in tested),
                }
            )
    return found


def _place(folder: Path) -> tuple[int, int] | None:
    """Its place among the confirmations of a search, the newest last; None where it is none."""
    if folder.name == CONFIRM_FOLDER:
        return 1, 0
    match = re.fullmatch(rf"{CONFIRM_FOLDER}-([0-9]+)", folder.name)
    return (0, int(match[1])) if match is not None else None


def _row(network: Mapping[str, Any], trial: Trial | None, ledger: Ledger, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a network that was asked for, trained or not."""
    config: Mapping[str, Any] = trial.config if trial is not None else network.get("config", {})
    tested = trial.tested if trial is not None and trial.is_trained else None
    last = trial.longest.last if trial is not None and trial.longest is not None else {}
    row: dict[str, Any] = {
        "method": config.get("method"),
        "space": plan.get("space"),
        "rank": network["rank"],
        "trial_id": network["trial_id"],
        "seed": network["seed"],
        "split": network["split"],
        "index": network["index"],
        "train_on": plan.get("train_on"),
        "announced": network["announced"],
        "announced_low": network["announced_low"],
        "announced_high": network["announced_high"],
        "opened_before": plan.get("opened_before"),
        "status": "interrupted" if trial is None else trial.status,
        "reason": None if trial is None else trial.reason,
        "validation_accuracy": last.get(SCORE) if plan.get("train_on") == TRAIN else None,
        "train_images": plan.get("train_images"),
        "test_images": tested.images if tested else None,
        "test_accuracy": tested.accuracy if tested else None,
        "test_loss": tested.loss if tested else None,
        "openings": tested.openings if tested else 0,
        "network": f"{CONFIRM_FOLDER}/{tested.network}" if tested else None,
        "epochs": trial.epochs_trained if trial is not None else 0,
        "seconds": trial.seconds if trial is not None else 0.0,
        "regularisers": regularisers_on(config),
        **named("config", config),
    }
    for name in plan.get("measures", {}):
        value = tested.measures.get(name) if tested else None
        reason = (tested.reasons.get(name, "not taken") if tested else "not tested") if value is None else None
        row |= {f"{MEASURE}{name}": value, f"{MEASURE}{name}.reason": reason}
    return row
