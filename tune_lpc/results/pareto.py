"""Comparing configs by several objectives: fronts, places on them, and the hypervolume that a front covers.

A point is a row of `points`: (configs, objectives), where more is better in each column. One point dominates another
that it equals or surpasses in every objective and surpasses in one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tune_lpc.plan.objectives import Objective, Values


def scaled(values: Sequence[Values], objectives: Sequence[Objective]) -> np.ndarray:
    """The points that the values are, (configs, objectives): each objective on its own scale, 0 at its reference."""
    rows = [[objective.scaled(value) for objective, value in zip(objectives, row, strict=True)] for row in values]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))


def dominators(points: np.ndarray) -> np.ndarray:
    """By how many of the others each point is dominated, (configs,)."""
    counts: np.ndarray = _dominates(points).sum(axis=0)
    return counts


def fronts(points: np.ndarray) -> np.ndarray:
    """The front of each point, (configs,), from 1: that of points dominated by none; 2: by points of front 1 alone.

    Non-dominated sorting: Deb et al., IEEE Transactions on Evolutionary Computation 6(2), 2002.
    """
    dominates = _dominates(points)
    found, left = np.zeros(len(points), dtype=int), dominates.sum(axis=0)
    front = 0
    while (found == 0).any():
        front += 1
        own = (found == 0) & (left == 0)
        found[own] = front
        left = left - dominates[own].sum(axis=0)
    return found


def crowding(points: np.ndarray) -> np.ndarray:
    """How far apart from its neighbours each point of one front lies, (configs,): the crowding distance.

    In each objective the gap between the two neighbours, as a share of the range of all, added up; infinite at an end.
    Equal points have equal distances. Deb et al., 2002, as above.
    """
    unique, where = np.unique(points, axis=0, return_inverse=True)
    distances = np.zeros(len(unique))
    for column in unique.T:
        order = np.argsort(column, kind="stable")
        length = column[order[-1]] - column[order[0]] if len(order) else 0.0
        if length > 0:
            gaps = (column[order[2:]] - column[order[:-2]]) / length
            distances[order[1:-1]] += gaps
        ends = (column == column.min(initial=math.inf)) | (column == column.max(initial=-math.inf))
        distances[ends] = math.inf
    spread: np.ndarray = distances[where.reshape(-1)]
    return spread


def places(points: np.ndarray) -> np.ndarray:
    """The place of each point in the order of all, (configs,), from 0; equal points share the better one.

    The order: by front; on the same front what lies further apart from its neighbours first, so that a share of a front
    still spans it; then what is better in the first objective, the second, the third.
    """
    of_front = fronts(points)
    apart = np.zeros(len(points))
    for front in np.unique(of_front):
        apart[of_front == front] = crowding(points[of_front == front])
    keys = [(of_front[row], -apart[row], *(-points[row])) for row in range(len(points))]
    first = {key: place for place, key in reversed(list(enumerate(sorted(keys))))}
    return np.array([first[key] for key in keys], dtype=int)


def sorted_fronts(
    seeds: Sequence[Sequence[Values]],
    objectives: Sequence[Objective],
    among: Sequence[int] | None = None,
    first: int = 1,
) -> list[list[int]]:
    """The numbers of the configs on each front, in the order of `places`; seeds: the values of each config's seeds.

    By the first seed of all; those on front 1, where any has more seeds, again by the mean of their first two, and so
    on. So a config that one seed left behind does not come back because those before it were less lucky with others.
    among, first: the configs to sort, and by the mean of how many seeds.
    """
    among = range(len(seeds)) if among is None else among
    points = scaled([mean_values(seeds[config][:first]) for config in among], objectives)
    of_front, order = fronts(points), places(points)
    rows = sorted(range(len(among)), key=lambda row: int(order[row]))
    found = [[among[row] for row in rows if of_front[row] == front] for front in range(1, of_front.max(initial=0) + 1)]
    if found and any(len(seeds[config]) > first for config in found[0]):
        return [*sorted_fronts(seeds, objectives, found[0], first + 1), *found[1:]]
    return found


def mean_values(seeds: Sequence[Values]) -> Values:
    """The mean of each objective over the seeds of a config, of which there is at least one."""
    return tuple(math.fsum(column) / len(seeds) for column in zip(*seeds, strict=True))


def as_scores(values: Mapping[int, Values | None], objectives: Sequence[Objective]) -> dict[int, float | None]:
    """What several objectives come to as a score, by the keys of `values`: less the place among all of them.

    So whatever compares scores compares these. None stays None: worse than any other. A score says nothing outside the
    set in which it was taken.
    """
    known = {key: value for key, value in values.items() if value is not None}
    order = places(scaled(list(known.values()), objectives))
    scores = {key: -float(place) for key, place in zip(known, order, strict=True)}
    return {key: scores.get(key) for key in values}


def hypervolume(points: np.ndarray) -> float:
    """The volume that the points dominate above the reference point 0, as a share of the unit cube.

    Of a point beyond the cube only what lies in it counts. By slices along the last objective, exact; meant for two or
    three objectives (While et al., IEEE Transactions on Evolutionary Computation 10(1), 2006).
    """
    inside = np.clip(points, 0.0, 1.0)
    return _volume(inside[(inside > 0).all(axis=1)])


def _volume(points: np.ndarray) -> float:
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    order = points[np.argsort(-points[:, -1], kind="stable")]
    depths = order[:, -1] - np.append(order[1:, -1], 0.0)
    slices = (_volume(order[: row + 1, :-1]) * depths[row] for row in range(len(order)) if depths[row] > 0)
    return math.fsum(slices)


def _dominates(points: np.ndarray) -> np.ndarray:
    """Whether the point of the row dominates that of the column, (configs, configs)."""
    no_worse = np.ones((len(points), len(points)), dtype=bool)
    better = np.zeros_like(no_worse)
    for column in points.T:
        no_worse &= column[:, None] >= column
        better |= column[:, None] > column
    dominates: np.ndarray = no_worse & better
    return dominates
