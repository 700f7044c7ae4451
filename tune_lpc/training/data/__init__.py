"""Training images and their split. This room reads training data only: no function here can open a test part."""

from tune_lpc.training.data.hold_out import FinalTest, held_out_rows
from tune_lpc.training.data.image_files import ImageFiles, find_image_files
from tune_lpc.training.data.problems import NotDownloadedError
from tune_lpc.training.data.sources import (
    TrainingImages,
    check_hold_out,
    count_training_images,
    load_training_images,
)
from tune_lpc.training.data.split import Split, split_off_validation

__all__ = [
    "FinalTest",
    "ImageFiles",
    "NotDownloadedError",
    "Split",
    "TrainingImages",
    "check_hold_out",
    "count_training_images",
    "find_image_files",
    "held_out_rows",
    "load_training_images",
    "split_off_validation",
]
