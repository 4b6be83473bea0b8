"""The zip as `Files`."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

from hcr_edge.datasets.formats.files import Exact, Files, checked_name, refused
from hcr_edge.datasets.formats.streams import Source, bomb, damage, unpacked_limit
from hcr_edge.errors import DataError

_LONGEST_END = 56 + 20 + 22 + 65535  # the end records with a comment


class Zip(Files):
    """Members of a zip, stored or deflated: other methods unpack without bound at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        with damage(str(path)):
            self.limit = unpacked_limit(path.stat().st_size)
            self._zip = zipfile.ZipFile(path)
        try:
            with damage(str(path)):
                self._check_end()
            for info in self._zip.infolist():
                self._take(info)
            if sum(self._sizes.values()) > self.limit:
                raise bomb(str(path), self.limit)
        except DataError:
            self.close()
            raise

    def _check_end(self) -> None:
        """Compare the list of members with what the end record says of it.

        zipfile does not: a spoiled length makes it take the following members for a comment.
        """
        with self.path.open("rb") as file:
            file.seek(-min(file.seek(0, io.SEEK_END), _LONGEST_END), io.SEEK_END)
            tail = file.read()
        at = tail.rindex(b"PK\x05\x06")
        count, offset = struct.unpack_from("<H4xI", tail, at + 10)
        found = len(self._zip.infolist())
        # Where the fields are too small, a record before has larger ones; some writers wrap round.
        large = tail.rfind(b"PK\x06\x06", 0, at)
        if large >= 0 and count == 0xFFFF:
            (count,) = struct.unpack_from("<Q", tail, large + 32)
        elif count == found % 0x10000:
            count = found
        if count != found:
            raise ValueError(f"it says that it has {count} members")
        if offset not in (0xFFFFFFFF, self._zip.start_dir % 2**32):
            raise ValueError("its list of members is not where it says")

    def _take(self, info: zipfile.ZipInfo) -> None:
        # `filename` is already cut at a zero byte and, on some systems, freed of backslashes.
        name = info.orig_filename
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refused(self.path, name, "a link or device")
        if info.flag_bits & 0x41:
            raise refused(self.path, name, "an encrypted member")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{self.path} is packed by method {info.compress_type} ({name!r})",
                allowed="stored or deflated",
                hint="pack it again",
            )
        if not info.file_size and info.CRC:
            raise DataError(  # zipfile checks the sum of what it reads
                f"{self.path} is damaged ({name!r} is empty, its sum is not)", hint="get it again"
            )
        if name.endswith("/"):
            checked_name(self.path, name)
        elif plain := self.admit(name, info.file_size):
            self._infos[plain] = info

    def _open(self, name: str) -> Source:
        with damage(f"{self.path}: {name!r}"):
            return Exact(self._zip.open(self._infos[name]), self._sizes[name])

    def close(self) -> None:
        """Close the zip; nothing can be read from it any more."""
        self._zip.close()
