"""The final test of a trained network: the network is kept, then the test images are opened, once.

What came out lies beside the network before anybody hears of it. So when a process is killed in between, whoever trains
the network again finds the result, and does not open the test images again.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tune_lpc.final.network_file import network_bytes
from tune_lpc.final.test_images import opened_test_images
from tune_lpc.plan.errors import UserError
from tune_lpc.results.events import Tested, trial_id_of
from tune_lpc.results.export import write_files
from tune_lpc.training.data.batches import select_rows
from tune_lpc.training.loop import Training
from tune_lpc.training.measures import compute_measures
from tune_lpc.training.prepare import Prepared


@dataclass(frozen=True)
class FinalEvaluation:
    """Tests each trained network of a confirmation; handed to the engine by the command.

    folder: of the confirmation, on a disk that all nodes share. files: where each network goes in it, by the number of
    its trial, without an ending. measures: taken on the test images. data_dir: as for a search.
    """

    folder: Path
    files: Mapping[int, str]
    measures: tuple[str, ...]
    data_dir: Path | None

    def __call__(self, number: int, training: Training, prepared: Prepared) -> Tested:
        """Keep the network and test it; what came out before, where it was tested before.

        Raises UserError when the test images can't be read, or when the network can't be written.
        """
        network = self.files[number] + ".safetensors"
        result = (self.folder / network).with_suffix(".json")
        known = _read(result)
        if "accuracy" in known:
            return Tested(**known)
        try:
            result.parent.mkdir(parents=True, exist_ok=True)
            write_files({self.folder / network: network_bytes(training, prepared)}, {})
            # Before they are opened: an opening that ends nowhere is one, too.
            openings = int(known.get("openings", 0)) + 1
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            write_files({result: _json({"openings": openings, "opened": now})}, {})
            tested = self._test(number, network, openings, training, prepared)
            write_files({result: _json(dataclasses.asdict(tested))}, {})
        except OSError as error:
            raise UserError(
                f"the network can't be kept in {self.folder} ({error.strerror or error}); free space, then --resume"
            ) from error
        return tested

    def _test(self, number: int, network: str, openings: int, training: Training, prepared: Prepared) -> Tested:
        with opened_test_images(training.spec, self.data_dir, prepared.source.class_names) as test:
            expected, found = tuple(prepared.images.shape[1:]), tuple(test.images.shape[1:])
            if expected != found:
                raise UserError(
                    f"the test images are {_shape(found)}, but those to train on are {_shape(expected)}; give test "
                    "images of the same kind"
                )
            images = select_rows(test.images, test.labels, torch.arange(len(test.labels)), training.device)
            # In float32 whatever the training's arithmetic: what `tune_lpc.load` gives is then as good as this says.
            logits, _, labels = training.represent(images, precise=True)
            is_finite = bool(torch.isfinite(logits).all())
            accuracy = float((logits.argmax(dim=1) == labels).double().mean()) if is_finite else None
            loss = float(cross_entropy(logits.double(), labels)) if is_finite else None
            values, reasons = compute_measures(self.measures, training.evaluated(images))
        return Tested(trial_id_of(number), len(labels), accuracy, loss, values, reasons, network, openings)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _read(path: Path) -> dict[str, Any]:
    """What is known of the test of a network; nothing where it was not tested."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), indent=1, allow_nan=False) + "\n"
