"""Files of a cluster, brought here through Ray's client: its job server hands none out."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from warnings import catch_warnings

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_lpc.engine.address import answer_problems
from tune_lpc.engine.output import rays_output
from tune_lpc.plan.errors import UserError

PIECE = 1 << 23
"""Bytes that are asked for at once."""


def fetch_folder(host: str, port: int, folder: str, node: str | None, to: Path) -> int:
    """Bring a folder of the cluster to `to`, which comes into being whole; how many bytes it holds.

    node: where it is looked for first. Raises UserError where the cluster, or the folder there, can't be reached.
    """
    told = f"ray://{host}:{port}"
    mend = "fetch needs that port open (--client-port) and the same Ray and Python as there; or copy the folder"
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=10):
            pass
    except OSError as error:
        raise UserError(f"nothing can be fetched through {told} ({error}); {mend}") from error
    if answer_problems(f"{host}:{port}"):
        raise UserError(f"nothing can be fetched through {told}: what answers there is not Ray's client; {mend}")
    to.parent.mkdir(parents=True, exist_ok=True)
    with rays_output(), catch_warnings(action="ignore"), _draft_of(to) as draft:  # Ray's, of what the line tells
        try:
            ray.init(told, logging_level=40, log_to_driver=False)
            size = _copy(folder, node, Path(draft))
        except UserError:
            raise
        except Exception as error:  # Ray's client raises bare ones
            raise UserError(f"{folder} can't be fetched through {told} ({_reason(error)}); {mend}") from error
        finally:
            with suppress(Exception):
                ray.shutdown()
        Path(draft).chmod(0o755)
        Path(draft).rename(to)  # in place of an empty one
    return size


def _reason(error: Exception) -> str:
    """The line that says something: the first, or the last where that announces a traceback of the cluster."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1 if lines[0].endswith(":") else 0][:200]


def _draft_of(to: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f".{to.name}-", dir=to.parent, ignore_cleanup_errors=True)


def _copy(folder: str, node: str | None, to: Path) -> int:
    where = None if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
    listing, piece = _tasks()
    options: dict[str, Any] = {} if where is None else {"scheduling_strategy": where}
    list_files = ray.remote(num_cpus=0)(listing).options(**options)
    read_piece = ray.remote(num_cpus=0)(piece).options(**options)
    files = ray.get(list_files.remote(folder))
    if files is None:
        raise UserError(f"the cluster has no folder {folder}; did the search begin?")
    for name, size in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"the cluster names a file {name!r}, which lies outside of {folder}")
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        with (to / name).open("wb") as file:
            for start in range(0, size, PIECE):
                file.write(ray.get(read_piece.remote(folder, name, start, min(PIECE, size - start))))
    return sum(size for _, size in files)


def _tasks() -> tuple[Callable[[str], Any], Callable[[str, str, int, int], bytes]]:
    """What runs there; functions within a function go there as they are, whatever tune_lpc the cluster has."""

    def listing(folder: str) -> list[tuple[str, int]] | None:
        """The files with their sizes; links lead elsewhere and stay there."""
        if not os.path.isdir(folder):  # noqa: PTH112
            return None
        found = []
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)  # noqa: PTH118
                if not os.path.islink(path):  # noqa: PTH114
                    found.append((os.path.relpath(path, folder), os.path.getsize(path)))  # noqa: PTH202
        return sorted(found)

    def piece(folder: str, name: str, start: int, size: int) -> bytes:
        with open(os.path.join(folder, name), "rb") as file:  # noqa: PTH118, PTH123
            file.seek(start)
            return file.read(size)

    return listing, piece
