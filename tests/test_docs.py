"""The README and the pages in docs/: short, and true as far as a test can tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tune_lpc.check import main as check
from tune_lpc.compare import main as compare
from tune_lpc.confirm import main as confirm
from tune_lpc.jobs import main as jobs
from tune_lpc.plan import Space
from tune_lpc.plan.methods import METHODS
from tune_lpc.plan.trial import setting_names
from tune_lpc.report import main as report
from tune_lpc.run import main as run
from tune_lpc.submit import main as submit
from tune_lpc.train import main as train
from tune_lpc.upload import main as upload

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_OTHERS = {"--case", "--clock", "--epochs", "--network", "--only", "--rehearse", "--together", "--trials"}
"""Options of the scripts in benchmarks/."""
OF_SBATCH = {"--cpus-per-task", "--gpus-per-node", "--no-kill", "--nodes", "--signal", "--time"}


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page ends with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_begins_with_what_a_stranger_needs() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200
    assert any(line.startswith("make demo") for line in lines[:10])
    assert all(path.name in "\n".join(lines) for path in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def test_every_option_and_setting_named_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    of_jobs = [[verb, "--help"] for verb in ("logs", "resume", "fetch")]
    for command in (run, train, confirm, compare, report, check, submit, upload):
        with pytest.raises(SystemExit):
            command(["--help"])
    for options in of_jobs:
        with pytest.raises(SystemExit):
            jobs(options)
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) | OF_OTHERS | OF_SBATCH
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= known, page
        for settings in re.findall(r"--set ([^`]*)", text):
            names = re.findall(r"(\w+)=", settings)
            assert set(names) <= {*setting_names(), *Space.SEARCH_SETTINGS}, page


@pytest.mark.parametrize("page", ["README.md", "docs/search_spaces.md"])
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scripts = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert scripts
    for script in scripts:
        if "read_parquet" in script or "load_file" in script:  # of files that a search and `train --save` write
            continue
        names: dict[str, object] = {}
        exec(script, names)
        if isinstance(space := names.get("SPACE"), Space):
            assert all(space.checked().for_method(method).dimensions for method in METHODS)
