"""A search that runs as a job of a cluster, sent there and followed in the terminal."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tune_lpc.plan import UserError
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.space_modules import modules_of

if TYPE_CHECKING:
    from tune_lpc.engine.jobs import Jobs

INTERRUPTED = 130
WORDS = {"PENDING": "waits", "RUNNING": "runs", "SUCCEEDED": "finished", "FAILED": "failed", "STOPPED": "stopped"}
"""Ray's words for how a job stands, in ours."""


def command_for(verb: str, name: str, address: str) -> str:
    """How to ask for something about a job."""
    return f"python -m tune_lpc.jobs {verb} {shlex.quote(name)} --address {shlex.quote(address)}"


def send(jobs: Jobs, space: str, arguments: Sequence[str], out: str, code: OwnCode = NO_CODE) -> str:
    """Send a search with its space file and the modules beside it; the name of its job.

    space: the name of a shipped one, or a file here. arguments: of `tune_lpc.run`, which name it. code: of the user's
    own, which it is to find there.
    Raises UserError where the space can't be read, or the cluster not be reached.
    """
    with tempfile.TemporaryDirectory() as package:
        arguments = list(arguments)
        if space.endswith(".py"):
            # As a folder of its own: a helper module there must not stand for one that Python looks for elsewhere.
            path = Path(space)
            for each in modules_of(path):
                copy = Path(package) / "space" / each.relative_to(path.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each, copy)
            arguments = [f"space/{path.name}" if text == space else text for text in arguments]
            space = str(path.absolute())
            code.write(Path(package) / "space")
        else:
            (Path(package) / "shipped").touch()  # Ray wants a folder that holds something
            code.write(Path(package))
        name = jobs.submit(Path(package), space, arguments, out)
    print(f"{name}: sent to {jobs.address}; results go into {out} of the cluster")
    return name


def tell_commands(jobs: Jobs, name: str) -> None:
    """How the search can be watched, stopped and fetched."""
    for verb, what in (
        ("logs", "what it prints"),
        ("status", "how it stands"),
        ("stop", "stop it"),
        ("resume", "go on with it"),
        ("fetch", "bring the results here"),
    ):
        print(f"{what}: {command_for(verb, name, jobs.address)}")


def follow(jobs: Jobs, name: str) -> int:
    """Print what the search prints until it ends; its exit status. Ctrl-C leaves it running, and says so."""
    try:
        jobs.follow(name, _write)
        job = jobs.job(name)
    except KeyboardInterrupt:
        print(
            f"{name} goes on; watch it with: {command_for('logs', name, jobs.address)}; "
            f"stop it with: {command_for('stop', name, jobs.address)}",
            file=sys.stderr,
        )
        return INTERRUPTED
    except UserError as error:
        again = command_for("logs", name, jobs.address)
        raise UserError(
            [f"{problem}; {name} may go on, watch it with: {again}" for problem in error.problems]
        ) from error
    if job.exit_status is None:
        how = WORDS.get(job.status, job.status)
        print(f"{name} {how}, and nothing tells with which exit status", file=sys.stderr)
        return 1
    return job.exit_status


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
