"""Compiling with numba, once a machine and kind of processor, however many workers ask at once."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from tune_lpc.training.data.cache import cache_folder

Kernel = Callable[..., None]

SHARED = Path(__file__).with_name("bfloat16.py")
"""What kernels of several files call."""

log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


def compiled(function: Kernel, signature: str, fast_math: frozenset[str]) -> Kernel:
    """The function, compiled to machine code that releases the GIL; from the cache where it was compiled before.

    The cache lies in the folder `compiled` beside the decoded images, or in NUMBA_CACHE_DIR where that is set: an
    installed package may be read-only. Where neither can be written, each process compiles for itself.

    signature: types of the arguments as numba writes them. fast_math: flags of LLVM for floating-point arithmetic;
    state them in the file of the function, as numba compiles again when that file has changed.
    """
    import numba  # half a second, which a process without such functions need not spend
    from numba.core import config

    settings = vars(config)
    with _one_at_a_time:
        folder = Path(settings["CACHE_DIR"]) if settings["CACHE_DIR"] else cache_folder() / "compiled"
        # numba looks whether the file of the function has changed, not whether another that it calls has.
        folder = folder / hashlib.sha256(SHARED.read_bytes()).hexdigest()[:8]
        if not _make(folder):
            kernel: Kernel = numba.njit(signature, nogil=True, fastmath=set(fast_math))(function)
            return kernel
        # numba lists what its cache holds in one file, of which two writers at once would lose or mix up entries.
        with FileLock(folder / "lock"):
            before, settings["CACHE_DIR"] = settings["CACHE_DIR"], str(folder)
            try:
                kernel = numba.njit(signature, nogil=True, fastmath=set(fast_math), cache=True)(function)
            finally:
                settings["CACHE_DIR"] = before
        return kernel


def _make(folder: Path) -> bool:
    """Make the folder; whether files can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("%s can't be made (%s); compiling for this process alone", folder, error.strerror)
        return False
    if not os.access(folder, os.W_OK | os.X_OK):
        log.warning("%s can't be written; compiling for this process alone", folder)
        return False
    return True
