"""Finding training images below a user's folder.

Of test files only the names are looked at, to know whether there are any; they have no way in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.problems import reading

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
PARQUET_PATTERN = "train-*.parquet"
TRAIN_FOLDER = "train"
TEST_PARQUET_PATTERN = "test-*.parquet"
TEST_FOLDER = "test"


@dataclass(frozen=True)
class TrainFiles:
    """Where the training images lie: Parquet files, or a folder with a folder for each class."""

    folder: Path
    parquet: tuple[Path, ...] = ()
    """Sorted; empty when there are image folders instead."""
    final_test: FinalTest | None = None
    """What lies beside them to test on; None where nothing does."""

    @property
    def train_folder(self) -> Path:
        """The folder that holds the class folders."""
        return self.folder / TRAIN_FOLDER


def find_train_files(dataset: str, data_dir: Path) -> TrainFiles:
    """The training files in `data_dir/dataset`, or in `data_dir` itself when it has no folder of that name.

    Parquet goes before image folders. Raises UserError when the folder is missing or empty, or holds neither.
    """
    data_dir = data_dir.expanduser()
    with reading(data_dir):
        return _find(dataset, data_dir)


def _find(dataset: str, data_dir: Path) -> TrainFiles:
    if not data_dir.exists():
        raise UserError(f"there is no folder {data_dir}; mend --data-dir")
    if not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file, but --data-dir must be a folder")
    folder = data_dir / dataset
    if folder.is_dir():
        parquet = sorted(path for path in folder.rglob(PARQUET_PATTERN) if path.is_file())
        to_test = any(path.is_file() for path in folder.rglob(TEST_PARQUET_PATTERN))
        looked_for = f"**/{PARQUET_PATTERN} and {TRAIN_FOLDER}/<class>/*.png (or jpg, jpeg, bmp, webp)"
    else:
        # No deeper than this: below a folder of several data sets, other data sets' files would fit too.
        folder = data_dir
        flat = [sorted(path for path in place.glob(PARQUET_PATTERN)) for place in (data_dir, data_dir / "data")]
        parquet = flat[0] or flat[1]
        to_test = any(
            path.is_file() for place in {file.parent for file in parquet} for path in place.glob(TEST_PARQUET_PATTERN)
        )
        looked_for = (
            f"the folder {dataset}, and directly in {data_dir} for {PARQUET_PATTERN}, data/{PARQUET_PATTERN} "
            f"and {TRAIN_FOLDER}/<class>/*.png (or jpg, jpeg, bmp, webp)"
        )
    if parquet:
        _check_together(folder, parquet)
        return TrainFiles(folder, tuple(parquet), FinalTest(None, kept_apart=False) if to_test else None)
    found = TrainFiles(folder, final_test=_test_folder(folder))
    if found.train_folder.is_dir() and class_folders(found.train_folder):
        return found
    if not any(folder.iterdir()):
        raise UserError(f"the folder {folder} is empty; put training images there, or mend --data-dir")
    raise UserError(
        f"{folder} holds no training images of {dataset!r}: looked for {looked_for}; "
        f"{_what_is_there(folder)}{_hint(dataset, folder, data_dir)}"
    )


def _test_folder(folder: Path) -> FinalTest | None:
    """The images in the folder `test`, of which only the names are looked at; None where there are none."""
    place = folder / TEST_FOLDER
    if not place.is_dir():
        return None
    try:
        images = sum(1 for _ in image_files(place))
    except PermissionError:  # locked away, as test images may be
        return FinalTest(None, kept_apart=False)
    return FinalTest(images, kept_apart=False) if images else None


def _check_together(folder: Path, parquet: list[Path]) -> None:
    """Raise UserError when the files lie in several folders: forms of a data set, which repeat its images."""
    places = sorted({path.parent for path in parquet})
    if len(places) > 1:
        raise UserError(
            f"{folder} holds {PARQUET_PATTERN} in {len(places)} folders, which may be different forms of the data: "
            f"{_some(map(str, places))}; give one of them as --data-dir"
        )


def class_folders(train_folder: Path) -> list[Path]:
    """The folders of the classes, sorted by name; hidden ones don't count."""
    return sorted(path for path in train_folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The images in a folder and the folders below it, sorted by name; hidden ones don't count."""
    with os.scandir(folder) as listing:
        entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from image_files(Path(entry.path))
        elif entry.name.lower().endswith(IMAGE_ENDINGS) and entry.is_file():
            yield entry


def _what_is_there(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        return "there are no folders in it"
    return f"its folders are {_some(names)}"


def _some(names: Iterable[str], most: int = 8) -> str:
    """The first of `names`, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _hint(dataset: str, folder: Path, data_dir: Path) -> str:
    if folder != data_dir:
        return ""
    if data_dir.resolve().name == dataset:
        return f"; to take {data_dir} for the data set itself, give --data-dir {data_dir.resolve().parent}"
    return nearest(dataset, [path.name for path in folder.iterdir() if path.is_dir()])
