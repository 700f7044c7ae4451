"""Hyperparameter search for classifiers whose penultimate representations are made to collapse."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__version__ = "0.2.0"


def load(directory: str | Path, rank: int = 1, seed: int = 0, *, trust_code: bool = False) -> torch.nn.Module:
    """A network that `python -m tune_lpc.confirm` trained, with its preprocessing: see `final.network_file`.

    directory: of the search; or a file that `train --save` wrote. rank: of the config in best.parquet. seed: which of
    its networks, from 0, the column `index` of confirm.parquet.
    The module takes images (n, channels, height, width), uint8 from 0 to 255 or floats from 0 to 1, and returns logits
    (n, classes); `represent` gives the penultimate representations, `classes` the names (docs/trained_network.md).
    trust_code: whether code in the file may run, where the network is one of a user's own (docs/own_network.md).

    Raises tune_lpc.plan.UserError where there is no such network, where its file is damaged, or where it needs code
    that is not trusted.
    """
    # By name: the package itself is light, and torch takes seconds to import.
    network: torch.nn.Module = importlib.import_module("tune_lpc.final.network_file").load_network(
        directory, rank, seed, trust_code=trust_code
    )
    return network


def __getattr__(name: str) -> Any:
    """What takes long to import, when it is first asked for."""
    if name in ("SearchResult", "UserError", "run_search"):
        return getattr(importlib.import_module("tune_lpc.searching"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
