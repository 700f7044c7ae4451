"""Is training right on this GPU, and how fast is it? One command, which ends with a table for the README.

    python -m benchmarks.gpu [--minutes 9] [--part NAME ...]
    python -m benchmarks.gpu --rehearse        (every part, small, on a CPU: two minutes on two cores)

First what must be right: the Triton kernel of H0 gives what the CPU's gives; bfloat16 follows float32 on digits under
the whole ramp; the channels-last network is the contiguous one; a training that was resumed is one that was not;
every network takes a step; every measure is computed. Then speed, the most important first: ResNet-18 beside the plain
loop of benchmarks/step.py, and what share of the machine's own matrix products that is; how many trials should share
the GPU; H0 beside plain torch, and torchph where it builds; torch.compile and CUDA graphs; memory; the measures.

Each line is printed when it is known. A part that fails is told in a line and ends nothing else, but the exit status is
then 1. What could not be measured here says so with its reason, and is in the table as such: no number is made up.
Parts that would not fit into --minutes are named as left out; one that takes longer than those left is broken off.

It needs `plan` and `training` alone: torch, torchvision, scikit-learn, scipy, filelock and pillow, no Ray and no
Optuna. The images are noise of the data sets' sizes, which changes no time; those of digits are real.

Evidence so far: rehearsed on CPUs (2026-11-27, torch 2.14). It has not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import sys

import torch

from benchmarks.gpu import compiling, correctness, costs, networks, packing, persistence, training_speed
from benchmarks.gpu.running import Bench, Part, described_machine, run_parts
from tune_lpc.plan.resources import cpus_here
from tune_lpc.training.device import best_device, use_threads

PARTS = (
    Part("kernel", "H0 on this device beside the CPU", 20, persistence.agreement),
    Part("precision", "bfloat16 beside float32, digits, whole ramp", 25, correctness.precision),
    Part("channels-last", "channels-last beside contiguous", 10, correctness.channels_last),
    Part("resume", "a resumed training beside one that was not", 10, correctness.resume),
    Part("networks", "every network takes a step", 40, networks.every_network),
    Part("measures", "every measure is computed", 40, correctness.every_measure),
    Part("resnet18", "ResNet-18 beside the plain loop", 75, training_speed.resnet18),
    Part("packing", "trials that share the device", 100, packing.packing),
    Part("h0", "H0 deaths and gradient, beside other ways", 40, persistence.speed),
    Part("graphs", "a step as a CUDA graph", 20, compiling.graphs),
    Part("compile", "modes of torch.compile", 90, compiling.compiled),
    Part("memory", "memory of a trial", 20, costs.memory),
    Part("cost-of-measures", "seconds of the measures", 60, costs.measures),
)
"""In order of importance; each with the seconds that it should take on a GPU."""


def main() -> int:
    """Run the parts and print their table; 1 where one failed."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Is training right on this GPU, and how fast is it?"
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything; what does not fit is left out")
    parser.add_argument("--rehearse", action="store_true", help="every part, small, on the CPU")
    parser.add_argument("--part", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    if not 0 < options.minutes < 10**6:
        parser.error(f"--minutes is {options.minutes:g}, but must be above 0; leave it out for 9")
    device = torch.device("cpu") if options.rehearse else best_device()
    if device.type == "cpu" and not options.rehearse:
        parser.error("there is no GPU that torch sees here; give --rehearse to try every part on the CPU")
    use_threads(1 if options.rehearse else cpus_here())  # two threads wait for each other where others work too
    bench = Bench(device, small=options.rehearse, seconds=60 * options.minutes)
    print(described_machine(device), flush=True)
    return run_parts(bench, [part for part in PARTS if part.name in options.part])


if __name__ == "__main__":
    sys.exit(main())
