"""The columns of the Parquet files, with type, unit and meaning; never inferred from the data.

Field metadata: `description` and `unit`. Schema metadata: `tune_lpc.schema`, the version of the columns, and
`tune_lpc.run`, the content of run.json as JSON: command, versions, git commit, space and its hash, fingerprint of the
data, hash of the split, seeds, and hardware of each session.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import pyarrow as pa

from tune_lpc.plan.objectives import MAX, several_objectives
from tune_lpc.plan.record import SCORE, EpochRecord, record_fields
from tune_lpc.plan.trial import setting_field, setting_names, setting_type
from tune_lpc.results.events import Status

SCHEMA_VERSION = "2"
"""Raised when a column changes its name, type or meaning; added columns don't raise it.

2: a trial may train several runs, each of its own budget. An epoch is known by trial_id, budget and epoch together, no
   longer by trial_id and epoch; `epochs` counts those of one run, in trials.parquet the longest, in best.parquet the
   one that is ranked.
"""

OBJECTIVE = "objective."
"""What the columns of objectives begin with."""
_ARROW_TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}


def trials_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of trials.parquet: a row a trial. `run` is the content of run.json."""
    return _schema(
        [
            _trial_id(),
            _number(),
            _status(),
            _column("reason", str, "why the trial ended; null when it was interrupted, by a kill or as time was up"),
            _control("the trial"),
            _column(
                "repeat_of",
                int,
                "number of the first trial of the config, of which this one is a further seed; null for a first trial",
            ),
            _column(
                "budget",
                int,
                "epochs that its longest run was to train; `best_epoch`, `best.<name>` and `last.<name>` tell of it",
                "epochs",
            ),
            _column("epochs", int, "epochs reached in its longest run", "epochs"),
            _column("epochs_trained", int, "epochs of all its runs, each counted once", "epochs"),
            _column("epochs_repeated", int, "epochs that were done again after a failure or on resuming", "epochs"),
            _column(
                "restarts",
                int,
                "how often the search started it again: its worker or node was lost, or it was stuck",
            ),
            _column("seconds", float, "wall time of all its epochs, those done again included", "s"),
            _best_epoch(),
            *_record_columns("best.", "at the best epoch: "),
            *_record_columns("last.", "at the last epoch: "),
            *_measure_columns(run),
            *_config_columns(),
        ],
        run,
    )


def epochs_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of epochs.parquet: a row an epoch of a run of a trial. `run` is the content of run.json."""
    key = [_column(field.name, int, field.metadata["text"], field.metadata["unit"]) for field in record_fields()[:2]]
    return _schema([_trial_id(), _number(), *key, *_record_columns("", "")], run)


def best_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of best.parquet: a row a ranked config. `run` is the content of run.json."""
    return _schema(
        [
            _column("rank", int, "place in the ranking, from 1"),
            _column(
                "score",
                float,
                "mean over the seeds of the validation accuracy at the end of the run that is ranked, and of its last "
                "epochs, as many as score_window in run.json",
                "0 to 1",
            ),
            _column(
                "low",
                float,
                "lower end of its 95 % interval, from the luck of seeds and of images; null for a run that is not "
                "finished",
                "0 to 1",
            ),
            _column("high", float, "upper end of that interval", "0 to 1"),
            _column("seeds", int, "seeds with a score, each a trial: the first, and those that repeat it"),
            _column("diverged_seeds", int, "further seeds whose training diverged"),
            _column(
                "tied",
                bool,
                "whether it cannot be told from rank 1 by more than luck; rank 1 is tied with itself, and nothing is "
                "where there is no interval; null with several objectives",
            ),
            _column(
                "front",
                int,
                "1: on the Pareto front; 2: only those of front 1 are better in one objective and as good in all; and "
                "so on; null with one objective, below the full budget, and without a value of an objective",
            ),
            *_objective_columns(run, "mean over the seeds, as of the score"),
            _column("regularisers", int, "how many regularisers it has on: of tied configs the fewer the simpler"),
            _column("trial_id", str, "name of its first trial, unique in the search"),
            _number(),
            _status(),
            _column("budget", int, "epochs that this run was to train", "epochs"),
            _column("epochs", int, "epochs reached in this run", "epochs"),
            _best_epoch(),
            *(field for field in _record_columns("best.", "at the best epoch: ") if field.name == f"best.{SCORE}"),
            *_config_columns(),
        ],
        run,
    )


