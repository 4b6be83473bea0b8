"""The tar as `Files`, packed or not."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hcr_edge.datasets.formats.files import Exact, Files, checked_name, refused
from hcr_edge.datasets.formats.streams import (
    PIECE,
    Source,
    Unpacked,
    buffered,
    damage,
    unpacked_limit,
)

# Long names and attributes come as data of their own; tarfile reads them at once.
_LONGEST_HEADER = 1024 * 1024


class Tar(Files):
    """Members of a tar: found in one pass over it, read in a second by `walk`.

    Args:
        path: The tar.
        kind: How it is packed, as `streams.packing` names it.
    """

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path)
        self._kind = kind
        self._offsets: dict[str, int] = {}
        with damage(str(path)):
            self.limit = unpacked_limit(path.stat().st_size)
            stream = self._start(0)
            stream.most = _LONGEST_HEADER
            try:
                self._scan(stream)
            finally:
                stream.close()

    def _start(self, offset: int) -> Forward:
        """Open the tar at `offset` in what it unpacks to."""
        file = self.path.open("rb")
        if not self._kind:
            file.seek(offset)
            return Forward(buffered(Unpacked(file, str(self.path), self.limit)), offset)
        stream = Forward(buffered(Unpacked(file, str(self.path), self.limit, self._kind)))
        stream.seek(offset)
        return stream

    def _scan(self, stream: Forward) -> None:
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:", errors="strict") as archive:
            # `next` would keep every member: a kilobyte each.
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                if member.isdir():
                    checked_name(self.path, member.name)
                elif not member.isreg() or member.issparse():
                    raise refused(self.path, member.name, "a link, device or sparse file")
                elif member.size < 0:
                    raise ValueError("a size below 0")
                elif plain := self.admit(member.name, member.size):
                    self._offsets[plain] = member.offset_data
        # tarfile takes a damaged header for the end.
        if stream.last != bytes(tarfile.BLOCKSIZE):
            raise EOFError("a header is damaged or the end is missing")
        while rest := stream.read(PIECE):
            if rest.strip(b"\0"):
                raise ValueError("something follows its end")

    def _open(self, name: str) -> Source:
        with damage(f"{self.path}: {name!r}"):
            stream = self._start(self._offsets[name])
        return Exact(stream, self._sizes[name])

    def _walk(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        with damage(str(self.path)):
            stream = self._start(0)
        try:
            for name in names:
                with damage(f"{self.path}: {name!r}"):
                    stream.seek(self._offsets[name])
                    data = stream.read(self._sizes[name])
                    if len(data) != self._sizes[name]:
                        raise EOFError("it ends too early")
                if name.casefold().endswith(".gz"):
                    with self.finish(name, io.BytesIO(data)) as packed:
                        data = packed.read()
                yield name, data
        finally:
            stream.close()


class Forward:
    """What `tarfile` asks of a file, of a stream that cannot go back.

    Attributes:
        last: What was read last.
        most: Most bytes to give at once.
    """

    def __init__(self, source: BinaryIO, position: int = 0) -> None:
        self._source = source
        self._position = position
        self.last = b""
        self.most = sys.maxsize

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, position: int) -> None:
        """Go forward to `position`, or to the end if that comes first.

        Raises:
            ValueError: It lies behind: sizes in a damaged header can say so.
        """
        if position < self._position:
            raise ValueError("a header points back")
        while self._position < position:
            skipped = len(self._source.read(min(position - self._position, PIECE)))
            if not skipped:
                return
            self._position += skipped

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or as many as are left.

        Raises:
            ValueError: More than `most` are wanted.
        """
        if size > self.most:
            raise ValueError(f"a header of {size} bytes")
        self.last = self._source.read(size)
        self._position += len(self.last)
        return self.last

    def close(self) -> None:
        """Close the stream."""
        self._source.close()
