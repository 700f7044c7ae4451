"""How long an export takes and what memory it needs, by number of epochs: `python -m benchmarks.export`.

A journal as a search writes it, of trials of 100 epochs each, is exported in a process of its own; memory is that
process's highest (VmHWM), the interpreter and its libraries included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import random
import tempfile
import time
from pathlib import Path

from tune_lpc.plan import TrialSpec
from tune_lpc.plan.record import EpochRecord
from tune_lpc.results import JOURNAL_FILE, Journal, export
from tune_lpc.results.events import EpochDone, RunEnded, Status, TrialEnded, TrialStarted, trial_id_of

EPOCHS = 100
MEBIBYTE = 2**20


def main() -> None:
    """Print a table: epochs, seconds, rows a second, MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    print(f"{'epochs':>9} {'seconds':>8} {'rows/s':>8} {'MiB':>6}")
    for epochs in parser.parse_args().epochs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_journal(folder, epochs // EPOCHS)
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_export, args=(folder, theirs))
            process.start()
            seconds, memory = ours.recv()
            process.join()
        print(f"{epochs:>9,} {seconds:>8.1f} {epochs / seconds:>8,.0f} {memory / MEBIBYTE:>6.0f}", flush=True)


def write_journal(folder: Path, trials: int) -> None:
    """A journal of so many completed trials."""
    draw = random.Random(0)
    config = TrialSpec.build({"epochs": EPOCHS}).as_dict()
    with Journal(folder / JOURNAL_FILE) as journal:
        for number in range(trials):
            name = trial_id_of(number)
            journal.write(TrialStarted(name, number, config))
            for epoch in range(1, EPOCHS + 1):
                journal.write(EpochDone(name, _record(epoch, draw).as_dict()))
            journal.write(TrialEnded(name, Status.COMPLETED, f"trained all {EPOCHS} epochs"))
        journal.write(RunEnded("finished", "all trials ended"))


def _record(epoch: int, draw: random.Random) -> EpochRecord:
    values = [draw.random() for _ in range(8)]
    return EpochRecord(
        EPOCHS, epoch, *values[:2], 0.0, 0.0, 0.0, *values[2:5], 10.0 ** (epoch / 25), None, 0.0, 1e-3, *values[5:7],
        images_per_second=1e4 * values[7], seconds=values[0], diverged=None,
    )  # fmt: skip


def _export(folder: Path, pipe: multiprocessing.connection.Connection) -> None:
    start = time.monotonic()
    export(folder)
    seconds = time.monotonic() - start
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    pipe.send((seconds, memory))


if __name__ == "__main__":
    main()
