"""The image of docker/ built and its services run, for real; and what docker/README.md says of them.

Left out: Grafana, which is not to be had without a registry of images (tests/test_grafana.py reads its files),
VARIANT=cpu, whose wheels are not to be had either, and GPUs. In the service `prometheus` Debian's program stands in for
that of the image.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image as Picture

from tests.containers import TOKEN, Services, services, why_not
from tests.drivers import entries
from tests.hosts import ROOT
from tests.image import IMAGE

pytestmark = pytest.mark.cluster

DASHBOARD = "http://127.0.0.1:8265"
TRIALS, EPOCHS = 4, 150
SEARCH = ["digits", "--trials", str(TRIALS), "--epochs", str(EPOCHS), "--seeds", "1", "--fidelity", "full"]
SEARCH += ["--concurrent", "3"]
"""Of three at once two workers of two CPUs have one each; a short trial would end before the other worker begins."""
ASKS = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1])
if len(sys.argv) > 2:
    request.add_header("Authorization", f"Bearer {open(sys.argv[2]).read()}")
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.status, answer.read().decode(), end="")
except urllib.error.HTTPError as error:
    print(error.code, end=" ")
"""
LISTS = """
import json, os
found = {}
for folder, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev", "/run")]
    for path in (os.path.join(folder, name) for name in names):
        found[path] = os.lstat(path).st_size
print(json.dumps(found))
"""
KILLS = """
import os, pathlib, signal, sys
names = {path.parent.name: path.read_text().strip() for path in pathlib.Path("/proc").glob("[0-9]*/comm")}
found = [process for process, name in names.items() if name == sys.argv[1]]
for process in found:
    os.kill(int(process), signal.SIGKILL)
print(len(found))
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Services]:
    """A host with the image, on which nothing runs yet."""
    if reason := why_not():
        pytest.skip(reason)
    with services() as made:
        yield made


@pytest.fixture(scope="module")
def cluster(engine: Services) -> Services:
    """On it the token, a head and two workers."""
    engine.start("token")
    engine.wait_for(lambda: engine.inspected(engine.name("token"))["State"]["Status"] == "exited", "the token")
    engine.start("head")
    engine.wait_until_well("head")
    engine.start("worker", "--scale", "worker=2")
    engine.wait_until_well("worker")
    return engine


def asked(engine: Services, address: str, token: Path | None = None) -> tuple[int, str]:
    """Status and text of what an address answers to the host of the containers; 0 where nobody does."""
    done = engine.run("python", "-c", ASKS, address, *([str(token)] if token else []))
    if done.returncode != 0:
        return 0, done.stderr
    status, _, text = done.stdout.partition(" ")
    return int(status), text


def python(engine: Services, *arguments: str) -> str:
    """What `python ARGUMENTS` prints in a container of the image."""
    return engine.told("podman", "run", "--rm", "--network", "none", "--entrypoint", "python", IMAGE, *arguments)


def commands() -> list[str]:
    """Command lines of all that runs on this machine."""
    return [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]


# Before the others, whose host would be in its way.
def test_nothing_is_left_of_containers_even_when_a_test_fails() -> None:
    if reason := why_not():
        pytest.skip(reason)
    folders = []

    def fails() -> None:
        with services() as made:
            folders.extend([made.folder, made.image.store])
            made.start("token")
            made.told("podman", "run", "--detach", "--entrypoint", "sleep", IMAGE, "12345.678")
            assert [line for line in commands() if "12345.678" in line]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    folder, store = folders
    assert not folder.exists()
    assert not [line for line in commands() if "12345.678" in line or str(folder) in line]
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(folder) not in mounts and str(store) not in mounts


# The image


def test_the_image_names_a_user_by_number_and_knows_no_secret(engine: Services) -> None:
    (told,) = json.loads(engine.told("podman", "image", "inspect", IMAGE))
    config = told["Config"]
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["python", "-m", "tune_lpc.run"]
    environment = {line.split("=")[0] for line in config["Env"]}
    assert {name for name in environment if not name.startswith(("PIP_", "PYTHON"))} == {"PATH", "TUNE_LPC_CACHE"}


def test_of_ours_the_image_has_what_is_needed_to_run_and_no_more(engine: Services) -> None:
    files: dict[str, int] = json.loads(python(engine, "-c", LISTS))
    ours = {path: size for path, size in files.items() if re.search(r"/(tune_lpc|search_spaces)/", path)}
    programs = {path for path in ours if path.startswith("/opt/")}
    assert programs == {f"/opt/tune_lpc/{name}" for name in ("make_token.py", "healthcheck.py", "search.sh")}
    installed = {path.split("-packages/")[-1] for path in set(ours) - programs if "__pycache__" not in path}
    sources = [path for name in ("tune_lpc", "search_spaces") for path in (ROOT / name).rglob("*") if path.is_file()]
    assert installed == {str(path.relative_to(ROOT)) for path in sources if "__pycache__" not in path.parts}
    assert sum(ours.values()) < 5 * 10**6
    caches = {".git", ".cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
    emptied = ("/tmp/", "/var/tmp/", "/source/", "/wheels/", "/work/")
    assert not [path for path in files if caches & set(Path(path).parts) or path.startswith(emptied)]


def test_the_token_is_made_in_less_than_a_second(engine: Services) -> None:
    code = (
        "import resource, subprocess, sys, time; started = time.monotonic()\n"
        "subprocess.run([sys.executable, '/opt/tune_lpc/make_token.py'], check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(time.monotonic() - started, used.ru_utime + used.ru_stime)"
    )
    own = ("--env", "RAY_AUTH_TOKEN_PATH=/tmp/own/auth_token")
    told = engine.told("podman", "run", "--rm", "--network", "none", *own, "--entrypoint", "python", IMAGE, "-c", code)
    made, figures = told.splitlines()
    seconds, of_processor = map(float, figures.split())
    assert made == "token made: /tmp/own/auth_token"
    # Others may use the machine meanwhile.
    assert of_processor < 1.0, f"{of_processor} s of a processor, in {seconds} s"


def test_one_machine_without_a_cluster(engine: Services) -> None:
    # A volume of its own, as podman-compose removes none that it did not make.
    options = ("--init", "--shm-size", "2g", "-v", "tune_lpc_alone:/work/results")
    search = ["digits", "--trials", "2", "--epochs", "4", "--seeds", "1", "--out", "results/alone"]
    engine.told("podman", "run", "--rm", *options, IMAGE, *search, timeout=400.0)
    trials = pd.read_parquet(engine.volume("alone") / "alone" / "trials.parquet")
    assert trials["status"].tolist() == ["completed"] * 2
    engine.told("podman", "volume", "rm", "tune_lpc_alone")


# The services


def test_the_token_is_its_owners_alone_and_kept(cluster: Services) -> None:
    head = cluster.name("head")
    assert cluster.inside(head, "stat", "--format", "%a %u %g", TOKEN).split() == ["600", "1000", "1000"]
    token = cluster.inside(head, "cat", TOKEN)
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert cluster.told("podman", "logs", cluster.name("token")) == f"token made: {TOKEN}\n"
    cluster.told("podman", "start", "--attach", cluster.name("token"))
    assert cluster.told("podman", "logs", cluster.name("token")).splitlines() == [
        f"token made: {TOKEN}",
        f"token kept: {TOKEN}",
    ]
    assert cluster.inside(head, "cat", TOKEN) == token
    assert cluster.run("podman", "exec", head, "touch", "/run/token/more").returncode != 0, "it is mounted read-only"
    assert token not in cluster.logs()
    for name in ("head", "worker", "token"):
        for each in cluster.names(name):
            assert token not in json.dumps(cluster.inspected(each))


def test_all_runs_as_a_user_without_rights(cluster: Services) -> None:
    for name in (cluster.name("head"), *cluster.names("worker")):
        told = cluster.inside(name, "sh", "-c", "cat /proc/[0-9]*/status")
        found = dict.fromkeys(
            re.findall(r"^(Uid|Gid|CapEff|CapPrm|CapBnd|CapInh|NoNewPrivs):\s*(.*)$", told, re.MULTILINE)
        )
        assert {key for key, _ in found} == {"Uid", "Gid", "CapEff", "CapPrm", "CapBnd", "CapInh", "NoNewPrivs"}
        for key, value in found:
            expected = {"Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "NoNewPrivs": "1"}.get(
                key, "0" * 16
            )
            assert value.split() == expected.split(), (name, key)
        assert "raylet" in told
        assert cluster.run("podman", "exec", name, "touch", "/usr/bin/mine").returncode != 0


def test_the_objects_of_ray_lie_in_shared_memory(cluster: Services) -> None:
    """And not on the container's disk, where Ray puts them when it finds too little of that."""
    for name in (cluster.name("head"), *cluster.names("worker")):
        told = cluster.inside(name, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
        assert {line for line in told.splitlines() if "plasma_directory" in line} == {"--plasma_directory=/dev/shm"}


def test_the_dashboard_asks_for_the_token_and_is_published_on_this_host_alone(cluster: Services) -> None:
    right, wrong = cluster.folder / "right", cluster.folder / "wrong"
    right.write_text(cluster.inside(cluster.name("head"), "cat", TOKEN))
    wrong.write_text(secrets.token_hex(32))
    for page in ("/api/version", "/api/jobs/", "/api/prometheus/sd"):
        assert asked(cluster, DASHBOARD + page)[0] == 401
        assert asked(cluster, DASHBOARD + page, wrong)[0] == 403
        assert asked(cluster, DASHBOARD + page, right)[0] == 200
    elsewhere = f"http://{cluster.host.address}:8265/api/version"
    status, why = asked(cluster, elsewhere, right)
    assert status == 0 and "refused" in why
    published = cluster.told("podman", "ps", "--format", "{{.Ports}}").split()
    assert published == ["127.0.0.1:8265->8265/tcp"]


def test_a_search_runs_on_both_workers(cluster: Services) -> None:
    started = time.monotonic()
    done = cluster.search(*SEARCH)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"\nthe search took {time.monotonic() - started:.0f} s")
    out = cluster.volume("results") / "digits"
    trials, best, epochs = (pd.read_parquet(out / f"{name}.parquet") for name in ("trials", "best", "epochs"))
    assert trials["status"].tolist() == ["completed"] * TRIALS
    assert len(epochs) == TRIALS * EPOCHS and len(best) > 0
    hosts = {entry["host"] for entry in entries(out) if entry["kind"] == "trial_placed"}
    assert hosts == {cluster.inspected(name)["Config"]["Hostname"] for name in cluster.names("worker")}
    checked = cluster.run("python", "-m", "tune_lpc.check", str(out))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert cluster.names("search") == []


