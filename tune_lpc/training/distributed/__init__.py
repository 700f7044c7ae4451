"""One training in several processes on one machine: each trains on its share of every batch, to the same numbers."""
