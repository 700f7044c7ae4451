"""The search spaces that come with tune_lpc, one data-only module each; list them with `python -m tune_lpc.run --list`."""
