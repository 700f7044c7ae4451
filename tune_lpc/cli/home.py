"""Whether there is a home folder, looked at before Ray is imported, which ends with a traceback without one."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from tune_lpc.plan.errors import UserError

CACHE = "TUNE_LPC_CACHE"
TOKENS = ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")


def check_home(*, with_ray: bool = True) -> None:
    """Raise UserError where what lies in the home folder has no place: decoded images, and Ray's token.

    Where both have another place, a process without a home folder gets one for temporary files, and a process without
    a name that of its number: libraries ask for them.
    """
    home = _home()
    missing = []
    if not os.environ.get(CACHE) and not (home and _can_be_written(user_cache_path("tune_lpc"))):
        missing.append(f"{CACHE} to a folder for decoded images")
    has_token = any(os.environ.get(name) for name in TOKENS) or os.environ.get("RAY_AUTH_MODE") == "disabled"
    token = home / ".ray" / "auth_token" if home else None
    if with_ray and not has_token and not (token and (os.access(token, os.R_OK) or _can_be_written(token))):
        missing.append(f"{TOKENS[0]} to a file for Ray's token")
    if missing:
        told = f"the home folder {home} can't be written" if home else "there is no home folder (HOME is not set)"
        raise UserError(f"{told}; set HOME to a folder that can be written, or {' and '.join(missing)}")
    if home is None:
        os.environ["HOME"] = tempfile.gettempdir()
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"user-{os.getuid()}"


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _can_be_written(path: Path) -> bool:
    """Whether a file or folder is writable, or could be made with the folders above it."""
    there = next((each for each in (path, *path.parents) if each.exists()), None)
    return there is not None and os.access(there, os.W_OK | (os.X_OK if there.is_dir() else 0))
