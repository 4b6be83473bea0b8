"""Published sets: where their files are looked for, in which layouts, and how they are read.

A layout says which files of a folder or archive make up a part (train, test …) and how to read
them. What was read is checked (`orientation`) and kept (`cache`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.cache import Cache, file_digest, tree_digest
from hcr_edge.datasets.catalogue import find_entry
from hcr_edge.datasets.content import Content
from hcr_edge.datasets.formats.archive import Files, is_archive, open_files
from hcr_edge.datasets.formats.streams import damage
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.orientation import Orientation, measure
from hcr_edge.errors import DataError
from hcr_runtime import Label

# Fewer images say nothing of a set's orientation.
_LEAST = 20

# Names of the files in a container, and a part: the files that make it up, or none.
Select = Callable[[Sequence[str], str], list[str]]
Read = Callable[[Files, list[str], str, PixelFile], Content]


@dataclass(frozen=True)
class Layout:
    """One form in which a set's files come.

    Attributes:
        name: E.g. ``csv``.
        parts: What it is divided into.
        select: Finds a part's files by name.
        read: Reads them.
        optional: Parts that may be missing when all are asked for.
        version: Raised when the same files are read otherwise, so that caches are made anew.
    """

    name: str
    parts: tuple[str, ...]
    select: Select
    read: Read
    optional: tuple[str, ...] = ()
    version: int = 1


@dataclass(frozen=True)
class Variant:
    """A choice of a set's images or classes.

    Attributes:
        title: For people.
        keep: bool (N,): which images of a part it keeps; None keeps all.
        classes: How many of the set's classes, from the first on, it has; None means all.
        layout: The layout that alone can tell; any by default.
    """

    title: str
    keep: Callable[[Content], NDArray[np.bool_]] | None = None
    classes: int | None = None
    layout: str = ""


@dataclass(frozen=True)
class PublishedSet:
    """A data set of the field.

    Attributes:
        name: As on the command line; the catalogue's entry of that name says where it comes from.
        label_set: The classes, in the order in which the set numbers them.
        layouts: The best first.
        bright_ink: Whether ink is brighter than the ground; None where copies differ.
        archives: Names of archives, in a folder shared by several sets, that may be this one's.
        folders: Names of folders, beside the catalogue's, in which its files may lie.
        tops: Names of files and folders that are this set's in a folder shared by several sets.
        variants: Words that may stand after ``:``, joined by commas.
    """

    name: str
    label_set: tuple[Label, ...]
    layouts: tuple[Layout, ...]
    bright_ink: bool | None
    archives: str
    folders: tuple[str, ...] = ()
    tops: str = "$^"
    variants: Mapping[str, Variant] = field(default_factory=dict)

    def chosen(self, words: str) -> list[Variant]:
        """Return the variants that `words` name.

        Raises:
            DataError: The set has no such variant.
        """
        names = words.split(",") if words else []
        for name in names:
            if name not in self.variants:
                allowed = ", ".join(self.variants) or "none"
                raise DataError(f"{self.name} has no variant {name!r}", allowed=allowed)
        return [self.variants[name] for name in names]


@dataclass(frozen=True)
class Part:
    """Part of a set as found on disk and read.

    Attributes:
        name: E.g. ``train``.
        layout: In which form it came.
        path: The folder or archive that holds it.
        content: What was read.
    """

    name: str
    layout: Layout
    path: Path
    content: Content


class Finder:
    """Looks for a set's files below a folder of data sets.

    Archives are listed once, and only where the cache does not know their checksum.

    Attributes:
        damaged: Archives that could not be listed, and why.
    """

    def __init__(self, known: PublishedSet, data_dir: Path, cache: Cache) -> None:
        self.known, self.data_dir, self.cache = known, data_dir, cache
        self._opened: dict[Path, Files] = {}
        self._digests: dict[Path, str] = {}
        self.damaged: dict[Path, DataError] = {}

    def present(self) -> list[tuple[Layout, str]]:
        """Return every layout and part whose files are there."""
        return [
            (layout, part)
            for layout in self.known.layouts
            for part in layout.parts
            if self._locate(layout, part) is not None
        ]

    def read(self, layout: Layout, part: str, *, strict: bool = True) -> Part | None:
        """Read a part in one layout; None where its files are not there.

        Args:
            layout: One of the set's.
            part: One of the layout's.
            strict: Refuse a part with problems; otherwise what is whole is returned with them.

        Raises:
            DataError: The files are damaged, or the images are not the right way up.
        """
        title = f"{self.known.name}-{layout.name}-{part}"
        found = self._locate(layout, part)
        if found is None:
            return None
        path, members = found
        with damage(str(path)):
            source = tree_digest(path, members) if path.is_dir() else self._digest(path)
        entry = self._entry(title, layout, source)
        content = self.cache.load(entry)
        if content is None:
            content = self._build(entry, layout, self._open(path), members, part, strict)
        return Part(part, layout, path, content)

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with damage(str(path)):
                self._digests[path] = file_digest(path)
        return self._digests[path]

    def _entry(self, title: str, layout: Layout, source: str) -> Path | None:
        return self.cache.entry(title, str(layout.version), source)

    def _build(
        self,
        entry: Path | None,
        layout: Layout,
        files: Files,
        members: list[str],
        part: str,
        strict: bool,
    ) -> Content:
        work = self.cache.begin() if entry is not None else None
        pixels = PixelFile(work)
        where = f"{self.known.name} {part} ({files.path.resolve().name})"
        try:
            with _within(files.path, where):
                content = layout.read(files, members, part, pixels)
            if strict:
                refuse_problems(self.known.name, where, content)
                check_orientation(
                    where,
                    measure(content.images, content.labels, self.known.label_set),
                    self.known.bright_ink,
                )
            if entry is None or work is None or content.problems or not strict:
                return content
            return self.cache.commit(work, entry, content)
        finally:
            pixels.discard()
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)

    def _locate(self, layout: Layout, part: str) -> tuple[Path, list[str]] | None:
        for path in self._containers():
            try:
                names = self._names(path)
            except DataError as error:
                self.damaged[path] = error  # the set may lie beside it, whole
                continue
            if members := layout.select(names, part):
                return path, members
        return None

    def _names(self, path: Path) -> list[str]:
        """List a container; a compressed tar is listed once and remembered by its checksum."""
        if path in self._opened or path.is_dir():
            return self._open(path).names()
        digest = self._digest(path)
        names = self.cache.listing(digest)
        if names is None:
            names = self._open(path).names()
            self.cache.keep_listing(digest, names)
        return names

    def _open(self, path: Path) -> Files:
        if path not in self._opened:
            shared = path == self.data_dir and path.is_dir()
            self._opened[path] = open_files(path, top=self.known.tops if shared else None)
        return self._opened[path]

    def _containers(self) -> Iterator[Path]:
        """The set's own folders and the archives in them, then what the data folder itself has."""
        with damage(str(self.data_dir)):
            inside = sorted(path for path in self.data_dir.iterdir() if path.is_dir())
        places = {path.name.casefold(): path for path in inside}
        entry = find_entry(self.known.name)
        names = dict.fromkeys([entry.folder, self.known.name, *self.known.folders])
        own = [places[name] for name in names if name in places]
        for folder in (*own, self.data_dir):
            yield folder
            with damage(str(folder)):
                archives = [path for path in sorted(folder.iterdir()) if is_archive(path)]
            likely = [path for path in archives if re.search(self.known.archives, path.name)]
            yield from likely
            if folder != self.data_dir:
                yield from (path for path in archives if path not in likely)


