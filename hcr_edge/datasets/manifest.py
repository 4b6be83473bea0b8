"""Anyone's own images, ``csv:PATH``: a table of path, label and optionally split and writer.

The first line names the columns. Paths are relative to the table's folder; labels are named as
class folders are (`naming`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hcr_edge.datasets.base import Dataset
from hcr_edge.datasets.content import UNKNOWN_WRITER
from hcr_edge.datasets.naming import LabelNames, at_home, named_labels
from hcr_edge.datasets.writers import DIVIDED, divide
from hcr_edge.errors import DataError
from hcr_runtime import Label

# Each column, and what else people call it.
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path"),
    "label": ("label", "text", "class", "character", "letter"),
    "split": ("split", "set", "subset", "part"),
    "writer": ("writer", "writer_id", "author", "person", "user"),
}
# What others call the parts of a set.
PARTS = {"training": "train", "testing": "test", "validation": "val", "valid": "val", "dev": "val"}
_MAX_BYTES = 1 << 30


def load(
    path: Path,
    split: str,
    label_set: tuple[Label, ...] | None,
    fold: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Read the images that a table lists.

    Args:
        path: The table.
        split: A word of its column ``split``, or ``all``; ``train`` or ``test``, which is a fifth,
            where the column is missing or empty.
        label_set: The classes; None takes those that the table names, in all splits.
        fold: Other characters, and the class that each is read as.

    Raises:
        DataError: The table is missing or damaged, files are missing, or nothing is left.
    """
    path = at_home(path)
    rows = read_rows(path)
    for row in rows:
        row["split"] = _part(row["split"])
    split = _part(split)
    splits = sorted({row["split"] for row in rows if row["split"]})
    empty = next((row["line"] for row in rows if not row["label"]), "")
    if empty:
        raise DataError(f"{path}, line {empty}: no label")
    if label_set is None:
        label_set = named_labels({row["label"] for row in rows})
    undivided = not splits and split in DIVIDED
    if split != "all" and not undivided:
        if split not in splits:
            raise DataError(
                f"{path} has no split {split!r}", allowed=", ".join([*(splits or DIVIDED), "all"])
            )
        rows = [row for row in rows if row["split"] == split]
    names = [row["label"] for row in rows]
    resolve = LabelNames(label_set, sorted(set(names)), fold)
    numbers = [resolve(name) for name in names]
    skipped: dict[str, int] = {}
    for name, number in zip(names, numbers, strict=True):
        if number is None:
            skipped[name] = skipped.get(name, 0) + 1
    kept = [(row, n) for row, n in zip(rows, numbers, strict=True) if n is not None]
    files = [_file(path.parent, row["path"]) for row, _ in kept]
    missing = [i for i, file in enumerate(files) if not _is_file(file)]
    if missing:
        raise DataError(
            f"{path}, line {kept[missing[0]][0]['line']}: there is no file {files[missing[0]]}"
            + (f", and {len(missing) - 1} more are missing" if len(missing) > 1 else "")
        )
    if not kept:
        raise DataError(f"{path} lists no images of the classes asked for")
    people = sorted({str(row["writer"]) for row, _ in kept if row["writer"]})
    number_of = {name: i for i, name in enumerate(people)}
    writers = [number_of.get(str(row["writer"]), UNKNOWN_WRITER) for row, _ in kept]
    name = f"csv:{path}"
    data = Dataset(
        name=name,
        split=split,
        images=files,
        labels=np.array([number for _, number in kept], np.int64),
        label_set=label_set,
        writers=np.array(writers, np.int64) if people else None,
        licence="the user's own",
        skipped=skipped,
        split_rule=path.name if splits else "none",
        origins=(name,),
    )
    return divide(data, split) if undivided else data


def _part(word: str) -> str:
    """The part that a word means, whatever its capitals; another word stays as it is."""
    known = word.casefold()
    return PARTS.get(known, known if known in PARTS.values() else word)


def _file(folder: Path, name: str) -> Path:
    """A table's file; one that was written on Windows has backslashes."""
    there = folder / name
    if "\\" in name and not _is_file(there):
        return folder / name.replace("\\", "/")
    return there


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the table's rows with the names of `COLUMNS`, and the line that each is on.

    Raises:
        DataError: It is missing, no table, or without a column for path or label.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than a table of images can be", allowed="1 GiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error.reason})") from error
    except ValueError as error:  # a name with a zero byte
        raise DataError(f"cannot read {str(path)!r}: {error}") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    try:
        header = [(name or "").strip().casefold() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        found = {
            column: next((name for name in names if name in header), "")
            for column, names in COLUMNS.items()
        }
        if not found["path"] or not found["label"]:
            raise DataError(
                f"{path} has the columns {', '.join(header) or 'none'}",
                allowed="path, label, and if known split and writer; in the first line",
            )
        return [
            {
                **{
                    column: (row[name] or "").strip() if name else ""
                    for column, name in found.items()
                },
                "line": str(reader.line_num),
            }
            for row in reader
        ]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + 1}: {error}") from error
