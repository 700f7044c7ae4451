"""The ground floor: what a search is, in plain Python. Imports nothing beyond the standard library."""

from tune_lpc.spec.compare import differences
from tune_lpc.spec.dimensions import Choice, Float, Int
from tune_lpc.spec.errors import UserError
from tune_lpc.spec.fidelity import MODES, Fidelity
from tune_lpc.spec.library import load_space, shipped_names
from tune_lpc.spec.space import Space
from tune_lpc.spec.trial import TrialSpec

__all__ = [
    "MODES",
    "Choice",
    "Fidelity",
    "Float",
    "Int",
    "Space",
    "TrialSpec",
    "UserError",
    "differences",
    "load_space",
    "shipped_names",
]
