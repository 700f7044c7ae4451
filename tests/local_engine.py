"""The engine without Ray: a search's trials one after another, in the process of the tests.

For whole commands of which Ray is not the question: no process has to start, and everything but Ray Tune itself, that
is the director, the journal, the trainable and what it reports, is what runs otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from tune_lpc.engine import tuner
from tune_lpc.engine.report import NUMBER, REPORT
from tune_lpc.engine.request import Request
from tune_lpc.engine.scheduler import DirectorScheduler, DirectorSearcher
from tune_lpc.engine.trainable import TrialTrainable
from tune_lpc.plan.resources import Resources
from tune_lpc.search.director import Director, Verdict
from tune_lpc.training.prepare import Prepared


@contextmanager
def trials_run_here() -> Iterator[None]:
    """Commands that search meanwhile do so without Ray Tune; Ray itself must be there, as a command starts it."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuner, "_fit", _fit_here)
        yield
    torch.set_num_threads(threads)


def _fit_here(
    request: Request, director: Director, resources: Resources, prepared: Prepared, log: Any, view: Any, *_: Any
) -> None:
    """In place of `tuner._fit`."""
    job = tuner._job(request, director, resources, prepared)
    searcher, scheduler = DirectorSearcher(director), DirectorScheduler(director, view)
    worker: TrialTrainable | None = None
    while isinstance(config := searcher.suggest(""), dict):
        director.starts(config[NUMBER], time.monotonic())
        if worker is None:
            worker = TrialTrainable.__new__(TrialTrainable)  # without the folders that Ray makes for it
            worker.setup(config, job)
        else:
            worker.reset_config(config)
        verdict = Verdict.GOES_ON
        while verdict is Verdict.GOES_ON:
            verdict = scheduler.tell(config[NUMBER], worker.step()[REPORT], time.monotonic())
