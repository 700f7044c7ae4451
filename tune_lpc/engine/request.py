"""What a search is asked for, and how it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lpc.engine.trainable import Evaluate
from tune_lpc.plan.hours import HoursAsked
from tune_lpc.plan.own_code import NO_CODE, OwnCode
from tune_lpc.plan.resources import ResourcesAsked
from tune_lpc.plan.space import Space
from tune_lpc.results import Tables
from tune_lpc.search.dashboard import NONE

if TYPE_CHECKING:
    from tune_lpc.engine.lifeline import HeadLost
    from tune_lpc.storage.uploading import Uploader


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    warm_start: folders of earlier searches that a new one learns from. resume: go on with the run in `out`, or begin it
        where there is none.
    max_failures: how often a trial goes on from its last checkpoint after its worker or node failed.
    stuck_after: a trial that says nothing in so many times the time expected is restarted.
    fingerprint: of the images that are needed, None where any will do. trains_on_all, evaluate: see `trainable.Job`.
    about: further content of run.json. optuna_storage: where a study follows the search, see `search.dashboard`.
    uploads: what uploads `out`, where that is the copy of results elsewhere.
    hours: that the search may take, all its sessions together. without_token: whether a Ray that is started asks for
        none. code: of the user's own. began: when the command did, by `time.monotonic`.
    """

    space: Space
    out: Path
    data_dir: Path | None = None
    resources: ResourcesAsked = field(default_factory=ResourcesAsked)
    address: str | None = None
    measures: tuple[str, ...] = ()
    command: str = ""
    warm_start: tuple[Path, ...] = ()
    resume: bool = False
    max_failures: int = 2
    stuck_after: float = 20.0
    fingerprint: str | None = None
    trains_on_all: bool = False
    evaluate: Evaluate | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    optuna_storage: str = NONE
    hours: HoursAsked = field(default_factory=HoursAsked)
    without_token: bool = False
    code: OwnCode = NO_CODE
    began: float = field(default_factory=time.monotonic)
    uploads: Uploader | None = None

    @property
    def resume_command(self) -> str:
        """The command with which an interrupted search goes on."""
        if self.command.endswith(")"):  # of Python
            return self.command if self.resume else f"{self.command[:-1]}, resume=True)"
        # At its beginning: at the end it could be taken for a value of --set or --method.
        return self.command if self.resume else re.sub(r"(tune_lpc\.\w+)", r"\1 --resume", self.command, count=1)


@dataclass(frozen=True)
class Outcome:
    """How a search ended.

    tables: None when the files could not be written.
    exit_status: 0; 1 when no trial reached a score, or when the search or the writing of its files failed; 128 and the
        signal's number.
    lost: why no other search can follow: their Ray is lost. To be kept until Ray is shut down: the objects of Ray Tune
        that its traceback keeps would turn to the new head when they are deleted before.
    """

    tables: Tables | None
    exit_status: int
    message: str
    lost: HeadLost | None = None
