"""Train one config of a finished search again, alone: ``python -m tune_lpc.train DIR --rank 1``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_lpc import __version__
from tune_lpc.cli.home import check_home
from tune_lpc.cli.options import TRUST_CODE, Parser, data_dir_problems, exit_status, numbers
from tune_lpc.cli.own_code import code_of_results
from tune_lpc.cli.paths import folders_given, path_given
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.plan.errors import shown
from tune_lpc.plan.own_code import OwnCode
from tune_lpc.plan.resources import MOST_PROCESSES
from tune_lpc.results import load_ranked, load_run, sessions_of

if TYPE_CHECKING:
    from tune_lpc.training.prepare import Prepared
    from tune_lpc.training.trainer import Trains

BEST_RANK = 1
NEEDED: Mapping[str, tuple[type, ...]] = {
    "versions.tune_lpc": (str,),
    "data.data_dir": (str, type(None)),
    "data.fingerprint": (str,),
    "data.classes": (list,),
    "resources.cpus_per_trial": (int,),
    "resources.gpus_per_trial": (int, float),
}
"""What is read of run.json, with the types that it has."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (diverged), 2 (bad input) or 130 (interrupted)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _parser() -> Parser:
    parser = Parser(prog="python -m tune_lpc.train", description="Train one config of a search again, alone.")
    parser.add_argument("directory", metavar="DIR", type=path_given, help="folder of a search")
    parser.add_argument(
        "--rank",
        metavar="R",
        default=BEST_RANK,
        help=f"rank of the config in best.parquet (default {BEST_RANK})",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", type=path_given, help="images on disk (default: where the search had them)"
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        type=path_given,
        help="write the trained network's weights to this new file, as safetensors",
    )
    parser.add_argument(
        "--processes",
        metavar="N",
        help="processes that train it together, each on a GPU of its own or all on CPUs (default: as in the search)",
    )
    parser.add_argument("--trust-code", action="store_true", help=TRUST_CODE)
    return parser


def _command(options: argparse.Namespace) -> int:
    values, problems = numbers(options, {"rank": int, "processes": int})
    if values["processes"] is not None and not 1 <= values["processes"] <= MOST_PROCESSES:
        problems.append(f"--processes is {shown(values['processes'])}, but must be from 1 to {MOST_PROCESSES}")
    problems += data_dir_problems(options.data_dir)
    save = None if options.save is None else Path(options.save)
    if save is not None:
        problems += new_file_problems(save)
    if problems:
        raise UserError(problems)
    directory = folders_given([options.directory])[0]
    spec, run = load_ranked(directory, values["rank"]), load_run(directory, NEEDED)
    trained_in = sessions_of(directory, values["rank"])
    session = session_of(run, trained_in)
    if values["processes"] is not None:
        session = dataclasses.replace(session, processes=values["processes"])
    for line in changes_of_machine(trained_in):
        print(line)
    check_home(with_ray=False)
    code = code_of_results(directory, run, trust=options.trust_code)
    return _train(spec, run, session, options.data_dir, save, code)


def new_file_problems(path: Path) -> list[str]:
    """Why --save can't write a new file at `path`; found by making one, which does not stay."""
    told = f"--save {str(path)!r}"
    try:
        path.open("xb").close()
        path.unlink()
    except FileExistsError:
        return [f"{told} is there already; choose another file"]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            return [f"{told} lies in a folder that does not exist; make it first"]
        reason = error.strerror if isinstance(error, OSError) else error
        return [f"{told} can't be written ({reason}); choose another file"]
    return []


@dataclass(frozen=True)
class Session:
    """On what the search trained the trial. The same numbers of processes and of threads in all of them add in the same
    order, to the same numbers."""

    threads: int
    on_gpu: bool
    processes: int = 1


def session_of(run: Mapping[str, Any], trained_in: Sequence[Mapping[str, Any]]) -> Session:
    """The session in which to train again: that of the trial's last epoch, else the one that began the run.

    run: the content of run.json. trained_in: what `sessions_of` tells of the trial.
    """
    threads = run["resources"]["cpus_per_trial"]
    if threads < 1:
        raise UserError(f"run.json is damaged: resources.cpus_per_trial is {shown(threads)}, but must be 1 or more")
    resources = next((facts["resources"] for facts in reversed(trained_in) if facts.get("resources")), run["resources"])
    processes = resources.get("processes_per_trial", 1)
    if not isinstance(processes, int) or processes < 1:
        damage = f"resources.processes_per_trial is {shown(processes)}, but must be 1 or more"
        raise UserError(f"run.json is damaged: {damage}")
    return Session(resources["cpus_per_trial"], on_gpu=bool(resources["gpus_per_trial"]), processes=processes)


