"""Addresses of stored results: what they are, which are refused, and where their copies lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_lpc.plan.errors import UserError
from tune_lpc.plan.places import is_address
from tune_lpc.storage.address import Address, local_copy


@pytest.mark.parametrize(
    "place", ["s3://bucket/path", "S3://bucket", Path("s3://bucket/path"), "gs://b/p", "file:///x"]
)
def test_addresses(place: str | Path) -> None:
    assert is_address(place)


@pytest.mark.parametrize("place", [None, "results/small", "/data/s3/x", "~/s3", "C:", "results:/x", "", Path("a://b")])
def test_folders(place: str | Path | None) -> None:
    assert not is_address(place)


@pytest.mark.parametrize(
    ("text", "bucket", "path"),
    [
        ("s3://bucket/path", "bucket", "path"),
        ("S3://bucket/a//b/", "bucket", "a/b"),
        ("s3://my.bucket-1", "my.bucket-1", ""),
        (str(Path("s3://bucket/path")), "bucket", "path"),
        ("s3://bucket/Größe 1", "bucket", "Größe 1"),
    ],
)
def test_parts(text: str, bucket: str, path: str) -> None:
    assert Address.parse(text) == Address(bucket, path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gs://bucket/path", "'gs://bucket/path' is of a kind that is not known; give s3://BUCKET/PATH, or a folder"),
        ("s3://", "the name of the bucket is '', but must be 3 to 63 small letters"),
        ("s3://Bucket/x", "the name of the bucket is 'Bucket'"),
        ("s3://bucket/../x", "must have no part that begins with a dot"),
        ("s3://bucket/a\nb", "no control character"),
        (f"s3://bucket/{'x' * 201}", "give one of at most 200 bytes"),
    ],
)
def test_refused(text: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        Address.parse(text)
    (line,) = refused.value.problems
    assert told in line and "\n" not in line


def test_each_address_has_a_copy_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNE_LPC_CACHE", str(tmp_path))
    places = ["s3://bucket", "s3://bucket/a", "s3://bucket/a/b", "s3://bucket/a+b", "s3://bucket/a%2Bb", "s3://other/a"]
    copies = [local_copy(Address.parse(place), "https://user:password@host:9000/x") for place in places]
    copies.append(local_copy(Address.parse("s3://bucket/a"), "https://s3.amazonaws.com"))
    assert len({str(copy) for copy in copies}) == len(copies)
    for one in copies:
        assert tmp_path in one.parents and "password" not in str(one)
        assert not any(one in other.parents for other in copies)
