"""Object stores for the tests: one in memory that can be damaged and cut off, and a server like S3 over it."""

from __future__ import annotations

import email.utils
import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tune_lpc.storage.store import Content, Found, StoreError


class MemoryStore:
    """Objects in a dict. is_down: does not answer. is_conditional: knows conditions. now: its clock.

    loses_answers: writes are made, but who asked for them hears nothing.
    """

    where = "s3://bucket/path"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.is_down, self.is_conditional, self.loses_answers = False, True, False
        self.now = 0.0
        self.written: list[str] = []

    def list(self) -> list[Found]:
        self._answer()
        return [Found(key, len(data), tag_of(data)) for key, (data, _) in sorted(self.objects.items())]

    def read(self, key: str) -> Content | None:
        self._answer()
        if key not in self.objects:
            return None
        data, when = self.objects[key]
        return Content(data, tag_of(data), self.now - when)

    def write(self, key: str, data: bytes) -> str:
        self._answer()
        self.objects[key] = data, self.now
        self.written.append(key)
        if self.loses_answers:
            raise StoreError("no answer", is_passing=True)
        return tag_of(data)

    def create(self, key: str, data: bytes) -> str | None:
        self._answer()
        return None if self.is_conditional and key in self.objects else self.write(key, data)

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        self._answer()
        fits = key in self.objects and tag_of(self.objects[key][0]) == tag
        return self.write(key, data) if fits or not self.is_conditional else None

    def remove(self, key: str) -> None:
        self._answer()
        self.objects.pop(key, None)

    def _answer(self) -> None:
        if self.is_down:
            raise StoreError(f"{self.where} can't be reached", is_passing=True)

    def journal(self) -> bytes:
        """The segments one after another."""
        return b"".join(data for key, (data, _) in sorted(self.objects.items()) if key.startswith("journal/"))


def tag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


class Server:
    """What a test may change: objects by bucket and key, and refusals: (status, code) of every request, or commands."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.buckets: dict[str, MemoryStore] = {"bucket": MemoryStore()}
        self.refusal: tuple[int, str] | None = None
        self.refused_commands: set[str] = set()
        self.lock = threading.Lock()


@contextmanager
def s3_server() -> Iterator[Server]:
    """A server on this machine that knows what tune_lpc asks of S3, and no credentials."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.state = Server(f"http://127.0.0.1:{http.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield http.state  # type: ignore[attr-defined]
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        with state.lock:
            if state.refusal is not None:
                self._error(*state.refusal)
            elif self.command in state.refused_commands:
                self._error(403, "AccessDenied")
            elif bucket not in state.buckets:
                self._error(404, "NoSuchBucket")
            else:
                store = state.buckets[bucket]
                store.now = time.time()
                getattr(self, f"_{self.command.lower()}")(store, key, parse_qs(parts.query), body)

    do_GET = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server asks for

    def _get(self, store: MemoryStore, key: str, query: dict[str, list[str]], _: bytes) -> None:
        if not key:
            prefix = query.get("prefix", [""])[0]
            found = [each for each in store.list() if each.key.startswith(prefix)]
            entries = "".join(
                f"<Contents><Key>{escape(each.key)}</Key><Size>{each.size}</Size><ETag>{escape(each.tag)}</ETag></Contents>"
                for each in found
            )
            self._send(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())
        elif key in store.objects:
            data, when = store.objects[key]
            self._send(200, data, {"ETag": tag_of(data), "Last-Modified": email.utils.formatdate(when, usegmt=True)})
        else:
            self._error(404, "NoSuchKey")

    def _put(self, store: MemoryStore, key: str, _: dict[str, list[str]], body: bytes) -> None:
        if "If-None-Match" in self.headers:
            tag = store.create(key, body)
        elif "If-Match" in self.headers:
            tag = store.replace(key, body, self.headers["If-Match"])
        else:
            tag = store.write(key, body)
        if tag is None:
            self._error(412, "PreconditionFailed")
        else:
            self._send(200, b"", {"ETag": tag})

    def _delete(self, store: MemoryStore, key: str, *_: object) -> None:
        store.remove(key)
        self._send(204)

    def _error(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>told by the server</Message></Error>".encode())

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/xml", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the output belongs to the tests."""


@contextmanager
def server_in_the_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Server]:
    """A server that stands in for S3, which the environment names, with a cache of the test's own in `folder`."""
    with s3_server() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        monkeypatch.setenv("TUNE_LPC_CACHE", str(folder / "cache"))
        yield running
