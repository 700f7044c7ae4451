"""Training images and their split. This room reads training data only: no function here can open test images."""

from tune_lpc.training.data.sources import (
    TrainingImages,
    count_training_images,
    load_training_images,
)
from tune_lpc.training.data.split import Split, split_off_validation

__all__ = [
    "Split",
    "TrainingImages",
    "count_training_images",
    "load_training_images",
    "split_off_validation",
]
