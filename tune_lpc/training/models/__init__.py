"""Networks: a backbone, a penultimate layer, an output layer."""

from tune_lpc.training.fast_path import warm_up
from tune_lpc.training.models.network import Network, Output, build_network

__all__ = ["Network", "Output", "build_network", "warm_up"]
