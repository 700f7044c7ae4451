"""Searches as jobs of a Ray cluster: sent to it, watched and stopped over HTTP, without a node beside us."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from tune_lpc import __version__
from tune_lpc.engine.joining import token_problems, wrong_token
from tune_lpc.plan.errors import UserError, nearest

ANSWER_SECONDS = 10.0
STOP_SECONDS = 30
"""That a stopped search has for its tables; Ray's own 3 s are too few."""
_OURS = "tune_lpc"
"""A job with this in its metadata is a search."""
_ENDED = re.compile(r"^tune_lpc: exit status ([0-9]+)$", re.MULTILINE)
_OF_RAY = re.compile(r"^Running entrypoint for job |Runtime env is setting up|Runtime env .* set up")
_TALKATIVE = (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
)
OVER = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class SearchJob:
    """A search that was sent to a cluster.

    status: in Ray's words. exit_status: of the command, None while it runs, and where nothing tells it. space: the name
    of a shipped one, or the file on the machine that sent it. arguments: of the command. version: of the sender.
    out: the folder of the results. node: on which the command ran.
    """

    name: str
    status: str
    exit_status: int | None
    space: str
    arguments: tuple[str, ...]
    out: str
    version: str
    began: datetime | None
    ended: datetime | None
    node: str | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in OVER


class Jobs:
    """The searches among the jobs of the cluster whose dashboard is at http://HOST:PORT.

    Raises UserError, from every method too, where it can't be reached, or refuses our token.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._told = f"--address {address}"
        _see_that_it_answers(self.address, self._told)
        if problems := token_problems(self._told):
            raise UserError(problems)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._errors(), _without_environment("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
            self._client = JobSubmissionClient(self.address)

    @property
    def host(self) -> str:
        """The host of the dashboard."""
        return re.sub(r"^https?://", "", self.address).partition("/")[0].rpartition(":")[0]

    def ray_version(self) -> str:
        """Of the cluster."""
        with self._errors():
            answer: Any = self._client._do_request("GET", "/api/version").json()
        return str(answer.get("ray_version"))

    def submit(self, package: Path, space: str, arguments: Sequence[str], out: str) -> str:
        """Send a search; the name of its job. package: the folder in which its command runs."""
        metadata = {_OURS: __version__, "space": space, "arguments": json.dumps(list(arguments)), "out": out}
        # Of the job, and so of the process of Ray's that stops it.
        environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
        with self._errors(), _without_environment("RAY_RUNTIME_ENV_HOOK"):
            return str(
                self._client.submit_job(
                    entrypoint=entrypoint(arguments),
                    runtime_env={"working_dir": str(package), "env_vars": environment},
                    metadata=metadata,
                )
            )

    def all(self) -> list[SearchJob]:
        """Every search, the latest last; the exit status of one that was stopped is looked up in its log."""
        with self._errors():
            found = [each for each in self._client.list_jobs() if _OURS in (each.metadata or {}) and each.submission_id]
        return [self._job(each) for each in sorted(found, key=lambda each: each.start_time or 0)]

    def job(self, name: str | None) -> SearchJob:
        """The one of that name, the latest without. Raises UserError where there is none."""
        found = self.all()
        if name is None and found:
            return found[-1]
        if name is None:
            raise UserError(f"{self._told} has no search among its jobs; send one with python -m tune_lpc.submit")
        for each in found:
            if each.name == name:
                return each
        known = [each.name for each in found]
        raise UserError(f"{self._told} has no search {name!r} among its jobs{nearest(name, known)} (see jobs status)")

    def log(self, name: str) -> str:
        """What a search has printed."""
        with self._errors():
            return without_rays_lines(str(self._client.get_job_logs(name)))

    def follow(self, name: str, write: Callable[[str], None]) -> None:
        """Write what a search prints, from its beginning, until it ends."""

        async def follow() -> None:
            left = ""
            async for text in self._client.tail_job_logs(name):
                whole, line_break, left = (left + text).rpartition("\n")
                write(without_rays_lines(whole + line_break))
            write(left)

        with self._errors():
            asyncio.run(follow())

    def stop(self, name: str) -> None:
        """Ask a search to end in good order; it has half a minute for its tables."""
        with self._errors():
            self._client.stop_job(name)

    def _job(self, details: Any) -> SearchJob:
        metadata, status = details.metadata, str(details.status.value)
        exit_status = details.driver_exit_code
        if status in OVER and exit_status is None:
            told = _ENDED.findall(self.log(details.submission_id))
            exit_status = int(told[-1]) if told else None
        return SearchJob(
            details.submission_id,
            status,
            exit_status,
            metadata.get("space", ""),
            tuple(json.loads(metadata.get("arguments", "[]"))),
            metadata.get("out", ""),
            metadata[_OURS],
            _time(details.start_time),
            _time(details.end_time),
            details.driver_node_id,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What goes wrong with the dashboard is told in a line."""
        try:
            yield
        except AuthenticationError as error:
            raise UserError(wrong_token(self._told)) from error
        except (RuntimeError, OSError, ValueError) as error:  # those of requests and aiohttp are OSErrors
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise UserError(f"{self._told} does not do what it is asked for: {reason[:200]}") from error


def entrypoint(arguments: Sequence[str]) -> str:
    """The command line of a job, for a shell of the cluster: its own tune_lpc runs the search.

    Ray forgets the exit status of a job that is stopped, so the log tells it; the shell outlives the stop for that.
    """
    other = f'"note: tune_lpc", t.__version__, "of the cluster runs this; {__version__} sent it"'
    version = f"import tune_lpc as t; t.__version__ == {__version__!r} or print({other})"
    return (
        f"trap : TERM INT; python -c {shlex.quote(version)} || "
        "{ echo 'error: the cluster has no tune_lpc; install it on every node'; echo 'tune_lpc: exit status 2'; "
        f"exit 2; }}; {shlex.join(['python', '-m', 'tune_lpc.run', '--address', 'auto', *arguments])}; "
        'status=$?; echo "tune_lpc: exit status $status"; exit $status'
    )


def without_rays_lines(text: str) -> str:
    """A log without what Ray says of its own."""
    return "".join(line for line in text.splitlines(keepends=True) if not _OF_RAY.search(line))


def _see_that_it_answers(address: str, told: str) -> None:
    """Raise UserError where no dashboard of Ray answers in time."""
    if not re.fullmatch(r"https?://[^/\s]+", address):
        raise UserError(f"--address is {address!r}, but must be that of Ray's dashboard, as http://HOST:8265")
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_SECONDS) as answer:
            is_ray = b"ray_version" in answer.read(10_000)
    except urllib.error.HTTPError as error:
        is_ray = error.code in (401, 403)
    except http.client.HTTPException as error:
        raise UserError(f"{told} is no web server, as Ray's dashboard is; give its port, usually 8265") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"nothing can be sent to {told} ({reason}); does Ray's dashboard run there?") from error
    if not is_ray:
        raise UserError(f"{told} is a web server, but not Ray's dashboard; give its address, usually http://HOST:8265")


@contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    """Within, variables are not set that Ray would go by, in place of what it is told."""
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def _time(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000)


def same_version_problem(jobs: Jobs) -> str | None:
    """Why files can't be brought from there."""
    there = jobs.ray_version()
    if there == ray.__version__:
        return None
    return f"fetch needs the Ray of the cluster, {there}, but here is {ray.__version__}; or copy the folder yourself"
