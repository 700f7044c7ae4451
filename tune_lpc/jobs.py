"""Searches that were sent to a Ray cluster: ``python -m tune_lpc.jobs status | logs | stop | resume | fetch``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.table import Table

from tune_lpc.cli.following import WORDS, command_for, follow, send, tell_commands
from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.paths import path_given
from tune_lpc.cli.terminal import terminal
from tune_lpc.plan import UserError
from tune_lpc.plan.places import is_address
from tune_lpc.results.checking import problems_of
from tune_lpc.results.folder import run_folders

if TYPE_CHECKING:
    from tune_lpc.engine.jobs import Jobs, SearchJob

CLIENT_PORT = 10001
"""Of Ray's client, where the head was not told another."""
PATIENCE = 15.0
"""Seconds beyond the half minute that a search has to end, until it is said not to have ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, that of the search (logs --follow, resume), 1 (not stopped), 2 or 130."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _parser() -> Parser:
    parser = Parser(prog="python -m tune_lpc.jobs", description="Searches that were sent to a Ray cluster.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="status | logs | stop | resume | fetch")
    for verb, told in (
        ("status", "list the searches, or tell how one stands"),
        ("logs", "print what a search has printed"),
        ("stop", "ask a search to end in good order: it writes its tables, for half a minute at most"),
        ("resume", "send the same search again, to go on where it ended"),
        ("fetch", "bring the results of a search here, and check them"),
    ):
        each = verbs.add_parser(verb, help=told, description=told)
        each.add_argument("job", nargs="?", metavar="JOB", help="its name (default: the latest)")
        each.add_argument("--address", required=True, metavar="http://HOST:8265", help="Ray's dashboard")
        if verb == "logs":
            each.add_argument("--follow", action="store_true", help="go on until it ends; with its exit status")
        if verb == "resume":
            each.add_argument("--detach", action="store_true", help="return at once")
        if verb == "fetch":
            each.add_argument(
                "--to", metavar="DIR", type=path_given, help="where to (default results/ and the name of the folder)"
            )
            each.add_argument(
                "--client-port", metavar="PORT", default=str(CLIENT_PORT), help=f"of Ray's client ({CLIENT_PORT})"
            )
    return parser


def _command(options: argparse.Namespace) -> int:
    from tune_lpc.engine.jobs import Jobs  # Ray takes seconds to import

    jobs = Jobs(options.address)
    if options.verb == "status":
        return _status(jobs, options.job)
    job = jobs.job(options.job)
    if options.verb == "logs":
        return _logs(jobs, job, follows=options.follow)
    if options.verb == "stop":
        return _stop(jobs, job)
    if options.verb == "resume":
        return _resume(jobs, job, detaches=options.detach)
    return _fetch(jobs, job, options)


def _status(jobs: Jobs, name: str | None) -> int:
    found = jobs.all() if name is None else [jobs.job(name)]
    if not found:
        print(f"{jobs.address} has no search among its jobs")
        return 0
    table = Table("job", "search", "exit status", "began", "ended", "space", "results", box=None, pad_edge=False)
    for job in found:
        times = ["" if when is None else f"{when:%Y-%m-%d %H:%M:%S}" for when in (job.began, job.ended)]
        status = "" if job.exit_status is None else str(job.exit_status)
        table.add_row(job.name, WORDS.get(job.status, job.status), status, *times, Path(job.space).name, job.out)
    console = terminal()
    if not console.is_terminal:
        console.width = 300  # whoever reads it cuts nothing off
    console.print(table)
    return 0


def _logs(jobs: Jobs, job: SearchJob, *, follows: bool) -> int:
    if follows:
        return follow(jobs, job.name)
    print(jobs.log(job.name), end="")
    return 0


def _stop(jobs: Jobs, job: SearchJob) -> int:
    from tune_lpc.engine.jobs import STOP_SECONDS

    if job.is_over:
        raise UserError(f"{job.name} has ended already ({WORDS[job.status]}); nothing to stop")
    jobs.stop(job.name)
    print(f"{job.name}: asked to end; it has {STOP_SECONDS} s to write its tables")
    deadline = time.monotonic() + STOP_SECONDS + PATIENCE
    while not (job := jobs.job(job.name)).is_over:
        if time.monotonic() > deadline:
            print(f"{job.name} has not ended yet; see {command_for('status', job.name, jobs.address)}")
            return 1
        time.sleep(0.5)
    status = "none told: it was killed" if job.exit_status is None else job.exit_status
    print(f"{job.name}: {WORDS[job.status]}, exit status {status}")
    print(f"go on with: {command_for('resume', job.name, jobs.address)}")
    return 0


def _resume(jobs: Jobs, job: SearchJob, *, detaches: bool) -> int:
    if not job.is_over:
        raise UserError(f"{job.name} still {WORDS[job.status]}; nothing to resume")
    if job.space.endswith(".py") and not Path(job.space).is_file():
        raise UserError(
            f"the space file of {job.name} was {job.space}, and is not here; send it from where it lies: "
            f"python -m tune_lpc.submit SPACE --resume … --out {job.out} --address {jobs.address}"
        )
    arguments = [job.space if text == f"space/{Path(job.space).name}" else text for text in job.arguments]
    if "--resume" not in arguments:
        arguments.insert(0, "--resume")
    name = send(jobs, job.space, arguments, job.out)
    if detaches:
        tell_commands(jobs, name)
        return 0
    return follow(jobs, name)


def _fetch(jobs: Jobs, job: SearchJob, options: argparse.Namespace) -> int:
    if not job.is_over:
        stop = command_for("stop", job.name, jobs.address)
        raise UserError(f"{job.name} still {WORDS[job.status]}, and its files change; wait, or stop it: {stop}")
    if is_address(job.out):
        raise UserError(
            f"the results are in {job.out}, not on the cluster; read them: python -m tune_lpc.report {job.out}"
        )
    to = Path(options.to) if options.to else Path("results") / (PurePosixPath(job.out).name or "fetched")
    problems = []
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        problems.append(f"{to} is there already; choose another folder with --to")
    if not options.client_port.isdigit() or not 0 < int(options.client_port) < 2**16:
        problems.append(f"--client-port is {options.client_port!r}, but must be a port, usually {CLIENT_PORT}")
    if problems:
        raise UserError(problems)
    from tune_lpc.engine.fetching import fetch_folder
    from tune_lpc.engine.jobs import same_version_problem

    if problem := same_version_problem(jobs):
        raise UserError(problem)
    size = fetch_folder(jobs.host, int(options.client_port), job.out, job.node, to)
    print(f"{job.out} of the cluster: {size / 2**20:.1f} MB in {to}")
    for folder in run_folders([to]):
        found = problems_of(folder)
        problems += [f"{folder}: {problem}" for problem in found]
        if not found:
            print(f"{folder}: all files are whole")
    if problems:
        raise UserError(problems)
    return 0


if __name__ == "__main__":
    sys.exit(main())
