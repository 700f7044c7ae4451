"""Make the token of the cluster at its first start; later starts keep it. Prints nothing of it."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path


def main() -> int:
    """Write a token of 256 bits to RAY_AUTH_TOKEN_PATH, readable by its owner alone, unless there is one."""
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    if path.exists() and path.stat().st_size:
        path.chmod(0o600)
        print(f"token kept: {path}")
        return 0
    # Written under another name first, so that an interrupted start leaves no empty token behind.
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    draft.rename(path)
    print(f"token made: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
