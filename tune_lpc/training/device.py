"""Where a network trains, and in which precision."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tune_lpc.plan.trial import TrialSpec

_MALLOC_OPTIONS = {-3: 2**30, -1: 2**31 - 1, -2: 2**26}
"""Of mallopt(3): M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes."""


def best_device() -> torch.device:
    """The first GPU that is visible to this process, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has bfloat16: GPUs from Ampere on, CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return supported
    return cpu_computes_in_bfloat16()


def cpu_computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for products in bfloat16: AMX, or AVX512-BF16."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def resolved_precision(precision: str, network: str, in_bfloat16: bool) -> str:
    """Either "float32" or "bfloat16": what the setting `precision` means for a network on given hardware.

    in_bfloat16: what `computes_in_bfloat16` says of all devices that will train. "auto" takes bfloat16 then, but not
    for the MLP, which is too small to gain; any other precision is taken as it is.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if in_bfloat16 and network != "mlp" else "float32"


def autocast_type(spec: TrialSpec, device: torch.device) -> torch.dtype | None:
    """The low precision of the backbone on this device, as `resolved_precision` has it; None for float32 throughout."""
    in_bfloat16 = spec.precision == "auto" and computes_in_bfloat16(device)
    return torch.bfloat16 if resolved_precision(spec.precision, spec.network, in_bfloat16) == "bfloat16" else None


def gpus_here() -> int:
    """The GPUs that this process sees."""
    return torch.cuda.device_count()


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Full float32 on GPUs too, where convolutions round to TF32 otherwise: too coarse for collapsed classes."""
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
        yield


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors for the next ones, where the C library is glibc; elsewhere do nothing.

    It would give each large tensor back to the system at once, which clears the pages again for the next step: a sixth
    of the time of a small network's step. The process stays as large as it was at its largest. Holds for the whole
    process from the first call on.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        for option, value in _MALLOC_OPTIONS.items():
            change(option, value)


@contextmanager
def same_threads_after() -> Iterator[None]:
    """Give the CPU threads back that this process computed on before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_threads(threads: int) -> None:
    """Compute on so many CPU threads; as many as a trial has CPUs, so that concurrent trials do not fight."""
    torch.set_num_threads(threads)
