"""Train one config of a finished search again, alone: ``python -m tune_lpc.train DIR --rank 1``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tune_lpc.cli.options import Parser, data_dir_problems, exit_status, numbers
from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.results import load_ranked, load_run


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 (diverged), 2 (bad input) or 130 (interrupted)."""
    parser = Parser(prog="python -m tune_lpc.train", description="Train one config of a search again, alone.")
    parser.add_argument("directory", metavar="DIR", help="folder of a search")
    parser.add_argument("--rank", metavar="R", default="1", help="rank of the config in best.parquet (default 1)")
    parser.add_argument("--data-dir", metavar="DIR", help="images on disk (default: where the search had them)")
    parser.add_argument("--save", metavar="FILE", help="write the trained network's state to this new file")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _command(options: argparse.Namespace) -> int:
    values, problems = numbers(options, {"rank": int})
    problems += data_dir_problems(options.data_dir)
    if options.save is not None and Path(options.save).exists():
        problems.append(f"--save {options.save} is there already; choose another file")
    if options.save is not None and not Path(options.save).absolute().parent.is_dir():
        problems.append(f"--save {options.save} lies in a folder that does not exist; make it first")
    if problems:
        raise UserError(problems)
    directory = Path(options.directory)
    spec = load_ranked(directory, values["rank"])
    return _train(spec, load_run(directory), options.data_dir, options.save)


def _train(spec: TrialSpec, run: dict[str, object], data_dir: str | None, save: str | None) -> int:
    # torch takes seconds to import: only now, when the options are known to be right.
    from tune_lpc.training.device import best_device, use_threads
    from tune_lpc.training.prepare import prepare, start_training

    data, resources = run["data"], run["resources"]
    assert isinstance(data, dict) and isinstance(resources, dict)
    folder = data_dir or data["data_dir"]
    prepared = prepare(spec, Path(folder) if folder else None)
    if prepared.source.fingerprint != data["fingerprint"]:
        raise UserError(f"the images of {spec.dataset} differ from those of the search; give its data with --data-dir")
    # The same number of threads adds in the same order, so that the numbers are those of the search.
    use_threads(resources["cpus_per_trial"])
    print(f"data: {prepared.describe()}")
    training = start_training(spec, prepared, best_device() if resources["gpus_per_trial"] else "cpu")
    for record in training.epochs():
        accuracy = "none" if record.validation_accuracy is None else f"{record.validation_accuracy:.4f}"
        print(
            f"epoch {record.epoch}/{spec.epochs}: train loss {record.train_loss}, validation accuracy {accuracy}, "
            f"gamma {record.gamma:.3g}, {record.seconds:.1f} s",
            flush=True,
        )
        if record.diverged:
            print(f"diverged: {record.diverged}", file=sys.stderr)
            return 1
    print(f"validation accuracy: {accuracy}")
    if save is not None:
        training.save(Path(save))
        print(f"saved: {save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
