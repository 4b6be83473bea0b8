"""AHCD, the Arabic Handwritten Characters Dataset (El-Sawy, Loey, El-Bakry 2017).

Labels run in 60 blocks of writers, 8 images of each letter to a block in the training part and 2 in
the test part, so that the official split shares its writers. The CSV rows are stored transposed;
the MAT file and the PNG files are upright, the PNG files binarised. The MAT file has no labels:
they follow from the order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hcr_edge.datasets.content import Content, Problem, known_labels
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.datasets.formats.pixel_csv import read_rows, read_table
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet
from hcr_edge.datasets.tree import by_base_name, read_tree
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS

SIDE = 32
CLASSES = len(ARABIC_LETTERS)
# Part: rows, images of one letter in a block of writers.
_SIZES = {"train": (13440, 8), "test": (3360, 2)}
_CSV = {
    "train": ("csvTrainImages 13440x1024.csv", "csvTrainLabel 13440x1.csv"),
    "test": ("csvTestImages 3360x1024.csv", "csvTestLabel 3360x1.csv"),
}
_MAT = {"train": "XTrain", "test": "XTest"}
_MAT_NAME = "Train+Test Images Matlab.mat"
_PNG = re.compile(
    r"(?:^|/)(train|test)[^/]*/id_(\d{1,9})_label_(\d{1,9})\.(?:png|jpe?g|bmp)$", re.I
)


def writers_of(rows: np.ndarray, part: str) -> np.ndarray:
    """Return the block of writers, 0 to 59, of image numbers counted from 0."""
    return rows // (CLASSES * _SIZES[part][1])


def _select_csv(names: Sequence[str], part: str) -> list[str]:
    # Kaggle's copy writes underscores for blanks. One of the two is enough to know the layout:
    # that the other is missing is then said by its name.
    wanted = _CSV[part]
    found = by_base_name(names, wanted, lambda name: name.replace("_", " "))
    return [found.get(name, name) for name in wanted] if found else []


def _read_csv(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    images, labels = members
    rows, _ = _SIZES[part]
    with files.open(labels) as stream:
        values = read_table(stream, labels, 1, rows, low=-32768, high=32767)[:, 0]
    numbers, good, problems = known_labels(values, 1, CLASSES, labels)
    start = 0
    with files.open(images) as stream:
        for block in read_rows(stream, images, SIDE * SIDE):
            stop = start + len(block)
            if stop > rows:
                raise DataError(f"{images} has more than {rows} rows", allowed=f"{rows} rows")
            upright = block.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
            pixels.extend(upright[good[start:stop]])
            start = stop
    if start != rows:
        raise DataError(
            f"{images} has {start} rows",
            allowed=f"{rows} rows",
            hint="it is cut short or another file",
        )
    return Content(
        images=pixels.finish(),
        labels=numbers,
        writers=writers_of(np.flatnonzero(good), part),
        problems=tuple(problems),
    )


def _read_mat(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    name = members[0]
    variable = _MAT[part]
    found = read_mat(files.read(name), name, {variable})
    rows, each = _SIZES[part]
    expected = (SIDE, SIDE, 1, rows)
    if variable not in found:
        raise DataError(f"{name} holds no {variable}")
    images = found[variable]
    if getattr(images, "shape", None) != expected or images.dtype != np.uint8:
        raise DataError(
            f"{name}: {variable} is {getattr(images, 'dtype', type(images).__name__)}"
            f" of shape {getattr(images, 'shape', ())}",
            allowed=f"uint8 of shape {expected}: without labels, the order alone tells them",
        )
    pixels.extend(images[:, :, 0].transpose(2, 0, 1))
    numbers = np.arange(rows)
    return Content(
        images=pixels.finish(),
        labels=(numbers // each % CLASSES).astype(np.int64),
        writers=writers_of(numbers, part),
    )


def _select_png(names: Sequence[str], part: str) -> list[str]:
    return [name for name in names if (m := _PNG.search(name)) and m[1].lower() == part]


def _read_png(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    numbers: dict[str, int] = {}
    problems: list[Problem] = []
    labels: dict[str, int] = {}
    rows, _ = _SIZES[part]
    missing = set(range(1, rows + 1))
    for name in members:
        found = _PNG.search(name)
        number, label = (int(found[2]), int(found[3])) if found else (0, 0)
        numbers[name] = number
        if not 1 <= label <= CLASSES:
            problems.append(Problem("label", name, f"label {label}; allowed: 1 to {CLASSES}"))
        elif not 1 <= number <= rows:
            problems.append(Problem("name", name, f"number {number}; allowed: 1 to {rows}"))
        elif number not in missing:
            problems.append(Problem("name", name, f"number {number} comes twice"))
        else:
            labels[name] = label - 1
        missing.discard(number)
    if missing:
        first = f"id_{min(missing)}_label_…"
        message = f"{len(missing)} of {rows} images are missing, the first {first}"
        problems.append(Problem("missing", str(files.path), message))
    ordered = sorted(labels, key=lambda name: numbers[name])
    content = read_tree(files, ordered, labels.__getitem__, pixels)
    places = np.array([numbers[name] - 1 for name in content.names], np.int64)
    return Content(
        images=content.images,
        labels=content.labels,
        writers=writers_of(places, part),
        names=content.names,
        problems=(*problems, *content.problems),
    )


PARTS = ("train", "test")
AHCD = PublishedSet(
    name="ahcd",
    label_set=ARABIC_LETTERS,
    layouts=(
        Layout("csv", PARTS, _select_csv, _read_csv),
        Layout(
            "mat",
            PARTS,
            lambda names, part: list(by_base_name(names, [_MAT_NAME]).values()),
            _read_mat,
        ),
        Layout("png", PARTS, _select_png, _read_png),
    ),
    bright_ink=True,
    archives=r"(?i)arabic.handwritten.characters|^(train|test).images.*x32x32|ahcd",
    tops=r"(?i)^csv(train|test)(images|label)|^train\+test images|^(train|test)([ _]images.*)?$",
)
