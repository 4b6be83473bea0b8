"""The Kaggle set of Russian letters: photographed, in colour, on white, coloured and ruled paper.

``letters.csv`` (``letter,label,file,background``) beside the folder ``letters/``; later parts are
called ``letters2`` and ``letters3``. 33 small letters, numbered from 1.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace

from hcr_edge.datasets.content import Content, Problem
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet
from hcr_edge.datasets.tree import folder_text, read_tree
from hcr_edge.errors import DataError
from hcr_edge.labels import RUSSIAN_SMALL

_LIST = re.compile(r"(?:^|/)(letters\d*)\.csv$", re.IGNORECASE)
_COLUMNS = ("letter", "label", "file")


def _select(names: Sequence[str], part: str) -> list[str]:
    """Find the tables, and the images beside them: they too make up the part."""
    tables = [name for name in names if _LIST.search(name)]
    folders = tuple(f"{table[: -len('.csv')]}/" for table in tables)
    return [*tables, *(name for name in names if name.startswith(folders))] if tables else []


def _read(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    present = set(members)
    labels: dict[str, int] = {}
    problems: list[Problem] = []
    for table in filter(_LIST.search, members):
        folder = table[: -len(".csv")]
        for row, item in enumerate(_rows(files, table), start=2):
            where = f"{table}, row {row}"
            name = f"{folder}/{(item['file'] or '').strip()}"
            # An archive may have been unpacked into a folder of its own name.
            inner = name.replace(f"{folder}/", f"{folder}/{folder.rpartition('/')[2]}/", 1)
            name = inner if name not in present and inner in present else name
            label = _label(item)
            if label is None:
                pair = f"letter {item['letter']!r} with label {item['label']!r}"
                problems.append(Problem("label", where, f"{pair} is none of the 33"))
            elif name not in present:
                problems.append(Problem("missing", where, f"there is no file {name}"))
            elif name in labels:
                problems.append(Problem("name", where, f"{name} is listed twice"))
            else:
                labels[name] = label
    content = read_tree(files, list(labels), labels.__getitem__, pixels)
    return replace(content, problems=(*problems, *content.problems))


def _rows(files: Files, table: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(files.read(table).decode("utf-8-sig")))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is no CSV file ({error})") from error
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            f"{table} has no column {', '.join(missing)}", allowed="letter,label,file,background"
        )
    return rows


def _label(item: dict[str, str]) -> int | None:
    """The class, if letter and number agree: a table that is off by one must not pass."""
    letter = folder_text((item["letter"] or "").strip()).lower()
    number = (item["label"] or "").strip()
    position = {label.text: i for i, label in enumerate(RUSSIAN_SMALL)}.get(letter)
    return position if position is not None and number == str(position + 1) else None


RUSSIAN_LETTERS = PublishedSet(
    name="russian-letters",
    label_set=RUSSIAN_SMALL,
    layouts=(Layout("csv", ("all",), _select, _read),),
    bright_ink=False,
    archives=r"(?i)handwritten.letters|russian.letters|^letters",
    tops=r"(?i)^letters\d*(\.csv)?$",
)
