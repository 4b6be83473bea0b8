"""CDB, the format of the Hoda digits: images of varying size, run-length coded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.formats.streams import bomb, unpacked_limit
from hcr_edge.errors import DataError

CLASSES = 128
INK = 255
_HEADER = struct.Struct(f"<HBBBBI{CLASSES}IB256s245x")
_RECORD_MARK = 0xFF
_BINARY, _GREY = 0, 1


@dataclass(frozen=True)
class CdbFile:
    """What a CDB file holds.

    Attributes:
        images: uint8 (H, W) each, ink bright on 0; ink is 255 in binary files.
        labels: int64 (N,).
        comment: As written by the publisher.
        counts: Number of images of each of 128 classes, as the header says.
    """

    images: list[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    comment: str
    counts: tuple[int, ...]


def read_cdb(data: bytes, name: str) -> CdbFile:
    """Read a CDB file, binary or grey.

    The format, little-endian: a header of 1024 bytes (date, width, height, number of records,
    count of each class, type of image, comment), then records: 0xFF, label, width and height
    unless the header gives them for all, length of the image in bytes, image. A binary image is
    a row after another of lengths of ground and ink in turn, ground first (0 where a row starts
    with ink), until the row is full. A grey image is taken to be its pixels row by row, so that
    its length is width times height: the publisher's own reader ignores the length and reads
    that many. No grey file is known.

    Args:
        data: The file.
        name: What errors call it.

    Raises:
        DataError: It is cut short, or contradicts itself: marks, labels, lengths of rows and
            images, what follows the last record. That the counts agree with the labels is not
            asked: they are left to the caller.

    Source: Khosravi and Kabir 2007, http://farsiocr.ir; the publisher's reader ``ReadCDB.m``.
    """
    if len(data) < _HEADER.size:
        raise DataError(
            f"{name} has {len(data)} bytes", allowed=f"a header of {_HEADER.size}, then images"
        )
    _, _, _, width, height, total, *counts, kind, comment = _HEADER.unpack_from(data)
    if kind not in (_BINARY, _GREY):
        raise DataError(f"{name} holds images of type {kind}", allowed="0 (binary) or 1 (grey)")
    # As the publisher's reader has it: both, or each record has its own.
    size = (width, height) if width and height else None
    least = 5 if size else 7
    if total * least > len(data) - _HEADER.size:
        raise DataError(
            f"{name} promises {total:,} images in {len(data):,} bytes",
            allowed=f"{least} bytes or more an image",
            hint="it is cut short or no CDB file",
        )
    images: list[NDArray[np.uint8]] = []
    labels = np.empty(total, np.int64)
    position, pixels, limit = _HEADER.size, 0, unpacked_limit(len(data))
    for index in range(total):
        where = f"{name}: image {index + 1} at byte {position}"
        labels[index], shape, start, position = _record(data, position, size, where)
        pixels += shape[0] * shape[1]
        if pixels > limit:
            raise bomb(name, limit)
        coded = np.frombuffer(data, np.uint8, position - start, start)
        images.append(_grey(coded, shape, where) if kind else _binary(coded, shape, where))
    if position != len(data):
        raise DataError(
            f"{name} goes on for {len(data) - position} bytes after image {total}, its last"
        )
    return CdbFile(
        images=images,
        labels=labels,
        comment=comment.split(b"\0")[0].decode("latin-1").strip(),
        counts=tuple(counts),
    )


def _record(
    data: bytes, position: int, size: tuple[int, int] | None, where: str
) -> tuple[int, tuple[int, int], int, int]:
    """Return a record's label, its (height, width), and where its image starts and ends."""
    if position + (5 if size else 7) > len(data):
        raise DataError(f"{where} is missing", hint="the file is cut short; get it again")
    if size:
        mark, label, length = struct.unpack_from("<BBH", data, position)
        (width, height), start = size, position + 4
    else:
        mark, label, width, height, length = struct.unpack_from("<BBBBH", data, position)
        start = position + 6
    if mark != _RECORD_MARK:
        raise DataError(f"{where} starts with {mark}", allowed=str(_RECORD_MARK))
    if label >= CLASSES:
        raise DataError(f"{where} has label {label}", allowed=f"0 to {CLASSES - 1}")
    if not width or not height:
        raise DataError(f"{where} is {width} wide and {height} high", allowed="1 to 255 each")
    if start + length > len(data):
        raise DataError(
            f"{where} is {length} bytes long, {len(data) - start} are left",
            hint="the file is cut short; get it again",
        )
    return label, (height, width), start, start + length


def _grey(coded: NDArray[np.uint8], shape: tuple[int, int], where: str) -> NDArray[np.uint8]:
    height, width = shape
    if len(coded) != height * width:
        raise DataError(
            f"{where} is {len(coded)} bytes long", allowed=f"{width} x {height} bytes, its pixels"
        )
    return coded.reshape(shape).copy()


def _binary(coded: NDArray[np.uint8], shape: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Decode a run-length coded image, all rows at once."""
    height, width = shape
    # Pixels done after each run. A row ends where they make whole rows, though not at a run of
    # 0: that one starts the next row with ink.
    done = coded.cumsum(dtype=np.int64)
    if not len(done) or done[-1] != height * width:
        raise DataError(
            f"{where} has {int(done[-1]) if len(done) else 0} pixels",
            allowed=f"{width} x {height}",
        )
    empty = coded == 0
    ends = done % width == 0
    ends &= ~empty
    first = np.empty(len(coded), bool)
    first[0] = True
    first[1:] = ends[:-1]
    if np.count_nonzero(ends) != height:
        raise DataError(f"{where} has a run beyond the end of its row", allowed=f"rows of {width}")
    if empty[-1] or (empty & ~first).any():
        raise DataError(f"{where} has a run of 0 within a row", allowed="0 at a row's start")
    places = np.arange(len(coded))
    row_starts = np.maximum.accumulate(places * first)
    is_ink = ((places - row_starts) & 1).astype(np.uint8)
    return np.repeat(is_ink * np.uint8(INK), coded).reshape(shape)
