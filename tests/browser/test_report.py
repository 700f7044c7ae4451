"""The page of a run in a real browser: complete, quiet, legible, and usable without a mouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.pages.made import made_run
from tests.results.confirmations import three
from tune_lpc.pages.writing import COMPARISON_FILE, REPORT_FILE, comparison_page, write_overview, write_report
from tune_lpc.results.comparison import compare
from tune_lpc.results.folder import run_folders

pytestmark = pytest.mark.browser

RUNS: dict[str, dict[str, Any]] = {
    "none": {"trials": 0},
    "one": {"trials": 1},
    "thirty": {"trials": 30, "control": 6},
    "thousands": {"trials": 5000},
    "diverged": {"trials": 12, "fate": "diverged"},
    "failed": {"trials": 6, "fate": "failed"},
    "two objectives": {"trials": 30, "objectives": ("validation_accuracy", "measure.nc2_equinorm:min")},
}
COMPARED, SEVERAL = "compared", "several runs"
MOST_BYTES = 5 * 2**20
SCREENS = [(width, height, scheme) for width, height in ((1280, 900), (390, 844)) for scheme in ("light", "dark")]


OVERLAPS = """() => {
  const blocks = [...document.querySelectorAll('h1,h2,h3,h4,figcaption,.verdicts li,.canvas,.wide,#theme')]
    .map(element => [element, element.getBoundingClientRect()]).filter(([, box]) => box.width && box.height);
  const found = [];
  blocks.forEach(([one, a], i) => blocks.slice(i + 1).forEach(([other, b]) => {
    if (one.contains(other) || other.contains(one)) return;
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`${one.textContent.slice(0, 20)} / ${other.textContent.slice(0, 20)}`);
  }));
  return found;
}"""
"""The parts of a page that lie on one another, in pairs."""
CUT_WORDS = """
  [...document.querySelectorAll('[data-chart] svg')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(text => {
      const box = text.getBoundingClientRect();
      return box.width && (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2
        || box.bottom > frame.bottom + 2);
    }).map(text => `${svg.closest('figure').id}: ${text.textContent}`);
  })
"""
"""Words of a chart that reach beyond it, and so are cut off."""


@dataclass
class Opened:
    """A page that was opened, and what it said and asked for meanwhile."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, made in RUNS.items():
        directory = made_run(folder / name.replace(" ", "-"), **made)
        write_report(directory, with_figures=False)
        found[name] = directory / REPORT_FILE
    three(folder / "several")
    methods = run_folders([folder / "several"])
    found[COMPARED] = folder / "several" / COMPARISON_FILE
    found[COMPARED].write_text(comparison_page(compare(methods), folder / "several"), encoding="utf-8")
    found[SEVERAL] = write_overview([found[name].parent for name in ("thirty", "one", "diverged", "none")], folder)
    return found


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[2]}")
def context(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    width, height, scheme = request.param
    made = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
    yield made
    made.close()


@pytest.fixture
def one_context(chromium: Any) -> Iterator[Any]:
    """For what does not depend on the screen."""
    made = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    yield made
    made.close()


def opened(context: Any, path: Path) -> Opened:
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(f"error: {error}"))
    page.on("request", lambda request: found.asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    return found


@pytest.mark.parametrize("name", [*RUNS, COMPARED, SEVERAL])
def test_the_page_is_quiet_complete_and_fits(name: str, reports: dict[str, Path], context: Any) -> None:
    found = opened(context, reports[name])
    page = found.page
    assert found.said == []
    assert found.asked == [reports[name].as_uri()]
    assert reports[name].stat().st_size < MOST_BYTES
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    boxes = page.evaluate(
        "[...document.querySelectorAll('[data-chart] svg')].map(e => { const b = e.getBoundingClientRect();"
        " return [b.width, b.height, e.querySelectorAll('path, rect, line').length] })"
    )
    assert len(boxes) == page.locator("[data-chart]").count()
    assert all(width > 150 and height > 30 and marks > 3 for width, height, marks in boxes)
    assert bool(boxes) == (name not in ("none", "failed"))  # failures are told in words, and bars beside them
    # Why trials failed is told in their own words.
    answers = page.locator("figure:not(#figure-failures) figcaption, .verdicts p, .plain li").all_inner_texts()
    assert answers and all(len(answer) > 8 and "nan" not in answer.lower().split() for answer in answers)
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(CUT_WORDS) == []


def test_numbers_at_the_end_of_an_axis_stay_in_the_frame(
    reports: dict[str, Path], chromium: Any, tmp_path: Path
) -> None:
    page = reports["diverged"].read_text(encoding="utf-8")
    start = page.index(">", page.index('id="specs"')) + 1
    end = page.index("</script>", start)
    specs = json.loads(page[start:end])
    (rows,) = specs["timeline"]["datasets"].values()
    context = chromium.new_context(viewport={"width": 390, "height": 844}, offline=True)
    for last in (0.01201, 0.0141, 0.0142, 0.0143, 0.0181, 0.0182, 0.0185):  # a tick lies just before each
        for row in rows:
            row["from"], row["to"] = 0.002, last
        made = tmp_path / f"{last}.html"
        made.write_text(page[:start] + json.dumps(specs) + page[end:], encoding="utf-8")
        assert opened(context, made).page.evaluate(CUT_WORDS) == []
    context.close()


@pytest.mark.parametrize("name", ["thirty", "failed", "two objectives", COMPARED, SEVERAL])
def test_axe_finds_nothing_serious(name: str, reports: dict[str, Path], context: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(context, reports[name]).page
    found = axe.Axe().run(page).response["violations"]
    serious = [f"{each['id']}: {each['help']}" for each in found if each["impact"] in ("serious", "critical")]
    assert serious == []


def test_the_table_sorts_and_filters_by_keyboard(reports: dict[str, Path], one_context: Any) -> None:
    page = opened(one_context, reports["thirty"]).page
    header = page.locator("#table th button", has_text="last score")
    header.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert page.locator("#table th", has_text="last score").get_attribute("aria-sort") == "descending"
    column = page.locator("#table th").all_inner_texts()
    place = next(index for index, text in enumerate(column) if "last score" in text)
    values = [float(text) for text in page.locator(f"#table tbody td:nth-child({place + 1})").all_inner_texts() if text]
    assert len(values) > 20 and values == sorted(values, reverse=True)
    page.locator("#filter").fill("completed")
    rows = page.locator("#table tbody tr")
    assert 0 < rows.count() < 30 and all("completed" in text for text in rows.all_inner_texts())
    assert page.locator("#count").inner_text().startswith(f"{rows.count()} of ")


def test_everything_can_be_reached_by_keyboard(reports: dict[str, Path], one_context: Any) -> None:
    page = opened(one_context, reports["thirty"]).page
    wanted = page.evaluate("document.querySelectorAll('a, button:not([hidden]), input, [tabindex]').length")
    reached = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    assert len(reached) >= wanted


def test_the_button_changes_between_dark_and_light(reports: dict[str, Path], one_context: Any) -> None:
    page = opened(one_context, reports["one"]).page
    before = page.evaluate("document.documentElement.dataset.drawn")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    page.wait_for_function(f"document.documentElement.dataset.drawn !== {before!r}")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground


def test_thousands_of_trials_are_shown_some_at_a_time(reports: dict[str, Path], one_context: Any) -> None:
    page = opened(one_context, reports["thousands"]).page
    assert page.locator("#table tbody tr").count() == 200
    page.locator("#more").click()
    assert page.locator("#table tbody tr").count() == 400
