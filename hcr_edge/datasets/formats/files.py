"""`Files`, what folders and archives have in common, and the folder."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from hcr_edge.datasets.formats.streams import (
    Source,
    Unpacked,
    bomb,
    buffered,
    damage,
    packing,
    unpacked_limit,
)
from hcr_edge.errors import DataError

MAX_MEMBERS = 2_000_000
_LITTER = re.compile(
    r"(?:^|/)(?:__MACOSX(?:/|$)|\._[^/]*$|(?:\.DS_Store|Thumbs\.db|desktop\.ini)$)"
)


class Files(ABC):
    """The regular files of a folder or an archive, by posix path relative to its root.

    Members whose names end in ``.gz`` are given out unpacked, whichever way they are read (left
    alone if they are not packed after all, as some browsers leave them).

    Attributes:
        path: The folder or archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.limit = sys.maxsize
        self._sizes: dict[str, int] = {}

    def names(self) -> list[str]:
        """Return the names: sorted for a folder, otherwise in the archive's order."""
        return list(self._sizes)

    def read(self, name: str) -> bytes:
        """Return the file `name`.

        Raises:
            DataError: There is none, or it is damaged.
        """
        with self.open(name) as stream:
            return stream.read()

    def open(self, name: str) -> BinaryIO:
        """Open the file `name`, to be read forward only; close it after use.

        Raises:
            DataError: There is none; later, from the stream: it is damaged.
        """
        if name not in self._sizes:
            raise DataError(f"{self.path} does not hold {name!r}")
        return self.finish(name, self._open(name))

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of the files whose names are `wanted`, in one pass.

        Raises:
            DataError: One of them is damaged, or they are larger together than may be.
        """
        total = 0
        for name, data in self._walk([name for name in self._sizes if wanted(name)]):
            total += len(data)
            if total > self.limit:
                raise bomb(str(self.path), self.limit)
            yield name, data

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Close the archive; files opened from it can be read no more."""

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _open(self, name: str) -> Source:
        """Open the member `name` as it is stored; it need not be buffered."""

    def _walk(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the files `names`, which are in the order of `self.names`."""
        for name in names:
            yield name, self.read(name)

    def finish(self, name: str, stored: Source) -> BinaryIO:
        """Bound the stream of a member, and unpack it where its name says so."""
        size, where = self._sizes[name], f"{self.path}: {name!r}"
        if not name.casefold().endswith(".gz"):
            return buffered(Unpacked(stored, where, size), size)
        packed = buffered(Unpacked(stored, where, size), size)
        kind = packing(cast(io.BufferedReader, packed).peek(6)[:6])
        if kind != "gzip":
            return packed
        return buffered(Unpacked(packed, where, min(self.limit, unpacked_limit(size)), kind))

    def admit(self, name: str, size: int) -> str:
        """Enter a file of the archive; return its name as `names` gives it, empty for litter."""
        plain = checked_name(self.path, name)
        if _LITTER.search(plain):
            return ""
        if plain in self._sizes:
            raise DataError(f"{self.path} holds {plain!r} twice", hint="get it again")
        if len(self._sizes) >= MAX_MEMBERS:
            raise DataError(
                f"{self.path} holds more files than can be, the first too many {plain!r}",
                allowed=f"{MAX_MEMBERS:,}",
            )
        self._sizes[plain] = size
        return plain


def checked_name(path: Path, name: str) -> str:
    """Return a member's name without ``./``.

    Raises:
        DataError: It could lead out of the archive.

    >>> checked_name(Path("a.zip"), "./train//1.png")
    'train/1.png'
    """
    parts = PurePosixPath(name)
    wrong = (
        "an absolute name"
        if name.startswith("/") or re.match(r"[A-Za-z]:", name)
        else "a name that leads out of it"
        if ".." in parts.parts
        else "a name with a backslash"
        if "\\" in name
        else "a name that is no text"
        if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name)
        else ""
    )
    if wrong:
        raise refused(path, name, wrong)
    return str(parts)


def refused(path: Path, name: str, what: str) -> DataError:
    """Return the error for an archive that holds `what` under `name`."""
    return DataError(
        f"{path} holds {what}: {name[:200]!r}",
        allowed="regular files and folders below its root",
        hint="do not trust this archive; get it again from its publisher",
    )


class Exact:
    """The next `size` bytes of a stream, which must be there."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        # Even at its end a zip's stream must be asked: only then does it check its sum.
        data = self._source.read(min(size, self._left))
        self._left -= len(data)
        if self._left and not data:
            raise EOFError("a member is shorter than promised")
        return data

    def close(self) -> None:
        """Close the stream."""
        self._source.close()


class Folder(Files):
    """Files below a folder. Linked folders are not entered.

    Args:
        path: The folder.
        top: Pattern for the names in the folder itself; all by default.
    """

    def __init__(self, path: Path, top: str | None = None) -> None:
        super().__init__(path)
        wanted = re.compile(top or "")
        found: list[tuple[str, int]] = []
        with damage(str(path)):
            self._root = path.resolve()
            for folder, inside, files in os.walk(self._root, onerror=_refuse):
                inner = Path(folder).relative_to(self._root).as_posix()
                if inner == ".":
                    inside[:] = [name for name in inside if wanted.search(name)]
                    files = [name for name in files if wanted.search(name)]
                for file in files:
                    name = file if inner == "." else f"{inner}/{file}"
                    found.extend(self._look(os.path.join(folder, file), name))  # noqa: PTH118
        for name, size in sorted(found):
            self.admit(name, size)

    def _look(self, file: str, name: str) -> Iterator[tuple[str, int]]:
        # Strings, not paths: there may be hundreds of thousands of files.
        status = os.lstat(file)
        if stat.S_ISLNK(status.st_mode):
            # A folder is its owner's, and may link to a store elsewhere; an archive's links not.
            target = Path(file)
            if not target.is_file():
                return
            status = target.stat()
        # A pipe would block whoever opens it.
        if stat.S_ISREG(status.st_mode):
            yield name, status.st_size

    def _open(self, name: str) -> Source:
        with damage(f"{self.path}: {name!r}"):
            return (self._root / name).open("rb")


def _refuse(error: OSError) -> None:
    raise error
