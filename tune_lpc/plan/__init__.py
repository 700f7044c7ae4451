"""The ground floor: what a search is, in plain Python. Imports nothing beyond the standard library."""

from tune_lpc.plan.compare import differences
from tune_lpc.plan.dimensions import Choice, Float, Int
from tune_lpc.plan.errors import UserError
from tune_lpc.plan.fidelity import MODES, Fidelity
from tune_lpc.plan.library import load_space, shipped_names
from tune_lpc.plan.settings import Value
from tune_lpc.plan.space import Space
from tune_lpc.plan.trial import TrialSpec

__all__ = [
    "MODES",
    "Choice",
    "Fidelity",
    "Float",
    "Int",
    "Space",
    "TrialSpec",
    "UserError",
    "Value",
    "differences",
    "load_space",
    "shipped_names",
]
