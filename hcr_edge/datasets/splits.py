"""Splits, written down: which image is in which part, by what rule and from which seed."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.base import Dataset
from hcr_edge.datasets.writers import deal_writers
from hcr_edge.errors import DataError

SCHEMA_VERSION = 1
Rule = Literal["writers", "random"]
Basis = Literal["writers", "blocks", "random", "published"]


@dataclass(frozen=True)
class Split:
    """A division of a data set.

    Attributes:
        dataset: The spec it belongs to, as `load_dataset` takes it.
        checksum: Of the data set's images and labels, see `checksum`.
        rule: ``writers``: no writer is in two parts. ``blocks``: the same of consecutive images,
            where no writer is known. ``random``: image by image, evenly by class. ``published``:
            as its publisher divides it.
        seed: Of the division; None where it is the publisher's.
        parts: Name of each part, and its images' positions in the whole set, ascending.
        writers: How many writers are known in each part.
        shared_writers: How many of them are in more than one part.
    """

    dataset: str
    checksum: str
    rule: Basis
    seed: int | None
    parts: Mapping[str, NDArray[np.int64]]
    writers: Mapping[str, int]
    shared_writers: int

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain JSON types; `read_split` reads them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": self.dataset,
            "checksum": self.checksum,
            "rule": self.rule,
            "seed": self.seed,
            "shared_writers": self.shared_writers,
            "parts": {
                name: {
                    "images": len(positions),
                    "writers": self.writers[name],
                    "positions": positions.tolist(),
                }
                for name, positions in self.parts.items()
            },
        }


def make_split(
    data: Dataset, rule: Rule, *, test: float = 0.2, val: float = 0.1, folds: int = 0, seed: int = 0
) -> Split:
    """Divide a whole data set.

    Args:
        data: All of it (split ``all``).
        rule: See `Split`. Where no writer is known, ``writers`` keeps blocks of consecutive images
            of a class together.
        test: Share of the images for the part ``test``.
        val: Share for ``val``; the rest is ``train``.
        folds: If not 0, divide into ``fold-0`` … instead; images of unknown writers are then in
            the part ``train-only``.
        seed: Of the division; the same seed gives the same split.

    Raises:
        DataError: There are too few writers.

    >>> import numpy as np
    >>> from hcr_runtime import Label
    >>> image = np.zeros((2, 2), np.uint8)
    >>> labels, writers = np.zeros(40, np.int64), np.arange(40) // 2
    >>> data = Dataset("own", "all", [image] * 40, labels, (Label("ا", "alef"),), writers)
    >>> {name: len(p) for name, p in make_split(data, "writers", test=0.1).parts.items()}
    {'train': 32, 'val': 4, 'test': 4}
    """
    if folds:
        if folds < 2:
            raise DataError(f"{folds} folds divide nothing", allowed="2 or more")
        names, shares = [f"fold-{i}" for i in range(folds)], [1.0] * folds
    else:
        given = {"train": 1 - test - val, "val": val, "test": test}
        if min(given.values()) < 0 or given["train"] <= 0:
            raise DataError(
                f"test {test:g} and val {val:g} leave nothing to train on",
                allowed="0 or more each, below 1 together",
            )
        names = [name for name, share in given.items() if share > 0]
        shares = [given[name] for name in names]
    deal = deal_images if rule == "random" else deal_writers
    numbers = deal(data, shares, seed)
    unknown = "train-only" if folds else "train"
    positions = {name: np.flatnonzero(numbers == i) for i, name in enumerate(names)}
    if (numbers < 0).any():
        others = positions.get(unknown, np.empty(0, np.int64))
        positions[unknown] = np.sort(np.concatenate([others, np.flatnonzero(numbers < 0)]))
    positions = {name: found for name, found in positions.items() if len(found)}
    basis: Basis = rule
    if rule == "writers" and not any(known_writers(data).values()):
        basis = "blocks"
    return _split(data, basis, seed, positions)


def given_split(data: Dataset, parts: Mapping[str, Dataset], rule: Basis = "published") -> Split:
    """Write down how a data set comes divided: by its publisher, its owner, or `load_dataset`.

    Args:
        data: All of it (split ``all``).
        parts: Its parts, as `load_dataset` gives them.
        rule: Whose division it is.

    Raises:
        DataError: A part holds an image that is not in the whole.
    """
    places: dict[bytes, deque[int]] = {}
    for i in range(len(data)):
        places.setdefault(_key(data, i), deque()).append(i)
    positions: dict[str, NDArray[np.int64]] = {}
    for name, part in parts.items():
        found = []
        for i in range(len(part)):
            # Of equal images each is taken once, in their order.
            if not (left := places.get(_key(part, i))):
                raise DataError(f"{part.where(i)} is in {name}, but not among all of {data.name}")
            found.append(left.popleft())
        positions[name] = np.sort(np.array(found, np.int64))
    return _split(data, rule, None, positions)


def known_writers(data: Dataset) -> dict[str, int]:
    """Return how many writers are known in each of the sets that were joined."""
    origins = data.origins or (data.name,)
    numbers = np.zeros(len(data), np.int64) if data.origin is None else data.origin
    return {
        name: _count_writers(data, np.flatnonzero(numbers == i)) for i, name in enumerate(origins)
    }


def _split(
    data: Dataset, rule: Basis, seed: int | None, positions: Mapping[str, NDArray[np.int64]]
) -> Split:
    people = [_writers_at(data, found) for found in positions.values()]
    times = np.unique(np.concatenate([np.empty(0, np.int64), *people]), return_counts=True)[1]
    return Split(
        dataset=data.name,
        checksum=checksum(data),
        rule=rule,
        seed=seed,
        parts=positions,
        writers={name: len(found) for name, found in zip(positions, people, strict=True)},
        shared_writers=int((times > 1).sum()),
    )


def _key(data: Dataset, index: int) -> bytes:
    """Tell one image of a data set from the others: its file, or its pixels; and its label."""
    image = data.images[index]
    digest = hashlib.blake2b(data.label_set[int(data.labels[index])].text.encode())
    if isinstance(image, Path):
        digest.update(os.fsencode(image))
    else:
        digest.update(f" {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def checksum(data: Dataset) -> str:
    """Return the SHA-256 of a data set's images and labels, in their order."""
    digest = hashlib.sha256()
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        content = image.read_bytes() if isinstance(image, Path) else image.tobytes()
        shape = () if isinstance(image, Path) else image.shape
        digest.update(f"{data.label_set[label].text} {shape}".encode())
        digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True)
