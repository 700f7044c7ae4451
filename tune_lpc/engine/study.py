"""The study of Optuna's that follows a search: started with it, told of, and closed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tune_lpc.engine.request import Request
from tune_lpc.search.dashboard import FILE, NONE, STUDY_FILE, Mirror, without_password
from tune_lpc.search.director import Director


@contextmanager
def followed_by_study(request: Request, director: Director, say: Callable[[str], None]) -> Iterator[None]:
    """Let a study follow the search as long as the context lasts, where one is asked for. say: prints a line."""
    if request.optuna_storage == NONE:
        yield
        return
    mirror = Mirror(request.space, director.ledger, request.out, request.optuna_storage)
    director.watched_by(mirror)
    place = request.out / STUDY_FILE if request.optuna_storage == FILE else without_password(request.optuna_storage)
    missing = "" if find_spec("optuna_dashboard") else "  (pip install 'tune_lpc[dashboard]')"
    say(f"watch the trials: optuna-dashboard {shlex.quote(str(place))}{missing}")
    try:
        yield
    finally:
        mirror.close()
        if mirror.problem is not None:
            say(f"note: the study for Optuna's dashboard is not up to date: {mirror.problem}")
