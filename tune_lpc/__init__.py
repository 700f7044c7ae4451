"""Hyperparameter search for classifiers whose penultimate representations are made to collapse."""

__version__ = "0.2.0"