class SplitFile:
    """A part of a split that was written down: ``FILE.json:PART``."""

    path: Path
    part: str

    @classmethod
    def parse(cls, text: str) -> SplitFile | None:
        """Recognise one.

        >>> SplitFile.parse("ahcd-split.json:val").part
        'val'
        >>> SplitFile.parse("train") is None
        True
        """
        path, _, part = text.rpartition(":")
        return cls(Path(path), part) if path.endswith(".json") else None


def read_split(file: SplitFile, data: Dataset) -> Dataset:
    """Return the part of a data set that a split file names.

    Args:
        file: Which.
        data: All of the data set that it divides.

    Raises:
        DataError: There is no such part, or as of `read_parts`.
    """
    parts = read_parts(file.path, data)
    if file.part not in parts:
        raise DataError(f"{file.path} has no part {file.part!r}", allowed=", ".join(parts))
    return parts[file.part]


def read_parts(path: Path, data: Dataset) -> dict[str, Dataset]:
    """Divide a data set as a split file says.

    Args:
        path: The file.
        data: All of the data set that it divides.

    Raises:
        DataError: The file is missing, damaged, or made for other images.
    """
    made_for, expected, parts = _read_file(path)
    if expected != checksum(data):
        raise DataError(
            f"{path} was made for {made_for}, other images than {data.name}",
            hint="name that data set, or make the split anew",
        )
    taken = np.zeros(len(data), bool)
    for name, positions in parts.items():
        if ((positions < 0) | (positions >= len(data))).any():
            raise DataError(f"{path}: {name} names images that are not there")
        if len(np.unique(positions)) < len(positions) or taken[positions].any():
            raise DataError(f"{path}: images of {name} are named twice", hint="each has one part")
        taken[positions] = True
    return {
        name: replace(data.take(positions, name), split_rule=path.name)
        for name, positions in parts.items()
    }


def part_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each part of a split file: of the images that it names.

    Raises:
        DataError: The file is missing or damaged.
    """
    _, expected, parts = _read_file(path)
    return {
        name: hashlib.sha256(f"{expected} {positions.tolist()}".encode()).hexdigest()
        for name, positions in parts.items()
    }


def _read_file(path: Path) -> tuple[Any, Any, dict[str, NDArray[np.int64]]]:
    """Read a split file: for which data set, its checksum, and the positions of each part."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if (version := stored["schema_version"]) != SCHEMA_VERSION:
            raise DataError(f"{path} has schema version {version}", allowed=str(SCHEMA_VERSION))
        parts = {name: _positions(part["positions"]) for name, part in stored["parts"].items()}
        made_for, expected = stored.get("dataset"), stored["checksum"]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{path} is no split file", hint="make one with 'hcr-edge data split'"
        ) from error
    return made_for, expected, parts


def _positions(values: Any) -> NDArray[np.int64]:
    """Take a list of whole numbers, and nothing else for one."""
    positions = np.array(values)
    if positions.ndim != 1 or (positions.size and positions.dtype.kind != "i"):
        raise ValueError("no positions")
    return positions.astype(np.int64)


def deal_images(data: Dataset, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Divide a data set image by image, every class evenly, whoever wrote it.

    Returns:
        int64 of shape (N,): index into `shares`.
    """
    rng = np.random.default_rng(seed)
    bounds = np.cumsum(shares) / sum(shares)
    numbers = np.empty(len(data), np.int64)
    for label in np.unique(data.labels).tolist():
        members = rng.permutation(np.flatnonzero(data.labels == label))
        place = (np.arange(len(members)) + 0.5) / len(members)
        numbers[members] = np.searchsorted(bounds, place).clip(max=len(shares) - 1)
    return numbers


def _writers_at(data: Dataset, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    if data.writers is None:
        return np.empty(0, np.int64)
    found = np.unique(data.writers[positions])
    return found[found >= 0]


def _count_writers(data: Dataset, positions: NDArray[np.int64]) -> int:
    return len(_writers_at(data, positions))
