"""What run.json says."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path

import torch

from tests.search.searches import SPACE
from tune_lpc import __version__
from tune_lpc.plan.fidelity import Fidelity
from tune_lpc.plan.resources import Resources, cpus_here
from tune_lpc.plan.schedules import SCHEDULES_VERSION
from tune_lpc.search.opening import Identity
from tune_lpc.search.provenance import describe_run, describe_session
from tune_lpc.training.prepare import prepare

DIGITS = replace(SPACE, settings={**SPACE.settings, "dataset": "digits", "network": "mlp"})


def test_a_session_tells_versions_hardware_resources_and_commit() -> None:
    session = describe_session(Resources(2, 1, 0.0))
    assert list(session) == ["versions", "git", "resources", "hardware", "time"]
    assert session["versions"]["tune_lpc"] == __version__
    assert session["versions"]["python"] == platform.python_version()
    assert session["versions"]["torch"] == torch.__version__.partition("+")[0] or torch.__version__
    assert session["hardware"]["cpus"] == cpus_here()
    assert session["resources"]["concurrent"] == 2
    assert session["git"] is None or len(session["git"]["commit"]) == 40
    assert json.loads(json.dumps(session)) == session


def test_a_session_in_which_nothing_is_to_come_has_no_resources() -> None:
    assert describe_session(None)["resources"] is None


def test_a_run_tells_all_that_decides_what_comes_out(tmp_path: Path) -> None:
    prepared = prepare(DIGITS.trial({"learning_rate": 0.01, "gamma_ramp": "off"}))
    session = describe_session(None)
    run = describe_run(DIGITS, "run digits", tmp_path, prepared, ("entropy",), "float32", session)
    assert (run["command"], run["precision"], run["schedules"]) == ("run digits", "float32", SCHEDULES_VERSION)
    assert (run["space"], run["space_hash"]) == (DIGITS.as_dict(), DIGITS.hash())
    assert run["seeds"] == {"sampler": 3, "trials": 3, "split": 0}
    assert run["searched"] == ["learning_rate", "gamma_ramp", "gamma_end"]
    assert run["data"]["data_dir"] == str(tmp_path.resolve())
    assert run["data"]["train_images"] == len(prepared.split.train)
    assert {name: run[name] for name in session} == session
    assert run["warm_start"] == []
    assert json.loads(json.dumps(run))["data"]["classes"] == [str(digit) for digit in range(10)]
    found = Fidelity.of_run(run)
    assert found is not None and found.rungs() == DIGITS.fidelity.rungs()
    identity = Identity(DIGITS, prepared.source.fingerprint, prepared.split.hash, ("entropy",))
    assert identity.differences(json.loads(json.dumps(run))) == []
