"""What a mean of a few scores says: intervals from both kinds of luck, that of the seeds and that of the images.

A validation accuracy is a share of some images, drawn from all that might have been drawn, reached by one training of
all that might have been. The spread between seeds is estimated for all configs of a search together, moderated by each
config's own (Smyth, Statistical Applications in Genetics and Molecular Biology 3(1), 2004, equation 6): three seeds
alone say little about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
TRUST = 4.0
"""Degrees of freedom that the common spread counts for in that of one config."""
UNSHARED = 0.5
"""Share of the variance from the images that two configs, scored on the same ones, don't have in common: both fail on
the hard ones. Measured: 0.2 to 0.9, by data and seed, the median 0.4 (benchmarks/shared_luck.py)."""


@dataclass(frozen=True)
class Sample:
    """The scores of a config.

    scores: validation accuracies, one a seed, 0 to 1. images: on which each was taken. own_images: whether each seed
    had images of its own.
    """

    scores: Sequence[float]
    images: int
    own_images: bool = False

    @property
    def mean(self) -> float:
        """The mean of the scores."""
        return math.fsum(self.scores) / len(self.scores)


@dataclass(frozen=True)
class Spread:
    """How much seeds of the same config differ. variance: of one score. degrees: of freedom behind it."""

    variance: float
    degrees: int

    @classmethod
    def among(cls, samples: Sequence[Sample]) -> Spread:
        """The spread that all configs with several seeds have in common; without any there is none known."""
        several = [np.asarray(sample.scores) for sample in samples if len(sample.scores) > 1]
        degrees = sum(len(scores) - 1 for scores in several)
        squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in several)
        return cls(squares / degrees if degrees else 0.0, degrees)

    def of(self, sample: Sample) -> tuple[float, float]:
        """The variance of a score of one config, and the degrees of freedom behind that."""
        scores = np.asarray(sample.scores)
        trust, own = min(TRUST, self.degrees), len(scores) - 1
        if not trust + own:
            return 0.0, math.inf
        squares = float(((scores - scores.mean()) ** 2).sum())
        return (trust * self.variance + squares) / (trust + own), trust + own


def interval(sample: Sample, spread: Spread) -> tuple[float, float]:
    """The interval, low and high, in which the accuracy of the config lies with a confidence of 95 %.

    That accuracy is the mean over all seeds on all images of the kind. Wilson's interval, with as many images as would
    give the variance of both kinds of luck together.
    """
    luck = _Luck.of(sample, spread)
    share = _share(sample)
    images, z = share * (1 - share) / luck.variance, luck.quantile
    middle = (sample.mean + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(sample.mean * (1 - sample.mean) / images + (z / (2 * images)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)


def can_be_told_apart(one: Sample, other: Sample, spread: Spread) -> bool:
    """Whether two configs differ by more than luck, with a confidence of 95 %.

    Both are scored on the same images, or each seed on its own, so what the images have in common for both is left out.
    """
    luck = _Luck.of(one, spread, UNSHARED) + _Luck.of(other, spread, UNSHARED)
    return abs(one.mean - other.mean) > luck.quantile * math.sqrt(luck.variance)


@dataclass(frozen=True)
class _Luck:
    """The variance of a mean, in two parts. squares: those of the part that is estimated, over its degrees of freedom.

    The degrees of freedom of the whole are those of Welch and Satterthwaite.
    """

    variance: float
    squares: float

    @classmethod
    def of(cls, sample: Sample, spread: Spread, unshared: float = 1.0) -> _Luck:
        """unshared: the share of the variance from the images that counts."""
        seeds, share = len(sample.scores), _share(sample)
        of_images = unshared * share * (1 - share) / sample.images
        one_seed, degrees = spread.of(sample)
        of_seeds = one_seed / seeds
        squares = of_seeds**2 / degrees
        if not sample.own_images:
            return cls(of_images + of_seeds, squares)
        # The seeds differ by their images as well, so that their spread has both kinds of luck in it.
        return cls(of_seeds, squares) if of_seeds > of_images / seeds else cls(of_images / seeds, 0.0)

    def __add__(self, other: _Luck) -> _Luck:
        return _Luck(self.variance + other.variance, self.squares + other.squares)

    @property
    def quantile(self) -> float:
        """How many standard deviations the interval has on each side."""
        return _quantile(self.variance**2 / self.squares if self.squares else math.inf)


@cache
def _quantile(degrees: float) -> float:
    """Of Student's distribution; kept, as all configs of a search without further seeds ask for the same."""
    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))


def _share(sample: Sample) -> float:
    """The mean, kept off 0 and 1 (Agresti and Coull): of some images all may be right, but not of all."""
    return (sample.mean * sample.images + 2) / (sample.images + 4)
