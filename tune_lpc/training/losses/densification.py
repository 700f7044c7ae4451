"""Topological densification: drive the persistence of same-class groups towards a scale beta."""

from __future__ import annotations

from torch import Tensor

from tune_lpc.training.persistence import h0_deaths


def densification_loss(z: Tensor, beta: float, metric: str = "l2", backend: str = "auto") -> Tensor:
    """Mean over groups of the sum of |death - beta| (Hofer et al., arXiv 2002.04805).

    z: (groups, points, dim), the representations of same-class groups. Returns a scalar.
    metric, backend: as `h0_deaths` takes them, and with its errors.
    A death of 0, from an image drawn twice, counts |0 - beta|.
    """
    return (h0_deaths(z, metric, backend) - beta).abs().sum(dim=1).mean()
