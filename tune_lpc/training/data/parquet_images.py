"""Images in Parquet files, in the layout that Hugging Face publishes. Importing pyarrow stays inside this file."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lpc.training.data.arrays import write_digests, write_labels
from tune_lpc.training.data.decoding import decode
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels
from tune_lpc.training.data.pixels import Encoded
from tune_lpc.training.data.problems import LINES, Problems, one_line, reading

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
ROWS = 1024
"""Rows read at once."""
LARGEST_LABEL = 2**31 - 1
"""Far more classes than any data set has; what lies beyond may not even fit into a whole number of 64 bits."""


class ParquetSource:
    """Training images in Parquet: an image column (a struct with `bytes`) and a label column."""

    def __init__(
        self, folder: Path, files: Sequence[Path], known_classes: int | None, final_test: FinalTest | None = None
    ) -> None:
        self.final_test = final_test
        self.place = f"{folder} (Parquet)"
        self._folder = folder
        self._files = files
        self._known_classes = known_classes

    def identity(self) -> list[object]:
        """What tells these data from others: path, size and time of each file."""
        with reading(self._folder):
            stats = [(file.resolve(), file.stat()) for file in self._files]
        return [["parquet", str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

    def count(self) -> int:
        """How many images there are, from the files' metadata. Raises UserError for files that can't be read."""
        problems = Problems()
        opened = _open_all(self._files, problems)
        problems.raise_if_any()
        return sum(file.rows for file in opened)

    def hold_out(self, share: float) -> float:
        """The share to keep apart for a final test: none where the data have a test part of their own."""
        return 0.0 if self.final_test is not None else share

    def write(self, folder: Path, image_size: int | None) -> tuple[str, ...]:
        """Decode into images.npy, labels.npy and digests.npy in `folder`; returns the class names. Raises UserError."""
        problems = Problems()
        files = _open_all(self._files, problems)
        images = _Images(files, problems)
        names = _class_names(files, problems)
        classes = len(names) if names else self._known_classes
        labels = np.concatenate([file.labels(problems) for file in files] or [np.zeros(0, np.int64)])
        if not problems and not len(labels):
            problems.add(f"{self.place} holds no images; its files have 0 rows")
        check_labels(labels, names, classes, images.place, problems, complete=not problems)
        digests = decode(images, image_size, problems, folder / "images.npy")
        problems.raise_if_any()
        write_digests(digests, folder)
        write_labels(labels, folder)
        return names or tuple(str(label) for label in range(classes or int(labels.max()) + 1))


class _File:
    """One Parquet file that could be opened and has the columns."""

    def __init__(self, path: Path, file: Any, image_column: str, label_column: str) -> None:
        self.path = path
        self.rows: int = file.metadata.num_rows
        self.schema: pa.Schema = file.schema_arrow
        self.readable = True
        self._file = file
        self._image_column = image_column
        self._label_column = label_column

    def class_names(self) -> tuple[str, ...] | None:
        """The names in the schema's `huggingface` metadata; None when it names no classes. Raises ValueError."""
        text = (self.schema.metadata or {}).get(b"huggingface")
        entry: Any = json.loads(text) if text is not None else None
        for key in ("info", "features", self._label_column, "names"):
            entry = entry.get(key) if isinstance(entry, dict) else None
        return tuple(str(name) for name in entry) if isinstance(entry, list) and entry else None

    def labels(self, problems: Problems) -> np.ndarray:
        """The labels, int64 (rows,); a problem for each that is missing, no whole number, or beyond all reason."""
        import pyarrow as pa

        try:
            column = self._file.read(columns=[self._label_column]).column(0)
        except (pa.ArrowException, OSError) as error:
            self._unreadable(error, problems)
            return np.zeros(self.rows, np.int64)
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            problems.add(
                f"{self.path}: column {self._label_column!r} holds {kind} values, but must hold whole numbers from 0; "
                "number the classes"
            )
            return np.zeros(self.rows, np.int64)
        missing = np.asarray(column.is_null().combine_chunks().to_numpy(zero_copy_only=False), dtype=bool)
        values = column.fill_null(0).to_numpy()
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        # Before anything is computed with them: infinity has no remainder, and a large number may not fit into int64.
        far = ~np.isfinite(values) | (values > LARGEST_LABEL) | (values < -LARGEST_LABEL)
        numbers = np.where(missing | far, 0, values)
        broken = missing | far | (numbers % 1 != 0)
        for row in np.flatnonzero(broken)[:LINES]:
            value = "missing" if missing[row] else values[row]
            problems.add(
                f"{self.path}, row {row} (from 0): the label is {value}, but must be a whole number from 0 "
                f"to {LARGEST_LABEL}; mend the label or remove the row"
            )
        problems.add_uncounted(max(0, int(broken.sum()) - LINES))
        labels: np.ndarray = np.where(broken, 0, numbers).astype(np.int64)
        return labels

    def images(self, problems: Problems) -> Iterator[list[Encoded]]:
        """The stored images in order, some at a time; ends early, with a problem, where the file can't be read."""
        import pyarrow as pa

        if not self.readable:
            return
        try:
            for batch in self._file.iter_batches(batch_size=ROWS, columns=[self._image_column]):
                column = batch.column(0)
                if pa.types.is_struct(column.type):
                    # flatten, unlike field, also gives null where the whole struct is null
                    column = column.flatten()[column.type.get_field_index("bytes")]
                yield column.to_pylist()
        except (pa.ArrowException, OSError) as error:
            self._unreadable(error, problems)

    def _unreadable(self, error: Exception, problems: Problems) -> None:
        self.readable = False
        problems.add(_unreadable(self.path, error))


