"""Addresses of results in an object store, as users give them, and where their local copies lie."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from tune_lpc.plan.errors import UserError, shown

CACHE = "TUNE_LPC_CACHE"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST = 200
"""Bytes of a path: the name of its local copy, which is made of it, has 255 at most."""


@dataclass(frozen=True)
class Address:
    """A bucket and a path in it, without slashes at its ends; empty where the whole bucket is meant."""

    bucket: str
    path: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.path}" if self.path else f"s3://{self.bucket}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in a text such as s3://bucket/path. Raises UserError naming the rule that it breaks."""
        scheme, _, rest = text.partition(":")
        if scheme.lower() != "s3":
            raise UserError(f"{shown(text)} is of a kind that is not known; give s3://BUCKET/PATH, or a folder")
        bucket, _, path = rest.lstrip("/").partition("/")
        if not _BUCKET.fullmatch(bucket):
            rule = "must be 3 to 63 small letters, digits, dots and hyphens"
            raise UserError(f"{shown(text)}: the name of the bucket is {shown(bucket)}, but {rule}")
        parts = [part for part in path.split("/") if part]
        if any(part in (".", "..") or part.startswith(".") for part in parts) or re.search(r"[\x00-\x1f\x7f\\]", path):
            rule = "but must have no part that begins with a dot, no backslash and no control character"
            raise UserError(f"{shown(text)}: its path is {shown(path)}, {rule}")
        if len(path.encode("utf-8", "replace")) > _LONGEST:
            raise UserError(f"{shown(text)}: its path is too long; give one of at most {_LONGEST} bytes")
        return cls(bucket, "/".join(parts))


def local_copy(address: Address, endpoint: str) -> Path:
    """Where the local copy of results lies that are stored at an address of a server: below the cache folder."""
    cache = os.environ.get(CACHE)
    host = re.sub(r"[^a-z0-9.-]", "-", urlsplit(endpoint).netloc.rpartition("@")[2].lower())
    # Expanded here, as the folder is told to people and to other processes.
    above = Path(cache).expanduser().absolute() if cache else user_cache_path("tune_lpc")
    # One folder, not one in another: the results at s3://b/a and those at s3://b/a/b have a copy each.
    name = address.path.replace("%", "%25").replace("+", "%2B").replace("/", "+")
    return above / "s3" / (host or "s3") / address.bucket / (name or "+")
