"""Data sets by name: `load_dataset` is the one door; each set and each format has its module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hcr_edge.datasets import arrays, folder, manifest
from hcr_edge.datasets.base import (
    Dataset,
    join,
    join_sets,
    match_labels,
    renumber,
)
from hcr_edge.datasets.library import (
    find_data_dir,
    is_present,
    load_published,
)
from hcr_edge.datasets.sets import SETS
from hcr_edge.datasets.splits import SplitFile, read_split
from hcr_edge.datasets.writers import deal_writers, hold_out_writers
from hcr_edge.errors import DataError
from hcr_edge.label_maps import find_label_map, label_maps
from hcr_edge.labels import ARABIC_LETTERS
from hcr_runtime import Label
from hcr_runtime.errors import nearest

__all__ = [
    "OWN_KINDS",
    "SETS",
    "Dataset",
    "deal_writers",
    "find_data_dir",
    "hold_out_writers",
    "is_present",
    "join",
    "load_dataset",
    "load_samples",
    "match_labels",
    "parse_spec",
    "renumber",
]

_OWN = {"folder": folder.load, "csv": manifest.load, "npz": arrays.load}
OWN_KINDS = tuple(f"{kind}:" for kind in _OWN)
"""How the spec of one's own images begins."""


def load_dataset(
    spec: str,
    split: str | None = None,
    *,
    data_dir: Path | None = None,
    label_set: tuple[Label, ...] | None = None,
) -> Dataset:
    """Read a data set, or several joined.

    Args:
        spec: The name of a published set (``SETS``), with its variant where it has some
            (``hijja:28,isolated``); ``samples`` (images that the project made); ``folder:PATH``,
            ``csv:PATH`` or ``npz:PATH``. Several with ``+`` between them are joined; ``@`` and the
            name of a label map (`label_maps`) at the end says which characters count as one:
            ``ahcd+hijja@arabic-letters``.
        split: ``train``, ``test`` or ``all``, or what the set has else; ``FILE.json:PART`` takes
            a split that ``hcr-edge data split`` wrote down. By default the test set, and all of
            one's own data. Where a set has no test part, a fifth of the writers are it.
        data_dir: Where published data sets lie; see `find_data_dir`.
        label_set: The labels to which one's own data are matched; by default, and for a split
            that was written down, what its folders or labels name.

    Raises:
        DataError: Unknown name, missing or damaged files, images not upright.
    """
    names, map_name = parse_spec(spec)
    chosen = None if map_name is None else find_label_map(map_name)
    if split is not None and (found := SplitFile.parse(split)):
        # A split is of everything, also of classes that a model may lack.
        return read_split(found, load_dataset(spec, "all", data_dir=data_dir))
    own_labels, fold = (chosen.classes, chosen.fold) if chosen is not None else (label_set, {})
    parts = [_load_one(name, split, data_dir, own_labels, fold) for name in names]
    if chosen is not None:
        parts = [
            renumber(part, chosen.indices(part.label_set), chosen.classes, f"@{chosen.name}")
            for part in parts
        ]
    # A small set of one's own gives a joined test nothing: all of it trains.
    parts = [part for part in parts if len(part)] or parts
    data = parts[0] if len(parts) == 1 else join_sets(parts)
    if len(data) == 0:
        raise DataError(
            f"{data.title} cannot be divided: it has one writer, or one image of each class",
            allowed="two writers or more, or two images of each class",
            hint="leave the writer unnamed, or divide it yourself: folders train and test",
        )
    return replace(data, name=spec) if chosen is not None else data


def parse_spec(spec: str) -> tuple[list[str], str | None]:
    """Divide a spec into the sets to be joined and the label map.

    >>> parse_spec("ahcd+hijja:28@arabic-letters")
    (['ahcd', 'hijja:28'], 'arabic-letters')
    >>> parse_spec("folder:my+own@home")
    (['folder:my+own@home'], None)
    """
    names = "|".join(re.escape(name) for name in (*SETS, "samples"))
    own = "|".join(_OWN)
    body, mark, tail = spec.rpartition("@")
    # A path may hold the signs too: they divide only where a known name follows.
    is_map = bool(mark) and (tail in label_maps() or not re.search(rf"(?:{own}):", body))
    text, label_map = (body, tail) if is_map else (spec, None)
    return re.split(rf"\+(?=(?:{names})(?:[:+]|$)|(?:{own}):)", text), label_map


def _load_one(
    name: str,
    split: str | None,
    data_dir: Path | None,
    label_set: tuple[Label, ...] | None,
    fold: Mapping[str, str],
) -> Dataset:
    kind, _, argument = name.partition(":")
    if kind in _OWN and argument:
        return _OWN[kind](Path(argument), split or "all", label_set, fold)
    if name == "samples":
        return load_samples(split or "test", label_set or ARABIC_LETTERS)
    if kind in SETS:
        return load_published(SETS[kind], argument, split or "test", data_dir)
    known = [*SETS, "samples", *(f"{own}:PATH" for own in _OWN)]
    raise DataError(f"there is no data set {name!r}", allowed=nearest(name, known))


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
    return replace(data, name="samples", split=split, licence="Apache-2.0, made by the project")
