"""Finding training images below a user's folder, in the layouts that people have.

Of test files only the names are looked at, to know whether there are any; they have no way in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tune_lpc.plan.errors import UserError, nearest
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.problems import reading
from tune_lpc.training.data.shards import check_shards
from tune_lpc.training.data.walking import Walk, class_folders, is_image

LAYOUTS = (
    "train-*.parquet, train.parquet, train/*.parquet, what datasets.save_to_disk writes, train-*.tar, train/*.tar, "
    "train/metadata.csv, train/<class>/*.png (or other images that Pillow opens), train.csv and <class>/*.png"
)
"""Of training images, for messages."""
_SAVED, _SAVED_PARTS = "state.json", "dataset_dict.json"
_LISTS = ("metadata.csv", "labels.csv")


class Part(StrEnum):
    """A part of a data set, by the name that files and folders have."""

    TRAIN = "train"
    TEST = "test"

    @property
    def folder_names(self) -> tuple[str, ...]:
        """Names of its folder, in small letters, the usual one first."""
        return self.value, f"{self.value}ing"


_OTHER_PARTS = {*Part.TRAIN.folder_names, *Part.TEST.folder_names, "val", "valid", "validation", "dev", "unsupervised"}


class Layout(StrEnum):
    """How the images of a part are stored, in words for people."""

    FOLDERS = "image folders"
    PARQUET = "Parquet"
    ARROW = "saved by datasets"
    TARS = "WebDataset"
    LIST = "files in a CSV list"


@dataclass(frozen=True)
class PartFiles:
    """Where the images of a part lie: files, sorted; or with FOLDERS the folder that holds those of the classes."""

    layout: Layout
    files: tuple[Path, ...]


@dataclass(frozen=True)
class TrainFiles:
    """folder: that of the data set. final_test: what lies beside the training images to test on; None for nothing."""

    folder: Path
    train: PartFiles
    final_test: FinalTest | None = None


def find_train_files(dataset: str, data_dir: Path) -> TrainFiles:
    """The training files in `data_dir/dataset`, or in `data_dir` itself when it has no folder of that name.

    Parquet goes before all others, image folders come last. Raises UserError when the folder is missing or empty, or
    holds neither, and when files that lie together do not belong together.
    """
    with reading(data_dir):
        folder, deep = _folder_of(dataset, data_dir)
        train = _find(folder, Part.TRAIN, deep=deep)
        if train is None:
            raise _nothing_there(dataset, folder, data_dir.expanduser())
        return TrainFiles(folder, train, _final_test(folder, deep=deep))


def find_test_files(dataset: str, data_dir: Path) -> PartFiles | None:
    """The files for the final test that lie beside the training images; None where there are none. Raises UserError."""
    with reading(data_dir):
        folder, deep = _folder_of(dataset, data_dir)
        return _find(folder, Part.TEST, deep=deep)


def _folder_of(dataset: str, data_dir: Path) -> tuple[Path, bool]:
    """The folder of the data set, and whether it is its own: then files may lie deeper."""
    data_dir = data_dir.expanduser()
    if not data_dir.exists():
        raise UserError(f"there is no folder {data_dir}; mend --data-dir")
    if not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file, but --data-dir must be a folder")
    folder = data_dir / dataset
    # Else no deeper than this: below a folder of several data sets, other data sets' files would fit too.
    return (folder, True) if folder.is_dir() else (data_dir, False)


def _find(folder: Path, part: Part, *, deep: bool) -> PartFiles | None:
    for layout, files in _candidates(folder, part, deep=deep):
        found = sorted(path for path in files() if path.exists())
        if not found:
            continue
        if layout in (Layout.PARQUET, Layout.TARS):
            _check_together(folder, found)
            check_shards(found)
        return PartFiles(layout, tuple(found))
    return None


def _candidates(folder: Path, part: Part, *, deep: bool) -> Iterator[tuple[Layout, Callable[[], Iterable[Path]]]]:
    """The layouts in their order, each with what finds its files."""
    places = (folder, folder / "data")
    for place in (folder,) if deep else places:
        spread = place.rglob if deep else place.glob
        yield Layout.PARQUET, lambda spread=spread: spread(f"{part}-*.parquet")  # type: ignore[misc]
    for place in places:
        yield Layout.PARQUET, lambda place=place: [place / f"{part}.parquet"]  # type: ignore[misc]
    # A folder deeper for the config of a data set, as Hugging Face converts it: default/train/0000.parquet.
    inside = [*_part_folders(folder, part), *_part_folders(folder / "data", part)]
    inside += [] if not deep else [below for each in class_folders(folder) for below in _part_folders(each, part)]
    yield Layout.PARQUET, lambda: (path for each in inside for path in each.glob("*.parquet"))
    yield Layout.ARROW, lambda: _saved(folder, part)
    for place in places:
        yield Layout.TARS, lambda place=place: [*place.glob(f"{part}-*.tar"), place / f"{part}.tar"]  # type: ignore[misc]
    yield Layout.TARS, lambda: (path for each in inside for path in each.glob("*.tar"))
    for name in _LISTS:
        yield Layout.LIST, lambda name=name: [each / name for each in _part_folders(folder, part)][:1]  # type: ignore[misc]
    yield Layout.FOLDERS, lambda: [each for each in _part_folders(folder, part) if _has_classes(each, part)][:1]
    # Behind class folders: beside such there may be a list of something else.
    yield Layout.LIST, lambda: [folder / f"{part}.csv"]
    if part is Part.TRAIN:
        yield Layout.FOLDERS, lambda: [folder] if _is_of_classes(folder) else []


def _part_folders(folder: Path, part: Part) -> list[Path]:
    """The folder of a part in this one, whatever its capitals; where there are several, the usual name first."""
    if not folder.is_dir():
        return []
    named = [path for path in class_folders(folder) if path.name.lower() in part.folder_names]
    return sorted(named, key=lambda path: part.folder_names.index(path.name.lower()) + (path.name != path.name.lower()))


def _has_classes(folder: Path, part: Part) -> bool:
    """Whether there are class folders; of a test part, whether any image is in them."""
    if part is Part.TRAIN:
        return bool(class_folders(folder))
    try:
        return bool(Walk().through(folder).images)
    except PermissionError:  # locked away, as test images may be
        return True


def _is_of_classes(folder: Path) -> bool:
    """Whether its own folders are the classes: several, images in each, and none named as a part of a data set."""
    folders = class_folders(folder)
    if len(folders) < 2 or any(path.name.lower() in _OTHER_PARTS for path in folders):
        return False
    return all(any(is_image(path.name) for path in each.iterdir()) for each in folders)


def _saved(folder: Path, part: Part) -> Iterator[Path]:
    """The Arrow files that `datasets.save_to_disk` wrote: of one part, or of several, each in a folder."""
    place = folder / part if (folder / _SAVED_PARTS).is_file() else folder
    if not (place / _SAVED).is_file() or (place == folder and part is not Part.TRAIN):
        return
    try:
        state = json.loads((place / _SAVED).read_bytes())
        names = [str(file["filename"]) for file in state["_data_files"]]
        has_rows = not state.get("_indices_data_files")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / _SAVED} is not what datasets.save_to_disk writes; write it again") from error
    if not has_rows:
        raise UserError(f"{place} holds a choice of rows beside its data; save it again after flatten_indices()")
    for name in names:
        if not (place / name).is_file():
            raise UserError(f"{place / name} is missing, but {_SAVED} names it; write the folder again")
        yield place / name


def _final_test(folder: Path, *, deep: bool) -> FinalTest | None:
    """What lies beside the training images, of which only the names are looked at."""
    test = _find(folder, Part.TEST, deep=deep)
    if test is None:
        return None
    images = None
    if test.layout is Layout.FOLDERS:
        try:
            images = len(Walk().through(test.files[0]).images)
        except PermissionError:
            return FinalTest(None, kept_apart=False)
    return FinalTest(images, kept_apart=False)


def _check_together(folder: Path, files: list[Path]) -> None:
    """Raise UserError when the files lie in several folders: forms of a data set, which repeat its images."""
    places = sorted({path.parent for path in files})
    if len(places) > 1:
        raise UserError(
            f"{folder} holds {files[0].suffix.removeprefix('.')} files in {len(places)} folders, which may be "
            f"different forms of the data: {_some(map(str, places))}; give one of them as --data-dir"
        )


def _nothing_there(dataset: str, folder: Path, data_dir: Path) -> UserError:
    """What to tell where there are no training images."""
    if not any(folder.iterdir()):
        return UserError(f"the folder {folder} is empty; put training images there, or mend --data-dir")
    where = f"the folder {dataset}, and directly in {data_dir} for " if folder == data_dir else ""
    return UserError(
        f"{folder} holds no training images of {dataset!r}: looked for {where}{LAYOUTS}; "
        f"{_what_is_there(folder)}{_hint(dataset, folder, data_dir)}"
    )


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