def test_bad_input_ends_the_search_with_status_2(cluster: Services) -> None:
    done = cluster.search("digits", "--epochs", "many")
    assert done.returncode == 2 and "many" in done.stdout + done.stderr


def test_a_search_with_images_of_ones_own(cluster: Services) -> None:
    folder, random = cluster.folder / "images", np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            pixels = random.integers(0, 128, (8, 8), dtype=np.uint8) + (128 if label == "cat" else 0)
            Picture.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")
    cluster.told("podman", "cp", str(folder), f"{cluster.name('head')}:/work/data/")
    options = ["--trials", "2", "--epochs", "2", "--data-dir", "/work/data/images", "--out", "results/own"]
    done = cluster.search("digits", "--seeds", "1", "--set", "dataset=folder", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_parquet(cluster.volume("results") / "own" / "trials.parquet")) == 2


def test_a_search_is_sent_from_the_host_and_its_results_fetched(cluster: Services) -> None:
    token = cluster.folder / "token"
    token.write_text(cluster.compose("exec", "-T", "head", "cat", TOKEN).stdout)
    token.chmod(0o600)
    out = ["--out", "/work/results/sent"]
    command = [
        "python",
        "-m",
        "tune_lpc.submit",
        "digits",
        "--address",
        DASHBOARD,
        *out,
        "--trials",
        "2",
        "--epochs",
        "2",
    ]
    done = cluster.host.run(*command, "--seeds", "1", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
    assert done.returncode == 0, done.stdout + done.stderr
    fetched = cluster.folder / "fetched"
    cluster.told("podman", "cp", f"{cluster.name('head')}:/work/results/sent", str(fetched))
    checked = cluster.run("python", "-m", "tune_lpc.check", str(fetched))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_finds_every_page_of_metrics(cluster: Services) -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("needs Debian's package prometheus")
    cluster.start("prometheus")

    def up() -> list[dict[str, Any]]:
        status, text = asked(cluster, "http://127.0.0.1:9090/api/v1/query?query=up")
        return json.loads(text)["data"]["result"] if status == 200 else []

    # Three nodes, and what runs on the head besides.
    cluster.wait_for(lambda: len(up()) >= 3 and {each["value"][1] for each in up()} == {"1"}, "its targets")
    name = cluster.name("prometheus")
    assert cluster.inside(name, "id", "-u").strip() == "1000"
    assert asked(cluster, f"http://{cluster.host.address}:9090/")[0] == 0
    cluster.told("podman", "stop", name)


def test_a_dead_head_is_unwell_and_is_started_again(cluster: Services) -> None:
    head = cluster.name("head")
    assert cluster.is_well(head)
    assert cluster.inside(head, "python", "-c", KILLS, "gcs_server") == "1\n"
    cluster.wait_for(lambda: not cluster.is_well(head), "the head to be unwell", patience=30.0)
    cluster.wait_until_well("head")
    cluster.wait_until_well("worker")
    done = cluster.search("digits", "--trials", "2", "--epochs", "4", "--seeds", "1", "--out", "results/after")
    assert done.returncode == 0, done.stdout + done.stderr


def test_down_leaves_the_results_and_with_volumes_nothing(cluster: Services) -> None:
    for name in cluster.names("worker")[1:]:  # podman-compose has forgotten that there are several
        cluster.told("podman", "rm", "--force", name)
    cluster.compose("down")
    assert cluster.told("podman", "ps", "--all", "--quiet") == ""
    assert (cluster.volume("results") / "digits" / "trials.parquet").exists()
    cluster.compose("down", "--volumes")
    assert cluster.told("podman", "volume", "ls", "--quiet") == ""
