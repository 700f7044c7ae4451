"""The ways to compute deaths that a trial may choose (setting `persistence_backend`), and whether one works here."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import torch

from tune_lpc.plan.errors import UserError

BACKENDS = ("auto", "plain", "gudhi", "torchph")
"""Our kernels (plain torch where none fits), plain torch, and two reference implementations."""
INSTALLING = {
    "gudhi": "pip install gudhi",
    "torchph": "clone https://github.com/c-hofer/torchph and put it on PYTHONPATH; it compiles on import",
}
"""How each package comes that only a backend needs."""
OURS = "persistence_backend=auto (or plain) needs nothing"


def check_backend(name: str, device: torch.device) -> None:
    """Raise UserError, with all that is missing in one line, where backend `name` can't train on `device`.

    To be asked before a search begins: imports the backend's package. Raises ValueError for a name that is no backend.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}, but must be one of {', '.join(map(repr, BACKENDS))}")
    if name not in INSTALLING:
        return
    missing = []
    if importlib.util.find_spec(name) is None:
        missing.append(f"needs the package {name}, which is not installed here ({INSTALLING[name]})")
    if name == "torchph" and device.type != "cuda":
        missing.append(f"computes on GPUs alone (the training is on the {device.type})")
    if missing:
        raise UserError(f"persistence_backend is {name!r}, which {' and '.join(missing)}; {OURS}")
    package("torchph.pershom" if name == "torchph" else name)


def package(module: str) -> ModuleType:
    """A module of a backend's package. Raises UserError, with how to get it, where it can't be imported."""
    name = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # torchph runs a compiler on import
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        problem = f"persistence_backend is {name!r}, which needs the package {name}, but importing {module} failed here"
        raise UserError(f"{problem}: {told} ({INSTALLING[name]}); {OURS}") from error
