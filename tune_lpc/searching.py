"""A search from Python: `tune_lpc.run_search`, with what `python -m tune_lpc.run` has."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from tune_lpc.cli.paths import path_given
from tune_lpc.cli.streams import UnfailingStream
from tune_lpc.cli.terminal import terminal
from tune_lpc.plan import Space, UserError
from tune_lpc.plan.errors import shown
from tune_lpc.plan.settings import Value
from tune_lpc.run import parser, searches_of

if TYPE_CHECKING:
    import pandas as pd

    from tune_lpc.results import Tables

_SEVERAL = ("objective", "measure", "warm_start")
"""Arguments that are lists."""
_SWITCHES = ("resume", "no_token", "trust_code", "quiet")

__all__ = ["SearchResult", "UserError", "run_search"]


@dataclass(frozen=True)
class SearchResult:
    """How a search ended.

    folder: of its files. outcome: `finished` where some config has a score. message: why not.
    tables: the content of its Parquet files; None where they could not be written.
    """

    folder: Path
    outcome: Literal["finished", "interrupted", "failed"]
    message: str
    tables: Tables | None

    @property
    def best(self) -> pd.DataFrame:
        """The configs, the best first: best.parquet. Raises UserError where there are no tables."""
        if self.tables is None:
            raise UserError(self.message)
        return self.tables.best


def run_search(
    space: str | Path | Space,
    *,
    out: str | Path | None = None,
    method: str | None = None,
    settings: Mapping[str, Value] | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    hours: float | None = None,
    gpu_hours: float | None = None,
    fidelity: str | None = None,
    first_rung_after: float | None = None,
    control_trials: int | None = None,
    seeds: int | None = None,
    objective: Sequence[str] | None = None,
    sampler: str | None = None,
    warm_start: Sequence[str | Path] = (),
    resume: bool = False,
    max_failures: int | None = None,
    stuck_after: float | None = None,
    data_dir: str | Path | None = None,
    concurrent: int | None = None,
    cpus_per_trial: int | Literal["auto"] | None = None,
    gpus_per_trial: float | Literal["auto"] | None = None,
    processes_per_trial: int | None = None,
    seed: int | None = None,
    measure: Sequence[str] = (),
    optuna_storage: str | None = None,
    address: str | None = None,
    no_token: bool = False,
    trust_code: bool = False,
    quiet: bool = False,
) -> SearchResult:
    """Run a search to its end, with the same checks, files and defaults as `python -m tune_lpc.run`.

    space: the name of a shipped one, a file my_space.py, or a `tune_lpc.plan.Space`. settings: what `--set` takes.
    The others are the options of that command. quiet: print nothing.

    Works in a notebook and in any thread. In the first one an interruption ends the search as Ctrl-C does; the result
    then says so. A Ray that this process uses already is used, and left running.

    Raises UserError with all that is wrong with what is asked for, before anything is written; Interrupted, a
    KeyboardInterrupt, where the search is interrupted before it begins, or twice.
    """
    began = time.monotonic()
    given: dict[str, Any] = {name: value for name, value in locals().items() if name != "began"}
    _check_kinds(given)
    options = parser().parse_args([])
    options.space = space if isinstance(space, Space) else str(space)
    options.method = [method] if method else options.method
    for name in _SEVERAL:
        if given[name]:
            values = [given[name]] if isinstance(given[name], str) else given[name]
            setattr(options, name, [str(value) for value in values])
    options.set = [[f"{name}={_text(value)}" for name, value in (settings or {}).items()]]
    options.resume, options.no_token, options.trust_code = resume, no_token, trust_code
    for name in set(given) - {*_SEVERAL, *_SWITCHES, "space", "method", "settings"}:
        if given[name] is not None:
            setattr(options, name, str(given[name]))
    try:
        for name in ("out", "data_dir"):
            if getattr(options, name) is not None:
                setattr(options, name, path_given(getattr(options, name)))
    except argparse.ArgumentTypeError as error:
        raise UserError(str(error)) from error
    console = terminal(cast(TextIO, UnfailingStream(sys.stdout)), quiet=quiet)
    with closing(searches_of(options, _command(given), began, console)) as searches:
        request, outcome = next(searches)
    how = "interrupted" if outcome.exit_status > 128 else "failed" if outcome.exit_status else "finished"
    if outcome.message:
        console.print(outcome.message, markup=False, highlight=False, soft_wrap=True)
    return SearchResult(request.out, cast(Any, how), outcome.message, outcome.tables)


def _check_kinds(given: Mapping[str, Any]) -> None:
    """Raise UserError for arguments of another kind than their option has; what they hold is checked with the rest."""
    rules: dict[str, tuple[type | tuple[type, ...], str]] = {
        "space": ((str, Path, Space), "a name, a file or a Space"),
        "method": (str, "the name of one method; call run_search once for each"),
        "settings": (Mapping, "a dict of names and values"),
        **dict.fromkeys(_SWITCHES, (bool, "True or False")),
        **dict.fromkeys(_SEVERAL, (Sequence, "a list")),
    }
    found = [
        f"{name} is {shown(given[name])}, but must be {rule}"
        for name, (kind, rule) in rules.items()
        if given[name] is not None and not isinstance(given[name], kind)
    ]
    if found:
        raise UserError(found)


def _text(value: Value) -> str:
    """A value as `--set` takes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _command(given: Mapping[str, object]) -> str:
    """How it can be asked for again, in Python."""
    told = []
    for name, value in given.items():
        if name == "space":
            # A Space of the caller's own can't be told in a line; what it is stands in run.json.
            told.append(f"<Space {value.name!r}>" if isinstance(value, Space) else repr(str(value)))
        elif value is not None and value is not False and value != ():
            told.append(f"{name}={str(value)!r}" if isinstance(value, Path) else f"{name}={value!r}")
    return f"tune_lpc.run_search({', '.join(told)})"
