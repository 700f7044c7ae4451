"""The searches that `benchmarks/efficiency.py` compares, over recorded curves: one file an idea."""
