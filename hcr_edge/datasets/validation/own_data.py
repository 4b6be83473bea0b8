"""Reads anyone's own images without stopping at what is wrong with them, for `validate`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hcr_edge.datasets import arrays, manifest
from hcr_edge.datasets.content import UNKNOWN_WRITER, Problem, known_labels
from hcr_edge.datasets.folder import SPLITS
from hcr_edge.datasets.formats.archive import open_files
from hcr_edge.datasets.formats.streams import damage
from hcr_edge.datasets.naming import LabelNames, at_home, named_labels, shown
from hcr_edge.datasets.tree import is_image
from hcr_edge.datasets.validation.inspection import Decoder, Inspected, Progress, inspect_dataset
from hcr_edge.errors import DataError
from hcr_edge.label_maps import LabelMap
from hcr_runtime import Label

_ARRAY = re.compile(r"(?:(train|val|test)_)?([a-z]+)(?:_(train|val|test))?", re.IGNORECASE)

Found = tuple[list[Inspected], list[Problem]]


@dataclass
class _Folder:
    """What lies in a folder of class folders."""

    path: Path
    classes: list[tuple[Path, list[Path]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def inspect_folder(
    root: Path, split: str | None, label_map: LabelMap | None, progress: Progress
) -> Found:
    """Look at every file below a folder of class folders.

    Raises:
        DataError: The folder is missing, or has no such split.
    """
    root = at_home(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    divisions = [name for name in SPLITS if (root / name).is_dir()]
    if split not in (None, "all", *divisions):
        raise DataError(f"{root} has no split {split!r}", allowed=", ".join([*divisions, "all"]))
    folders = [_look(root / name, root) for name in divisions] or [_look(root, root)]
    problems = _beside(root, divisions) if divisions else []
    names = [path.name for folder in folders for path, images in folder.classes if images]
    resolve, label_set, failed = _resolver(str(root), names, label_map)
    problems += failed
    parts = []
    for folder in folders:
        name = folder.path.name if divisions else "all"
        if split in (None, "all", name):
            parts.append(_read_folder(folder, root, name, resolve, label_set, progress))
    return parts, problems


def _beside(root: Path, divisions: list[str]) -> list[Problem]:
    others = [item for item in _inside(root) if item.is_dir() and item.name not in divisions]
    found = [
        Problem(
            "stray",
            shown(item.name),
            f"lies beside the folders {', '.join(divisions)}, and is not read",
            "warning",
        )
        for item in others
    ]
    return [*found, *_loose(root, root)]


def _inside(folder: Path) -> list[Path]:
    """What a folder holds, without what file managers leave behind."""
    with damage(str(folder)):
        items = sorted(folder.iterdir())
    return [item for item in items if not item.name.startswith((".", "__MACOSX"))]


def _loose(folder: Path, root: Path) -> list[Problem]:
    files = [item for item in _inside(folder) if item.is_file() and is_image(item.name)]
    if not files:
        return []
    where = shown(str(folder.relative_to(root)))
    message = f"images in no class folder, not read: {len(files)}"
    return [Problem("stray", where, message, "warning")]


def _look(folder: Path, root: Path) -> _Folder:
    found = _Folder(folder, problems=_loose(folder, root))
    for item in _inside(folder):
        if not item.is_dir():
            continue
        where = shown(str(item.relative_to(root)))
        files = [path for path in _inside(item) if path.is_file()]
        images = [path for path in files if is_image(path.name)]
        found.classes.append((item, images))
        if len(files) > len(images):
            suffixes = sorted({path.suffix or path.name for path in files if path not in images})
            kinds = ", ".join(suffixes[:5])
            message = f"files that are no images: {len(files) - len(images)} ({kinds})"
            found.problems.append(Problem("stray", where, message, "warning"))
        if any(path.is_dir() for path in _inside(item)):
            message = "holds folders; what is in them is not read"
            found.problems.append(Problem("stray", where, message, "warning"))
        if not images:
            message = "the folder holds no images"
            found.problems.append(Problem("empty-class", where, message, "warning"))
    return found


def _read_folder(
    folder: _Folder,
    root: Path,
    split: str,
    resolve: LabelNames | None,
    label_set: tuple[Label, ...],
    progress: Progress,
) -> Inspected:
    decoder = Decoder(progress, f"{root} {split}")
    labels: list[int] = []
    names: list[str] = []
    unknown: list[Problem] = []
    for path, images in folder.classes:
        label = -1 if resolve is None else resolve(path.name)
        if label is None:
            where = shown(str(path.relative_to(root)))
            message = f"names none of the classes; images left out: {len(images)}"
            if images:  # said of an empty folder already
                unknown.append(Problem("unknown-class", where, message, "warning"))
            continue
        for image in images:
            where = shown(str(image.relative_to(root)))
            if decoder.add(image, where):
                labels.append(label)
                names.append(where)
    pixels, shapes = decoder.finish()
    return Inspected(
        origin=f"folder:{root}",
        split=split,
        images=pixels,
        shapes=shapes,
        labels=np.array(labels, np.int64),
        label_set=label_set,
        names=names,
        problems=(*folder.problems, *unknown, *decoder.problems),
    )


def _resolver(
    where: str, names: Iterable[str], label_map: LabelMap | None
) -> tuple[LabelNames | None, tuple[Label, ...], list[Problem]]:
    """Find out what classes are meant; None where nobody can say."""
    every = sorted(set(names))
    try:
        label_set = named_labels(every) if label_map is None else label_map.classes
        fold = {} if label_map is None else label_map.fold
        return LabelNames(label_set, every, fold), label_set, []
    except DataError as error:
        label_set = () if label_map is None else label_map.classes
        return None, label_set, [Problem("label", where, str(error))]


def inspect_manifest(
    path: Path, split: str | None, label_map: LabelMap | None, progress: Progress
) -> Found:
    """Look at every row of a table of images, and at every file that it names.

    Raises:
        DataError: There is no such table, or it has no such split.
    """
    path = at_home(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        rows = manifest.read_rows(path)
    except DataError as error:
        return [], [Problem("damaged", str(path), str(error))]
    words = list(dict.fromkeys(row["split"] for row in rows if row["split"]))
    if split not in (None, "all", *words):
        raise DataError(f"{path} has no split {split!r}", allowed=", ".join([*words, "all"]))
    problems = [] if rows else [Problem("missing", str(path), "it lists no images")]
    if words and (outside := [row for row in rows if not row["split"]]):
        message = f"rows without a split, in no part: {len(outside)}"
        where = f"line {outside[0]['line']}"
        problems.append(Problem("split", where, message, "warning"))
    resolve, label_set, failed = _resolver(
        str(path), (row["label"] for row in rows if row["label"]), label_map
    )
    problems += failed
    people = sorted({row["writer"] for row in rows if row["writer"]})
    writers = {name: number for number, name in enumerate(people)}
    chosen = words if split in (None, "all") else [str(split)]
    if not words or (split in (None, "all") and any(not row["split"] for row in rows)):
        chosen = [*chosen, ""] if words else [""]
    parts = [
        _read_rows(
            path,
            [r for r in rows if r["split"] == word],
            word or ("none" if words else "all"),
            (resolve, label_set, writers),
            progress,
        )
        for word in chosen
    ]
    return parts, problems


def _read_rows(
    path: Path,
    rows: list[dict[str, str]],
    split: str,
    known: tuple[LabelNames | None, tuple[Label, ...], dict[str, int]],
    progress: Progress,
) -> Inspected:
    resolve, label_set, writers = known
    decoder = Decoder(progress, f"{path.name} {split}")
    labels: list[int] = []
    names: list[str] = []
    people: list[int] = []
    unknown: Counter[str] = Counter()
    for row in rows:
        where = f"line {row['line']}: {row['path'] or '(no path)'}"
        file = path.parent / row["path"]
        if not row["label"]:
            decoder.problems.append(Problem("label", where, "no label"))
        if not row["path"] or not _is_file(file):
            decoder.problems.append(Problem("missing", where, f"there is no file {file}"))
            continue
        label = -1 if resolve is None or not row["label"] else resolve(row["label"])
        if label is None:
            unknown[row["label"]] += 1
        elif decoder.add(file, where):
            labels.append(label)
            names.append(where)
            people.append(writers.get(row["writer"], UNKNOWN_WRITER))
    pixels, shapes = decoder.finish()
    left = [
        Problem("unknown-class", f"{path.name} {split}", f"{text}: rows left out: {n}", "warning")
        for text, n in sorted(unknown.items())
    ]
    return Inspected(
        origin=f"csv:{path}",
        split=split,
        images=pixels,
        shapes=shapes,
        labels=np.array(labels, np.int64),
        label_set=label_set,
        names=names,
        writers=np.array(people, np.int64) if writers else None,
        problems=(*decoder.problems, *left),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero byte
        return False


def inspect_arrays(
    path: Path, split: str | None, label_map: LabelMap | None, progress: Progress
) -> Found:
    """Look at arrays of images and labels.

    Raises:
        DataError: There is no such file, or it has no such split.
    """
    path = at_home(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    fold = {} if label_map is None else label_map.fold
    label_set = None if label_map is None else label_map.classes
    try:
        with open_files(path) as files:
            arrays_there = [_ARRAY.fullmatch(name.removesuffix(".npy")) for name in files.names()]
    except DataError as error:
        return [], [Problem("damaged", str(path), str(error))]
    named = {(m[1] or m[3] or "").casefold() for m in arrays_there if m}
    parts = [name for name in ("train", "val", "test") if name in named] or ["all"]
    if split not in (None, "all", *parts):
        raise DataError(f"{path} has no split {split!r}", allowed=", ".join([*parts, "all"]))
    found: list[Inspected] = []
    problems: list[Problem] = []
    for part in parts if split in (None, "all") else [str(split)]:
        try:
            data = arrays.load(path, part, label_set, fold)
        except DataError as error:
            title = f"{path.name} {part}"
            rows = _labels_out_of_range(path, part if part != "all" else "", title)
            problems += rows or [Problem("damaged", title, str(error))]
        else:
            found.append(inspect_dataset(data, progress, own=True))
    return found, problems


def _labels_out_of_range(path: Path, part: str, title: str) -> list[Problem]:
    """List the labels beyond the file's own classes, which `arrays.load` refuses at the first."""
    with open_files(path) as files:
        by_key = {}
        for name in files.names():
            if found := _ARRAY.fullmatch(name.removesuffix(".npy")):
                by_key[(found[2].casefold(), (found[1] or found[3] or "").casefold())] = name
        labels = next(
            (by_key[k, part] for k in ("labels", "y", "targets") if (k, part) in by_key), ""
        )
        if not labels or ("classes", "") not in by_key:
            return []
        try:
            values = arrays.read_array(path, files, labels).ravel()
            classes = arrays.read_array(path, files, by_key["classes", ""]).size
        except DataError:
            return []  # said already
    if values.dtype.kind not in "iu":
        return []
    return known_labels(values, 0, classes, title)[2]
