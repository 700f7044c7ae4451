"""Ways that need no library: random search, the source projects' grid, and an epoch of many, then the best in full."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator

from benchmarks.rivals.problem import Pool, Problem, Values
from benchmarks.rivals.trace import Contestant, Named
from tune_lpc.plan import Value
from tune_lpc.plan.choosers import RandomChooser
from tune_lpc.search.sampler import Drawn

NAMES = "names the best last score of the trials that were trained fully"
MANY = 10**4


def contestants() -> list[Contestant]:
    """The three."""
    return [
        Contestant("random", f"random search, full trainings; {NAMES}", random_search),
        Contestant("grid", f"the source projects' grid (see `grid_of`) in random order, full trainings; {NAMES}", grid),
        Contestant(
            "one-epoch",
            f"one epoch of half of the recorded configs, drawn at random, then the best in full; {NAMES}, until there "
            "is one the best after an epoch",
            one_epoch,
        ),
    ]


def random_search(problem: Problem, number: int, _: int) -> Iterator[Named | None]:
    """Configs drawn evenly over the space, each trained fully."""
    return _in_full(Pool(problem, number), _random_configs(problem, number))


def grid(problem: Problem, number: int, _: int) -> Iterator[Named | None]:
    """The points of the grid in random order, each trained fully."""
    points = grid_of(problem)
    random.Random(number).shuffle(points)
    return _in_full(Pool(problem, number), points)


def one_epoch(problem: Problem, number: int, _: int) -> Iterator[Named | None]:
    """One epoch of half of the configs; then each of them is trained to its end, the best first."""
    pool = Pool(problem, number)
    named: Named | None = None
    best: Named | None = None
    tried: list[tuple[float, int]] = []
    for values in itertools.islice(_random_configs(problem, number), max(1, len(problem.configs) // 2)):
        if (config := pool.take(values)) is None:
            break
        score = float(pool.run(config).scores[0])
        tried.append((score, config))
        named = named if named is not None and named.score >= score else Named(config, score)
        yield named
    for chosen in (config for _, config in sorted(tried, key=lambda pair: -pair[0])):  # of equals, the first tried
        run = pool.run(chosen)
        if len(run.scores) < 2:
            continue  # it diverged in its first epoch
        yield from itertools.repeat(best or named, len(run.scores) - 2)
        best = _better(best, chosen, run.scores.tolist(), run.diverged)
        yield best or named


def grid_of(problem: Problem) -> list[Drawn]:
    """What the source projects search (shared/reference/methods.md), in the terms of a space.

    Four learning rates a factor of two apart, as in arXiv 2310.08224 (1, 2, 4 and 8), at the power of ten that the
    range of the space calls for; with SGD the three that arXiv 2002.04805 and its follower use. Both weight decays.
    Variants: no regulariser; the two-regime and the exponential ramp of gamma; the sliding regulariser, weight 0.1;
    the constant one, weight 0.1, beta 0.1 to 1.9. Widths: wide, usual, narrow.
    """
    dimensions, start = problem.space.dimensions, problem.space.start
    sgd = problem.space.fixed("optimizer") == "sgd"
    gamma: Drawn = {"gamma_start": 1e-4, "gamma_end": start["gamma_end"], "gamma_ramp_length": 0.266}
    off: Drawn = {"gamma_ramp": "off", "topological_weight_schedule": "off"}
    variants: list[Drawn] = [
        off,
        {**off, **gamma, "gamma_ramp": "two_regime"},
        {**off, **gamma, "gamma_ramp": "exponential"},
        {**off, "topological_weight_schedule": "rising", "topological_weight": 0.1, "beta_schedule": "sliding",
         "beta": 1.1, "distance": "l1"},
        *(
            {**off, "topological_weight_schedule": "constant", "topological_weight": 0.1, "beta_schedule": "constant",
             "beta": tenth / 10, "distance": "l2"}
            for tenth in range(1, 20, 3)
        ),
    ]  # fmt: skip
    rates: Iterable[Value] = (0.03, 0.1, 0.5) if sgd else (1e-3, 2e-3, 4e-3, 8e-3)
    decays: Iterable[Value] = (1e-3, 1e-2) if sgd else (5e-4, 0.1)
    widths: Iterable[Value] = (32, 64, 128) if "penultimate_width" in dimensions else (0,)
    return [
        {"learning_rate": rate, "weight_decay": decay, "penultimate_width": width, **variant}
        for rate, decay, width, variant in itertools.product(rates, decays, widths, variants)
    ]


def _random_configs(problem: Problem, number: int) -> Iterator[Drawn]:
    chooser = RandomChooser(number)
    return (problem.space.draw(chooser) for _ in range(MANY))


def _in_full(pool: Pool, proposals: Iterable[Values]) -> Iterator[Named | None]:
    best: Named | None = None
    for values in proposals:
        if (config := pool.take(values)) is None:
            return
        run = pool.run(config)
        yield from itertools.repeat(best, len(run.scores) - 1)
        best = _better(best, config, run.scores.tolist(), run.diverged)
        yield best


def _better(best: Named | None, config: int, scores: list[float], diverged: str | None) -> Named | None:
    """The better of what was best and of a config that was trained to its end; of equals, the first."""
    if diverged is not None or (best is not None and scores[-1] <= best.score):
        return best
    return Named(config, scores[-1])
