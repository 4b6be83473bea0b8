"""Anyone's own images: one folder for each class, in it image files.

A class folder is named after its label: the text (``ب``), the code point (``U+0628``), the name
(``beh``), or the index among the model's labels, counted from 0. Folders that name no label are
reported, never guessed. A root with folders ``train`` and ``test`` (or other names that are no
labels, all of them holding class folders) is read by split.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hcr_edge.datasets.base import Dataset
from hcr_edge.errors import DataError
from hcr_runtime import Label

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val", "test", "calibration")


def load(root: Path, split: str, label_set: tuple[Label, ...]) -> Dataset:
    """Read the class folders in `root`, or in its folder `split` where it is divided.

    Raises:
        DataError: The folder is missing, no class folder names a label, or none has images.
    """
    root = root.expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    divisions = [name for name in SPLITS if (root / name).is_dir()]
    if divisions and split in divisions:
        folder = root / split
    elif divisions and split != "all":
        raise DataError(f"{root} has no split {split!r}", allowed=", ".join([*divisions, "all"]))
    elif split in ("all", ""):
        folder = root
    else:
        raise DataError(
            f"{root} has no folder {split!r}",
            allowed="class folders inside folders train, val, test or calibration; or no split",
        )
    parents = [root / name for name in divisions] if divisions and folder == root else [folder]
    paths: list[Path] = []
    labels: list[int] = []
    skipped: dict[str, int] = {}
    names = [item.name for parent in parents for item in _folders(parent)]
    resolve = LabelNames(label_set, names)
    for parent in parents:
        for item in _folders(parent):
            files = sorted(
                path
                for path in item.iterdir()
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
            )
            label = resolve(item.name)
            if label is None:
                skipped[item.name] = skipped.get(item.name, 0) + len(files)
                continue
            paths.extend(files)
            labels.extend([label] * len(files))
    if not paths:
        listing = ", ".join(sorted(skipped)[:8]) or "no folders"
        raise DataError(
            f"{folder} holds no images of the model's classes (found: {listing})",
            allowed="one folder a class, named by text, code point (U+0628), name or index",
        )
    return Dataset(
        name=f"folder:{root}",
        split=folder.name if folder != root else "all",
        images=paths,
        labels=np.asarray(labels, np.int64),
        label_set=label_set,
        licence="the user's own",
        skipped=skipped,
    )


def _folders(root: Path) -> list[Path]:
    return sorted(item for item in root.iterdir() if item.is_dir() and item.name[0] != ".")


class LabelNames:
    """Finds the label that a folder's name means.

    Args:
        label_set: The model's labels.
        names: All folder names of the set: numbers are understood only together.

    Raises:
        DataError: Numbers count from 1, which would shift every label by one.

    >>> names = LabelNames((Label("ب", "beh"), Label("ت", "teh")), ["U+0628", "TEH", "پ"])
    >>> names("U+0628"), names("TEH"), names("پ")
    (0, 1, None)
    """

    def __init__(self, label_set: Sequence[Label], names: Sequence[str]) -> None:
        self._by_text = {_fold(label.text): i for i, label in enumerate(label_set)}
        self._by_name: dict[str, int] = {}
        for i, label in enumerate(label_set):
            self._by_name.setdefault(label.codepoint.casefold(), i)
            self._by_name.setdefault(label.name.casefold(), i)
        self._count = len(label_set)
        numbers = {int(n) for n in names if n.isdecimal() and _fold(n) not in self._by_text}
        # Nothing but 1, 2, 3 … can only be a count from 1; one past the last surely is.
        counted = len(numbers) > 1 and numbers == set(range(1, len(numbers) + 1))
        alone = all(name.isdecimal() for name in names)
        if 0 not in numbers and ((counted and alone) or self._count in numbers):
            raise DataError(
                f"the class folders are numbered from {min(numbers)} to {max(numbers)}",
                allowed=f"indices 0 to {self._count - 1}",
                hint="indices count from 0 here; name the folders by code point to be sure",
            )

    def __call__(self, name: str) -> int | None:
        """Return the label's index, or None when the name means none."""
        for table, key in ((self._by_text, _fold(name)), (self._by_name, name.casefold())):
            if key in table:
                return table[key]
        if name.isdecimal() and int(name) < self._count:
            return int(name)
        return None


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text)
