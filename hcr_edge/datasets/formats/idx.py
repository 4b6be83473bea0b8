"""IDX, the format of MNIST and its kin: a big-endian header, then the values row by row."""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.formats.streams import damage
from hcr_edge.errors import DataError

_UINT8 = 0x08
_PIECE = 1024 * 1024


def read_idx(stream: BinaryIO, name: str) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, as MNIST's images (3 dimensions) and labels (1).

    Args:
        stream: The file, unpacked; read to its end.
        name: What errors call it.

    Returns:
        uint8, of the header's shape. Memory grows with what is there, whatever the header says.

    Raises:
        DataError: It does not start as IDX does, holds other values than bytes, has more than 3
            dimensions, or is shorter or longer than its header says.

    Source: http://yann.lecun.com/exdb/mnist, "The IDX file format".

    >>> import io
    >>> read_idx(io.BytesIO(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])), "labels").tolist()
    [7, 9]
    """
    with damage(name):
        shape = _shape(stream, name)
        promised = math.prod(shape)
        values = bytearray()
        while len(values) < promised:
            piece = stream.read(min(_PIECE, promised - len(values)))
            if not piece:
                raise _not_as_promised(name, shape, f"holds {len(values):,} values")
            values += piece
        # A packed stream checks its sum only when it is asked for what follows.
        if stream.read(1):
            raise _not_as_promised(name, shape, f"holds more than {promised:,} values")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _shape(stream: BinaryIO, name: str) -> tuple[int, ...]:
    magic = stream.read(4)
    if not magic:
        raise DataError(f"{name} is empty", hint="get it again")
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{name} starts with {magic!r}: it is no IDX file", allowed="two zero bytes first"
        )
    if magic[2] != _UINT8:
        raise DataError(f"{name} holds values of type 0x{magic[2]:02x}", allowed="bytes, 0x08")
    if not 1 <= magic[3] <= 3:
        raise DataError(f"{name} has {magic[3]} dimensions", allowed="1 to 3")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{name} ends within its header", hint="get it again")
    return struct.unpack(f">{magic[3]}I", sizes)


def _not_as_promised(name: str, shape: tuple[int, ...], received: str) -> DataError:
    return DataError(
        f"{name} {received}",
        allowed=f"{' x '.join(map(str, shape))} as its header says",
        hint="it is cut short or damaged; get it again",
    )
