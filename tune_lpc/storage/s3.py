"""Objects in S3, and in the servers that speak like it; the only file that imports botocore.

Not pyarrow.fs, which knows no conditional writes, on which lease and segments rest, and tells what went wrong in texts
only. Endpoint, region, credentials and profiles are found as every AWS tool finds them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from tune_lpc.plan.errors import UserError
from tune_lpc.storage.address import Address
from tune_lpc.storage.store import Content, Found, StoreError

try:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
        SSLError,
        UnknownEndpointError,
    )
    from botocore.exceptions import (
        ConnectionError as NoConnectionError,
    )
except ImportError as _error:
    raise UserError("results at s3:// need botocore; install it: pip install 'tune_lpc[s3]'") from _error

CONNECT_SECONDS = 5
READ_SECONDS = 10
"""To wait for an answer."""
LARGE, LARGE_READ_SECONDS = 8 * 2**20, 60
"""Bytes of an object that a server may take longer to store, and how long."""
TRIES = 3
CONNECTIONS = 16
_NOT_MET = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_PASSING = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "RequestTimeTooSkewed")
_REFUSED = {
    "SignatureDoesNotMatch": "the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY, or the profile",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID, or the profile",
    "ExpiredToken": "the session token has expired; get new credentials",
    "InvalidToken": "the session token is not valid; check AWS_SESSION_TOKEN, or the profile",
    "RequestTimeTooSkewed": "the clock of this machine differs from the server's; set it",
    "NoSuchBucket": "there is no such bucket; make it, or check the name",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION",
    "IllegalLocationConstraintException": "the bucket is in another region; set AWS_REGION",
}


class S3Store:
    """The objects of an address. tries: how often a request is made that fails, at most.

    Raises UserError where credentials or endpoint can't even be asked for.
    """

    def __init__(self, address: Address, tries: int = TRIES) -> None:
        self.address, self._tries = address, tries
        self._prefix = f"{address.path}/" if address.path else ""
        self._client = self._checked(partial(_client, tries, READ_SECONDS))
        self.endpoint: str = self._client.meta.endpoint_url

    @property
    def where(self) -> str:
        """The address, as users know it."""
        return str(self.address)

    def list(self) -> list[Found]:
        """See `Store`."""
        found: list[Found] = []
        more: dict[str, str] = {}
        while True:
            part = self._ask("list", self._client.list_objects_v2, Prefix=self._prefix, **more)
            found += [
                Found(each["Key"].removeprefix(self._prefix), each["Size"], each["ETag"])
                for each in part.get("Contents", ())
                if not each["Key"].endswith("/")  # what some tools make to show a folder
            ]
            if not part.get("IsTruncated"):
                return sorted(found, key=lambda each: each.key)
            more = {"ContinuationToken": part["NextContinuationToken"]}

    def read(self, key: str) -> Content | None:
        """See `Store`."""

        def get(**asked: Any) -> dict[str, Any]:
            answer: dict[str, Any] = self._client.get_object(**asked)
            return {**answer, "Body": answer["Body"].read()}

        try:
            answer = self._ask("read", get, Key=self._prefix + key)
        except _NotThereError:
            return None
        return Content(answer["Body"], answer["ETag"], _age(answer))

    def write(self, key: str, data: bytes) -> str:
        """See `Store`."""
        return str(self._put(key, data)["ETag"])

    def create(self, key: str, data: bytes) -> str | None:
        """See `Store`."""
        return self._put_if(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """See `Store`."""
        return self._put_if(key, data, IfMatch=tag)

    def remove(self, key: str) -> None:
        """See `Store`."""
        self._ask("remove", self._client.delete_object, Key=self._prefix + key)

    def _put(self, key: str, data: bytes, **conditions: str) -> dict[str, Any]:
        # A digest that every server knows, where newer checksums break some.
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        client = self._client if len(data) < LARGE else self._checked(partial(_client, self._tries, LARGE_READ_SECONDS))
        put = partial(client.put_object, Body=data, ContentMD5=digest, **conditions)
        return self._ask("write", put, Key=self._prefix + key)

    def _put_if(self, key: str, data: bytes, **conditions: str) -> str | None:
        try:
            return str(self._put(key, data, **conditions)["ETag"])
        except (_NotMetError, _NotThereError):
            return None
        except _UnsupportedError:
            return str(self._put(key, data)["ETag"])

    def _ask(self, verb: str, call: Callable[..., dict[str, Any]], **asked: Any) -> dict[str, Any]:
        try:
            return call(Bucket=self.address.bucket, **asked)
        except ClientError as error:
            raise self._refusal(error, verb) from error
        except (BotoCoreError, OSError) as error:
            raise self._no_answer(error) from error

    def _checked(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (BotoCoreError, ValueError) as error:
            problem = self._no_answer(error) if isinstance(error, BotoCoreError) else None
            # Not the text of the error, which could hold a password.
            reason = problem or f"{self.where}: the endpoint must be as https://HOST:PORT; check AWS_ENDPOINT_URL"
            raise UserError(str(reason)) from error

    def _refusal(self, error: ClientError, verb: str) -> StoreError:
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ("NoSuchKey", "404"):
            return _NotThereError(f"{self.where}: an object is not there any more")
        if code in _NOT_MET or status == 412:
            return _NotMetError(f"{self.where}: another one wrote there at the same time")
        if code == "NotImplemented" or status == 501:
            return _UnsupportedError(f"{self.where}: the server can't do that ({verb})")
        at = f"{self.where}: {_shown(self.endpoint)}"
        if code in _REFUSED:
            return StoreError(f"{self.where}: {_REFUSED[code]} ({_shown(self.endpoint)})", is_passing=code in _PASSING)
        if status in (401, 403):
            return StoreError(
                f"{self.where}: permission denied: these credentials may not {verb} objects there; a search has to "
                f"list, read, write and remove them ({_shown(self.endpoint)})"
            )
        reason = " ".join(f"{code}: {told.get('Message', '')}".split())
        return StoreError(f"{at} refuses to {verb} ({reason})", is_passing=code in _PASSING or status >= 500)

    def _no_answer(self, error: Exception) -> StoreError:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return StoreError(
                f"{self.where}: there are no credentials, or not all of them; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        if isinstance(error, ProfileNotFound):
            return StoreError(f"{self.where}: {error}; check AWS_PROFILE")
        endpoint = _shown(getattr(self, "endpoint", "the server"))
        if isinstance(error, SSLError):
            return StoreError(f"{self.where}: no secure connection to {endpoint}; check https in AWS_ENDPOINT_URL")
        if isinstance(error, HTTPClientError | NoConnectionError | UnknownEndpointError | OSError):
            reason = type(error).__name__.removesuffix("Error")
            told = f"{self.where} can't be reached: {endpoint} does not answer ({reason}); check AWS_ENDPOINT_URL"
            return StoreError(f"{told} and the network", is_passing=True)
        return StoreError(f"{self.where}: {' '.join(str(error).split())}", is_passing=False)


class _NotThereError(StoreError):
    """There is no such object."""


class _NotMetError(StoreError):
    """The condition of a write is not met."""


class _UnsupportedError(StoreError):
    """The server knows no conditions."""


def _client(tries: int, read_seconds: int) -> Any:
    session = botocore.session.Session()
    own = session.get_scoped_config().get("s3") or {}
    region = session.get_config_variable("region") or "us-east-1"
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds,
        "max_pool_connections": CONNECTIONS,
        "retries": {"total_max_attempts": tries, "mode": "standard"},
        # What only newer servers know is left out where it is not needed.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    client = session.create_client("s3", region_name=region, config=Config(**settings))
    host = str(urlsplit(client.meta.endpoint_url).hostname)
    if not host.endswith((".amazonaws.com", ".amazonaws.com.cn")) and "addressing_style" not in own:
        # Buckets as names of hosts need a name server that plays along.
        config = Config(**settings, s3={"addressing_style": "path"})
        client = session.create_client("s3", region_name=region, config=config)
    return client


def _shown(endpoint: str) -> str:
    """An endpoint without a user and a password, should it hold them."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else endpoint


def _age(answer: dict[str, Any]) -> float:
    """Seconds since an object was written, by the clock of the server alone; 0 where it does not tell its time."""
    told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return max(0.0, float((parsedate_to_datetime(told) - answer["LastModified"]).total_seconds()))
    except (TypeError, ValueError, KeyError):
        return 0.0
