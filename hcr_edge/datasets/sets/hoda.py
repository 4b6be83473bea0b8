"""Hoda (Khosravi, Kabir 2007): Persian digits, binary, cut out tightly, each of its own size."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hcr_edge.datasets.content import Content, Problem, known_labels, whole_numbers
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.formats.cdb import read_cdb
from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet
from hcr_edge.datasets.tree import by_base_name
from hcr_edge.errors import DataError
from hcr_edge.labels import PERSIAN_DIGITS

_CDB = {
    "train": re.compile(r"(?:^|/)train[^/]*\.cdb$", re.IGNORECASE),
    "test": re.compile(r"(?:^|/)test[^/]*\.cdb$", re.IGNORECASE),
    "remaining": re.compile(r"(?:^|/)remaining[^/]*\.cdb$", re.IGNORECASE),
}


def _select_cdb(names: Sequence[str], part: str) -> list[str]:
    return [name for name in names if _CDB[part].search(name)][:1]


def _read_cdb(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    name = members[0]
    found = read_cdb(files.read(name), name)
    labels, good, problems = known_labels(found.labels, 0, len(PERSIAN_DIGITS), name)
    counts = np.bincount(found.labels, minlength=len(found.counts)).tolist()
    if counts != list(found.counts):
        told = ", ".join(str(count) for count in found.counts[: len(PERSIAN_DIGITS)])
        problems.append(Problem("count", name, f"its header counts {told} images", "warning"))
    for i in np.flatnonzero(good).tolist():
        pixels.append(found.images[i])
    return Content(images=pixels.finish(), labels=labels, problems=tuple(problems))


def _read_mat(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    name = members[0]
    found = read_mat(files.read(name), name, {"Data", "labels"})
    images, values = found.get("Data"), found.get("labels")
    if not isinstance(images, list) or values is None:
        raise DataError(f"{name} holds no cell array Data, or no labels")
    values = whole_numbers(values, f"{name}: labels")
    if len(images) != len(values):
        raise DataError(f"{name}: {len(images)} images and {len(values)} labels")
    labels, good, problems = known_labels(values, 0, len(PERSIAN_DIGITS), name)
    kept: list[int] = []
    for position, i in enumerate(np.flatnonzero(good).tolist()):
        image = images[i]
        if not isinstance(image, np.ndarray) or image.ndim != 2 or not image.size:
            what = getattr(image, "shape", type(image).__name__)
            problems.append(Problem("shape", f"{name}, cell {i + 1}", f"{what} is no image"))
        elif image.dtype != np.uint8:  # whole numbers to 255 are stored so, whatever they were
            what = f"{image.dtype}; allowed: 0 to 255"
            problems.append(Problem("values", f"{name}, cell {i + 1}", what))
        else:
            pixels.append(image)
            kept.append(position)
    return Content(images=pixels.finish(), labels=labels[kept], problems=tuple(problems))


HODA = PublishedSet(
    name="hoda",
    label_set=PERSIAN_DIGITS,
    layouts=(
        Layout("cdb", ("train", "test", "remaining"), _select_cdb, _read_cdb, ("remaining",)),
        # The 60,000 images of the training part.
        Layout(
            "mat",
            ("train",),
            lambda names, part: list(by_base_name(names, ["Data_hoda_full.mat"]).values()),
            _read_mat,
        ),
    ),
    bright_ink=True,
    archives=r"(?i)hoda|digitdb|farsi.?digit",
    tops=r"(?i)^(train|test|remaining)[^/]*\.cdb$|^data_hoda",
)
