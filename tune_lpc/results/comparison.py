"""A comparison of methods on test data: figures over seeds, paired tests, optimism, budgets.

Of each search the config that it names is compared, the first of its ranking; others that were confirmed have figures
and no tests. The tests of the test accuracy are one family, those of all other measures together another one, each
corrected by Holm: what else is measured does not make it harder to see a gain of accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.results.budgets import inequality
from tune_lpc.results.compared import Compared, check_comparable, load_compared, on_the_same_images
from tune_lpc.results.networks import ACCURACY, Network
from tune_lpc.results.statistics import Estimate, Paired, estimate, holm, paired, spans_orders

NAMED = 1
"""Rank of the config that a search names."""
PLAIN = "vanilla"
"""The method that others are compared with, where it is among them."""
ALL_PAIRS = "all"
LEVEL = 0.05


@dataclass(frozen=True)
class Figure:
    """A measure of a config on test images. networks: how many were trained, those without a value included."""

    label: str
    rank: int
    measure: str
    networks: int
    estimate: Estimate


@dataclass(frozen=True)
class PairTest:
    """A measure of two named configs, compared on the seeds that both have.

    result: of `label` minus, or over, `against`. p_holm: its p, corrected for all `tests` of the family. unequal: what
    the search of `label` had more or less to spend, in words; None at equal budget.
    """

    label: str
    against: str
    measure: str
    result: Paired
    tests: int
    p_holm: float | None
    unequal: str | None

    @property
    def differs(self) -> bool:
        """Whether the two can be told apart at 5 %, corrected."""
        return self.p_holm is not None and self.p_holm < LEVEL


@dataclass(frozen=True)
class Optimism:
    """How much a search promised. announced: its score, the mean validation accuracy of its seeds, with its interval.

    excess: announced minus test accuracy, over the confirming seeds; empty where nothing was announced. confirmed: the
    test accuracy. All 0 to 1.
    """

    label: str
    rank: int
    announced: float | None
    low: float | None
    high: float | None
    confirmed: Estimate
    excess: Estimate


@dataclass(frozen=True)
class Comparison:
    """Methods compared.

    searches: in the order given. measures: columns of confirm.parquet, test_accuracy first. figures: of every config
    and measure, of the named ones first. against: label of the method that all others are tested against, None where
    each is against each, or there is one alone. notes: what has to be known to read the rest, a line each.
    """

    searches: Sequence[Compared]
    measures: Sequence[str]
    figures: Sequence[Figure]
    tests: Sequence[PairTest]
    optimism: Sequence[Optimism]
    against: str | None
    notes: Sequence[str]

    def figure(self, label: str, measure: str, rank: int = NAMED) -> Figure:
        """The figure of a config that is there."""
        wanted = (label, rank, measure)
        return next(each for each in self.figures if (each.label, each.rank, each.measure) == wanted)

    @property
    def configs(self) -> list[tuple[str, int]]:
        """Label and rank of every config, the named ones first."""
        return list(dict.fromkeys((figure.label, figure.rank) for figure in self.figures))


def compare(directories: Sequence[Path], against: str | None = None) -> Comparison:
    """Compare the confirmed searches in the folders, each that of a search or the parent of several.

    against: label or method that the others are tested against, `all` for each against each; None takes vanilla where
    it is there, else the first.
    Raises UserError with everything that is missing or damaged, or that keeps searches from being compared.
    """
    loaded = load_compared(directories)
    notes = check_comparable(loaded)
    searches, of_images = on_the_same_images(loaded)
    unnamed = [search.directory for search in searches if not _of_rank(search, NAMED)]
    if unnamed:
        told = "has no network of rank 1, the config that its search names; run python -m tune_lpc.confirm"
        raise UserError([f"{directory} {told} {directory}" for directory in unnamed])
    pairs, reference = _pairs(searches, against)
    measures = list(dict.fromkeys(measure for search in searches for measure in search.measures))
    logarithmic = {measure: _is_logarithmic(measure, searches) for measure in measures}
    configs = sorted(
        ((search, rank) for search in searches for rank in sorted({network.rank for network in search.networks})),
        key=lambda config: config[1] != NAMED,
    )
    tests = _corrected(_test(one, other, name, logarithmic[name]) for name in measures for one, other in pairs)
    return Comparison(
        searches,
        measures,
        [_figure(*config, name, logarithmic[name]) for config in configs for name in measures],
        tests,
        [_optimism(*config) for config in configs],
        reference,
        [
            *notes,
            *of_images,
            *_opened_notes(searches),
            *_missing_notes(configs),
            *_seed_notes(searches, pairs),
            *_budget_notes(pairs),
        ],
    )


def _of_rank(search: Compared, rank: int) -> list[Network]:
    return [network for network in search.networks if network.rank == rank]


Pair = tuple[Compared, Compared]


def _pairs(searches: Sequence[Compared], against: str | None) -> tuple[list[Pair], str | None]:
    """Which are tested, the first of a pair against the second; and the label of that where it is one alone."""
    if against == ALL_PAIRS:
        return [(one, other) for other, one in combinations(searches, 2)], None
    reference = _reference(searches, against)
    return [(search, reference) for search in searches if search is not reference], reference.label


def _reference(searches: Sequence[Compared], against: str | None) -> Compared:
    if against is None:
        return next((search for search in searches if search.method == PLAIN), searches[0])
    found = [search for search in searches if search.label == against]
    found = found or [search for search in searches if search.method == against]
    if len(found) != 1:
        known = [search.label for search in searches] + [ALL_PAIRS]
        what = "is several of those compared" if found else "is none of those compared"
        raise UserError(f"--against {against} {what}; give one of {', '.join(known)}{nearest(against, known)}")
    return found[0]


def _is_logarithmic(measure: str, searches: Iterable[Compared]) -> bool:
    """By the named configs, which are tested. An accuracy is read as one, however low that of a network that failed."""
    values = (network.values.get(measure) for search in searches for network in _of_rank(search, NAMED))
    return measure != ACCURACY and spans_orders([value for value in values if value is not None])


def _limits(measure: str) -> tuple[float, float]:
    return (0.0, 1.0) if measure == ACCURACY else (-math.inf, math.inf)


def _figure(search: Compared, rank: int, measure: str, logarithmic: bool) -> Figure:
    networks = _of_rank(search, rank)
    values = [network.values[measure] for network in networks if measure in network.values]
    has_logarithms = logarithmic and all(value > 0 for value in values)  # a further config may have none
    found = estimate(values, logarithmic=has_logarithms, limits=_limits(measure))
    return Figure(search.label, rank, measure, len(networks), found)


def _test(one: Compared, other: Compared, measure: str, logarithmic: bool) -> PairTest:
    first, second = (_by_seed(search, measure) for search in (one, other))
    common = [pair for pair in first if pair in second]
    values = [first[pair] for pair in common], [second[pair] for pair in common]
    result = paired(*values, logarithmic=logarithmic)
    return PairTest(one.label, other.label, measure, result, 0, None, inequality(one.budget, other.budget))


def _by_seed(search: Compared, measure: str) -> dict[tuple[int, int], float]:
    networks = _of_rank(search, NAMED)
    return {network.pair: network.values[measure] for network in networks if measure in network.values}


def _corrected(tests: Iterable[PairTest]) -> list[PairTest]:
    """The same with Holm's correction within each family."""
    found = list(tests)
    for family in (True, False):
        places = [place for place, test in enumerate(found) if (test.measure == ACCURACY) is family]
        p_values = holm([found[place].result.p for place in places])
        made = sum(p is not None for p in p_values)
        for place, p in zip(places, p_values, strict=True):
            found[place] = replace(found[place], p_holm=p, tests=made)
    return found


