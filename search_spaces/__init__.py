"""The search spaces that come with tune_lpc, a data-only module each; see `python -m tune_lpc.run --list`."""
