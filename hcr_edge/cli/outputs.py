"""Files that commands write: never over another unless told to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hcr_edge.errors import DataError
from hcr_edge.whole_file import write_whole

# Pillow's options for each suffix of a picture.
PICTURES: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 90},
    ".jpeg": {"format": "JPEG", "quality": 90},
    ".webp": {"format": "WEBP", "quality": 90},
    ".tif": {"format": "TIFF", "compression": "tiff_lzw"},
    ".tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    ".bmp": {"format": "BMP"},
}


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


def check_picture(path: Path, overwrite: bool) -> None:
    """Refuse a place for a picture before work is done for it.

    Raises:
        DataError: Its suffix is no picture's, or as of `check_new`.
    """
    if path.suffix.lower() not in PICTURES:
        raise DataError(f"{path} is no name of a picture", allowed=", ".join(PICTURES))
    check_new(path, overwrite)


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (BGR, uint8, (H, W, 3)) as what the path's suffix says.

    Raises:
        OSError: It cannot be written.
    """
    data = io.BytesIO()
    Image.fromarray(picture[:, :, ::-1]).save(data, **PICTURES[path.suffix.lower()])
    write_whole(path, data.getvalue())
