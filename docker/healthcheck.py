"""Whether this Ray node is well: exit status 0 when every address given answers "success".

Asks Ray's own health pages, which need no token; urllib from the standard library, as a slim image has no curl.
"""

from __future__ import annotations

import sys
from urllib.request import urlopen


def main(addresses: list[str]) -> int:
    """Ask each address; prints the first that is not well and returns 1."""
    for address in addresses:
        try:
            with urlopen(address, timeout=5) as answer:
                text = answer.read(200).decode(errors="replace")
        except OSError as error:
            print(f"{address}: {error}")
            return 1
        if "success" not in text:
            print(f"{address}: {text}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
