"""What an image file says of itself, read before anything is decoded.

A few bytes can claim, or unpack to, more pixels than a device has memory. Only formats whose
claim is read here are decoded at all:

- PNG (W3C PNG 3rd edition, 11.2.1 IHDR, 11.3.3 eXIf)
- JPEG (ITU-T T.81, B.2.2 frame header; Exif 2.32, 4.5.4 APP1)
- WebP (RFC 9649; RFC 6386, 9.1)
- TIFF (TIFF 6.0, section 2)
- BMP (BITMAPCOREHEADER, BITMAPINFOHEADER)
- PGM, PPM, PBM (netpbm)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

FORMATS = "PNG, JPEG, WebP, TIFF, BMP, PGM, PPM, PBM"

ORIENTATION = 274  # The tag of TIFF and Exif.
_WIDTH, _HEIGHT = 256, 257
# Files have a handful of chunks before their pixels; a hostile one has millions.
_MOST_CHUNKS = 1000
_MOST_PNG_CHUNKS = 100_000  # its pixels come in chunks of 8 KiB and more
_FOREIGN = (
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"%PDF-", "PDF"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
)
# Between two numbers is a space: OpenCV takes what follows the first for one, a comment's # too.
_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\r\n]*[\r\n])+(\d{1,9})\s(?:\s|#[^\r\n]*[\r\n])*(\d{1,9})\s")


@dataclass(frozen=True, slots=True)
class Header:
    """The claims of an image file.

    Attributes:
        width: In pixels, as stored.
        height: In pixels, as stored.
        orientation: What must be done to see it upright (Exif 2.32, 4.6.4 A): 1 (nothing) to 8.
            1 for TIFF, which OpenCV turns itself.
        passes: Passes over the pixels that decoding takes: scans of a progressive JPEG, else 1.
    """

    width: int
    height: int
    orientation: int = 1
    passes: int = 1


def read_header(data: bytes) -> Header | None:
    """Read the header of an image file; None where it is of no known format, or cut short.

    >>> read_header(b"P5 6 4 255 " + bytes(24))
    Header(width=6, height=4, orientation=1, passes=1)
    """
    for magic, read in _READERS:
        if data.startswith(magic):
            try:
                return read(data)
            except (struct.error, IndexError):  # cut short
                return None
    return None


def foreign_format(data: bytes) -> str:
    """Name the format of an image file that is not read here; empty where it is none known.

    >>> foreign_format(b"GIF89a" + bytes(20)), foreign_format(b"some text")
    ('GIF', '')
    """
    if data[4:8] == b"ftyp":  # ISO/IEC 23008-12: what phones take photographs in
        return {b"avif": "AVIF", b"avis": "AVIF"}.get(data[8:12], "HEIC")
    return next((name for magic, name in _FOREIGN if data.startswith(magic)), "")


def _png(data: bytes) -> Header | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    orientation, place = 1, 8
    for _ in range(_MOST_PNG_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, place)
        # Every length is checked: OpenCV makes room for what a chunk claims to hold.
        if length > len(data) - place - 12:
            return None
        if kind == b"eXIf":
            orientation = _exif_orientation(data[place + 8 : place + 8 + length])
        if kind == b"IEND":
            return Header(width, height, orientation)
        place += 12 + length
    return None


def _jpeg(data: bytes) -> Header | None:
    size, orientation, place = None, 1, 2
    for _ in range(_MOST_CHUNKS):
        start, marker = struct.unpack_from(">BB", data, place)
        if start != 0xFF:
            return None
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker == 0xDA:  # the first scan: pixels begin
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack_from(">HH", data, place + 5)
        if marker == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0":
            orientation = _exif_orientation(data[place + 10 : place + 2 + length])
        place += 2 + length
    if size is None:
        return None
    # Between scans every 0xFF of the pixels is followed by a zero, so that this counts scans.
    return Header(size[1], size[0], orientation, max(1, data.count(b"\xff\xda", place)))


def _webp(data: bytes) -> Header | None:
    if data[8:12] != b"WEBP":
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    return Header(width, height, _webp_orientation(data) if kind == b"VP8X" else 1)


def _webp_orientation(data: bytes) -> int:
    place = 12
    for _ in range(_MOST_CHUNKS):
        if place + 8 > len(data):
            return 1
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"EXIF":
            return _exif_orientation(data[place + 8 : place + 8 + length].removeprefix(b"Exif\0\0"))
        place += 8 + length + length % 2
    return 1


def _tiff(data: bytes) -> Header | None:
    tags = _first_directory(data)
    if _WIDTH not in tags or _HEIGHT not in tags:
        return None
    return Header(tags[_WIDTH], tags[_HEIGHT])


def _bmp(data: bytes) -> Header | None:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return Header(abs(width), abs(height))


def _netpbm(data: bytes) -> Header | None:
    found = _NETPBM.match(data[:4096])
    return Header(int(found[1]), int(found[2])) if found else None


def _exif_orientation(block: bytes) -> int:
    """The orientation in an Exif block, which is a small TIFF file; 1 where it says nothing."""
    try:
        orientation = _first_directory(block).get(ORIENTATION, 1)
    except struct.error:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _first_directory(data: bytes) -> dict[int, int]:
    """The short and long numbers in the first directory of a TIFF file, by tag.

    Of a tag that is repeated the first counts, as for libtiff, which decodes the pixels.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return {}
    (place,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, place)
    tags: dict[int, int] = {}
    seen: set[int] = set()
    for entry in range(place + 2, place + 2 + 12 * min(count, _MOST_CHUNKS), 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if kind in (3, 4) and tag not in seen:  # SHORT, LONG
            (tags[tag],) = struct.unpack_from(order + "HI"[kind - 3], data, entry + 8)
        seen.add(tag)
    return tags


_READERS: tuple[tuple[bytes, Callable[[bytes], Header | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"RIFF", _webp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"BM", _bmp),
    *((f"P{number}".encode(), _netpbm) for number in range(1, 7)),
)
