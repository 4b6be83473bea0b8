"""Hijja2 (Altwaijry, Al-Turaiki 2020): Arabic letters in every position, by 591 children.

The PNG tree is divided into 29 letters and their forms: ``2 ba/2.1/17.png``. Files are numbered as
they were scanned, 108 to a sheet; up to number 34,452 a sheet is one child's, beyond that the
numbering no longer follows the sheets and the writer is unknown. The publisher's CSV files hold the
same images with a random split and without forms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import UNKNOWN_WRITER, Content, natural
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.orientation import measure, turned_back
from hcr_edge.datasets.published import Layout, PublishedSet, Variant
from hcr_edge.datasets.table import numbered_from, read_pixel_tables, select_tables
from hcr_edge.datasets.tree import read_tree
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS_HAMZA

SIDE = 32
SHEET = 108
_LAST_SHEET = 34452
CLASSES = len(ARABIC_LETTERS_HAMZA)
# Letter alone; alef bare and with hamza above and below; heh in both its forms; hamza alone.
ISOLATED = frozenset({*(f"{letter}.1" for letter in range(1, CLASSES + 1)), "1.3", "1.4", "26.4"})
_PNG = re.compile(r"(?:^|/)(\d{1,2})[ _-][^/]*/(\d{1,2}\.\d)/(\d{1,9})\.(?:png|jpe?g|bmp)$", re.I)
_TABLES = {"train": ("X_train", "y_train"), "test": ("X_test", "y_test")}


def form_of(name: str) -> str:
    """Return the form of an image from its file's name, e.g. ``2.1``.

    >>> form_of("2 ba/2.1/17.png")
    '2.1'
    """
    found = _PNG.search(name)
    return found[2] if found else ""


def _select_png(names: Sequence[str], part: str) -> list[str]:
    return natural(
        [
            name
            for name in names
            if (found := _PNG.search(name))
            and 1 <= int(found[1]) <= CLASSES
            and found[2].startswith(f"{int(found[1])}.")
        ]
    )


def _read_png(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    content = read_tree(files, members, lambda name: int(form_of(name).split(".")[0]) - 1, pixels)
    numbers = np.array([int(name.rsplit("/", 1)[-1].split(".")[0]) for name in content.names])
    sheets = np.where(numbers <= _LAST_SHEET, (numbers - 1) // SHEET, UNKNOWN_WRITER)
    return Content(
        images=content.images,
        labels=content.labels,
        writers=sheets.astype(np.int64),
        names=content.names,
        problems=content.problems,
    )


def _select_csv(names: Sequence[str], part: str) -> list[str]:
    return select_tables(names, _TABLES[part])


def _read_csv(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    images, values = read_pixel_tables(files, members, SIDE * SIDE)
    labels, good, problems = numbered_from(values, (0, 1), CLASSES, members[1])
    upright = images.reshape(-1, SIDE, SIDE)[good]
    # The publisher does not say how the rows run or which is ink: the letters tell.
    seen = measure(list(upright), labels, ARABIC_LETTERS_HAMZA)
    if seen.found == "transposed" and seen.proven:
        upright = turned_back(upright, "transposed")
    if seen.bright_ink > 0.5:
        upright = 255 - upright
    pixels.extend(upright)
    return Content(images=pixels.finish(), labels=labels, problems=tuple(problems))


def _isolated(content: Content) -> NDArray[np.bool_]:
    if not content.names:
        raise DataError(
            "hijja's CSV files do not say which letters stand alone",
            hint="put the publisher's PNG tree beside them",
        )
    return np.array([form_of(name) in ISOLATED for name in content.names], bool)


HIJJA = PublishedSet(
    name="hijja",
    label_set=ARABIC_LETTERS_HAMZA,
    layouts=(
        Layout("png", ("all",), _select_png, _read_png),
        Layout("csv", ("train", "test"), _select_csv, _read_csv),
    ),
    bright_ink=False,
    archives=r"(?i)hijja|^csv\.zip$",
    folders=("hijja",),
    tops=r"(?i)hijja|^\d{1,2} [a-z]+$|^[xy]_(train|test)\.csv",
    variants={
        "29": Variant("the 29 classes as published (default)"),
        "28": Variant("the 28 letters, without the hamza alone", lambda c: c.labels < 28, 28),
        "all": Variant("every form (default)"),
        "isolated": Variant(
            "letters that stand alone; needs the PNG tree", _isolated, layout="png"
        ),
    },
)