def rungs_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of rungs.parquet: a row a decision of a rung. `run` is the content of run.json."""
    return _schema(
        [
            _trial_id(),
            _number(),
            _rung(),
            _column(
                "score",
                float,
                "mean validation accuracy of the last epochs there, as many as score_window in run.json; null when the "
                "last was infinite or not a number",
                "0 to 1",
            ),
            _column("rank", int, "place of that score among those seen at the rung so far, from 1"),
            _column("of", int, "scores seen at the rung so far, this one included"),
            _column("goes_on", bool, "whether the trial goes on after the rung"),
            _control("it"),
            _column(
                "promoted",
                bool,
                "whether it had been left at this rung when it came, in an earlier row, and goes on now, being among "
                "the best there",
            ),
            *_objective_columns(run, "value there"),
        ],
        run,
    )


def front_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of front.parquet: a row a trial that trained its full budget. `run` is the content of run.json."""
    return _schema(
        [
            _trial_id(),
            _number(),
            _column("epochs", int, "epochs trained until then by all trials, each counted once", "epochs"),
            _column("configs", int, "configs with a value of each objective after the full budget"),
            _column("on_front", int, "how many of them are on the Pareto front"),
            _column(
                "hypervolume",
                float,
                "what the front covers of the ranges of all objectives, from their reference points on: 1 would be a "
                "config at the best end of each (docs/objectives.md)",
                "0 to 1",
            ),
        ],
        run,
    )


def placements_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of placements.parquet: a row a stay of a trial on a worker. `run` is the content of run.json."""
    return _schema(
        [
            _trial_id(),
            _number(),
            _column(
                "session",
                int,
                "which process drove the search then: 0 began it, and run.json tells its versions and hardware; those "
                "from 1 resumed it, and run.json tells theirs under `sessions`",
            ),
            _column("host", str, "name of the machine"),
            _column("pid", int, "process that trained the trial, or that asked `processes` of its own to"),
            _column("from_budget", int, "run in which it went on from a checkpoint; null at its beginning", "epochs"),
            _column("from_epoch", int, "epoch of that run after which it went on; null at its beginning"),
            _column("processes", int, "that trained the trial together, each on its share of every batch"),
        ],
        run,
    )


def fidelity_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of fidelity.parquet: a row a rung that control trials reached. `run` is the content of run.json."""
    return _schema(
        [
            _rung(),
            _column("trials", int, "control trials compared: those with a score there that went on to their end"),
            _column(
                "spearman",
                float,
                "rank correlation of the scores at the rung with the final ones; null below 3 trials",
                "-1 to 1",
            ),
            _column("kept", float, "share of the truly best that the rung lets through", "0 to 1"),
            _column(
                "regret", float, "best final score of all minus the best of those that the rung lets through", "0 to 1"
            ),
        ],
        run,
    )


