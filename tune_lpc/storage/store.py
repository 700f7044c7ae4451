"""What is asked of an object store. Keys are relative to the address of the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Found:
    """An object in a listing. tag: another one for another content (S3: ETag)."""

    key: str
    size: int
    tag: str


@dataclass(frozen=True)
class Content:
    """An object that was read. age: seconds since it was written, both times by the server's clock."""

    data: bytes
    tag: str
    age: float


class StoreError(Exception):
    """The store refuses, or does not answer; the text is one line that names the address, the reason and the mend.

    is_passing: whether it may be mended by waiting.
    """

    def __init__(self, text: str, *, is_passing: bool = False) -> None:
        self.is_passing = is_passing
        super().__init__(text)


class Store(Protocol):
    """Objects below one address. Everything raises StoreError."""

    @property
    def where(self) -> str:
        """The address, as users know it."""

    def list(self) -> list[Found]:
        """All objects, by key."""

    def read(self, key: str) -> Content | None:
        """An object; None where there is none."""

    def write(self, key: str, data: bytes) -> str:
        """Write an object, whatever was there before; its tag."""

    def create(self, key: str, data: bytes) -> str | None:
        """Write one that is not there yet; its tag, None where there is one already.

        A server that knows no conditions writes it all the same.
        """

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """Write one in the place of that with this tag; its own tag, None where that is not there any more.

        A server that knows no conditions writes it all the same.
        """

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
