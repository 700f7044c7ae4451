"""Networks: a backbone, a penultimate layer, an output layer."""

from tune_lpc.training.models.network import Network, Output, build_network
from tune_lpc.training.models.pooled import warm_up

__all__ = ["Network", "Output", "build_network", "warm_up"]
