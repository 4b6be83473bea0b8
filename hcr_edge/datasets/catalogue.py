"""The published data sets that the project knows: what each is, on what terms, where it is had.

``catalogue.yaml`` beside this file says so for each by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from hcr_edge.errors import DataError
from hcr_runtime.errors import nearest

_FILE = Path(__file__).with_name("catalogue.yaml")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: Its name in the set's folder.
        urls: Where it is, the publisher's own place first.
        bytes: Its size.
        sha256: Its SHA-256 in hexadecimal, or nothing where only `md5` is known.
        md5: Its MD5 in hexadecimal, or nothing.
        also: SHA-256 of files of the same content that were compressed anew; as good where they
            are already there, never downloaded.
    """

    name: str
    urls: tuple[str, ...]
    bytes: int
    sha256: str = ""
    md5: str = ""
    also: tuple[str, ...] = ()

    @property
    def algorithm(self) -> str:
        """``sha256``, or ``md5`` where nothing better is known."""
        return "sha256" if self.sha256 else "md5"

    @property
    def digest(self) -> str:
        """The checksum by `algorithm`."""
        return self.sha256 or self.md5


@dataclass(frozen=True, slots=True)
class Manual:
    """How a set is had that no program can download.

    Attributes:
        steps: What to do, a sentence each; ``{data_dir}`` stands for the folder of data sets.
        accepts: Patterns of names; any one of them in the set's folder is enough.
    """

    steps: tuple[str, ...]
    accepts: tuple[str, ...]

    def steps_for(self, data_dir: Path) -> list[str]:
        """Return the steps with the folder's real name."""
        return [step.replace("{data_dir}", str(data_dir)) for step in self.steps]

    def placed(self, folder: Path) -> list[Path]:
        """Return what of it lies in the set's `folder` already."""
        found = {path for pattern in self.accepts for path in folder.glob(pattern)}
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Entry:
    """One data set.

    Attributes:
        name: As on the command line.
        title: In full.
        script: What is written in it.
        classes: How many.
        images: How many, as published; None where that varies.
        citation: Authors and year.
        source: The publisher's page.
        licence: What the publisher says.
        terms: What a user must know before using it.
        folder: Where its files lie, below the folder of data sets.
        files: What is downloaded; nothing where all is had by hand.
        manual: How it is had by hand, if it must or may be.
    """

    name: str
    title: str
    script: str
    classes: int
    images: int | None
    citation: str
    source: str
    licence: str
    terms: str
    folder: str
    files: tuple[RemoteFile, ...] = ()
    manual: Manual | None = None


@cache
def load_catalogue() -> Mapping[str, Entry]:
    """Return every known data set by its name; the file is read once.

    >>> load_catalogue()["ahcd"].classes
    28
    """
    data = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _entry(name, fields) for name, fields in data.items()})


def find_entry(name: str) -> Entry:
    """Return the data set of that name.

    Raises:
        DataError: There is none; the error names those that are spelt like it.
    """
    known = load_catalogue()
    if name not in known:
        raise DataError(f"the catalogue has no data set {name!r}", allowed=nearest(name, known))
    return known[name]


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    rest = {key: value for key, value in fields.items() if key not in {"files", "manual"}}
    manual = fields.get("manual")
    return Entry(
        name=name,
        files=tuple(RemoteFile(**_tuples(item)) for item in fields.get("files", ())),
        manual=Manual(**_tuples(manual)) if manual else None,
        **rest,
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
