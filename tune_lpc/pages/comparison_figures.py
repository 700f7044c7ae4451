"""The figure of a comparison: what test images said of what each search named."""

from __future__ import annotations

from typing import Any

import altair as alt

from tune_lpc.pages.figure import BLUE, GREY, ORANGE, SHARES, Chart, Figure, data, layered, robust_domain
from tune_lpc.pages.words import percent
from tune_lpc.results.comparison import NAMED, Comparison
from tune_lpc.results.networks import ACCURACY


def accuracy(comparison: Comparison) -> Figure:
    """The test accuracy of each network, with its mean and interval, and what the search announced."""
    question = "How good is what each search named?"
    networks, means = list[dict[str, Any]](), list[dict[str, Any]]()
    announced = {each.label: each.announced for each in comparison.optimism if each.rank == NAMED}
    for search in comparison.searches:
        values = [network.values.get(ACCURACY) for network in search.networks if network.rank == NAMED]
        networks += [{"method": search.label, "accuracy": value} for value in values if value is not None]
        found = comparison.figure(search.label, ACCURACY).estimate
        row = {"method": search.label, "accuracy": found.mean, "low": found.low, "high": found.high}
        means.append({**row, "announced": announced.get(search.label)})
    tested = [row for row in means if row["accuracy"] is not None]
    if not tested:
        return Figure("accuracy", question, "No network was tested.")
    names = ("accuracy", "low", "high", "announced")
    ends = [row[name] for row in means for name in names if row[name] is not None]
    domain, _ = robust_domain([*ends, *(row["accuracy"] for row in networks)], limits=SHARES)
    scale = alt.Scale(domain=list(domain or SHARES), nice=False, clamp=True)
    x = alt.X("accuracy:Q", title="accuracy", scale=scale, axis=alt.Axis(format=".1%", tickCount=5))
    y = alt.Y("method:N", title=None, sort=[row["method"] for row in means], axis=alt.Axis(labelLimit=130))
    ticks = alt.Chart(data(tested)).mark_tick(thickness=3, size=24, color=BLUE, opacity=1)
    dots = alt.Chart(data(networks)).mark_point(filled=True, size=40, opacity=0.7, color=GREY)
    intervals = [row for row in tested if row["low"] is not None and row["high"] is not None]
    promised = [row for row in means if row["announced"] is not None]
    layers = [ticks.encode(x=x, y=y, tooltip=["method:N", _four("accuracy")]), dots.encode(x=x, y=y)]
    if intervals:
        rules = alt.Chart(data(intervals)).mark_rule(strokeWidth=2.5, color=BLUE)
        layers.insert(0, rules.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y))
    if promised:
        diamonds = alt.Chart(data(promised)).mark_point(shape="diamond", size=90, color=ORANGE, strokeWidth=2)
        at = alt.X("announced:Q", scale=scale)
        layers.append(diamonds.encode(x=at, y=y, tooltip=["method:N", _four("announced")]))
    best = max(tested, key=lambda row: float(row["accuracy"]))
    answer = (
        f"{best['method']} came to the highest mean, {percent(best['accuracy'])}. A dot is a network on test images, "
        "the tick their mean, the line its 95 % interval; the diamond is what the search had announced."
    )
    chart = layered(layers, 44 * len(means) + 20)
    return Figure("accuracy", question, answer, [Chart("accuracy", chart)])


def _four(name: str) -> alt.Tooltip:
    return alt.Tooltip(f"{name}:Q", format=".4f")
