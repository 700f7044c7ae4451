"""Syne Tune's scheduler behind lines of JSON; see `syne_asha.py`. Runs in an environment of its own."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import sys
from typing import Any

import numpy as np

with contextlib.redirect_stdout(sys.stderr):  # it prints what else could be installed
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
    from syne_tune.optimizer.baselines import ASHA
    from syne_tune.optimizer.scheduler import SchedulerDecision

KINDS = {
    ("Float", False): uniform,
    ("Float", True): loguniform,
    ("Int", False): randint,
    ("Int", True): lograndint,
}


class Search:
    """One search: a scheduler and its trials."""

    def __init__(self, space: dict[str, Any], max_t: int, seed: int) -> None:
        np.random.seed(seed)
        ranges = {
            name: choice(found["options"])
            if "options" in found
            else KINDS[found["type"], found["log"]](found["low"], found["high"])
            for name, found in space.items()
        }
        self.scheduler = ASHA(
            ranges, metric="score", mode="max", resource_attr="epoch", max_t=max_t, type="promotion", random_seed=seed
        )
        self.trials: dict[int, Trial] = {}

    def suggest(self, trial: int) -> dict[str, Any]:
        """A new config under the number `trial`, or the number of a trial to resume."""
        suggestion = self.scheduler.suggest(trial)
        if not suggestion.spawn_new_trial_id:
            return {"resume": suggestion.checkpoint_trial_id, "config": None}
        self.trials[trial] = Trial(trial, suggestion.config, datetime.datetime.now())
        self.scheduler.on_trial_add(self.trials[trial])
        return {"resume": None, "config": suggestion.config}

    def train(self, trial: int, done: int, scores: list[float], fails: bool) -> int:
        """Report epochs after the first `done` until the scheduler pauses or stops the trial; how many there were."""
        for epoch, score in enumerate(scores, start=1):
            if fails and epoch == len(scores):
                self.scheduler.on_trial_error(self.trials[trial])
                return epoch
            decision = self.scheduler.on_trial_result(self.trials[trial], {"epoch": done + epoch, "score": score})
            if decision != SchedulerDecision.CONTINUE:
                self.scheduler.on_trial_remove(self.trials[trial])
                return epoch
        self.scheduler.on_trial_complete(self.trials[trial], {"epoch": done + len(scores), "score": scores[-1]})
        return len(scores)


def main() -> None:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # Syne Tune prints
    search = None
    for line in sys.stdin:
        question = json.loads(line)
        op = question.pop("op")
        answer: Any = None
        if op == "version":
            answer = importlib.metadata.version("syne-tune")
        elif op == "begin":
            search = Search(**question)
        elif search is not None:
            answer = search.suggest(**question) if op == "suggest" else search.train(**question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
