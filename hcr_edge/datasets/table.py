"""CSV files of images and of labels, as arrays, whatever their header and first column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import Problem, known_labels
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.formats.pixel_csv import read_table
from hcr_edge.datasets.tree import by_base_name
from hcr_edge.errors import DataError


def without_ending(name: str) -> str:
    """Return a table's name without what says how it is written and packed.

    >>> without_ending("X_train.csv.gz"), without_ending("Y_TRAIN.CSV")
    ('x_train', 'y_train')
    """
    return name.casefold().removesuffix(".gz").removesuffix(".csv")


def select_tables(names: Sequence[str], wanted: tuple[str, str]) -> list[str]:
    """Find a file of images and its file of labels, each ``.csv`` or ``.csv.gz``."""
    found = by_base_name(names, wanted, without_ending)
    return [found.get(name, f"{name}.csv") for name in wanted] if found else []


def read_pixel_tables(
    files: Files, members: Sequence[str], columns: int
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Read a table of images and one of labels; a header and pandas' index column are left out.

    Returns:
        uint8 (N, columns), int16 (N,).

    Raises:
        DataError: They are damaged, of another width, or of unlike length.
    """
    tables: list[NDArray] = []
    for name, wanted, high in zip(members, (columns, 1), (255, 32767), strict=True):
        low = 0 if high == 255 else -32768
        try:
            with files.open(name) as stream:
                table = read_table(stream, name, wanted, low=low, high=high, header="auto")
        except DataError as error:
            # pandas writes the row's number before the row.
            with files.open(name) as stream:
                try:
                    both = read_table(
                        stream, name, wanted + 1, low=low, high=2**31 - 1, header="auto"
                    )
                except DataError:
                    raise error from None
            if (both[:, 0] != np.arange(len(both))).any() or (both[:, 1:] > high).any():
                raise error from None
            table = both[:, 1:]
        tables.append(table)
    images, labels = tables
    if len(labels) == len(images) + 1 and labels[0, 0] == 0 and _is_counted(files, members[0]):
        labels = labels[1:]  # pandas' header of a single column is a 0
    if len(images) != len(labels):
        raise DataError(
            f"{members[0]} has {len(images)} rows, {members[1]} has {len(labels)}",
            allowed="one label for each image",
        )
    return images.astype(np.uint8), labels[:, 0].astype(np.int16)


def _is_counted(files: Files, name: str) -> bool:
    """Whether a table begins with pandas' header 0, 1, 2 …"""
    with files.open(name) as stream:
        head = stream.read(64).removeprefix(b"\xef\xbb\xbf").replace(b'"', b"")
    return head.lstrip(b",").startswith(b"0,1,2,3,4,5,6,7,")


def numbered_from(
    values: NDArray[np.integer], firsts: Sequence[int], count: int, where: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[Problem]]:
    """Number labels from 0 where a publisher's copies begin with one of several numbers.

    A set of some size in which the lower number never occurs begins with the higher; a handful of
    images is taken to begin with the first of `firsts`.
    """
    fitting = [
        first
        for first in firsts
        if len(values) and values.min() >= first and values.max() < first + count
    ]
    chosen = (fitting[-1] if len(values) >= 10 * count else fitting[0]) if fitting else firsts[0]
    return known_labels(values, chosen, count, where)
