"""Is training right on a GPU, and how fast is it? The parts of `python -m benchmarks.gpu`."""
