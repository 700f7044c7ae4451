# The types of what the package itself gives, which imports none of it before it is asked for.
from pathlib import Path

import torch

from tune_lpc.searching import SearchResult as SearchResult
from tune_lpc.searching import UserError as UserError
from tune_lpc.searching import run_search as run_search

__version__: str

def load(directory: str | Path, rank: int = 1, seed: int = 0, *, trust_code: bool = False) -> torch.nn.Module: ...
