"""The token that a Ray cluster asks of whoever joins it."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tune_lpc.plan.errors import shown

MODE = "RAY_AUTH_MODE"
NO_TOKEN = "TUNE_LPC_NO_TOKEN"
"""A variable of the environment: with 1 a Ray that is started here asks for no token."""


def token_problems(address: str | None, *, without: bool) -> list[str]:
    """Why the token is not as it should be. without: whether a Ray without one was asked for by an option.

    Ray itself would start without a token where RAY_AUTH_MODE says so, which may have been set long ago.
    """
    if address not in (None, "local"):
        mend = f"with --address {address} the cluster itself says whether it asks for one; leave it out"
        return [f"--no-token is for a Ray that is started here; {mend}"] if without else []
    told = os.environ.get(NO_TOKEN, "")
    if told not in ("", "0", "1"):
        return [f"{NO_TOKEN} is {shown(told)}, but must be 1 (a Ray that is started asks for no token) or 0"]
    mode, name = os.environ.get(MODE), "--no-token" if without else f"{NO_TOKEN}=1"
    is_on = mode is None or mode.lower() == "token"
    if not without and told != "1" and not is_on:
        return [
            f"{MODE} is {shown(mode)}, but must be token, as a Ray without one runs the code of whoever reaches its "
            f"ports; take it out of the environment, or ask for that with --no-token or {NO_TOKEN}=1"
        ]
    if (without or told == "1") and mode is not None and is_on:
        return [f"{name} is given, but {MODE} is token; leave one of them out"]
    return []


@contextmanager
def token_as_asked_for(*, without: bool) -> Iterator[bool]:
    """Within, a Ray that is started asks for a token; whether it does. It has none where that was asked for.

    Raises:
        OSError: the token can't be written.
    """
    if without or os.environ.get(NO_TOKEN) == "1":
        before = os.environ.get(MODE)
        os.environ[MODE] = "disabled"
        try:
            yield False
        finally:
            os.environ.pop(MODE, None)
            os.environ.update({} if before is None else {MODE: before})
    else:
        ensure_users_token()
        yield True


def ensure_users_token() -> None:
    """Make the token of this user's local clusters, unless there is one, or none is wanted: in the file that
    RAY_AUTH_TOKEN_PATH names, else in `~/.ray/auth_token`.

    Ray would make it too, but when two clusters first start at once, it writes over the other's: one of them then turns
    its own processes away. And it lets other users of the machine read it: such a file is closed to them, and so is the
    folder, in which they could put another in its place.

    Raises:
        OSError: the file can't be written.
    """
    if "RAY_AUTH_TOKEN" in os.environ or os.environ.get(MODE, "token").lower() != "token":
        return
    if named := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        make_token(Path(named))
        return
    path = Path.home() / ".ray" / "auth_token"
    make_token(path)
    _close_to_others(path.parent, 0o700)


def make_token(path: Path) -> bool:
    """Write a token of 256 bits to `path`, unless there is one; whether it was made. Only its owner may read it.

    It comes into being whole, and once, however many processes ask for it at the same time.

    Raises:
        OSError: the file can't be written.
    """
    made = not _is_there(path) and _write_once(path)
    _close_to_others(path, 0o600)
    return made


def _write_once(path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock"), mode=0o600):
        if _is_there(path):
            return False
        descriptor, draft = tempfile.mkstemp(dir=path.parent)  # of mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        Path(draft).replace(path)
        return True


def _is_there(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _close_to_others(path: Path, mode: int) -> None:
    """Take all rights beyond `mode` away; what belongs to somebody else is theirs to keep or to close."""
    status = path.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~mode:
        path.chmod(stat.S_IMODE(status.st_mode) & mode)