@contextmanager
def _within(path: Path, where: str) -> Iterator[None]:
    """Let errors on members of an archive or folder say which one it is."""
    try:
        yield
    except DataError as error:
        if str(path) in error.message:
            raise
        message = f"{where}: {error.message}"
        raise DataError(message, allowed=error.allowed, hint=error.hint) from error


def refuse_problems(name: str, where: str, content: Content) -> None:
    """Raise an error that names the first problem of a part.

    Raises:
        DataError: It has one that is no mere warning.
    """
    errors = [problem for problem in content.problems if problem.severity == "error"]
    if errors:
        first = errors[0]
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise DataError(
            f"{where}: {first.where}: {first.message}{more}",
            hint=f"'hcr-edge data validate {name}' lists them all",
        )


def check_orientation(where: str, seen: Orientation, bright_ink: bool | None) -> None:
    """Refuse images that are proven not to be upright, inverted, or labelled off by one.

    Args:
        where: The set and part, for the error.
        seen: What `measure` found.
        bright_ink: The declared polarity, if any.

    Raises:
        DataError: They are mirrored, turned, transposed or inverted, or their labels are shifted.
    """
    if seen.images < _LEAST:
        return  # a handful of like images can be sure of anything
    if seen.shift:
        neighbour = "next" if seen.shift > 0 else "last"
        raise DataError(
            f"{where}: labels are off by one: images have the shape of the {neighbour} label's",
            allowed="images of the character that their label says",
            hint="the labels were counted from another number than the publisher's",
        )
    if seen.found != "upright" and seen.proven:
        raise DataError(
            f"{where} comes out {seen.found}: {seen.images} images were compared with the known"
            " shapes of their characters",
            allowed="upright images",
            hint="the file is not what its publisher ships, or its labels are not its own",
        )
    if bright_ink is None:
        return
    as_declared = seen.bright_ink if bright_ink else 1 - seen.bright_ink
    if as_declared < 0.2:
        expected, found = ("bright", "dark") if bright_ink else ("dark", "bright")
        raise DataError(
            f"{where} comes out inverted: its ink is {found}",
            allowed=f"{expected} ink",
            hint="the file is not what its publisher ships",
        )
