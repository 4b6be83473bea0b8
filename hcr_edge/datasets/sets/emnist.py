"""EMNIST (Cohen, Afshar, Tapson, van Schaik 2017) and MNIST (LeCun, Cortes, Burges).

EMNIST comes as IDX files, as Kaggle's CSV files (label, 784 pixels) and as MATLAB files. In all
three the images are stored transposed. Its Letters split numbers 26 classes from 1; the label 0,
for which others make a 27th or 37th class, does not occur. The MATLAB files also say who wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import Content, Problem, known_labels, whole_numbers
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.formats.idx import read_idx
from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.datasets.formats.pixel_csv import read_rows
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet
from hcr_edge.datasets.table import without_ending
from hcr_edge.datasets.tree import by_base_name
from hcr_edge.errors import DataError
from hcr_edge.label_maps import find_label_map
from hcr_edge.labels import DIGITS, LATIN_CAPITALS, LATIN_SMALL
from hcr_runtime import Label

SIDE = 28
PARTS = ("train", "test")
# Images turned at once: a few MiB.
_BLOCK = 4096


def _pixels(images: NDArray[np.uint8], transposed: bool, pixels: PixelFile) -> None:
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].reshape(-1, SIDE, SIDE)
        pixels.extend(block.transpose(0, 2, 1) if transposed else block)


class _Reader:
    """Reads one split of the family: its files' names, where its labels begin, how many there are.

    Args:
        split: As in the files' names, e.g. ``letters``; empty for MNIST itself.
        labels: The classes.
        first: The number of the first class in the files.
    """

    def __init__(self, split: str, labels: tuple[Label, ...], first: int) -> None:
        self.split, self.first, self.count = split, first, len(labels)
        self.transposed = bool(split)

    def idx_names(self, part: str) -> tuple[str, str]:
        """Names of the IDX files of images and labels."""
        own = {"train": "train", "test": "t10k"}[part]
        stem = f"emnist-{self.split}-{part}" if self.split else own
        return f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"

    def select_idx(self, names: Sequence[str], part: str) -> list[str]:
        """Find them, zipped or not; ``train-images.idx3-ubyte`` is another spelling."""
        wanted = self.idx_names(part)
        found = by_base_name(
            names, wanted, lambda n: n.casefold().removesuffix(".gz").replace(".idx", "-idx")
        )
        return [found.get(name, name) for name in wanted] if found else []

    def read_idx(self, files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
        """Read IDX files."""
        with files.open(members[0]) as stream:
            images = read_idx(stream, members[0])
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise DataError(
                f"{members[0]} holds an array of shape {images.shape}",
                allowed=f"images of {SIDE} x {SIDE}",
            )
        with files.open(members[1]) as stream:
            values = read_idx(stream, members[1])
        if values.ndim != 1 or len(values) != len(images):
            raise DataError(
                f"{members[1]} holds an array of shape {values.shape}",
                allowed=f"one label for each of the {len(images)} images",
            )
        labels, _, problems = self._store(images, values, members[1], pixels)
        del images  # before its copy is mapped: one of them at a time
        return Content(images=pixels.finish(), labels=labels, problems=tuple(problems))

    def select_csv(self, names: Sequence[str], part: str) -> list[str]:
        """Find Kaggle's CSV file."""
        name = f"emnist-{self.split}-{part}" if self.split else f"mnist_{part}"
        found = by_base_name(names, [name], without_ending)
        return [path for path in found.values() if ".csv" in path.casefold()]

    def read_csv(self, files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
        """Read a CSV file of label and pixels; the header that some copies have is left out."""
        return read_labelled_rows(
            files, members[0], self.first, self.count, pixels, transposed=self.transposed
        )

    def select_mat(self, names: Sequence[str], part: str) -> list[str]:
        """Find the MATLAB file, which holds both parts."""
        return list(by_base_name(names, [f"emnist-{self.split}.mat"]).values())

    def read_mat(self, files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
        """Read a MATLAB file: a struct ``dataset`` with train and test, each with writers."""
        name = members[0]
        found = read_mat(files.read(name), name, {"dataset"})
        try:
            item = found["dataset"][part]
            images, values, writers = item["images"], item["labels"], item.get("writers")
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DataError(f"{name} holds no dataset.{part}.images and labels") from error
        values = whole_numbers(values, f"{name}: dataset.{part}.labels")
        if writers is not None:
            writers = whole_numbers(writers, f"{name}: dataset.{part}.writers")
        if not isinstance(images, np.ndarray):
            raise DataError(f"{name}: dataset.{part}.images is no array")
        if images.dtype != np.uint8 or images.shape != (len(values), SIDE * SIDE):
            raise DataError(
                f"{name}: images are {images.dtype} of shape {images.shape}",
                allowed=f"uint8 of shape ({len(values)}, {SIDE * SIDE})",
            )
        if writers is not None and writers.shape != values.shape:
            raise DataError(f"{name}: {len(writers)} writers for {len(values)} images")
        # MATLAB's order of rows and columns makes each row run as in the IDX files.
        labels, good, problems = self._store(images, values, name, pixels)
        return Content(
            images=pixels.finish(),
            labels=labels,
            writers=None if writers is None else writers[good],
            problems=tuple(problems),
        )

    def _store(
        self,
        images: NDArray[np.uint8],
        values: NDArray[np.integer],
        where: str,
        pixels: PixelFile,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[Problem]]:
        labels, good, problems = known_labels(values, self.first, self.count, where)
        _pixels(images if good.all() else images[good], self.transposed, pixels)
        return labels, good, problems


def read_labelled_rows(
    files: Files, name: str, first: int, count: int, pixels: PixelFile, *, transposed: bool
) -> Content:
    """Read a table with a label and 784 pixels in each row.

    Args:
        files: The folder or archive.
        name: The file.
        first: The number of the first class.
        count: How many classes there are.
        pixels: Takes the images.
        transposed: Whether they are stored so.
    """
    found: list[NDArray] = []
    with files.open(name) as stream:
        for block in read_rows(stream, name, 1 + SIDE * SIDE, header="auto"):
            values = block[:, 0].astype(np.int64)
            good = (values >= first) & (values < first + count)
            _pixels(block[good, 1:], transposed, pixels)
            found.append(values)
    values = np.concatenate([np.empty(0, np.int64), *found])
    labels, _, problems = known_labels(values, first, count, name)
    return Content(images=pixels.finish(), labels=labels, problems=tuple(problems))


def _family(name: str, split: str, labels: tuple[Label, ...], first: int = 0) -> PublishedSet:
    reader = _Reader(split, labels, first)
    layouts = [Layout("idx", PARTS, reader.select_idx, reader.read_idx)]
    if split:
        layouts += [
            Layout("mat", PARTS, reader.select_mat, reader.read_mat),
            Layout("csv", PARTS, reader.select_csv, reader.read_csv),
        ]
        stem = rf"(?i)emnist-{re.escape(split)}"
        archives = r"(?i)^gzip|^matlab|emnist"
        tops = rf"{stem}|^(gzip|matlab|emnist)"
    else:
        layouts.append(Layout("csv", PARTS, reader.select_csv, reader.read_csv))
        archives, tops = r"(?i)^mnist", r"(?i)^(train|t10k)-|^mnist"
    return PublishedSet(
        name=name,
        label_set=labels,
        layouts=tuple(layouts),
        bright_ink=True,
        archives=archives,
        tops=tops,
    )


_MERGED = find_label_map("emnist-merged").classes

EMNIST = (
    _family("emnist-letters", "letters", LATIN_CAPITALS, first=1),
    _family("emnist-balanced", "balanced", _MERGED),
    _family("emnist-byclass", "byclass", (*DIGITS, *LATIN_CAPITALS, *LATIN_SMALL)),
    _family("emnist-bymerge", "bymerge", _MERGED),
    _family("emnist-digits", "digits", DIGITS),
    _family("emnist-mnist", "mnist", DIGITS),
)
MNIST = _family("mnist", "", DIGITS)
