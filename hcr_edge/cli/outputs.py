"""Files that commands write: never over another unless told to."""

from __future__ import annotations

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
