"""A trained network for other runtimes, as ONNX."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from tune_lpc.final.network_file import read_network
from tune_lpc.plan.errors import UserError

NEEDED = ("onnx", "onnxscript")


def check_onnx() -> None:
    """Raise UserError where the packages that write ONNX are missing."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(f"--export onnx needs {' and '.join(missing)}; install them: pip install 'tune_lpc[onnx]'")


def export_onnx(path: Path) -> Path:
    """Write the network of a safetensors file beside it as ONNX; its path.

    Input `images`: float32 (n, channels, height, width) from 0 to 1, any n. Output `logits`: (n, classes). The
    preprocessing is in it. Raises UserError as `read_network`.
    """
    network = read_network(path, trust_code=True).to(memory_format=torch.contiguous_format)
    height, width, channels = network.about.image_shape
    target = path.with_suffix(".onnx")
    part = target.with_name(f".{target.name}.part")
    # Two images: an export from one would take the size of the batch for fixed.
    example = torch.zeros(2, channels, height, width)
    program = torch.onnx.export(
        network,
        (example,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # as no file was named
    program.save(part)
    part.replace(target)
    return target
