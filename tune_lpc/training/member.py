"""One process of a team: ``python -m tune_lpc.training.member``, started by `team.py` alone.

It does what the team asks, command by command, and ends when the process that started it does, however that ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_lpc.training.trainer import Conditions, Trainer

OF_THE_OTHERS = ("gloo", "NCCL", "ProcessGroup", "Connection closed by peer", "Connection reset by peer")
"""What stands in an error of torch.distributed when another process is gone: never the first cause."""


@dataclass(frozen=True)
class Seat:
    """What a process is told first. meeting: path of the file where all find each other. on_gpu: on the only GPU that
    it sees."""

    rank: int
    size: int
    meeting: str
    on_gpu: bool
    conditions: Conditions


@dataclass(frozen=True)
class Answer:
    """What became of a command: its value, of the first process alone, or an error.

    follows: whether the error is one that another process caused.
    """

    value: Any = None
    error: Exception | None = None
    follows: bool = False


class MemberError(RuntimeError):
    """What went wrong in a process of a team, in one line."""


def main(arguments: list[str]) -> None:
    """Serve until the connection ends. arguments: the numbers of its file and of the file that ends with the parent."""
    commands, parent = map(int, arguments)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Ctrl-C reaches all processes of the terminal; who started this one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(commands)
    seat: Seat = connection.recv()
    made: list[Trainer] = []
    _send(connection, _answer(lambda: made.append(_join(seat))))
    while True:
        name, values = connection.recv()
        answer = _answer(partial(getattr(made[0], name), *values))
        _send(connection, answer if seat.rank == 0 else Answer(None, answer.error, answer.follows))


def _end_with(parent: int) -> None:
    """End this process, whatever it does, when nobody holds the other end of the pipe any more."""
    os.read(parent, 1)
    os._exit(0)


def _send(connection: Connection, answer: Answer) -> None:
    try:
        connection.send(answer)
    except Exception as error:  # noqa: BLE001 - what can't be pickled can raise anything; nothing of it was sent
        connection.send(Answer(error=_in_one_line(error)))


def _join(seat: Seat) -> Trainer:
    """A trainer that is one of the group."""
    import torch
    import torch.distributed as dist
    from torch.distributed import FileStore  # type: ignore[attr-defined]

    from tune_lpc.training.device import best_device
    from tune_lpc.training.distributed.group import Group
    from tune_lpc.training.trainer import Trainer

    device = best_device() if seat.on_gpu else torch.device("cpu")
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        store=FileStore(seat.meeting, seat.size),
        rank=seat.rank,
        world_size=seat.size,
    )
    return Trainer(seat.conditions, device, Group(seat.rank, seat.size))


def _answer(command: Callable[[], Any]) -> Answer:
    from tune_lpc.plan.errors import UserError

    try:
        return Answer(command())
    except UserError as error:
        return Answer(error=UserError(error.problems))
    except Exception as error:  # noqa: BLE001 - the team raises it
        follows = isinstance(error, RuntimeError) and any(mark in str(error) for mark in OF_THE_OTHERS)
        return Answer(error=_in_one_line(error), follows=follows)


def _in_one_line(error: Exception) -> MemberError:
    told = (str(error).strip() or "no message").splitlines()[0]
    return MemberError(f"{type(error).__name__}: {told}")


if __name__ == "__main__":
    # By its full name, as what it sends is unpickled elsewhere.
    from tune_lpc.training.member import main as _main

    try:
        _main(sys.argv[1:])
    except (EOFError, OSError):  # nobody is there any more to tell it to
        sys.exit(0)
