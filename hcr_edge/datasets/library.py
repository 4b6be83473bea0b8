"""The user's library: published sets as they lie in one folder, found, read, chosen from, split."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from hcr_edge.datasets.base import Dataset, join
from hcr_edge.datasets.cache import Cache, cache_folder
from hcr_edge.datasets.catalogue import find_entry
from hcr_edge.datasets.formats.streams import damage
from hcr_edge.datasets.naming import at_home
from hcr_edge.datasets.published import Finder, Layout, Part, PublishedSet, Variant
from hcr_edge.datasets.sets import SETS
from hcr_edge.datasets.writers import DIVIDED, divide
from hcr_edge.errors import DataError

DATA_VARIABLE = "HCR_EDGE_DATA"


def find_data_dir(option: Path | None) -> Path | None:
    """Where data sets lie: `option`, or else the variable ``HCR_EDGE_DATA``, or nowhere.

    Raises:
        DataError: It begins with ``~`` and the name of nobody.
    """
    value = str(option) if option is not None else os.environ.get(DATA_VARIABLE)
    return at_home(Path(value)) if value else None


def open_finder(known: PublishedSet, data_dir: Path | None) -> Finder:
    """Get ready to look for a set's files.

    Raises:
        DataError: No folder is named, or there is none of that name.
    """
    where = find_data_dir(data_dir)
    if where is None:
        raise DataError(
            "no folder with data sets is named", hint=f"give --data-dir or set {DATA_VARIABLE}"
        )
    with damage(str(where)):
        if not where.is_dir():
            raise DataError(f"there is no folder {where}", hint="give --data-dir another")
    return Finder(known, where, Cache(cache_folder()))


def is_present(name: str, data_dir: Path) -> bool:
    """Whether any part of a published set lies in `data_dir`."""
    finder = Finder(SETS[name], data_dir, Cache(cache_folder()))
    return data_dir.is_dir() and bool(finder.present())


def load_published(known: PublishedSet, words: str, split: str, data_dir: Path | None) -> Dataset:
    """Read a published set from the folder of data sets.

    Args:
        known: The set.
        words: Its variants, joined by commas; empty for the set as published.
        split: ``all``, or a part.
        data_dir: See `find_data_dir`.

    Raises:
        DataError: It is not there, damaged, or not what it should be.
    """
    variants = known.chosen(words)
    finder = open_finder(known, data_dir)
    name = f"{known.name}:{words}" if words else known.name
    layouts = _able(finder, variants)
    if parts := _read_as_published(finder, layouts, split):
        return _join([_as_dataset(known, part, name, variants) for part in parts], split)
    if split in DIVIDED and (parts := _read_whole(finder, layouts)):
        whole = _join([_as_dataset(known, part, name, variants) for part in parts], "all")
        return divide(whole, split)
    raise _missing(finder, split)


def _able(finder: Finder, variants: list[Variant]) -> list[Layout]:
    """Return the layouts from which variants can be chosen; all where those are not there."""
    layouts = list(finder.known.layouts)
    for name in {variant.layout for variant in variants if variant.layout}:
        present = {layout.name for layout, _ in finder.present()}
        layouts = [layout for layout in layouts if layout.name == name or name not in present]
    return layouts


def _read_as_published(finder: Finder, layouts: list[Layout], split: str) -> list[Part]:
    """Read a part, or all of them; nothing where its files are not there.

    The publishers' parts may come in several layouts (Hoda's MAT file is its training part).
    """
    if split != "all":
        part = _read_part(finder.read, layouts, split)
        return [part] if part is not None else []
    if whole := _read_whole(finder, layouts):
        return whole
    read = cache(finder.read)
    divided = [layout for layout in layouts if layout.parts != ("all",)]
    names = dict.fromkeys(name for layout in divided for name in layout.parts)
    optional = {name for layout in divided for name in layout.optional}
    # One layout for all parts is better than several.
    for choice in (*([layout] for layout in divided), divided):
        found = {name: _read_part(read, choice, name) for name in names}
        if names and all(found[name] is not None for name in names if name not in optional):
            return [part for part in found.values() if part is not None]
    return []


def _read_whole(finder: Finder, layouts: list[Layout]) -> list[Part]:
    """Read a layout that is not divided."""
    part = _read_part(finder.read, layouts, "all")
    return [part] if part is not None else []


def _read_part(
    read: Callable[[Layout, str], Part | None], layouts: list[Layout], name: str
) -> Part | None:
    found = (read(layout, name) for layout in layouts if name in layout.parts)
    return next((part for part in found if part is not None), None)


def _as_dataset(known: PublishedSet, part: Part, name: str, variants: list[Variant]) -> Dataset:
    content = part.content
    data = Dataset(
        name=name,
        split=part.name,
        images=content.images,
        labels=content.labels,
        label_set=known.label_set,
        writers=content.writers,
        licence=find_entry(known.name).licence,
        skipped=dict(content.skipped),
        names=content.names,
        origins=(name,),
    )
    keep = np.ones(len(data), bool)
    for variant in variants:
        if variant.keep is not None:
            keep &= variant.keep(content)
        if variant.classes is not None:
            data = replace(data, label_set=known.label_set[: variant.classes])
    return data if keep.all() else data.select(keep, part.name)


def _join(parts: list[Dataset], split: str) -> Dataset:
    whole = parts[0]
    for part in parts[1:]:
        whole = join(whole, part, split)
    return replace(whole, split=split)


def _missing(finder: Finder, split: str) -> DataError:
    known, entry = finder.known, find_entry(finder.known.name)
    if finder.damaged:
        return next(iter(finder.damaged.values()))
    present = list(dict.fromkeys(part for _, part in finder.present()))
    if present:
        parts = {part for layout in known.layouts for part in layout.parts}
        if split in parts or split == "all":
            return DataError(
                f"{known.name}: the files of its {'parts' if split == 'all' else split + ' part'}"
                f" are not all in {finder.data_dir}",
                allowed=f"there are: {', '.join(present)}",
                hint=_how_to_get(known.name),
            )
        return DataError(
            f"{known.name} has no split {split!r}",
            allowed=", ".join(dict.fromkeys((*present, "train", "test", "all"))),
        )
    files = ", ".join(repr(file.name) for file in entry.files)
    names = [name for name in entry.manual.accepts if name != "*"] if entry.manual else []
    accepted = ", ".join(names) or "its files as the publisher ships them"
    unlike = (finder.data_dir / entry.folder).is_dir()
    return DataError(
        f"{known.name} is not in {finder.data_dir}"
        + (
            f": nothing in its folder {entry.folder}/ is named as the set's files are"
            if unlike
            else ""
        ),
        allowed=f"{files or accepted}, there or in its folder {entry.folder}/",
        hint=f"get it from {entry.source}; {_how_to_get(known.name)}",
    )


def _how_to_get(name: str) -> str:
    return f"'hcr-edge data fetch {name}' gets it, or says how"
