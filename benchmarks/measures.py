"""What does each measure cost? Seconds for one, by itself, on 1,000 images of CIFAR's size.

The network is not trained and the images are noise about one picture a class: the table is about time, not values.
DeepFool and PGD of an untrained network need few steps; a trained one takes longer.

    python benchmarks/measures.py [--network small_cnn] [--points 1000] [--device cpu] [--measure NAME ...]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch

from tune_lpc.spec import TrialSpec
from tune_lpc.training.device import best_device, use_threads
from tune_lpc.training.metrics import MEASURES, Evaluated, compute_measures
from tune_lpc.training.models import build_network

CLASSES = 10


def evaluated(network_name: str, points: int, device: torch.device) -> Evaluated:
    """A new network and what it gives on `points` images of ten classes; attacks see 1,000 of them at most."""
    torch.manual_seed(0)
    spec = TrialSpec.build({"dataset": "cifar10", "network": network_name, "epochs": 1, "learning_rate": 1e-3})
    network = build_network(spec, CLASSES, 3, 32).to(device).eval()
    labels = torch.arange(points) % CLASSES
    images = (torch.randn(CLASSES, 3, 32, 32)[labels] + 0.5 * torch.randn(points, 3, 32, 32)).to(device)
    labels = labels.to(device)
    with torch.inference_mode():
        outputs = [network(batch) for batch in images.split(256)]
    return Evaluated(
        z=torch.cat([output.z for output in outputs]),
        labels=labels,
        logits=torch.cat([output.logits for output in outputs]),
        output_weight=network.output.weight.detach(),
        inputs=images[:1000],
        input_labels=labels[:1000],
        logits_of=lambda batch: network(batch).logits,
        pixel_deviation=torch.full((3,), 0.25, device=device),
        pixel_mean=torch.full((3,), 0.5, device=device),
    )


def main() -> None:
    """Print name, seconds and value, or the reason for none, of each measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="small_cnn", help="a network of the search spaces")
    parser.add_argument("--points", type=int, default=1000, help="how many images")
    parser.add_argument("--device", type=torch.device, default=best_device(), help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU")
    parser.add_argument("--measure", nargs="+", choices=list(MEASURES), default=list(MEASURES), metavar="NAME")
    options = parser.parse_args()
    use_threads(options.threads)
    given = evaluated(options.network, options.points, options.device)
    compute_measures(options.measure[:1], replace(given))  # what only the first call pays, such as a GPU's start
    print(f"{options.network}, {options.points} points x {given.z.shape[1]} on {options.device}")
    print(f"{'measure':<36} {'seconds':>9}  value")
    for name in options.measure:
        start = time.perf_counter()
        values, reasons = compute_measures([name], replace(given))  # a copy keeps nothing of what was computed before
        seconds = time.perf_counter() - start
        value = values[name]
        print(f"{name:<36} {seconds:>9.3f}  {f'{value:.5g}' if value is not None else reasons[name]}", flush=True)


if __name__ == "__main__":
    main()
