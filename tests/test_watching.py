"""The dashboard of docker/grafana, and its queries put to a real Prometheus that watches a search."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.drivers import entries, processes_with, wait_until
from tune_lpc.search.readings import METRICS

DASHBOARD = Path(__file__).parents[1] / "docker" / "grafana" / "dashboards" / "tune_lpc.json"
QUESTIONS = ["Is it working?", "Is it getting better?", "What does it cost?", "What is stuck?"]
IDLE = {"ray_node_gpus_utilization": "there may be no GPU"}
"""Metrics that may have no data although all is well, and why."""
RATE = "sum(rate(ray_tune_lpc_epochs_total[1m]))"


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Every query, with what Grafana puts in: all spaces, and an interval."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [expression.replace("$space", ".*").replace("$__rate_interval", "1m") for expression in found]


def test_it_answers_the_four_questions_and_every_panel_says_what_it_shows() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == QUESTIONS
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels():
        assert panel["title"] and panel["description"] and panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    taken = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie on one another"


def test_it_shows_every_metric_and_none_that_there_is_not() -> None:
    named = {name for query in queries() for name in re.findall(r"ray_(tune_lpc_\w+)", query)}
    assert named == {metric.name for metric in METRICS}
    for query in queries():
        assert "WorkerId" not in query and re.search(r"\b(sum|max|avg)\b", query), "of each process a series of its own"


# With a real Prometheus


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Watched:
    """A search, and a Prometheus that reads its pages."""

    def __init__(self, address: str, out: Path) -> None:
        self._address, self.out = address, out

    def answers(self) -> bool:
        """Whether it has begun."""
        try:
            return self.ask("vector(1)") != []
        except OSError:
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus has to it now. A query that does not parse is an HTTPError."""
        with urlopen(f"http://{self._address}/api/v1/query?{urlencode({'query': query})}", timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        result: list[dict[str, Any]] = told["data"]["result"]
        return result

    def value(self, query: str) -> float:
        (series,) = self.ask(query)
        return float(series["value"][1])

    def epochs(self) -> int:
        return sum(entry["kind"] == "epoch" for entry in entries(self.out))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if shutil.which("prometheus") is None:
        pytest.skip("needs Debian's package prometheus")
    folder, ray_folder = tmp_path_factory.mktemp("watched"), tempfile.mkdtemp(prefix="t")
    out, port = folder / "out", free_port()
    options = ["--trials", "500", "--epochs", "27", "--seeds", "1", "--concurrent", "2", "--set", "rung_rule=stop"]
    with (folder / "told.txt").open("w") as told:
        search = subprocess.Popen(
            [sys.executable, "-m", "tune_lpc.run", "digits", *options, "--out", str(out)],
            env={**os.environ, "RAY_TMPDIR": ray_folder},
            stdout=told,
            stderr=told,
            stdin=subprocess.DEVNULL,
        )
    prometheus = None
    try:
        pages = "tune_lpc-*/ray/prom_metrics_service_discovery.json"
        wait_until(lambda: search.poll() is not None or any(Path(ray_folder).glob(pages)), "Ray's pages", every=0.5)
        assert search.poll() is None, (folder / "told.txt").read_text()
        (page,) = Path(ray_folder).glob(pages)
        scrape = {"job_name": "ray", "file_sd_configs": [{"files": [str(page)], "refresh_interval": "2s"}]}
        config = {"global": {"scrape_interval": "2s"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yaml").write_text(json.dumps(config))  # JSON is YAML
        files = [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.txt").open("w") as told:
            prometheus = subprocess.Popen(
                ["prometheus", *files, f"--web.listen-address=127.0.0.1:{port}"], stdout=told, stderr=told
            )
        watched = Watched(f"127.0.0.1:{port}", out)
        wait_until(lambda: prometheus.poll() is not None or watched.answers(), "Prometheus", every=0.5)
        assert prometheus.poll() is None, (folder / "prometheus.txt").read_text()
        yield watched
        assert search.poll() is None, (folder / "told.txt").read_text()
    finally:
        search.send_signal(signal.SIGINT)
        search.wait(120)
        if prometheus is not None:
            prometheus.terminate()
            prometheus.wait(30)
        wait_until(lambda: not processes_with(ray_folder), "the end of Ray's processes", every=0.2)
        shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.mark.cluster
def test_every_query_of_the_dashboard_parses_and_has_data(watched: Watched) -> None:
    wait_until(lambda: bool(watched.ask("ray_tune_lpc_best_score_low_ratio")), "a trial trained in full", every=1.0)
    wait_until(lambda: bool(watched.ask(RATE)) and watched.value(RATE) > 0, "two samples of the epochs", every=1.0)
    wait_until(lambda: bool(watched.ask("ray_node_mem_total")), "what Ray's agents see", every=1.0)
    without = [query for query in queries() if not watched.ask(query)]
    assert [query for query in without if not any(name in query for name in IDLE)] == []


@pytest.mark.cluster
def test_the_values_are_those_of_the_journal(watched: Watched) -> None:
    wait_until(lambda: bool(watched.ask("ray_tune_lpc_epochs_total")), "the first epochs", every=1.0)
    before = watched.epochs()
    # What is published is some seconds old, and by then the journal has gone on.
    wait_until(lambda: watched.value("sum(ray_tune_lpc_epochs_total)") >= before, "these epochs", every=1.0)
    assert watched.value("sum(ray_tune_lpc_epochs_total)") <= watched.epochs()
    assert watched.value('sum(ray_tune_lpc_trials{state="running"})') == 2
    assert {series["metric"]["space"] for series in watched.ask("ray_tune_lpc_trials")} == {"digits"}
    assert watched.value("sum(ray_tune_lpc_gpu_seconds)") >= 0
    slots = {series["metric"]["slot"] for series in watched.ask("ray_tune_lpc_running_trial_number")}
    assert slots == {"0", "1"}
