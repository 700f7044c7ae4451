"""Send a hyperparameter search to a Ray cluster, as a job: ``python -m tune_lpc.submit SPACE --address http://…``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tune_lpc.cli.following import follow, send, tell_commands
from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.plan import UserError
from tune_lpc.run import checked
from tune_lpc.run import parser as parser_of_run

FOLDERS = ("out", "data_dir", "warm_start")
"""Options that name folders of the cluster."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns that of the search, 0 once it is sent with --detach, 2 (bad input) or 130 (Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _command(options, _of_the_search(arguments)))


def _parser() -> Parser:
    parser = parser_of_run()
    parser.prog = "python -m tune_lpc.submit"
    parser.description = (
        "Send a search to a Ray cluster as a job, and print what it prints. It takes the options of tune_lpc.run; "
        "folders are those of the cluster, from / on. The cluster's own tune_lpc runs it. A space file is a program: "
        "it runs there, with all that the cluster may do, and so do the modules beside it that it imports."
    )
    _add_own(parser)
    return parser


def _add_own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", action="store_true", help="return at once, and tell how to watch the search")
    if "--address" in (actions := parser._option_string_actions):
        actions["--address"].metavar = "http://HOST:8265"
        actions["--address"].help = "Ray's dashboard, which takes the job"
    else:
        parser.add_argument("--address")


def _of_the_search(arguments: list[str]) -> list[str]:
    """The arguments that the search itself gets: all but the options of this command alone."""
    own = Parser(add_help=False)
    _add_own(own)
    return own.parse_known_args(arguments)[1]


def _command(options: argparse.Namespace, arguments: list[str]) -> int:
    problems = _problems(options)
    try:
        # All that can be told here; folders are looked at where they are.
        with tempfile.TemporaryDirectory() as folder:
            here = {"out": str(Path(folder, "out")), "data_dir": None, "warm_start": list[str](), "resume": False}
            _, code, *_ = checked(argparse.Namespace(**(vars(options) | here)))
    except UserError as error:
        problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))
    from tune_lpc.engine.jobs import Jobs  # Ray takes seconds to import

    jobs = Jobs(options.address)
    name = send(jobs, options.space, arguments, options.out, code)
    if options.detach:
        tell_commands(jobs, name)
        return 0
    return follow(jobs, name)


def _problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the options that are not those of every search."""
    found = []
    if options.address is None:
        found.append("--address is missing, but must be that of Ray's dashboard, as http://HOST:8265")
    if options.space is None:
        found.append("give a search space, a shipped one or a file my_space.py")
        raise UserError(found)
    for name in ("list", "list_methods", "list_measures", "dry_run"):
        if getattr(options, name):
            found.append(f"--{name.replace('_', '-')} starts no search; ask python -m tune_lpc.run for it")
    if options.out is None:
        found.append("--out is missing, but must name a folder of the cluster, from / on, that its nodes share")
    for name in FOLDERS:
        given = getattr(options, name) or []
        for folder in [given] if isinstance(given, str) else given:
            if not folder.startswith("/"):
                flag = "--" + name.replace("_", "-")
                found.append(f"{flag} is {folder!r}, but must be a folder of the cluster, from / on")
    if "@" in options.optuna_storage:
        found.append("--optuna-storage may hold a password, which the list of jobs would show to all; leave it out")
    return found


if __name__ == "__main__":
    sys.exit(main())
