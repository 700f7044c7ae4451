"""What `run.json` says: everything needed to know, later, what was run on what."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tune_lpc import __version__
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.resources import Resources, cpus_here
from tune_lpc.plan.schedules import SCHEDULES_VERSION
from tune_lpc.plan.space import Space
from tune_lpc.search.earlier import Earlier
from tune_lpc.training.device import gpus_here
from tune_lpc.training.measures import MEASURES
from tune_lpc.training.prepare import Prepared

_PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy", "pandas", "pyarrow", "scikit-learn")


def describe_session(
    resources: Resources | None, hours: HoursAsked | None = None, startup_seconds: float = 0.0
) -> dict[str, Any]:
    """Of the process that drives a search: versions, git commit, hardware, time, resources where trials are to come.

    hours: that the whole search may take. startup_seconds: from the start of the process until now.
    """
    return {
        "versions": {
            "tune_lpc": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _PACKAGES},
        },
        "git": _git_state(),
        "resources": None if resources is None else resources.as_dict(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.platform(),
            "cpus": cpus_here(),
            "gpus": gpus_here(),
        },
        "time": {**(hours or HoursAsked()).as_dict(), "startup_seconds": round(startup_seconds, 3)},
    }


def describe_run(
    space: Space,
    command: str,
    data_dir: Path | None,
    prepared: Prepared,
    measures: Sequence[str],
    precision: str,
    session: Mapping[str, Any],
    earlier: Sequence[Earlier] = (),
) -> dict[str, Any]:
    """The content of run.json: command, space and its hash, seeds, data and split, precision, what is taken over from
    earlier searches, and the first session."""
    return {
        "command": command,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "schedules": SCHEDULES_VERSION,
        "space": space.as_dict(),
        "space_hash": space.hash(),
        "method": space.fixed("method"),
        "measures": {name: MEASURES[name].text for name in measures},
        "searched": list(space.dimensions),
        "rungs": space.fidelity.rungs(),
        "seeds": {"sampler": space.seed, "trials": space.seed, "split": space.fixed("split")},
        "precision": precision,
        "data": {
            "source": prepared.source.source,
            "data_dir": str(data_dir.resolve()) if data_dir else None,
            "fingerprint": prepared.source.fingerprint,
            "images": len(prepared.source.labels),
            "train_images": len(prepared.split.train),
            "validation_images": len(prepared.split.validation),
            "classes": list(prepared.source.class_names),
        },
        "split_hash": prepared.split.hash,
        "warm_start": [one.as_dict() for one in earlier],
        **session,
    }


def _git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package is run from, and whether it was changed; None outside a checkout."""
    here = Path(__file__).parent
    try:
        # A package installed into an environment below some other project's checkout is not tracked there.
        tracked = ["git", "ls-files", "--error-unmatch", Path(__file__).name]
        subprocess.run(tracked, cwd=here, capture_output=True, check=True)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(status.stdout.strip())}
