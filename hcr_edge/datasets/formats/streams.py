"""Byte streams out of files that may be damaged or hostile: unpacked, counted, bounded."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from hcr_edge.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 256 * 1024
# What a packed stream begins with.
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
# A dictionary larger than any preset's (64 MiB) only serves to exhaust memory.
_XZ_MEMORY = 160 * 1024 * 1024
_LEAST_LIMIT = 16 * 1024 * 1024
_RATIO = 200

# All that the standard library is known to raise on damaged files.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # NotImplementedError and RecursionError too
    ValueError,  # UnicodeDecodeError too
    ArithmeticError,
    LookupError,
)


class Source(Protocol):
    """Where bytes come from: an open file, or what stands for one."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Close it."""


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into a `DataError` that names it.

    >>> with damage("a.gz"):
    ...     raise EOFError("the end is missing")
    Traceback (most recent call last):
    ...
    hcr_edge.errors.DataError: a.gz is damaged (the end is missing); get it again
    """
    try:
        yield
    except _DAMAGE as error:
        raise damaged(name, error) from error


def damaged(name: str, error: BaseException) -> DataError:
    """Return the `DataError` that says why `name` cannot be read."""
    if isinstance(error, OSError) and error.errno:
        return DataError(f"cannot read {name}: {error.strerror}")
    # Libraries put names of members into their messages, line breaks and all.
    reason = "".join(c if c.isprintable() else " " for c in str(error))[:200].strip()
    return DataError(f"{name} is damaged ({reason or type(error).__name__})", hint="get it again")


def unpacked_limit(size: int) -> int:
    """Most bytes that a packed file of `size` bytes may unpack to.

    Images of handwriting shrink to a tenth, their text to a thirtieth; a file of nothing but
    zeros to a thousandth, which no data set is.

    >>> unpacked_limit(1000), unpacked_limit(1_000_000)
    (16777216, 200000000)
    """
    return max(_LEAST_LIMIT, _RATIO * size)


def bomb(name: str, limit: int) -> DataError:
    """Return the error for a packed file that unpacks to more than `limit` bytes."""
    return DataError(
        f"{name} unpacks to more than {limit:,} bytes",
        allowed=f"{_RATIO} times the packed size",
        hint="that is no data set; get it again from its publisher",
    )


def packing(head: bytes) -> str:
    """Name how a stream is packed by its first bytes; empty when it is not.

    >>> packing(bytes([0x1F, 0x8B, 8])), packing(b"label,1")
    ('gzip', '')
    """
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "")


class Unpacked(io.RawIOBase):
    """What `source` holds, unpacked; read forward only, never more than `limit` bytes.

    Args:
        source: The packed stream; closed with this one.
        name: What errors call it.
        limit: Most bytes to give out.
        kind: ``gzip``, ``bzip2``, ``xz``, or empty for a stream that is not packed. Several
            packed streams in a row are read as one, as their tools do.
    """

    def __init__(self, source: Source, name: str, limit: int, kind: str = "") -> None:
        self._source = source
        self._name = name
        self._limit = limit
        self._kind = kind
        self._engine: Any = _engine(kind) if kind else None
        self._packed = b""
        self._total = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` as far as the stream gives at once; 0 at its end.

        Raises:
            DataError: The stream is damaged, or unpacks to more than the limit.
        """
        with memoryview(buffer).cast("B") as view:
            data = self._take(len(view))
            view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end; errors as of `readinto`."""
        pieces = []
        while piece := self._take(PIECE):
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close this stream and its source."""
        if not self.closed:
            self._source.close()
        super().close()

    def _take(self, size: int) -> bytes:
        try:
            data = self._unpack(size) if self._kind else self._source.read(size)
        except _DAMAGE as error:
            raise damaged(self._name, error) from error
        self._total += len(data)
        if self._total > self._limit:
            raise bomb(self._name, self._limit)
        return data

    def _unpack(self, size: int) -> bytes:
        while self._engine is not None:
            ended = False
            if not self._packed and getattr(self._engine, "needs_input", True):
                self._packed = self._source.read(PIECE)
                ended = not self._packed
            data: bytes = self._engine.decompress(self._packed, size)
            # Only zlib's engine hands back what it has not looked at.
            self._packed = getattr(self._engine, "unconsumed_tail", b"")
            if self._engine.eof:
                self._packed = self._engine.unused_data
                self._engine = self._following()
            elif ended and not data:
                raise EOFError("it ends too early")
            if data:
                return data
        return b""

    def _following(self) -> Any:
        """Return the engine of the packed stream that follows the one just ended, if any."""
        while True:
            self._packed = self._packed.lstrip(b"\0")  # padding
            if len(self._packed) < max(map(len, MAGIC)):
                more = self._source.read(PIECE)
                self._packed += more
                if more:
                    continue
            if not self._packed:
                return None
            if packing(self._packed) != self._kind:
                raise ValueError("something else follows its end")
            return _engine(self._kind)


def _engine(kind: str) -> Any:
    if kind == "gzip":
        return zlib.decompressobj(wbits=31)
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def buffered(raw: Unpacked, size: int = PIECE) -> BinaryIO:
    """Return `raw` with a buffer of at most `size` bytes, so that ``read(n)`` gives all n."""
    return io.BufferedReader(raw, max(1, min(size, PIECE)))


def gunzipped(source: BinaryIO, name: str, packed_size: int) -> BinaryIO:
    """Return `source`, which can seek, buffered and unpacked if it starts as gzip does.

    Raises:
        DataError: It cannot be read; later, from the stream: it is damaged.
    """
    with damage(name):
        kind = packing(source.read(6))
        source.seek(0)
    if kind == "gzip":
        return buffered(Unpacked(source, name, unpacked_limit(packed_size), kind))
    return buffered(Unpacked(source, name, sys.maxsize))
