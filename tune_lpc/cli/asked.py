"""What the options of a search ask for, checked together before anything begins."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass

from tune_lpc.cli.folders import folders_of, problems_of_folders
from tune_lpc.cli.options import data_dir_problems, numbers
from tune_lpc.cli.own_code import code_of_searches
from tune_lpc.cli.paths import address_problems
from tune_lpc.plan import Space, UserError, load_space
from tune_lpc.plan.errors import shown
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.places import is_address
from tune_lpc.plan.processes import process_problems
from tune_lpc.plan.resources import AUTO, ResourcesAsked
from tune_lpc.plan.search_settings import AS_MANY_AS_FIT
from tune_lpc.plan.searches import spaces_of_methods

FAILURES = 2
"""How often a trial goes on after its worker or node failed, where the user does not say."""
MOST_FAILURES = 100
STUCK_AFTER = 20
"""In so many times the time expected a trial without an epoch is restarted, where the user does not say."""
STUCK_LIMITS = (2, 10**6)
CHANGES = {
    "trials": int,
    "epochs": int,
    "seed": int,
    "fidelity": str,
    "first_rung_after": float,
    "control_trials": int,
    "seeds": int,
    "objective": str,
    "sampler": str,
}
"""Options that change the space, with the types of their values."""
CHANGED_NAMES = {"fidelity": "fidelity_mode", "objective": "objectives"}
"""What such an option changes, where that has another name."""


@dataclass(frozen=True)
class Guards:
    """What the search does about trials whose worker fails or says nothing more."""

    max_failures: int
    stuck_after: float


@dataclass(frozen=True)
class Asked:
    """What the options ask for, all of it right.

    spaces: one a method, with the options' changes. code: of the user's own, that they need. hours: the time.
    """

    spaces: list[Space]
    code: OwnCode
    resources: ResourcesAsked
    guards: Guards
    hours: HoursAsked


def checked(options: argparse.Namespace) -> Asked:
    """What the options of a search ask for. Raises UserError with all problems of the options together."""
    kinds: dict[str, type[int | float]] = {name: kind for name, kind in CHANGES.items() if kind is not str}
    kinds |= {"concurrent": int, "cpus_per_trial": int, "gpus_per_trial": float, "processes_per_trial": int}
    kinds |= {"max_failures": int, "stuck_after": float, "hours": float, "gpu_hours": float}
    measured = {name: AUTO for name in ("cpus_per_trial", "gpus_per_trial") if getattr(options, name) == AUTO}
    values, problems = numbers(options, {name: kind for name, kind in kinds.items() if name not in measured})
    values |= measured
    may_be_auto = ("--cpus-per-trial", "--gpus-per-trial")
    problems = [f"{problem}, or {AUTO}" if problem.startswith(may_be_auto) else problem for problem in problems]
    values |= {name: getattr(options, name) for name, kind in CHANGES.items() if kind is str}
    values["objective"] = None if options.objective is None else ",".join(options.objective)
    resources = ResourcesAsked(*(values[field.name] for field in dataclasses.fields(ResourcesAsked)))
    problems += resources.problems()
    guards = Guards(values["max_failures"], values["stuck_after"])
    problems += _guard_problems(guards)
    hours = HoursAsked(values["hours"], values["gpu_hours"])
    problems += hours.problems()
    if resources.gpus_per_trial == 0 and not hours.problems():
        problems += hours.gpu_problems(0)
    problems += data_dir_problems(options.data_dir)
    if options.out is not None and not options.out.strip():
        problems.append("--out is empty, but must name a folder")
    problems += address_problems(options.out)
    if options.local_copy is not None and not is_address(options.out):
        problems.append("--local-copy is for results at an address; leave it out, or give one: --out s3://BUCKET/PATH")
    spaces: list[Space] = []
    try:
        space = options.space.checked() if isinstance(options.space, Space) else load_space(options.space)
        changes = space.parse_changes(text for texts in options.set for text in texts)
        for option in CHANGES:
            name = CHANGED_NAMES.get(option, option)
            if values[option] is None:
                continue
            if name in changes:
                problems.append(f"{name} is given by --{option.replace('_', '-')} and by --set; give it once")
            changes[name] = values[option]
        if hours.is_limited:
            changes.setdefault("trials", AS_MANY_AS_FIT)
    except UserError as error:
        raise UserError(problems + error.problems) from error
    try:
        spaces = spaces_of_methods(space, dict.fromkeys(options.method), changes)
    except UserError as error:
        problems += error.problems
    if not resources.problems():
        problems += [problem for space in spaces for problem in process_problems(space, resources.processes)]
    if spaces and (options.out is None or options.out.strip()) and not is_address(options.out):
        problems += problems_of_folders(options, spaces)
    code = NO_CODE
    try:
        if spaces:
            code = code_of_searches(
                spaces, folders_of(options, spaces), resume=options.resume, trust=options.trust_code
            )
    except UserError as error:
        # A copy of it may lie where the results are, which are looked at later.
        problems += [] if options.resume and is_address(options.out) else error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))
    return Asked(spaces, code, resources, guards, hours)


def _guard_problems(guards: Guards) -> list[str]:
    """What is wrong with the guards; one that is no number at all is told elsewhere."""
    found = []
    failures, stuck = guards.max_failures, guards.stuck_after
    if failures is not None and not 0 <= failures <= MOST_FAILURES:
        found.append(f"--max-failures is {shown(failures)}, but must be a whole number from 0 to {MOST_FAILURES}")
    low, high = STUCK_LIMITS
    if stuck is not None and not low <= stuck <= high:
        found.append(f"--stuck-after is {shown(stuck)}, but must be a number from {low} to {high}")
    return found
