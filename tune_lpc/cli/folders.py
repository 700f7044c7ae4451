"""The folders of the searches that a command asks for, and those that they learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from tune_lpc.plan import Space, UserError
from tune_lpc.plan.methods import METHODS
from tune_lpc.results import folder_problems, holds_run, load_run


def problems_of_folders(options: argparse.Namespace, spaces: list[Space]) -> list[str]:
    """Why the searches can't be written where they are to go, or can't learn from what they are to learn from."""
    found = []
    for folder in folders_of(options, spaces):
        found += folder_problems(folder, resume=options.resume)
    return found + _mixed_problems(options, spaces) + _warm_start_problems(options, spaces)


def _mixed_problems(options: argparse.Namespace, spaces: list[Space]) -> list[str]:
    """One search and several don't share a folder: the runs of one would lie within the other."""
    out = folders_of(options, spaces)[0]
    if len(spaces) > 1:
        out = out.parent
        inside = [out] if holds_run(out) else []
    else:
        inside = [out / name for name in METHODS if holds_run(out / name)]
    mend = "name the methods as before, or choose another folder with --out"
    return [f"{folder} holds a run of a search with other methods; {mend}" for folder in inside[:1]]


def _warm_start_problems(options: argparse.Namespace, spaces: list[Space]) -> list[str]:
    """Why earlier searches are of no use, as far as that is seen without reading what they found."""
    found = []
    if options.warm_start and all(space.sampler == "random" for space in spaces):
        found.append("--warm-start has no effect with sampler 'random', which learns nothing; leave one of them out")
    if options.resume and all(holds_run(folder) for folder in folders_of(options, spaces)):
        return found  # what was taken over stands in run.json
    for directory in dict.fromkeys(options.warm_start):
        if not directory.strip():
            found.append("--warm-start is empty, but must name a folder")
            continue
        try:
            load_run(Path(directory))
        except UserError as error:
            found += [f"--warm-start: {problem}" for problem in error.problems]
    return found


def folders_of(options: argparse.Namespace, spaces: list[Space]) -> list[Path]:
    """Where the results of each search go: one in the folder itself, several each in one of its method's name."""
    out = Path("results") / spaces[0].name if options.out is None else Path(options.out)
    return [out] if len(spaces) == 1 else [out / str(space.fixed("method")) for space in spaces]
