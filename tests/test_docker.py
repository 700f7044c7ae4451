"""The files of docker/, as far as they can be tried without Docker."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
REGISTRIES = ("pypi.org", "pythonhosted.org", "anaconda.org", "npmjs.org", "crates.io", "proxy.golang.org")


def test_no_file_names_the_host_of_a_package_registry() -> None:
    # Those of the project: what lies in results, environments and caches is not ours.
    folders = ("tune_lpc", "search_spaces", "benchmarks", "docker", "docs", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    text = {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}
    assert len(text) > 100
    assert [path for path, content in text.items() if any(host.encode() in content for host in REGISTRIES)] == []


def install_commands(variant: str, folder: Path) -> tuple[int, list[str]]:
    """Run the Dockerfile's step that installs torch with a pip that only tells; its status, and what pip was told."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (step,) = re.findall(r"^RUN --mount=\S+ \\\n *(case .*?[^\\])$", text, re.MULTILINE | re.DOTALL)
    pip = folder / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n')
    pip.chmod(0o755)
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "VARIANT": variant}
    done = subprocess.run(["sh", "-c", step], env=path, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_the_index_of_packages_is_left_to_pips_own_settings(tmp_path: Path) -> None:
    assert install_commands("cuda", tmp_path) == (0, ["install --requirement /tmp/torch.txt"])
    status, (told,) = install_commands("cpu", tmp_path)
    assert status == 0
    assert re.fullmatch(
        r"install --extra-index-url https://download\.pytorch\.org/\S+ --requirement /tmp/torch.txt", told
    )
    assert install_commands("tpu", tmp_path) == (1, [])


SECONDS = 1.0
"""Of processor time, in which the token is to be made; Ray and torch alone take several to import."""


def test_the_token_is_made_once_and_at_once_without_ray_and_torch(tmp_path: Path) -> None:
    path = tmp_path / "token" / "auth_token"
    script = shutil.copy(ROOT / "docker" / "make_token.py", tmp_path)
    run_and_tell = (
        "import runpy, sys, time\n"
        "try:\n    runpy.run_path(sys.argv[1], run_name='__main__')\n"
        "except SystemExit as end:\n    status = end.code\n"
        "loaded = sorted({'ray', 'torch', 'optuna', 'pandas'} & set(sys.modules))\n"
        "print(status, loaded, time.process_time(), sep='|')"
    )
    for done in ("made", "kept"):
        told = subprocess.run(
            [sys.executable, "-c", run_and_tell, script],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN_PATH": str(path)},
            capture_output=True,
            text=True,
            check=True,
        )
        first, second = told.stdout.splitlines()
        assert first == f"token {done}: {path}"
        status, loaded, seconds = second.split("|")
        assert (status, loaded) == ("0", "[]")
        assert float(seconds) < SECONDS
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)


def test_the_user_of_the_image_is_a_number_that_is_not_roots() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (.*)$", text, re.MULTILINE)
    assert user == "1000:1000" and "--uid 1000" in text


def test_what_compose_publishes_is_published_on_this_machine_alone() -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["watch"] and "latest" not in services[name]["image"]
        mounted = [
            volume for volume in services[name]["volumes"] if isinstance(volume, str) and volume.startswith("./")
        ]
        assert mounted and all((ROOT / "docker" / volume.split(":")[0]).is_dir() for volume in mounted)


def test_grafana_finds_its_data_source_and_its_dashboard() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090" and source["type"] == "prometheus"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tune_lpc.yaml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in services["grafana"]["volumes"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/tune_lpc.json" and (ROOT / "docker/grafana/dashboards/tune_lpc.json").is_file()
    (job,) = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"]
    (asked,) = job["http_sd_configs"]
    token = services["head"]["environment"]["RAY_AUTH_TOKEN_PATH"]
    assert asked["authorization"]["credentials_file"] == token and asked["url"].startswith("http://head:8265/")
