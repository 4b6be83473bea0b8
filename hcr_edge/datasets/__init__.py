"""Data sets by name: `load_dataset` is the one door; each kind has its module."""

from __future__ import annotations

import os
from pathlib import Path

from hcr_edge.datasets import ahcd, folder
from hcr_edge.datasets.base import Dataset, hold_out_writers, join, match_labels
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS
from hcr_runtime import Label
from hcr_runtime.errors import nearest

__all__ = [
    "Dataset",
    "find_data_dir",
    "hold_out_writers",
    "join",
    "load_dataset",
    "load_samples",
    "match_labels",
]

DATA_VARIABLE = "HCR_EDGE_DATA"


def find_data_dir(option: Path | None) -> Path | None:
    """Where data sets lie: `option`, or else the variable ``HCR_EDGE_DATA``, or nowhere."""
    if option is not None:
        return option
    value = os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None


def load_dataset(
    spec: str,
    split: str | None = None,
    *,
    data_dir: Path | None = None,
    label_set: tuple[Label, ...] = ARABIC_LETTERS,
) -> Dataset:
    """Read a data set.

    Args:
        spec: ``ahcd``, ``samples`` (the images that the project made), or ``folder:PATH``.
        split: ``train``, ``test`` or ``all``; by default the test set, and all of a folder.
        data_dir: Where published data sets lie; see `find_data_dir`.
        label_set: The labels to which the folders of ``folder:PATH`` are matched.

    Raises:
        DataError: Unknown name, missing or damaged files.
    """
    kind, _, argument = spec.partition(":")
    if kind == "folder" and argument:
        return folder.load(Path(argument), split or "all", label_set)
    if spec == "samples":
        return load_samples(split or "test", label_set)
    if spec == "ahcd":
        where = find_data_dir(data_dir)
        if where is None:
            raise DataError(
                "no folder with data sets is named", hint=f"give --data-dir or set {DATA_VARIABLE}"
            )
        return ahcd.load(where, split or "test")
    raise DataError(
        f"there is no data set {spec!r}", allowed=nearest(spec, ["ahcd", "samples", "folder:PATH"])
    )


def load_samples(split: str, label_set: tuple[Label, ...] = ARABIC_LETTERS) -> Dataset:
    """Read the images that the project made itself (``samples/draw_letters.py``).

    They are synthetic: good for demonstrations, calibration and parity where no real data are
    present, not for judging accuracy.
    """
    package = Path(__file__).parents[1]
    # A wheel carries them inside the package, a checkout beside it.
    roots = (package / "samples", package.parent / "samples")
    root = next((path for path in roots if path.is_dir()), None)
    if root is None:
        raise DataError("the project's sample images are not installed")
    data = folder.load(root / "arabic-letters", split, label_set)
    return Dataset(
        name="samples",
        split=split,
        images=data.images,
        labels=data.labels,
        label_set=label_set,
        licence="Apache-2.0, made by the project",
        skipped=data.skipped,
    )
