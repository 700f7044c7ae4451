"""Whether this process can join the Ray that answers at an address: its token, versions, and a node beside us.

Ray itself would try for a minute, and tell other reasons.
"""

from __future__ import annotations

import json
import os
import platform
from typing import Any

import ray
from ray._private import services
from ray._private.authentication.authentication_token_setup import (
    ensure_token_if_auth_enabled,
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.exceptions import AuthenticationError, RayError

from tune_lpc.engine.output import rays_output

NO_TOKEN = (
    "RAY_AUTH_MODE is token, but there is no token to show; put the cluster's into ~/.ray/auth_token, or into the file "
    "that RAY_AUTH_TOKEN_PATH names"
)


def joining_problems(address: str) -> list[str]:
    """Why the Ray that answers at HOST:PORT can't be joined from here, in a line, found within seconds."""
    told = f"--address {address}"
    with rays_output():  # its own warnings of the same, and stack traces
        if problems := token_problems(told):
            return problems
        try:
            known = GcsClient(address=address).internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=10)
        except AuthenticationError:
            return [wrong_token(told)]
        except (RayError, RuntimeError, OSError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            return [f"{told} can't be joined ({reason[:200]}); see that Ray {ray.__version__} runs there"]
    if problems := version_problems(told, known):
        return problems
    return _node_problems(address, told)


def token_problems(told: str) -> list[str]:
    """Why there is no token to show where one is asked for."""
    try:
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        ensure_token_if_auth_enabled(create_token_if_missing=False)
    except (AuthenticationError, RuntimeError, OSError):
        if named := os.environ.get("RAY_AUTH_TOKEN_PATH"):
            return [
                f"{told} can't be joined: RAY_AUTH_TOKEN_PATH is {named}, but no token can be read there; put the "
                "cluster's into it"
            ]
        return [f"{told} can't be joined: {NO_TOKEN}"]
    return []


def wrong_token(told: str) -> str:
    """That the cluster asks for another token than the one shown, or for one at all."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return (
            f"{told} asks for a token, and none was shown; set RAY_AUTH_MODE=token, and put the cluster's token into "
            "~/.ray/auth_token, or into the file that RAY_AUTH_TOKEN_PATH names"
        )
    source = "RAY_AUTH_TOKEN" if "RAY_AUTH_TOKEN" in os.environ else os.environ.get("RAY_AUTH_TOKEN_PATH")
    return f"{told} refuses the token in {source or '~/.ray/auth_token'}: it has another; put the cluster's there"


def version_problems(told: str, known: bytes | None) -> list[str]:
    """Why the cluster's Ray and Python don't go with ours: what it knows of itself, as JSON, tells both."""
    try:
        there = json.loads(known or b"{}")
    except ValueError:
        there = {}
    theirs = (there.get("ray_version"), there.get("python_version"))
    ours = (ray.__version__, platform.python_version())
    if None in theirs or theirs == ours:
        return []
    return [
        f"{told} runs Ray {theirs[0]} with Python {theirs[1]}, but here are Ray {ours[0]} with Python {ours[1]}; both "
        "must be the same"
    ]


def _node_problems(address: str, told: str) -> list[str]:
    """Whether a node of the cluster runs on this machine, through which a program uses it.

    A machine goes by many names and addresses, so only the port is compared.
    """
    port = address.rpartition(":")[2]
    find: Any = services.find_gcs_addresses
    find.cache_clear()
    if any(known.rpartition(":")[2] == port for known in find()):
        return []
    return [
        f"{told} needs a node of that cluster on this machine: ray start --address {address} --num-cpus 0 "
        "--num-gpus 0; without one, send the search there with python -m tune_lpc.submit SPACE --address http://HOST:8265"
    ]