class _Images:
    """The images of all files, one after the other."""

    def __init__(self, files: Sequence[_File], problems: Problems) -> None:
        self._files = files
        self._problems = problems
        self._starts = list(accumulate((file.rows for file in files), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def chunks(self) -> Iterator[tuple[int, list[Encoded]]]:
        for file, start in zip(self._files, self._starts, strict=False):
            for items in file.images(self._problems):
                yield start, items
                start += len(items)

    def place(self, index: int) -> str:
        number = bisect_right(self._starts, index) - 1
        return f"{self._files[number].path}, row {index - self._starts[number]} (from 0)"


def _open_all(paths: Sequence[Path], problems: Problems) -> list[_File]:
    """The files that are sound; a problem for each other one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = []
    for path in paths:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            problems.add(_unreadable(path, error))
            continue
        names = file.schema_arrow.names
        image = next((name for name in IMAGE_COLUMNS if name in names), None)
        label = next((name for name in LABEL_COLUMNS if name in names), None)
        for found, wanted, what in ((image, IMAGE_COLUMNS, "image"), (label, LABEL_COLUMNS, "label")):
            if found is None:
                problems.add(
                    f"{path} has no {what} column: it must be named {' or '.join(wanted)}, "
                    f"but the columns are {', '.join(names) or 'none'}; rename one"
                )
        if image is None or label is None:
            continue
        kind = file.schema_arrow.field(image).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            problems.add(f"{path}: column {image!r} is {kind}, but must be a struct with bytes; store encoded images")
            continue
        files.append(_File(path, file, image, label))
    return files


def _class_names(files: Sequence[_File], problems: Problems) -> tuple[str, ...] | None:
    """The class names that the files agree on, or None when they have none."""
    named: dict[tuple[str, ...] | None, Path] = {}
    for file in files:
        try:
            named.setdefault(file.class_names(), file.path)
        except ValueError as error:
            problems.add(
                f"{file.path}: the schema's huggingface metadata are no JSON ({one_line(error)}); write them anew"
            )
    if len(named) > 1:
        problems.add(
            f"{' and '.join(str(path) for path in list(named.values())[:2])} name different classes; make them agree"
        )
    return next(iter(named), None)


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} can't be read as Parquet ({one_line(error)}); fetch or write it again"
