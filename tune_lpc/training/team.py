"""Several processes that train one trial together: started, asked, watched and ended from here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.trial import TrialSpec
from tune_lpc.training.checkpoints import Position
from tune_lpc.training.device import gpus_here
from tune_lpc.training.loop import Training
from tune_lpc.training.member import Answer, MemberError, Seat
from tune_lpc.training.prepare import Prepared
from tune_lpc.training.trainer import Beginning, Conditions, Measurements, Trained

T = TypeVar("T")

LOOKED_EVERY = 1.0
"""Seconds between two looks whether all processes live, should one end without its connection ending too."""
CAUSES_COME_WITHIN = 2.0
"""Seconds to wait for the first cause when a process fails, as the others fail for want of it."""
LOOPBACK = ("lo", "lo0")


class TeamError(RuntimeError):
    """A process of a team has died or raised what is no UserError; in one line."""


class Team:
    """`processes` of them, on one machine: each on a GPU of its own, or all on CPUs.

    See `trainer.Trains` for what it can be asked. An error of any process ends them all; so does `close`, and the end
    of the process that has started them, however it ends. Nothing of them listens but on loopback.

    conditions: threads are those of each process. on_gpu: by default where any GPU is seen.
    Raises UserError when there are GPUs, but too few.
    """

    def __init__(self, conditions: Conditions, processes: int, *, on_gpu: bool | None = None) -> None:
        gpus = gpus_here() if on_gpu is not False else 0
        if 0 < gpus < processes or (on_gpu and not gpus):
            raise UserError(f"a trial in {processes} processes needs a GPU for each, but this one sees {gpus}")
        self._lives, self._ended_with = os.pipe()
        # Of no folder, and gone with the last process that holds it.
        meeting = os.memfd_create("tune_lpc")
        self._members: list[_Member] = []
        try:
            for rank in range(processes):
                own = _visible(rank) if gpus else ""
                self._members.append(_Member(rank, processes, own, self._lives, meeting))
                self._members[-1].send(Seat(rank, processes, f"/proc/self/fd/{meeting}", bool(gpus), conditions))
            self._answers()
        except BaseException:
            self.close()
            raise
        finally:
            os.close(meeting)

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes, by rank."""
        return [member.process.pid for member in self._members]

    def prepare(self, spec: TrialSpec) -> None:
        """See `Trains`."""
        self._all("prepare", spec)

    def begin(
        self, spec: TrialSpec, runs: Sequence[int], checkpoints: Path | None, rungs: Collection[Position]
    ) -> Beginning:
        """See `Trains`."""
        beginning: Beginning = self._all("begin", spec, runs, checkpoints, rungs)
        return beginning

    def next_epoch(self) -> Trained:
        """See `Trains`."""
        trained: Trained = self._all("next_epoch")
        return trained

    def measure(self, names: Sequence[str]) -> Measurements:
        """See `Trains`. The first process does, while the others wait."""
        self._members[0].send(("measure", (names,)))
        measured: Measurements = self._answers(self._members[:1])
        return measured

    def ask(self, question: Callable[[Training, Prepared], T]) -> T:
        """See `Trains`. The first process is asked, while the others wait."""
        self._members[0].send(("ask", (question,)))
        answer: T = self._answers(self._members[:1])
        return answer

    def close(self) -> None:
        """End all processes. Never fails, and may be called again."""
        for member in self._members:
            member.end()
        self._members = []
        for file in (self._lives, self._ended_with):
            with contextlib.suppress(OSError):
                os.close(file)
        self._lives = self._ended_with = -1

    def _all(self, name: str, *values: Any) -> Any:
        if not self._members:
            raise TeamError("its processes were ended before")
        for member in self._members:
            member.send((name, values))
        return self._answers()

    def _answers(self, asked: Sequence[_Member] | None = None) -> Any:
        """The first process's answer, once all that were asked have answered.

        Raises UserError or TeamError, with no process left, when one of them raises, or any of the team dies.
        """
        waiting = {member.connection: member for member in (self._members if asked is None else asked)}
        value, failed, until = None, [], float("inf")
        while waiting and time.monotonic() < until:
            for ready in wait(list(waiting), timeout=min(LOOKED_EVERY, max(0.0, until - time.monotonic()))):
                member = waiting.pop(ready)  # type: ignore[call-overload]
                answer = member.receive()
                if answer is None:
                    member.process.wait(CAUSES_COME_WITHIN)
                if answer is None or answer.error is not None:
                    failed.append((member, answer))
                elif member.rank == 0:
                    value = answer.value
            if failed or any(member.process.poll() is not None for member in self._members):
                until = min(until, time.monotonic() + CAUSES_COME_WITHIN)
        if until < float("inf"):
            error = self._cause(failed)
            self.close()
            raise error
        return value

    def _cause(self, failed: Sequence[tuple[_Member, Answer | None]]) -> Exception:
        """Why the team can't go on: a death, else what was raised first that no other process caused."""
        of = len(self._members)
        for member in self._members:
            if (how := member.death()) is not None:
                return TeamError(f"process {member.rank + 1} of {of} of the trial {how}")
        raised = [(member, answer) for member, answer in failed if answer is not None]
        member, answer = min(raised, key=lambda pair: pair[1].follows)
        if isinstance(answer.error, MemberError):
            return TeamError(f"process {member.rank + 1} of {of} of the trial raised {answer.error}")
        assert answer.error is not None
        return answer.error


class _Member:
    """A process of the team as the team sees it. gpu: what it sees of GPUs, '' for none."""

    def __init__(self, rank: int, size: int, gpu: str, lives: int, meeting: int) -> None:
        self.rank = rank
        self.connection, theirs = Pipe()
        network = next((name for name in LOOPBACK if Path("/sys/class/net", name).exists()), LOOPBACK[0])
        own = {
            "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),  # the same modules
            "CUDA_VISIBLE_DEVICES": gpu,
            "GLOO_SOCKET_IFNAME": network,
            "NCCL_SOCKET_IFNAME": f"={network}",
        }
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tune_lpc.training.member", str(theirs.fileno()), str(lives)],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **own},
                pass_fds=(theirs.fileno(), lives, meeting),
            )
        finally:
            theirs.close()

    def send(self, message: object) -> None:
        """Send a message, unless nobody is there any more to receive it: that shows when the answer is awaited."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(message)

    def receive(self) -> Answer | None:
        """The answer that is there; None where the process has ended instead."""
        try:
            answer: Answer = self.connection.recv()
        except (EOFError, OSError):
            return None
        return answer

    def death(self) -> str | None:
        """How the process ended by itself; None while it lives."""
        status = self.process.poll()
        if status is None:
            return None
        if status < 0:
            return f"was killed by signal {-status} ({signal.Signals(-status).name})"
        return f"ended with status {status}"

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def _visible(rank: int) -> str:
    """The GPU of a process, as CUDA_VISIBLE_DEVICES names it, among those that this process sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return str(rank) if seen is None else seen.split(",")[rank].strip()