def changes_of_machine(trained_in: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line where the trial was trained under several versions, on other hardware or with other resources."""
    told = ("versions", "hardware", "resources")
    differing = [name for name in told if any(one.get(name) != trained_in[0].get(name) for one in trained_in[1:])]
    if not differing:
        return []
    return [
        f"the search trained this config in {len(trained_in)} sessions with other {' and '.join(differing)}; "
        "trained here as in the last one, so the numbers may differ from its own"
    ]


def _train(
    spec: TrialSpec, run: Mapping[str, Any], session: Session, data_dir: str | None, save: Path | None, code: OwnCode
) -> int:
    # torch takes seconds to import: only now, when the options are known to be right.
    from tune_lpc.training.prepare import check_image_size, prepare

    folder = data_dir or run["data"]["data_dir"]
    prepared = prepare(spec, Path(folder) if folder else None, code=code)
    check_image_size(spec.network, prepared)
    for line in _told_of(spec, run, prepared):
        print(line)
    print(f"data: {prepared.describe()}")
    if code:
        print(code.describe())
    with closing(_trainer(spec, prepared, session, Path(folder) if folder else None)) as trainer:
        return _epochs(spec, trainer, save)


def _trainer(spec: TrialSpec, prepared: Prepared, session: Session, data_dir: Path | None) -> Trains:
    """What trains the config as in the session. prepared: its data, in this process."""
    import torch

    from tune_lpc.training.device import best_device
    from tune_lpc.training.distributed.batches import share_of_batches
    from tune_lpc.training.distributed.group import Group
    from tune_lpc.training.team import Team
    from tune_lpc.training.trainer import Conditions, Trainer

    device = best_device() if session.on_gpu else torch.device("cpu")
    conditions = Conditions(data_dir, None, max(1, session.threads // session.processes), code=prepared.code)
    if session.processes == 1:
        trainer = Trainer(conditions, device)
        trainer.prepare(spec, prepared)
        return trainer
    share_of_batches(spec, len(prepared.split.train), Group(0, session.processes))  # before any of them is started
    team = Team(conditions, session.processes, on_gpu=device.type == "cuda")
    team.prepare(spec)
    return team


def _epochs(spec: TrialSpec, trainer: Trains, save: Path | None) -> int:
    """Train all epochs, and keep the network where it is asked for; the exit status."""
    from tune_lpc.final.network_file import network_bytes

    trainer.begin(spec, [spec.epochs], None, ())
    for _ in range(spec.epochs):
        record = trainer.next_epoch().record
        accuracy = "none" if record.validation_accuracy is None else f"{record.validation_accuracy:.4f}"
        loss = "none" if record.train_loss is None else f"{record.train_loss:.4g}"
        print(
            f"epoch {record.epoch}/{spec.epochs}: train loss {loss}, validation accuracy {accuracy}, "
            f"gamma {record.gamma:.3g}, {record.seconds:.1f} s",
            flush=True,
        )
        if record.diverged:
            print(f"diverged: {record.diverged}", file=sys.stderr)
            return 1
    print(f"validation accuracy: {accuracy}")
    if save is not None:
        _save(save, trainer.ask(network_bytes))
        print(f"saved: {save}")
    return 0


def _told_of(spec: TrialSpec, run: Mapping[str, Any], prepared: Prepared) -> list[str]:
    """What of the search is no longer as it was: only an older version's may differ, for that is what newer ones do.

    Raises UserError when the images are not those of the search.
    """
    begun_by = run["versions"]["tune_lpc"]
    older = _release(begun_by) < _release(__version__)
    lines = [f"begun by tune_lpc {begun_by}; trained under today's schedules ({__version__})"] if older else []
    if prepared.source.fingerprint != run["data"]["fingerprint"]:
        if not older or list(prepared.source.class_names) != run["data"]["classes"]:
            raise UserError(
                f"the images of {spec.dataset} differ from those of the search; give its data with --data-dir"
            )
        lines.append(
            f"the images of {spec.dataset} differ from those of the search: {__version__} may keep some of them apart "
            f"that {begun_by} trained on; trained on those of today"
        )
    return lines


def _release(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare it with another."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        raise UserError(f"run.json is damaged: versions.tune_lpc is {shown(version)}, but must be like {__version__}")
    return tuple(map(int, found.groups()))


def _save(path: Path, network: bytes) -> None:
    """Write the network's weights, and what it takes to use them, whole or not at all: see docs/trained_network.md."""
    part = path.with_name(f".{os.getpid()}.part")  # not longer than the name, which may be as long as names can be
    try:
        part.write_bytes(network)
        part.rename(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = error.strerror or error
        raise UserError(f"--save {str(path)!r} can't be written ({reason}); the trained network is lost") from error


if __name__ == "__main__":
    sys.exit(main())