def _optimism(search: Compared, rank: int) -> Optimism:
    networks = _of_rank(search, rank)
    announced = networks[0].announced
    accuracies = [network.values[ACCURACY] for network in networks if ACCURACY in network.values]
    return Optimism(
        search.label,
        rank,
        announced,
        networks[0].announced_low,
        networks[0].announced_high,
        estimate(accuracies, limits=_limits(ACCURACY)),
        estimate([] if announced is None else [announced - accuracy for accuracy in accuracies]),
    )


def _opened_notes(searches: Iterable[Compared]) -> list[str]:
    """Whose test images somebody may have chosen by."""
    opened = {search.label: max(network.opened_before or 0 for network in search.networks) for search in searches}
    return [
        f"{label}: test images had been opened {times} times for its search before; if anything was chosen by what "
        "they said, this is no clean comparison"
        for label, times in opened.items()
        if times
    ]


def _missing_notes(configs: Iterable[tuple[Compared, int]]) -> list[str]:
    """Networks without a test accuracy, and measures that tested ones lack: none is left out in silence."""
    notes = []
    for search, rank in configs:
        networks, config = _of_rank(search, rank), search.label + ("" if rank == NAMED else f", rank {rank}")
        failed = [network for network in networks if ACCURACY not in network.values]
        if failed:
            told = "; ".join(_told(network) for network in failed)
            notes.append(f"{config}: {len(failed)} of {len(networks)} networks left out of its figures: {told}")
        tested = [network for network in networks if network not in failed]
        for measure in search.measures:
            lacking = [network.reasons[measure] for network in tested if measure in network.reasons]
            if lacking:
                told = "; ".join(dict.fromkeys(" ".join(reason.split()) for reason in lacking))
                notes.append(f"{config}: {len(lacking)} of {len(tested)} tested networks have no {measure}: {told}")
    return notes


def _told(network: Network) -> str:
    why = "" if network.reason is None else f" ({' '.join(network.reason.split())})"
    return f"split {network.split}, seed {network.seed} {network.status}{why}"


def _seed_notes(searches: Sequence[Compared], pairs: Iterable[Pair]) -> list[str]:
    """Where there are too few seeds, or two methods have other ones."""
    counts = [len(_by_seed(search, ACCURACY)) for search in searches]
    notes = []
    if max(counts) <= 1:
        notes.append("one seed tells nothing of luck: no intervals, no tests; confirm with --seeds 5")
    for one, other in pairs:
        first, second = _by_seed(one, ACCURACY), _by_seed(other, ACCURACY)
        common = len(first.keys() & second.keys())
        if common < max(len(first), len(second)):
            of = f"of {len(first)} and {len(second)}"
            notes.append(f"{one.label} and {other.label}: tested on the {common} seeds that both have, {of}")
    return notes


def _budget_notes(pairs: Iterable[Pair]) -> list[str]:
    return [
        f"{one.label} against {other.label} is not at equal budget: its search had {unequal}"
        for one, other in pairs
        if (unequal := inequality(one.budget, other.budget)) is not None
    ]
