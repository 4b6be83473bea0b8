"""Files that commands write: whole or not at all, and never over another unless told to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hcr_edge.errors import DataError


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse a place before work is done for it.

    Raises:
        DataError: Something is there that must not be replaced, or there is no such folder.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", allowed="the name of a file")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists", hint="give --overwrite to replace it")
    if not path.absolute().parent.is_dir():
        raise DataError(f"there is no folder {path.parent}", hint="make it first")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, and put it there when it is whole.

    Raises:
        OSError: It cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes files that nobody else may read.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
