"""Anyone's own images, ``folder:PATH``: one folder for each class, in it image files.

A class folder is named after its label (`naming`). Folders that name none of the labels asked for
are reported, never guessed. A root with folders ``train``, ``val``, ``test`` or ``calibration``,
all of them holding class folders, is read by split; of one without them ``test`` is a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hcr_edge.datasets.base import Dataset
from hcr_edge.datasets.formats.streams import damage
from hcr_edge.datasets.naming import LabelNames, at_home, named_labels, shown
from hcr_edge.datasets.tree import is_image
from hcr_edge.datasets.writers import DIVIDED, divide
from hcr_edge.errors import DataError
from hcr_runtime import Label

SPLITS = ("train", "val", "test", "calibration")


def load(
    root: Path,
    split: str,
    label_set: tuple[Label, ...] | None,
    fold: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Read the class folders in `root`, or in its folder `split` where it is divided.

    Args:
        root: The folder.
        split: One of its divisions, or ``all``; ``train`` or ``test`` where it has none.
        label_set: The classes; None takes those that the folders name, in all divisions.
        fold: Other characters, and the class that each is read as.

    Raises:
        DataError: The folder is missing, no class folder names a label, or none has images.
    """
    root = at_home(root)
    with damage(str(root)):
        if root.is_file():
            raise DataError(
                f"there is no folder {root}: it is a file", allowed="one folder a class in a folder"
            )
        if not root.is_dir():
            raise DataError(f"there is no folder {root}")
        divisions = [name for name in SPLITS if (root / name).is_dir()]
    if divisions and split in divisions:
        folder = root / split
    elif divisions and split != "all":
        raise DataError(f"{root} has no split {split!r}", allowed=", ".join([*divisions, "all"]))
    elif split in ("all", "", *(() if divisions else DIVIDED)):
        folder = root
    else:
        raise DataError(
            f"{root} has no folder {split!r}",
            allowed="class folders inside folders train, val, test or calibration; or the split"
            " train, test or all",
        )
    parents = [root / name for name in divisions] if divisions and folder == root else [folder]
    paths: list[Path] = []
    labels: list[int] = []
    skipped: dict[str, int] = {}
    classes = [(item.name, _images(item)) for parent in parents for item in _folders(parent)]
    names = [name for name, _ in classes]
    if label_set is None:
        # All divisions number their classes alike; a folder without images is no class.
        every = [root / name for name in divisions] or [folder]
        items = [item for parent in every for item in _folders(parent)]
        label_set = named_labels({item.name for item in items if _images(item)})
    resolve = LabelNames(label_set, names if label_set else [], fold)
    for name, files in classes:
        label = resolve(name)
        if label is None:
            skipped[shown(name)] = skipped.get(shown(name), 0) + len(files)
            continue
        paths.extend(files)
        labels.extend([label] * len(files))
    if not paths:
        empty = not skipped and not any(folder.iterdir())
        listing = ", ".join(sorted(skipped)[:8]) or "no folders"
        raise DataError(
            f"{folder} holds no images: it is empty"
            if empty
            else f"{folder} holds no images of the model's classes (found: {listing})",
            allowed="one folder a class, named by text, code point (U+0628), name or index",
            hint="to calibrate, images without classes will do" if empty else "",
        )
    data = Dataset(
        name=f"folder:{root}",
        split=folder.name if folder != root else "all",
        images=paths,
        labels=np.asarray(labels, np.int64),
        label_set=label_set,
        licence="the user's own",
        skipped=skipped,
        split_rule="folders" if divisions else "none",
        origins=(f"folder:{root}",),
    )
    return divide(data, split) if split in DIVIDED and not divisions else data


def _folders(root: Path) -> list[Path]:
    with damage(str(root)):
        return sorted(item for item in root.iterdir() if item.is_dir() and not _is_litter(item))


def _images(folder: Path) -> list[Path]:
    with damage(str(folder)):
        return sorted(
            path
            for path in folder.iterdir()
            if is_image(path.name) and not _is_litter(path) and path.is_file()
        )


def _is_litter(path: Path) -> bool:
    """What file managers leave behind: ``._1.png`` is no image."""
    return path.name.startswith((".", "__MACOSX"))
