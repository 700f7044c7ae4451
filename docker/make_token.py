"""Make the token of the cluster at its first start; later starts keep it. Prints nothing of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tune_lpc.engine.token import make_token


def main() -> int:
    """Write a token to RAY_AUTH_TOKEN_PATH, readable by its owner alone, unless there is one."""
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    made = make_token(path)
    print(f"token {'made' if made else 'kept'}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
