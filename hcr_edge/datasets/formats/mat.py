"""MAT, version 5 (MATLAB 5 to 7.2): numbers, text, cells and structs, out of any file.

A reader of our own: SciPy's takes an element's size on trust, and so allocates what a damaged
file promises, or crashes.

Source: "MAT-File Format", The MathWorks, chapter 1: Level 5 MAT-File Format.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.formats.streams import PIECE, bomb, damage, unpacked_limit
from hcr_edge.errors import DataError

_HEADER = 128
_PEEK = 1024  # more than any header of a variable
_MAX_DEPTH = 16  # of cells and structs in each other
_MAX_DIMENSIONS = 32
_MAX_FIELDS = 4096

# Types of stored data, by number.
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_NUMBERS = dict(
    zip(
        (_INT8, 2, 3, 4, _INT32, _UINT32, 7, 9, 12, 13),
        ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"),
        strict=True,
    )
)
# Codec and bytes of a letter, 0 where they vary.
_TEXTS = {
    _INT8: ("latin-1", 1),
    2: ("latin-1", 1),
    4: ("utf-16", 2),
    _UTF8: ("utf-8", 0),
    17: ("utf-16", 2),
    18: ("utf-32", 4),
}
# Classes of arrays, by number.
_CELL, _STRUCT, _CHAR, _OPAQUE = 1, 2, 4, 17
_CLASSES = dict(
    zip(range(6, 16), ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), strict=True)
)
_COMPLEX = 0x0800
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_UNKNOWN = object()  # the value of what this reader does not know
_EMPTY = np.zeros((0, 0))


def read_mat(data: bytes, name: str, wanted: Collection[str] | None = None) -> dict[str, Any]:
    """Read the variables of a MAT file.

    Args:
        data: The file.
        name: What errors call it.
        wanted: Variables to decode; the others are passed over. All by default.

    Returns:
        By name, in the file's order: numbers as arrays in Fortran's order, of the type in which
        they are stored (MATLAB stores doubles that are whole and small as uint8), as views of the
        file's data that may not be written to; text as str (a list of its rows if there are
        several); cells as lists, flattened in Fortran's order; a struct as dict, an array of them
        as list of dicts. What is none of these (sparse and complex arrays, objects, functions) is
        left out, and None inside a cell or struct. Of variables of one name the first counts.

    Raises:
        DataError: The file is of another version, cut short or damaged, or unpacks to more than
            200 times its size (and 16 MiB).
    """
    if not data:
        raise DataError(f"{name} is empty", hint="get it again")
    order = _byte_order(data, name)
    limit = unpacked_limit(len(data))
    found: dict[str, Any] = {}
    with damage(name):
        for kind, start, end in _top_elements(data, order):
            if kind == _COMPRESSED:
                packed = memoryview(data)[start:end]
                head = _Elements(_inflate(packed, _PEEK, whole=False), order)
            elif kind == _MATRIX:
                head = _Elements(data[start - 8 : start + _PEEK], order)
            else:
                raise ValueError(f"an element of type {kind} at byte {start - 8}")
            variable = head.variable()
            if not variable or variable in found or (wanted is not None and variable not in wanted):
                continue
            elements = _Elements(data, order)
            if kind == _COMPRESSED:
                size = head.promised()
                limit -= size
                if limit < 0:
                    raise bomb(name, unpacked_limit(len(data)))
                elements = _Elements(_inflate(packed, size, whole=True), order)
                start, end = 8, size
            with damage(f"{name}: {variable}"):
                value = elements.matrix(start, end, 0)
            if value is not _UNKNOWN:
                found[variable] = value
    return found


def _byte_order(data: bytes, name: str) -> str:
    """Check the header; return ``<`` or ``>``."""
    hint = "save it in MATLAB with -v7"
    if data.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise DataError(f"{name} is a MAT file of version 7.3", allowed="version 5 to 7", hint=hint)
    mark = data[126:_HEADER]
    order = {b"IM": "<", b"MI": ">"}.get(mark, "")
    if order and struct.unpack_from(order + "H", data, 124)[0] == 0x0100:
        return order
    # Version 4 begins with a number below 5000 in either byte order, version 5 with text.
    start = data[:4]
    if len(start) == 4 and min(int.from_bytes(start, o) for o in _ORDERS) < 5000:
        raise DataError(f"{name} is a MAT file of version 4", allowed="version 5 to 7", hint=hint)
    raise DataError(
        f"{name} starts with {data[:16]!r}: it is no MAT file, or damaged",
        allowed="a MAT file of version 5 to 7",
    )


def _top_elements(data: bytes, order: str) -> Iterator[tuple[int, int, int]]:
    """Yield type, start and end of each element of the file."""
    at = _HEADER
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("it ends within an element")
        kind, size = struct.unpack_from(order + "II", data, at)
        start = at + 8
        if size > len(data) - start:
            raise ValueError(f"{size} bytes promised, {len(data) - start} are left")
        yield kind, start, start + size
        # Packed elements follow each other without padding.
        at = start + size + (0 if kind == _COMPRESSED else -size % 8)


def _inflate(packed: memoryview, size: int, *, whole: bool) -> bytearray:
    """Unpack at most `size` bytes; if `whole`, exactly as many must be there."""
    engine = zlib.decompressobj()
    values = bytearray()
    for start in range(0, len(packed), PIECE):
        piece: bytes | memoryview = packed[start : start + PIECE]
        while len(values) <= size and not engine.eof:
            # One byte more than wanted, to find out that there is more.
            out = engine.decompress(piece, min(PIECE, size + 1 - len(values)))
            piece = engine.unconsumed_tail
            values += out
            if not out and not piece:
                break
    if whole and (len(values) != size or not engine.eof):
        raise ValueError(f"a variable does not unpack to the {size} bytes that it promises")
    return values


class _Elements:
    """Elements in `data`, one of the file's variables or the file itself."""

    def __init__(self, data: bytes | bytearray, order: str) -> None:
        self.data = data
        self.order = order
        self._pair = struct.Struct(order + "II")
        self._native = np.dtype(order + "i4").isnative

    def promised(self) -> int:
        """Return the size of the variable that `data` starts with, its tag included."""
        kind, size = self._pair.unpack_from(self.data)
        if kind != _MATRIX:
            raise ValueError(f"a packed element of type {kind}")
        return 8 + int(size)

    def variable(self) -> str:
        """Return the name of the variable whose tag `data` starts with."""
        end = min(len(self.data), self.promised())
        class_, _, at = self._flags(8, end)
        if class_ != _OPAQUE:  # those have no dimensions
            _, at = self._dimensions(at, end)
        return self._name(at, end)[0]

    def matrix(self, at: int, end: int, depth: int) -> Any:
        """Return the value of the array between `at` and `end`."""
        if at == end:
            return _EMPTY
        class_, flags, at = self._flags(at, end)
        if flags & _COMPLEX or class_ not in (_CELL, _STRUCT, _CHAR, *_CLASSES):
            return _UNKNOWN
        if depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} cells or structs in each other")
        shape, at = self._dimensions(at, end)
        _, at = self._name(at, end)
        if class_ == _CELL:
            return self._children(math.prod(shape), at, end, depth)
        if class_ == _STRUCT:
            return self._structs(math.prod(shape), at, end, depth)
        if class_ == _CHAR:
            return self._text(shape, at, end)
        return self._numbers(shape, _CLASSES[class_], at, end)

    def _tag(self, at: int, end: int) -> tuple[int, int, int, int]:
        """Return type, start and size of the element at `at`, and where the next one is."""
        if at + 8 > end:
            raise ValueError("an element is missing")
        kind, size = self._pair.unpack_from(self.data, at)
        if kind >> 16:  # up to 4 bytes lie in the tag itself, after their size and type
            size = kind >> 16
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
            return kind & 0xFFFF, at + 4, size, at + 8
        start = at + 8
        if size > end - start:
            raise ValueError(f"an element of {size} bytes where {end - start} are left")
        return kind, start, size, min(end, start + size + (-size % 8))

    def _flags(self, at: int, end: int) -> tuple[int, int, int]:
        kind, start, size, after = self._tag(at, end)
        if kind != _UINT32 or size != 8:
            raise ValueError("an array without flags")
        flags = self._pair.unpack_from(self.data, start)[0]
        return flags & 0xFF, flags, after

    def _dimensions(self, at: int, end: int) -> tuple[tuple[int, ...], int]:
        kind, start, size, after = self._tag(at, end)
        count = size // 4
        if kind != _INT32 or size % 4 or not 2 <= count <= _MAX_DIMENSIONS:
            raise ValueError("an array without dimensions")
        shape = struct.unpack_from(f"{self.order}{count}i", self.data, start)
        if min(shape) < 0:
            raise ValueError(f"an array of dimensions {shape}")
        return shape, after

    def _name(self, at: int, end: int) -> tuple[str, int]:
        kind, start, size, after = self._tag(at, end)
        if kind not in (_INT8, _UTF8):
            raise ValueError("an array without a name")
        name = self.data[start : start + size].decode("utf-8")
        if name and not name.isprintable():
            raise ValueError("an array's name is no text")
        return name, after

    def _children(self, count: int, at: int, end: int, depth: int) -> list[Any]:
        if count * 8 > end - at:
            raise ValueError(f"{count} arrays promised in {end - at} bytes")
        values = []
        for _ in range(count):
            kind, start, size, at = self._tag(at, end)
            if kind != _MATRIX:
                raise ValueError(f"an element of type {kind} in place of an array")
            value = self.matrix(start, start + size, depth + 1)
            values.append(None if value is _UNKNOWN else value)
        return values

    def _structs(self, count: int, at: int, end: int, depth: int) -> Any:
        kind, start, size, at = self._tag(at, end)
        width = struct.unpack_from(self.order + "i", self.data, start)[0] if size == 4 else 0
        names_kind, start, size, at = self._tag(at, end)
        if kind != _INT32 or names_kind != _INT8 or width < 1 or size % width:
            raise ValueError("a struct without names")
        if size // width > _MAX_FIELDS or (not size and count > 1):
            raise ValueError(f"{count} structs of {size // width} fields")
        text = self.data[start : start + size]
        names = [text[i : i + width].split(b"\0")[0].decode("utf-8") for i in range(0, size, width)]
        values = iter(self._children(count * len(names), at, end, depth))
        structs: list[dict[str, Any]] = [
            dict(zip(names, values, strict=False)) for _ in range(count)
        ]
        return structs[0] if count == 1 else structs

    def _text(self, shape: tuple[int, ...], at: int, end: int) -> str | list[str]:
        letters, rows = math.prod(shape), shape[0]
        if not letters:
            return ""
        kind, start, size, _ = self._tag(at, end)
        codec, width = _TEXTS.get(kind, ("", 0))
        if not codec or (width and size != letters * width):
            raise ValueError(f"{letters} letters in {size} bytes of type {kind}")
        if width > 1:
            codec += "-le" if self.order == "<" else "-be"
        text = self.data[start : start + size].decode(codec)
        if rows == 1:
            return text
        if len(text) != letters:
            raise ValueError(f"{len(text)} letters for {rows} rows of text")
        return [text[row::rows].rstrip(" ") for row in range(rows)]

    def _numbers(self, shape: tuple[int, ...], class_: str, at: int, end: int) -> NDArray[Any]:
        count = math.prod(shape)
        if not count:
            return np.zeros(shape, class_, "F")
        kind, start, size, _ = self._tag(at, end)
        stored = _NUMBERS.get(kind)
        if stored is None or size != count * int(stored[1]):
            raise ValueError(f"{count} numbers in {size} bytes of type {kind}")
        values: NDArray[Any] = np.ndarray(shape, self.order + stored, self.data, start, order="F")
        return values if self._native else values.astype(stored)
