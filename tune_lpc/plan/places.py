"""Where results can be: in a folder, or at an address such as s3://bucket/path."""

from __future__ import annotations

import re
from pathlib import PurePath

# One slash, too: it is what pathlib makes of two.
_ADDRESS = re.compile(r"[sS]3:/|[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(place: str | PurePath | None) -> bool:
    """Whether a place that a user names is an address, of whatever kind, rather than a folder."""
    return place is not None and _ADDRESS.match(str(place)) is not None
