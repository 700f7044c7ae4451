"""How many searches a minute the simulated engine runs: `PYTHONPATH=. python benchmarks/simulated.py`.

Searches of 32 trials of up to 36 epochs in the space of the digits, over made-up curves, on one core: what is measured
is the director, the ledger and the sampler, and nothing is trained.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

from tests.search.curves import begin, noisy_curve
from tune_lpc.plan import load_space
from tune_lpc.search.samplers import SAMPLERS
from tune_lpc.search.simulated import MemoryLog, simulate


def main() -> None:
    """Print a line a sampler: searches a minute, and events a search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each sampler (default 10)")
    seconds = parser.parse_args().seconds
    space = dataclasses.replace(load_space("digits"), trials=32)
    for sampler in SAMPLERS:
        searches = events = 0
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            seeded = dataclasses.replace(space, settings={**space.settings, "seed": searches})
            log = MemoryLog()
            simulate(begin(seeded, sampler, log=log), noisy_curve)
            searches += 1
            events += len(log.events)
        print(f"{sampler:<7} {60 * searches / passed:>7,.0f} searches a minute, {events / searches:.0f} events each")


if __name__ == "__main__":
    main()
