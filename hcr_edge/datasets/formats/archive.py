"""`open_files`: the files of a data set in a folder, a zip or a tar, behind one interface.

An archive is checked as a whole before anything of it is given out: names that lead out of it,
links, devices, encryption, names that come twice, and promises to unpack to hundreds of times its
size are refused. What file managers leave behind (``__MACOSX/``, ``.DS_Store``) is passed over.
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

from hcr_edge.datasets.formats.files import Files, Folder
from hcr_edge.datasets.formats.streams import (
    Unpacked,
    buffered,
    damage,
    gunzipped,
    packing,
)
from hcr_edge.datasets.formats.tarred import Tar
from hcr_edge.datasets.formats.zipped import Zip
from hcr_edge.errors import DataError

__all__ = ["Files", "is_archive", "open_files", "open_plain"]

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_KINDS = "a folder, .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz"
_NAMES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


def open_files(path: Path, top: str | None = None) -> Files:
    """Open a folder, a zip or a tar; what it is is told by its content, not its name.

    Args:
        path: The folder or archive.
        top: Of a folder, look only at files and folders whose names this pattern finds
            (`re.search`): a folder shared by many sets is not read through for one of them.

    Raises:
        DataError: It is missing, damaged, something else, or holds what no data set needs.
    """
    if path.is_dir():
        return Folder(path, top)
    with damage(str(path)):
        if not path.is_file():
            raise DataError(f"there is no file or folder {path}", allowed=_KINDS)
        head = _head(path)
    if head.startswith(_ZIP):
        return Zip(path)
    kind = packing(head)
    if _starts_tar(path, head):
        return Tar(path, kind)
    start = f"it starts with {head[:8]!r}" if head else "it is empty"
    raise DataError(
        f"{path} is damaged or no archive ({kind + ' without a tar in it' if kind else start})",
        allowed=_KINDS,
    )


def is_archive(path: Path) -> bool:
    """Whether `path` is a zip or tar, or at least is called so; a gzipped table is none.

    >>> is_archive(Path("missing.zip"))
    False
    """
    if not path.is_file():
        return False
    if _NAMES.search(path.name):
        return True  # even if damaged: that is for `open_files` to say
    try:
        head = _head(path)
        return head.startswith(_ZIP) or _starts_tar(path, head)
    except (OSError, DataError):
        return False


def open_plain(path: Path) -> BinaryIO:
    """Open one file, unpacked if it starts as gzip does; read forward only, close after use.

    Raises:
        DataError: There is no such file; later, from the stream: it is damaged, or unpacks to
            more than 200 times its size (and 16 MiB).
    """
    with damage(str(path)):
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        return gunzipped(path.open("rb"), str(path), path.stat().st_size)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(tarfile.BLOCKSIZE)


def _starts_tar(path: Path, head: bytes) -> bool:
    if kind := packing(head):
        with buffered(Unpacked(path.open("rb"), str(path), sys.maxsize, kind)) as stream:
            head = stream.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "replace")
    except (tarfile.TarError, ValueError):
        return False
    return True
