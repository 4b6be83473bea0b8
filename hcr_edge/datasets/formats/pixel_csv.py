"""Tables of whole numbers as text: rows of pixels or labels, read block by block.

Nearly all published tables are digits, commas and line ends; those are parsed by array operations
at hundreds of megabytes a second. Other spellings of whole numbers (``1.0``, quotes, blanks,
semicolons) go through `numpy.loadtxt`; what neither reads is looked through cell by cell, to name
the row and the value.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.formats.streams import damage
from hcr_edge.errors import DataError

Numbers = NDArray[Any]  # uint8, int16 or int32
_BLOCK = 96 * 1024
_CELL = 64  # longest spelling of a number, its separator included
_ROW = 1024 * 1024  # longest first row, where the number of columns is not known
_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NO_NAME = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
# From this many columns on, a first row 0, 1, 2 … is pandas' numbering, not pixels or labels.
_NUMBERED = 8


def read_rows(
    stream: BinaryIO,
    name: str,
    columns: int | None = None,
    *,
    low: int = 0,
    high: int = 255,
    header: Literal["auto", False] = False,
) -> Iterator[Numbers]:
    """Read a table in blocks of whole rows, each from about 100 KB of text.

    Args:
        stream: The text, unpacked.
        name: What errors call it.
        columns: Numbers in a row; by default as many as in the first.
        low: Least value allowed.
        high: Greatest value allowed.
        header: ``"auto"`` passes over a first row of names: one of text alone (``label,pixel0``),
            text or nothing before names or a count (``label,0,1,2``), or, in tables of 8 columns
            and more, the count 0, 1, 2 … alone, as pandas writes it.

    Yields:
        Arrays (rows, columns): uint8 where the range fits it, else int16, else int32.

    Raises:
        DataError: The stream is empty or damaged; a row has too many or too few columns, or holds
            what is no whole number in the range. Rows are counted from 1, a header included.

    >>> text = b"label,a,b\\n1,20,255\\n2,0,7\\n"
    >>> [block.tolist() for block in read_rows(io.BytesIO(text), "t.csv", 3, header="auto")]
    [[[1, 20, 255], [2, 0, 7]]]
    """
    table: _Table | None = None
    for block in _blocks(stream, name, columns):
        if table is None:
            block = block.removeprefix(_BOM)
            first = block[: block.index(b"\n")]
            table = _Table(name, first, columns, low, high)
            if header == "auto" and table.is_header(first):
                table.row = 1
                block = block[len(first) + 1 :]
        values = table.parse(block)
        if len(values):
            yield values
    if table is None or not table.found:
        raise DataError(f"{name} is empty", hint="get it again")


def read_table(
    stream: BinaryIO,
    name: str,
    columns: int,
    rows: int | None = None,
    *,
    low: int = 0,
    high: int = 255,
    header: Literal["auto", False] = False,
) -> Numbers:
    """Read a whole table; arguments as of `read_rows`.

    Returns:
        (N, columns): uint8 where the range fits it, else int16, else int32.

    Raises:
        DataError: As `read_rows` does; or there are not `rows` rows.

    >>> read_table(io.BytesIO(b"7\\n28\\n"), "labels.csv", 1, 2).tolist()
    [[7], [28]]
    """
    values = bytearray()
    found = 0
    for block in read_rows(stream, name, columns, low=low, high=high, header=header):
        found += len(block)
        if rows is None or found <= rows:
            values += block.data
    if rows is not None and found != rows:
        raise DataError(
            f"{name} has {found} rows of {columns} columns",
            allowed=f"{rows} rows of {columns}",
            hint="it is cut short or another file",
        )
    return np.frombuffer(values, _dtype(low, high)).reshape(-1, columns)


def _dtype(low: int, high: int) -> type[np.uint8] | type[np.int16] | type[np.int32]:
    if low >= 0 and high <= 255:
        return np.uint8
    return np.int16 if low >= -32768 and high <= 32767 else np.int32


def _blocks(stream: BinaryIO, name: str, columns: int | None) -> Iterator[bytes]:
    """Yield the stream in pieces of whole lines, line ends made ``\\n``."""
    longest = _ROW if columns is None else max(_BLOCK, columns * _CELL)
    rest = b""
    while True:
        with damage(name):
            piece = stream.read(_BLOCK)
        if not piece:
            break
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield (rest + piece[:cut]).replace(b"\r\n", b"\n")
            rest = piece[cut:]
        else:
            rest += piece
        if len(rest) > longest:
            raise DataError(
                f"{name} has a row of more than {longest:,} bytes", hint="it is no table of numbers"
            )
    if rest:
        yield rest.replace(b"\r\n", b"\n").removesuffix(b"\r") + b"\n"


class _Table:
    """The form of a table, as its first row has it, and how far it is read."""

    def __init__(self, name: str, first: bytes, columns: int | None, low: int, high: int) -> None:
        self.name = name
        self.low = low
        self.high = high
        self.row = 0  # lines read
        self.found = 0  # rows read
        self._blank = 0  # the first blank line, if any
        # One separator throughout: the first kind that the first row shows.
        self._separator = next((c for c in (b",", b";", b"\t") if c in first), b" ")
        self.columns = columns or len(self._cells(first))
        self.dtype = _dtype(low, high)

    def is_header(self, first: bytes) -> bool:
        """Whether the first row names the columns."""
        cells = [cell.decode("utf-8", "replace") for cell in self._cells(first)]
        if len(cells) != self.columns:
            return False
        is_name = [
            cell.isprintable()
            and any(letter.isalpha() for letter in cell)
            and not _NUMBER.fullmatch(cell)
            and not _NO_NAME.fullmatch(cell)
            for cell in cells
        ]
        if all(is_name):
            return True
        counted = [str(i) for i in range(len(cells) + 1)]
        if len(cells) > 1 and (is_name[0] or not cells[0]):
            return all(is_name[1:]) or cells[1:] in (counted[:-2], counted[1:-1])
        return len(cells) >= _NUMBERED and cells == counted[:-1]

    def parse(self, block: bytes) -> Numbers:
        """Return the numbers of a block of whole lines."""
        lines = block.count(b"\n")
        values = None
        if not self._blank and self._separator == b",":
            values = self._fast(block)
        if values is None:
            values = self._slow(block)
        self.row += lines
        self.found += len(values)
        return values

    def _fast(self, block: bytes) -> Numbers | None:
        """Parse numbers of 1 to 3 digits between commas; None where there is anything else."""
        text = np.frombuffer(block, np.uint8)
        digits = text - np.uint8(ord("0"))  # anything but a digit wraps round to 10 or more
        is_digit = digits < 10
        ends = np.flatnonzero(~is_digit)
        if len(ends) % self.columns:
            return None
        between = text[ends].reshape(-1, self.columns)
        lengths = np.diff(ends, prepend=-1)
        if (
            (between[:, -1] != ord("\n")).any()
            or (between[:, :-1] != ord(",")).any()
            or (len(lengths) and (lengths.min() < 2 or lengths.max() > 4))
        ):
            return None
        digits *= is_digit
        pairs = digits.copy()
        pairs[1:] += digits[:-1] * np.uint8(10)
        ends -= 1
        values = pairs[ends].astype(np.int16)
        long = np.flatnonzero(lengths == 4)
        values[long] += digits[ends[long] - 2] * np.int16(100)
        if len(values) and (values.max() > self.high or values.min() < self.low):
            return None
        return values.astype(self.dtype).reshape(-1, self.columns)

    def _slow(self, block: bytes) -> Numbers:
        """Parse any spelling of whole numbers; name what is none."""
        lines = block.split(b"\n")[:-1]
        kept = len(lines)
        while kept and not lines[kept - 1].strip():
            kept -= 1
        if kept:
            blank = next((i for i, line in enumerate(lines[:kept]) if not line.strip()), None)
            if blank is not None or self._blank:
                raise DataError(
                    f"{self.name}: row {self._blank or self.row + (blank or 0) + 1} is empty",
                    hint="it is damaged; get it again",
                )
        if kept < len(lines) and not self._blank:
            self._blank = self.row + kept + 1
        if not kept:
            return np.empty((0, self.columns), self.dtype)
        plain = b"".join(self._canonical(line) + b"\n" for line in lines[:kept])
        values = self._fast(plain)
        return self._loaded(plain) if values is None else values

    def _loaded(self, plain: bytes) -> Numbers:
        if plain.startswith(b"\n") or b"\n\n" in plain:  # nothing but quotes: NumPy skips those
            raise self._wrong(plain, "a row is empty")
        try:
            values = np.loadtxt(
                io.BytesIO(plain), np.float64, None, ",", ndmin=2, encoding="latin-1"
            )
        except ValueError as error:
            raise self._wrong(plain, str(error)) from error
        if values.shape != (plain.count(b"\n"), self.columns):
            raise self._wrong(plain, "rows are of unlike length")
        if not ((values >= self.low) & (values <= self.high) & (values == np.rint(values))).all():
            raise self._wrong(plain, "not all values are whole")
        return values.astype(self.dtype)

    def _wrong(self, plain: bytes, otherwise: str) -> DataError:
        """Return the error that names the first wrong row of a block, and the value."""
        allowed = f"whole numbers from {self.low} to {self.high}"
        for row, line in enumerate(plain.split(b"\n")[:-1], self.row + 1):
            cells = line.split(b",")
            if len(cells) != self.columns:
                return DataError(
                    f"{self.name}: row {row} has {len(cells)} columns",
                    allowed=str(self.columns),
                    hint="it is cut short or another file",
                )
            for cell in cells:
                text = cell.decode("utf-8", "backslashreplace")
                if not _NUMBER.fullmatch(text):
                    what = "is not a number"
                elif not float(text).is_integer():
                    what = "is not a whole number"
                elif not self.low <= float(text) <= self.high:
                    what = "is out of range"
                else:
                    continue
                return DataError(f"{self.name}: row {row} ({_shown(text)}) {what}", allowed=allowed)
        reason = " ".join(otherwise.split())
        return DataError(f"{self.name}: row {self.row + 1} or later: {reason}", allowed=allowed)

    def _cells(self, line: bytes) -> list[bytes]:
        return self._canonical(line).split(b",")

    def _canonical(self, line: bytes) -> bytes:
        """Return a line with commas between its cells, without quotes and blanks around them."""
        if self._separator != b"," and b"," in line:
            return line  # two kinds of separators: found to be no number later
        if self._separator == b" ":
            # Not at every white space: a lone carriage return divides no cells.
            return b",".join(_unquoted(cell) for cell in line.strip().split(b" ") if cell)
        return b",".join(_unquoted(cell.strip(b" ")) for cell in line.split(self._separator))


def _unquoted(cell: bytes) -> bytes:
    return cell[1:-1].strip(b" ") if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell


def _shown(text: str) -> str:
    return (text if text.isprintable() else repr(text))[:40]