def comparison_schema(made: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of comparison.parquet: a row a config and measure. made: by what command, of which searches."""
    return _schema(
        [
            _column(
                "label", str, "by what the tables tell the search: its method, with a folder where several have that"
            ),
            _column("method", str, "method of the search"),
            _column("space", str, "name of its space"),
            _column("directory", str, "its folder, as it was given"),
            _column("rank", int, "rank of the config in its search; 1 is the one that is tested"),
            _column("measure", str, "column of confirm.parquet"),
            _column("networks", int, "networks of the config that were trained, those left out included"),
            _column("values", int, "networks that have a value"),
            _column("mean", float, "mean of the values"),
            _column("deviation", float, "their standard deviation (n - 1); null for one value"),
            _column("median", float, "their median"),
            _column(
                "geometric",
                bool,
                "whether the next four are taken by logarithms, as all values of the named configs are positive and "
                "differ by a factor of 10 or more",
            ),
            _column("middle", float, "mean, or geometric mean"),
            _column("spread", float, "standard deviation, or the factor that one of the logarithms is"),
            _column("low", float, "lower end of the 95 % interval of the middle, by Student's t"),
            _column("high", float, "upper end of that interval"),
            _column("reason", str, "why there is no interval; null where there is one"),
            _column("announced", float, "score of the config in its search; null for other measures", "0 to 1"),
            _column("announced_low", float, "lower end of its 95 % interval", "0 to 1"),
            _column("announced_high", float, "upper end of that interval", "0 to 1"),
            _column("optimism", float, "announced minus mean test accuracy; null for other measures", "-1 to 1"),
            _column("optimism_low", float, "lower end of its 95 % interval, from the luck of the seeds", "-1 to 1"),
            _column("optimism_high", float, "upper end of that interval", "-1 to 1"),
            _column("trials", int, "trials of the search without further seeds"),
            _column("further_seeds", int, "its trials that repeat one of these with a further seed"),
            _column("epochs_trained", int, "epochs of all its trials, each counted once", "epochs"),
            _column("hours", float, "wall time of all epochs of the search added up", "h"),
        ],
        made,
    )


def comparison_tests_schema(made: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of comparison_tests.parquet: a row a test. made: by what command, of which searches."""
    return _schema(
        [
            _column("measure", str, "column of confirm.parquet"),
            _column("label", str, "search whose named config is tested"),
            _column("against", str, "search against whose named config"),
            _column("pairs", int, "seeds, each with its split, that both have a value of"),
            _column("geometric", bool, "whether logarithms are compared, as in comparison.parquet"),
            _column(
                "difference", float, "mean of label minus against; geometric: geometric mean of label over against"
            ),
            _column("low", float, "lower end of its 95 % interval, not corrected for the other tests"),
            _column("high", float, "upper end of that interval"),
            _column("t", float, "Student's t of the pairs, with pairs - 1 degrees of freedom"),
            _column("p", float, "its p, two-sided", "0 to 1"),
            _column("tests", int, "tests of the family: those of test_accuracy, or those of all other measures"),
            _column("p_holm", float, "p corrected for these by Holm", "0 to 1"),
            _column("differs", bool, "whether that is below 0.05; null without a test"),
            _column("cohen_d", float, "mean of the differences over their standard deviation"),
            _column("hedges_g", float, "the same without its bias; null below 3 pairs"),
            _column("unequal_budget", str, "what the search of label had more or less; null at equal budget"),
            _column("reason", str, "why there is no test; null where there is one"),
        ],
        made,
    )


def confirm_schema(run: Mapping[str, Any] | None = None) -> pa.Schema:
    """Columns of confirm.parquet: a row a network. `run` is the content of run.json of the confirmation."""
    return _schema(
        [
            _column("method", str, "name of the method"),
            _column("space", str, "name of the search space"),
            _column("rank", int, "place of its config in best.parquet of the search, from 1"),
            _column("trial_id", str, "name of the first trial of the config in the search"),
            _column("seed", int, "seed of this training, one that the search did not use"),
            _column("split", int, "which of the fixed splits it trains on"),
            _column("index", int, "number of this network among those of its config, from 0: `seed` of tune_lpc.load"),
            _column("train_on", str, "train: the images that the search trains on; all: its validation images too"),
            _column("announced", float, "score of the config in the search: mean validation accuracy", "0 to 1"),
            _column("announced_low", float, "lower end of the 95 % interval of that score", "0 to 1"),
            _column("announced_high", float, "upper end of that interval", "0 to 1"),
            _column("opened_before", int, "how often test images had been opened for this search before"),
            _status(),
            _column("reason", str, "why the training ended; null when it was interrupted"),
            _column(
                "validation_accuracy",
                float,
                "at the last epoch; null with train_on all, where these images trained",
                "0 to 1",
            ),
            _column("train_images", int, "images that it trained on"),
            _column("test_images", int, "images that it was tested on; null, as what follows, where it was not tested"),
            _column("test_accuracy", float, "accuracy on the test images, in float32", "0 to 1"),
            _column("test_loss", float, "mean cross-entropy on the test images", "nats"),
            _column("openings", int, "how often test images were opened for this network: once, but for a kill"),
            _column("network", str, "file of the trained network, in the folder of the search"),
            _column("epochs", int, "epochs trained", "epochs"),
            _column("seconds", float, "wall time of its epochs, those done again included", "s"),
            *_measure_columns((run or {}).get("confirm"), "test.", "on the test images"),
            _column("regularisers", int, "how many regularisers the config has on"),
            *_config_columns(),
        ],
        run,
    )


def _schema(fields: list[pa.Field], run: Mapping[str, Any] | None) -> pa.Schema:
    metadata = {"tune_lpc.schema": SCHEMA_VERSION, "tune_lpc.run": json.dumps(run or {})}
    return pa.schema(fields, metadata=metadata)


def _column(name: str, kind: type, text: str, unit: str = "") -> pa.Field:
    return pa.field(name, _ARROW_TYPES[kind], metadata={"description": text, "unit": unit})


def _trial_id() -> pa.Field:
    return _column("trial_id", str, "name of the trial, unique in the search")


def _number() -> pa.Field:
    return _column("number", int, "number of the trial, from 0, in order of creation")


def _status() -> pa.Field:
    return _column("status", str, "how the trial ended: " + ", ".join(list(Status)[:-1]) + f" or {list(Status)[-1]}")


def _rung() -> pa.Field:
    return _column("rung", int, "where trials are compared: epochs of a short run, or of the one long run", "epochs")


def _control(subject: str) -> pa.Field:
    return _column("control", bool, f"whether {subject} is a control trial, which no rung stops")


def _best_epoch() -> pa.Field:
    return _column("best_epoch", int, "epoch of the best validation accuracy, the first of equals; null without any")


def _record_columns(prefix: str, before: str) -> list[pa.Field]:
    """Every field of an EpochRecord but budget and epoch, under `prefix`."""
    types = get_type_hints(EpochRecord)
    return [
        _column(
            prefix + field.name, _value_type(types[field.name]), before + field.metadata["text"], field.metadata["unit"]
        )
        for field in record_fields()[2:]
    ]


def _measure_columns(
    about: Mapping[str, Any] | None, prefix: str = "measure.", images: str = "on the validation images"
) -> list[pa.Field]:
    """What `--measure` asked for, as measure.<name>, and why one is null, as measure.<name>.reason."""
    columns = []
    for name, text in (about or {}).get("measures", {}).items():
        columns.append(_column(f"{prefix}{name}", float, f"{images}: {text}"))
        columns.append(_column(f"{prefix}{name}.reason", str, f"why {prefix}{name} is null"))
    return columns


def _objective_columns(run: Mapping[str, Any] | None, text: str) -> list[pa.Field]:
    """The objectives of a search with several, as objective.<name>."""
    objectives = several_objectives((run or {}).get("space", {}).get("objectives", ()))
    return [
        _column(OBJECTIVE + each.name, float, f"{text}; {'more' if each.direction == MAX else 'less'} is better")
        for each in objectives
    ]


def _config_columns() -> list[pa.Field]:
    """Every setting of a TrialSpec, as config.<name>."""
    columns = []
    for name in setting_names():
        rule = setting_field(name).metadata
        text = rule["text"] + ("; null where it has no effect" if rule["needs"] else "")
        columns.append(_column(f"config.{name}", setting_type(name), text.replace("None", "null")))
    return columns


def _value_type(hint: Any) -> type:
    """The type of a field's values, whether or not it may be None."""
    kind: type = next((part for part in get_args(hint) if part is not type(None)), hint)
    return kind
