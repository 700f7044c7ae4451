"""What the tests share: a cache of their own, and one Ray for the whole session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that does other work.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Ray sets this when it starts a cluster, which is too late for processes forked from a server that was there before;
# and it must be there before Ray is imported.
os.environ["RAY_AUTH_MODE"] = "token"

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with searches first: they take longest, so the workers of pytest end at about the same time."""
    searching = {item.path for item in items if "ray_session" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in searching)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded images of the tests don't go to the user's home; workers and commands inherit the variable."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_LPC_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def ray_session(cache_of_the_session: Path) -> Iterator[str]:
    """A local Ray of two CPUs on ports that it picks itself, in a folder of its own; its address."""
    ray = pytest.importorskip("ray")
    from tune_lpc.engine.token import ensure_users_token

    ensure_users_token()  # tests that run beside these start their Ray at the same moment
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Not below pytest's folder: Ray puts sockets there, whose paths must be short.
    folder = tempfile.mkdtemp(prefix="tl-")
    context = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    yield context.address_info["address"]
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
