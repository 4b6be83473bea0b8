"""`Content`: what one part of a data set holds, as read from its files, before any choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.images import Images
from hcr_edge.errors import DataError

UNKNOWN_WRITER = -1
_RUNS = re.compile(r"\d+|\D+")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a data set.

    Attributes:
        check: Which check found it, e.g. ``undecodable``.
        where: The file, row or image.
        message: What is wrong with it.
        severity: An ``error`` keeps the set from being used; a ``warning`` does not.
    """

    check: str
    where: str
    message: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class Content:
    """Images of one part of a data set.

    Attributes:
        images: Grey uint8 images, upright, in the polarity that the set declares.
        labels: int64 (N,): index into the set's classes.
        writers: int64 (N,): who wrote each image, -1 where unknown; None where nothing is known.
        names: Each image's file within the source; empty where images are rows of a table.
        problems: What was wrong with the files; what it concerns is not among the images.
        skipped: Classes that the set does not have, and how many images each holds.
    """

    images: Images
    labels: NDArray[np.int64]
    writers: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    skipped: tuple[tuple[str, int], ...] = ()


def known_labels(
    values: NDArray[np.integer], first: int, count: int, where: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[Problem]]:
    """Number labels from 0, and find those that are out of range.

    Args:
        values: As the file has them, shape (N,).
        first: The number of the first class in the file.
        count: How many classes there are.
        where: The file, for the report.

    Returns:
        The labels of those in range; bool (N,) where they are; a problem for each other one.

    >>> known_labels(np.array([1, 3, 0]), 1, 2, "labels.csv")[2][0].message
    'label 3; allowed: 1 to 2'
    """
    last = first + count - 1
    allowed = f"allowed: {first} to {last}"
    good = (values >= first) & (values <= last)
    problems = [
        Problem("label", f"{where}, row {row + 1}", f"label {values[row]}; {allowed}")
        for row in np.flatnonzero(~good).tolist()
    ]
    return values[good].astype(np.int64) - first, good, problems


def whole_numbers(values: object, where: str) -> NDArray[np.int64]:
    """Return numbers of a MATLAB file, often doubles in a column, as int64 (N,).

    Raises:
        DataError: They are no numbers, or not whole.

    >>> whole_numbers(np.array([[1.0], [28.0]]), "labels").tolist()
    [1, 28]
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise DataError(f"{where} holds no numbers")
    if (values != np.rint(values)).any():
        raise DataError(f"{where} holds numbers that are not whole")
    return values.ravel().astype(np.int64)


def natural(names: Sequence[str]) -> list[str]:
    """Sort names as people do: 2 before 10.

    >>> natural(["a10.png", "a2.png"])
    ['a2.png', 'a10.png']
    """

    def key(name: str) -> list[tuple[int, str]]:
        runs = _RUNS.findall(name)
        # Endless digits are no number that Python would read.
        return [(int(run[:18]), "") if run.isdecimal() else (-1, run) for run in runs]

    return sorted(names, key=key)
