"""Images that a CSV file lists: a path and a label in each row."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tune_lpc.training.data.folder_images import Files, FileSource, Listing
from tune_lpc.training.data.hold_out import FinalTest
from tune_lpc.training.data.labels import numbered_by_name
from tune_lpc.training.data.problems import Problems, one_line, reading

PATH_COLUMNS = ("file_name", "path", "file", "filename", "image", "img", "image_path")
LABEL_COLUMNS = ("label", "class", "target", "category")
_DELIMITERS = ",;\t"


class ListSource(FileSource):
    """Training images that a CSV file names, by paths from its own folder on."""

    def __init__(self, file: Path, final_test: FinalTest | None = None) -> None:
        self.final_test = final_test
        self.place = f"{file} (files in a CSV list)"
        self._file = file
        with reading(file):
            self._content = file.read_bytes()

    def identity(self) -> list[object]:
        """What tells these data from others: the list, and path, size and time of each file."""
        paths, *_ = self._listed(Problems())
        identity: list[object] = ["list", str(self._file.resolve()), self._content.decode("utf-8", "replace")]
        with reading(self._file.parent):
            for path in paths.paths:
                stat = Path(path).stat()
                identity.append([stat.st_size, stat.st_mtime_ns])
        return identity

    def _listed(self, problems: Problems) -> Listing:
        nothing = Listing(Files([]), np.zeros(0, np.int64), ())
        try:
            text = self._content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.add(f"{self._file} is not UTF-8 ({one_line(error)}); save it as UTF-8")
            return nothing
        lines = text.splitlines()
        head = lines[0] if lines else ""
        rows = list(csv.reader(lines, delimiter=max(_DELIMITERS, key=head.count)))
        names = [name.strip().lower() for name in rows[0]] if rows else []
        path, label = (next((names.index(n) for n in ns if n in names), None) for ns in (PATH_COLUMNS, LABEL_COLUMNS))
        for found, wanted, what in ((path, PATH_COLUMNS, "path"), (label, LABEL_COLUMNS, "label")):
            if found is None:
                problems.add(
                    f"{self._file} has no {what} column: it must be named {' or '.join(wanted)}, but the columns are "
                    f"{', '.join(names) or 'none'}; rename one"
                )
        if path is None or label is None:
            return nothing
        files, told = [], []
        for number, row in enumerate(rows[1:], start=2):
            if not any(row):
                continue
            if len(row) != len(names) or not row[label].strip():
                problems.add(f"{self._file}, line {number}: it lacks a path or a label; mend or remove the line")
                continue
            place = self._file.parent / row[path].strip()
            if not place.is_file():
                problems.add(f"{self._file}, line {number}: there is no file {place}; mend the path")
                continue
            files.append(str(place))
            told.append(row[label].strip())
        if not files and not problems:
            problems.add(f"{self._file} names no images; add lines to it, or mend --data-dir")
        labels, classes, numbered = numbered_by_name(told)
        return Listing(Files(files), labels, classes, numbered)
