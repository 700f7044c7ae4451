"""What goes wrong with S3 is told in one line that names the address and the mend, and never a secret."""

from __future__ import annotations

import pytest

from tests.storage.stores import Server
from tune_lpc.plan.errors import UserError
from tune_lpc.storage.address import Address
from tune_lpc.storage.s3 import S3Store
from tune_lpc.storage.store import StoreError

ADDRESS = Address("bucket", "some/path")


def test_objects(server: Server) -> None:
    store = S3Store(ADDRESS)
    assert store.list() == [] and store.read("a") is None
    tag = store.write("a", b"first")
    assert store.create("a", b"second") is None and store.replace("a", b"second", '"other"') is None
    assert store.replace("a", b"second", tag) is not None
    assert store.create("b/Größe 1+2.txt", b"") is not None
    assert [(each.key, each.size) for each in store.list()] == [("a", 6), ("b/Größe 1+2.txt", 0)]
    content = store.read("a")
    assert content is not None and content.data == b"second" and 0 <= content.age < 60
    store.remove("a")
    store.remove("a")
    assert [each.key for each in store.list()] == ["b/Größe 1+2.txt"]
    assert list(server.buckets["bucket"].objects) == ["some/path/b/Größe 1+2.txt"]


@pytest.mark.parametrize(
    ("status", "code", "told", "is_passing"),
    [
        (403, "SignatureDoesNotMatch", "the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY", False),
        (403, "InvalidAccessKeyId", "the access key is not known there; check AWS_ACCESS_KEY_ID", False),
        (403, "AccessDenied", "permission denied: these credentials may not list objects there", False),
        (403, "Whatever", "permission denied: these credentials may not list objects there", False),
        (400, "ExpiredToken", "the session token has expired", False),
        (404, "NoSuchBucket", "there is no such bucket; make it, or check the name", False),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region; set AWS_REGION", False),
        (503, "SlowDown", "refuses to list (SlowDown: told by the server)", True),
        (500, "InternalError", "refuses to list (InternalError: told by the server)", True),
        (418, "Teapot", "refuses to list (Teapot: told by the server)", False),
    ],
)
def test_refusals(server: Server, status: int, code: str, told: str, is_passing: bool) -> None:
    server.refusal = status, code
    with pytest.raises(StoreError) as refused:
        S3Store(ADDRESS).list()
    line = str(refused.value)
    assert line.startswith("s3://bucket/some/path: ") and told in line and "\n" not in line
    assert refused.value.is_passing is is_passing
    assert "very-secret" not in line and "known" not in line.replace("is not known there", "")


def test_a_dead_endpoint_without_its_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:my-password@127.0.0.1:1")
    with pytest.raises(StoreError) as refused:
        S3Store(ADDRESS).list()
    line = str(refused.value)
    assert line.startswith("s3://bucket/some/path can't be reached: http://127.0.0.1:1 does not answer")
    assert refused.value.is_passing and "my-password" not in line


@pytest.mark.parametrize("endpoint", ["nonsense", "me:my-password@host:80", "http://"])
def test_no_endpoint_at_all(server: Server, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(UserError) as refused:
        S3Store(ADDRESS).list()
    (line,) = refused.value.problems
    assert "check AWS_ENDPOINT_URL" in line and "my-password" not in line


def test_no_secure_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address.replace("http", "https"))
    with pytest.raises(StoreError, match="no secure connection to https://127"):
        S3Store(ADDRESS).list()


def test_no_credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="there are no credentials, or not all of them; set AWS_ACCESS_KEY_ID"):
        S3Store(ADDRESS).list()


def test_a_profile_that_is_not_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    with pytest.raises(UserError, match="profile \\(mine\\) could not be found; check AWS_PROFILE"):
        S3Store(ADDRESS)


def test_a_profile(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from pathlib import Path

    config = Path(str(tmp_path)) / "config"
    config.write_text(
        f"[profile mine]\nendpoint_url = {server.address}\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    assert S3Store(ADDRESS).list() == []
