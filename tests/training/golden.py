"""Reading the golden values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "golden"
TOLERANCE = 1e-4


def golden_json(name: str) -> Any:
    """The content of a JSON file."""
    return json.loads((FOLDER / name).read_text())


def golden_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name."""
    with np.load(FOLDER / name) as arrays:  # numpy refuses pickled objects unless told otherwise
        return dict(arrays)
