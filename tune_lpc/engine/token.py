"""The token that a Ray cluster asks of whoever joins it."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from filelock import FileLock


def ensure_users_token() -> None:
    """Make the token of this user's local clusters, `~/.ray/auth_token`, unless there is one, or none is wanted there.

    Ray would make it too, but when two clusters first start at once, it writes over the other's: one of them then turns
    its own processes away. And it lets other users of the machine read it.

    Raises:
        OSError: the file can't be written.
    """
    elsewhere = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    if not elsewhere and os.environ.get("RAY_AUTH_MODE", "token").lower() == "token":
        make_token(Path.home() / ".ray" / "auth_token")


def make_token(path: Path) -> bool:
    """Write a token of 256 bits to `path`, readable by its owner alone, unless there is one; whether it was made.

    It comes into being whole, and once, however many processes ask for it at the same time.

    Raises:
        OSError: the file can't be written.
    """
    if _is_there(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if _is_there(path):
            return False
        descriptor, draft = tempfile.mkstemp(dir=path.parent)  # of mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        Path(draft).replace(path)
        return True


def _is_there(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
