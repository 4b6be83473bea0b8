"""The cache: one file of pixels for each part of a data set, mapped into memory when it is read.

An entry is a folder ``NAME-PART-KEY`` with ``pixels.u8`` (the images one behind the other) and
``index.npz`` (their shapes, labels, writers, file names). The key is a checksum over the source, so
that changed files are read anew. The whole folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hcr_edge.datasets.content import Content
from hcr_edge.datasets.images import map_images
from hcr_edge.datasets.naming import at_home

CACHE_VARIABLE = "HCR_EDGE_CACHE"
_FORMAT = "1"
_MIB = 1 << 20
# Larger files are known by their size, time of change, and both ends: a ZIP's directory, with the
# checksums of all it holds, lies at the end.
_WHOLE = 64 * _MIB

# What NumPy and zipfile raise on a damaged index.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
)

log = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Return where entries lie: ``HCR_EDGE_CACHE``, or the system's place; None where it is off."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen is not None:
        return None if chosen.lower() in ("", "0", "off", "none") else at_home(Path(chosen))
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "hcr-edge"
    except RuntimeError:  # nobody's home
        return None


def file_digest(path: Path) -> str:
    """Return a checksum that tells a file's contents.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(f"{size} {path.stat().st_mtime_ns}".encode())
        digest.update(file.read(_MIB))
        file.seek(-_MIB, os.SEEK_END)
        digest.update(file.read())
        return digest.hexdigest()


def tree_digest(root: Path, names: Iterable[str]) -> str:
    """Return a checksum over files in a folder: by content, or where they are many by date.

    Names of which there is no file are passed over; whoever reads them will say so.

    Raises:
        OSError: One cannot be read.
    """
    paths = [(name, path) for name in names if (path := root / name).exists()]
    sizes = [path.stat() for _, path in paths]
    whole = sum(item.st_size for item in sizes) <= _WHOLE and len(paths) <= 64
    digest = hashlib.sha256()
    for (name, path), item in zip(paths, sizes, strict=True):
        known = file_digest(path) if whole else f"{item.st_size} {item.st_mtime_ns}"
        digest.update(f"{name}\0{known}\0".encode())
    return digest.hexdigest()


class Cache:
    """Keeps what was read from data sets' files.

    Args:
        folder: See `cache_folder`; None means that nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def entry(self, title: str, *parts: str) -> Path | None:
        """Return the folder of the entry `title` for a source known by `parts`."""
        if self.folder is None:
            return None
        key = hashlib.sha256("\0".join((_FORMAT, title, *parts)).encode()).hexdigest()
        return self.folder / "arrays" / f"{title}-{key[:24]}"

    def load(self, entry: Path | None) -> Content | None:
        """Map an entry; None where there is none, or what is there is damaged."""
        if entry is None:
            return None
        try:
            with np.load(entry / "index.npz", allow_pickle=False) as index:
                images = map_images(entry / "pixels.u8", index["shapes"], index["starts"])
                labels = index["labels"]
                names = bytes(index["names"]).decode().split("\n") if index["names"].size else []
                writers = index.get("writers")
                # Sums guard each array, not that they belong together.
                whole = (labels, labels if writers is None else writers, names or labels)
                if images is None or any(len(part) != len(images) for part in whole):
                    return None
                skipped = bytes(index["skipped"]).decode().split("\n")
                counts = index["skipped_counts"].tolist()
                return Content(
                    images=images,
                    labels=labels,
                    writers=writers,
                    names=tuple(names),
                    skipped=tuple(zip(skipped, counts, strict=True)) if counts else (),
                )
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            log.debug("cache entry %s is damaged: %s", entry, error)
            return None

    def listing(self, digest: str) -> list[str] | None:
        """Return the file names of the archive with this checksum, if they were kept."""
        if self.folder is None:
            return None
        try:
            text = (self.folder / "listings" / digest).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return None
        checksum, _, lines = text.partition("\n")
        if checksum != _text_digest(lines):
            return None  # damaged
        return lines.split("\n") if lines else []

    def keep_listing(self, digest: str, names: list[str]) -> None:
        """Keep the file names of an archive."""
        if self.folder is None or any("\n" in name for name in names):
            return
        try:
            (self.folder / "listings").mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder / "listings", delete=False) as file:
                lines = "\n".join(names)
                file.write(f"{_text_digest(lines)}\n{lines}".encode())
            Path(file.name).replace(self.folder / "listings" / digest)
        except OSError as error:
            log.debug("no listing is kept: %s", error)

    def begin(self) -> Path | None:
        """Make a folder for an entry to be; None where nothing is kept, or nothing can be."""
        if self.folder is None:
            return None
        try:
            (self.folder / "arrays").mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder / "arrays"))
        except OSError as error:
            log.warning(
                "nothing is cached: %s cannot be written (%s); %s names another place",
                self.folder,
                error.strerror or error,
                CACHE_VARIABLE,
            )
            return None

    def commit(self, work: Path, entry: Path, content: Content) -> Content:
        """Put an entry in place, whole, and return it as `load` would."""
        optional: dict[str, Any] = {}
        if content.writers is not None:
            optional["writers"] = content.writers
        if any("\n" in name for name in (*content.names, *dict(content.skipped))):
            return content  # names are kept as lines
        try:
            np.savez(
                work / "index.npz",
                shapes=content.images.shapes,
                starts=content.images.starts,
                labels=content.labels,
                names=_blob(content.names),
                skipped=_blob([name for name, _ in content.skipped]),
                skipped_counts=np.array([count for _, count in content.skipped], np.int64),
                **optional,
            )
            if self.load(entry) is None and entry.exists():
                shutil.rmtree(entry, ignore_errors=True)  # damaged
            work.rename(entry)
        except OSError as error:  # another process was first, or the disk is full
            log.debug("no entry is kept: %s", error)
            shutil.rmtree(work, ignore_errors=True)
        return self.load(entry) or content


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _blob(lines: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\n".join(lines).encode(), np.uint8)
