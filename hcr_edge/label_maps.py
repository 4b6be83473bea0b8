"""Label maps: which characters count as one class. Written down in ``label_maps.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml
from numpy.typing import NDArray

from hcr_edge.errors import DataError
from hcr_edge.labels import find_label
from hcr_runtime import Label
from hcr_runtime.errors import nearest

_FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class LabelMap:
    """Which characters count as one class, and in which order the classes are numbered.

    Attributes:
        name: As written after ``@``.
        title: For people.
        classes: What the map makes.
        fold: Other characters, and the class that each is read as.
    """

    name: str
    title: str
    classes: tuple[Label, ...]
    fold: Mapping[str, str]

    def indices(self, label_set: Sequence[Label]) -> NDArray[np.int64]:
        """Return for each label of a data set the class it is, or -1: int64 of shape (labels,).

        >>> find_label_map("arabic-letters").indices([find_label(c) for c in "آبء"]).tolist()
        [0, 1, -1]
        """
        position = {label.text: i for i, label in enumerate(self.classes)}
        texts = (self.fold.get(label.text, label.text) for label in label_set)
        return np.array([position.get(text, -1) for text in texts], np.int64)


@cache
def label_maps() -> Mapping[str, LabelMap]:
    """Return every label map by name."""
    data = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: LabelMap(
                name,
                item["title"],
                tuple(find_label(text) for text in item["classes"]),
                MappingProxyType(dict(item["fold"])),
            )
            for name, item in data.items()
        }
    )


def find_label_map(name: str) -> LabelMap:
    """Return the map called `name`.

    Raises:
        DataError: There is none.
    """
    known = label_maps()
    if name not in known:
        raise DataError(f"there is no label map {name!r}", allowed=nearest(name, known))
    return known[name]
