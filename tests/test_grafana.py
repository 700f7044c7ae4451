"""The dashboard of docker/grafana by Grafana's own types: @grafana/schema, from the registry of npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[1] / "docker" / "grafana" / "dashboards" / "tune_lpc.json"
PACKAGES = ["@grafana/schema@13", "typescript@7"]
OPTIONS = {"strict": True, "noEmit": True, "skipLibCheck": True, "module": "esnext", "moduleResolution": "bundler"}
SCRIPT = """import {{ Dashboard, ThresholdsMode }} from '@grafana/schema';
export const dashboard: Dashboard = {dashboard};
"""

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here, which has Grafana's types"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grafana")
    install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--ignore-scripts", *PACKAGES]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm can't install {' '.join(PACKAGES)}: {done.stderr.strip()[-200:]}")
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": ["dashboard.ts"]}))
    return folder


def problems(project: Path, dashboard: str) -> str:
    """What TypeScript says of a dashboard; empty where its types are right."""
    # What JSON has as text is one of an enumeration there.
    text = dashboard.replace('"mode": "absolute"', '"mode": ThresholdsMode.Absolute')
    (project / "dashboard.ts").write_text(SCRIPT.format(dashboard=text))
    done = subprocess.run(
        ["node_modules/.bin/tsc", "-p", "."], cwd=project, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr


def test_the_types_of_the_dashboard_are_grafanas(project: Path) -> None:
    assert problems(project, DASHBOARD.read_text()) == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [('"refresh": "', '"refresh": 5, "was": "'), ('"tags": [', '"tags": "x", "were": [')]
)
def test_wrong_types_are_found(project: Path, right: str, wrong: str) -> None:
    text = DASHBOARD.read_text()
    assert right in text
    assert "error TS" in problems(project, text.replace(right, wrong, 1))
