"""Pages and figures out of the tables of results: they open without PyTorch, Ray and Optuna."""
