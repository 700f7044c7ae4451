"""The figure: quality of the named config against the epochs spent, a line a contestant, a panel a data set."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Write the figure; the ending of `path` says as what (svg, png, html).

    rows: set, contestant, budget in full trainings, quality in percent.
    """
    names = list(dict.fromkeys(rows["contestant"]))
    ours = [name for name in names if name.startswith("ours")]
    colours = [*(["#c00000", "#ff8c00", "#8b008b"] * len(ours))[: len(ours)], *GREYS]
    shown = alt.Scale(domain=[*ours, *(name for name in names if name not in ours)], range=colours[: len(names)])
    lines = (
        alt.Chart()
        .mark_line(interpolate="linear")
        .encode(
            x=alt.X("budget:Q", title="epochs spent, in full trainings"),
            y=alt.Y("quality:Q", title="accuracy of the named config, %", scale=alt.Scale(zero=False)),
            color=alt.Color("contestant:N", scale=shown, title=None),
            strokeWidth=alt.condition(
                alt.FieldOneOfPredicate("contestant", ours),
                alt.value(3.0),
                alt.value(1.2),
            ),
        )
        .properties(width=320, height=230)
    )
    panels = [
        alt.layer(lines, data=panel).properties(title=str(name)) for name, panel in rows.groupby("set", sort=False)
    ]
    alt.concat(*panels, columns=2).save(str(path))


GREYS = ["#4c78a8", "#72b7b2", "#54a24b", "#88d27a", "#9ecae9", "#b279a2", "#d6a5c9", "#9d755d", "#bab0ac", "#79706e"]
"""Colours of the others."""
