"""A real S3 server on this machine: SeaweedFS, with identities of its own, which can be stopped and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

STARTS_WITHIN = 90.0
KEYS = {"tune": "the-right-secret", "reader": "the-secret-of-who-reads"}
ACTIONS = {"tune": ["Admin", "Read", "Write", "List"], "reader": ["Read", "List"]}


def weed() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))


class Seaweed:
    """The server. `start` returns once it answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        identities = [
            {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": ACTIONS[name]}
            for name, secret in KEYS.items()
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()
        self._ports = dict(zip(("s3", "master", "volume", "filer"), _free_ports(8), strict=False))
        self._grpc = dict(zip(("s3", "master", "volume", "filer"), _free_ports(4), strict=True))
        self.address = f"http://127.0.0.1:{self._ports['s3']}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        ports += [f"-{name}.port.grpc={port}" for name, port in self._grpc.items()]
        program = weed()
        assert program is not None
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, "-logtostderr", "server", "-s3", "-s3.iam=false", f"-s3.config={self._folder}/s3.json"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._folder}/data", "-volume.max=20"),
                    *("-master.volumeSizeLimitMB=64", *ports),
                ],
                cwd=self._folder,
                # It takes credentials that it finds there for those of an administrator.
                env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "weed.log").read_text()[-2000:]
            time.sleep(0.5)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def environment(self, name: str = "tune", secret: str | None = None) -> dict[str, str]:
        """What tells AWS tools of it, and of who asks."""
        given = {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": KEYS[name] if secret is None else secret}
        return {"AWS_ENDPOINT_URL": self.address, **given}

    def _answers(self) -> bool:
        """Whether it takes an object: the S3 port answers long before the rest is ready."""
        session = botocore.session.Session()
        config = Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5
        )
        client = session.create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.address,
            aws_access_key_id="tune",
            aws_secret_access_key=KEYS["tune"],
            config=config,
        )
        try:
            if "runs" not in {each["Name"] for each in client.list_buckets().get("Buckets", ())}:
                client.create_bucket(Bucket="runs")
            client.put_object(Bucket="runs", Key="ready", Body=b"yes")
        except (BotoCoreError, ClientError):
            return False
        return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
