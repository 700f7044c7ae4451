"""Images in Parquet files, as Hugging Face publishes them, or in the Arrow files of `datasets.save_to_disk`.

Importing pyarrow stays inside this file.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lpc.training.data.arrays import write_digests, write_labels
from tune_lpc.training.data.cache import Written
from tune_lpc.training.data.decoding import decode
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import check_labels
from tune_lpc.training.data.pixels import Encoded, Form
from tune_lpc.training.data.problems import LINES, Problems, one_line, reading

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
ARROW = ".arrow"
ROWS = 1024
"""Rows read at once."""
LARGEST_LABEL = 2**31 - 1
"""Far more classes than any data set has; what lies beyond may not even fit into a whole number of 64 bits."""


class ParquetSource:
    """Training images in tables: an image column (a struct with `bytes`) and a label column.

    Labels are whole numbers from 0, or texts, or true and false; these are numbered in the order of the classes' names.
    """

    left_out = ""

    def __init__(
        self, folder: Path, files: Sequence[Path], known_classes: int | None, final_test: FinalTest | None = None
    ) -> None:
        self.final_test = final_test
        self.place = f"{folder} ({'saved by datasets' if files[0].suffix == ARROW else 'Parquet'})"
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

    def write(self, folder: Path, image_size: int | None, like: Form | None = None) -> Written:
        """Decode into images.npy, labels.npy and digests.npy in `folder`. Raises UserError."""
        problems = Problems()
        files = _open_all(self._files, problems)
        images = _Images(files, problems)
        columns = [file.labels(problems) for file in files]
        labels, names = _numbered(files, columns, problems)
        names = names or _class_names(files, problems)
        classes = len(names) if names else self._known_classes
        if not problems and not len(labels):
            problems.add(f"{self.place} holds no images; its files have 0 rows")
        check_labels(labels, names, classes, images.place, problems, complete=not problems)
        digests, form = decode(images, image_size, problems, folder / "images.npy", like)
        problems.raise_if_any()
        write_digests(digests, folder)
        write_labels(labels, folder)
        return Written(names or tuple(str(label) for label in range(classes or int(labels.max()) + 1)), form)


class _Parquet:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path)
        self.rows: int = self._file.metadata.num_rows
        self.schema: pa.Schema = self._file.schema_arrow

    def column(self, name: str) -> pa.ChunkedArray:
        """The whole column."""
        return self._file.read(columns=[name]).column(0)

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """The column, some rows at a time."""
        return (batch.column(0) for batch in self._file.iter_batches(batch_size=ROWS, columns=[name]))


class _Arrow:
    """An Arrow file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        self.rows: int = self._table.num_rows
        self.schema: pa.Schema = self._table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """The whole column."""
        return self._table[name]

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """The column, some rows at a time."""
        for first in range(0, self.rows, ROWS):
            yield self._table[name].slice(first, ROWS).combine_chunks()


class _File:
    """One file that could be opened and has the columns."""

    def __init__(self, path: Path, file: _Parquet | _Arrow, image_column: str, label_column: str) -> None:
        self.path = path
        self.rows = file.rows
        self.schema = file.schema
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
        """The labels (rows,): int64, or texts as objects; a problem for each that is missing or can't be one."""
        import pyarrow as pa

        try:
            column = self._file.column(self._label_column)
        except (pa.ArrowException, OSError) as error:
            self._unreadable(error, problems)
            return np.zeros(self.rows, np.int64)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        missing = np.asarray(column.is_null().combine_chunks().to_numpy(zero_copy_only=False), dtype=bool)
        if _is_text(kind) or pa.types.is_boolean(kind):
            told = np.array([_named(each) for each in column.to_pylist()], dtype=object)
            self._tell_broken(missing | (told == ""), told, problems, "must name a class")
            return told
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            problems.add(
                f"{self.path}: column {self._label_column!r} holds {kind} values, but must hold whole numbers from 0, "
                "texts, or true and false; convert it"
            )
            return np.zeros(self.rows, np.int64)
        values = np.zeros(self.rows) if pa.types.is_null(kind) else column.fill_null(0).to_numpy()
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        # Before anything is computed with them: infinity has no remainder, and a large number may not fit into int64.
        far = ~np.isfinite(values) | (values > LARGEST_LABEL) | (values < -LARGEST_LABEL)
        numbers = np.where(missing | far, 0, values)
        broken = missing | far | (numbers % 1 != 0)
        told = values.astype(object)
        told[missing] = None
        self._tell_broken(broken, told, problems, f"must be a whole number from 0 to {LARGEST_LABEL}")
        labels: np.ndarray = np.where(broken, 0, numbers).astype(np.int64)
        return labels

    def _tell_broken(self, broken: np.ndarray, told: np.ndarray, problems: Problems, rule: str) -> None:
        for row in np.flatnonzero(broken)[:LINES]:
            value = "missing" if told[row] is None else told[row]
            problems.add(
                f"{self.path}, row {row} (from 0): the label is {value}, but {rule}; mend the label or remove the row"
            )
        problems.add_uncounted(max(0, int(broken.sum()) - LINES))

    def images(self, problems: Problems) -> Iterator[list[Encoded]]:
        """The stored images in order, some at a time; ends early, with a problem, where the file can't be read."""
        import pyarrow as pa

        if not self.readable:
            return
        try:
            for column in self._file.chunks(self._image_column):
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

    files = []
    for path in paths:
        try:
            file = _Arrow(path) if path.suffix == ARROW else _Parquet(path)
        except (pa.ArrowException, OSError) as error:
            problems.add(_unreadable(path, error))
            continue
        names = file.schema.names
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
        if not file.rows:  # whoever wrote it knew no types
            continue
        kind = file.schema.field(image).type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            problems.add(f"{path}: column {image!r} is {kind}, but must be a struct with bytes; store encoded images")
            continue
        files.append(_File(path, file, image, label))
    return files


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _named(label: object) -> str | None:
    """A label that is a text, or true or false, as the name of a class."""
    return None if label is None else str(label).lower() if isinstance(label, bool) else str(label)


def _numbered(
    files: Sequence[_File], columns: Sequence[np.ndarray], problems: Problems
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The labels of all files as numbers, int64, and the class names where they are texts."""
    kinds = {column.dtype.kind: file.path for file, column in zip(files, columns, strict=True)}
    if len(kinds) > 1:
        first, other = kinds.values()
        problems.add(f"the labels are numbers in one of {first} and {other}, and texts in the other; make them alike")
        return np.zeros(sum(len(column) for column in columns), np.int64), None
    labels = np.concatenate(columns) if columns else np.zeros(0, np.int64)
    if labels.dtype.kind != "O":
        return labels, None
    names, numbers = np.unique(np.where(labels == None, "", labels).astype(str), return_inverse=True)  # noqa: E711
    return numbers.astype(np.int64), tuple(names.tolist())


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
    kind = "an Arrow stream" if path.suffix == ARROW else "Parquet"
    return f"{path} can't be read as {kind} ({one_line(error)}); fetch or write it again"
