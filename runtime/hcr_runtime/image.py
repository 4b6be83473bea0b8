"""From a file, bytes or array to a grey image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import MAX_PIXELS, cv2
from hcr_runtime.errors import ImageError

GrayImage: TypeAlias = NDArray[np.uint8]
ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | NDArray[np.uint8]"

_JPEG = b"\xff\xd8"
_ARRAYS = "uint8 of shape (H, W) or (H, W, 1) grey, (H, W, 3) BGR, (H, W, 4) BGRA"


def to_gray(image: ImageLike) -> GrayImage:
    """Return `image` as grey, uint8, shape (H, W).

    Args:
        image: A path, the bytes of an image file, or a uint8 array: grey (H, W) or (H, W, 1),
            BGR (H, W, 3) or BGRA (H, W, 4) in OpenCV's order. Transparent pixels become white.

    Raises:
        ImageError: It is no image, it is cut short, or it has no pixels.

    >>> to_gray(np.full((4, 6, 3), 255, np.uint8)).shape
    (4, 6)
    """
    pixels = read_pixels(image)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
    gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2GRAY), np.uint8)
    return _over_white(gray, pixels[:, :, 3])


def to_bgr(image: ImageLike) -> NDArray[np.uint8]:
    """Return `image` as BGR, uint8, shape (H, W, 3); arguments and errors as of `to_gray`.

    >>> to_bgr(np.full((4, 6), 7, np.uint8)).shape
    (4, 6, 3)
    """
    pixels = read_pixels(image)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    if pixels.shape[2] == 3:
        return pixels
    return _over_white(np.ascontiguousarray(pixels[:, :, :3]), pixels[:, :, 3:])


def read_pixels(image: ImageLike) -> NDArray[np.uint8]:
    """Return `image` as it is: uint8, contiguous, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA.

    Arguments and errors as of `to_gray`.
    """
    if isinstance(image, np.ndarray):
        return _check_array(image, "the array")
    if isinstance(image, bytes):
        return _decode(image, "the image")
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ImageError(f"cannot read {str(path)!r}: {error}") from error
        return _decode(data, str(path))
    raise ImageError(
        f"an image cannot be a {type(image).__name__}", allowed=f"a path, bytes, or {_ARRAYS}"
    )


def _decode(data: bytes, name: str) -> NDArray[np.uint8]:
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    try:
        # Unchanged keeps transparency, but only the colour mode turns a photograph upright (EXIF).
        mode = cv2.IMREAD_COLOR if data.startswith(_JPEG) else cv2.IMREAD_UNCHANGED
        array = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ImageError(f"{name} cannot be decoded ({error.err})") from error
    if array is None:
        raise ImageError(f"{name} is no image, or cut short", allowed="PNG, JPEG, BMP, TIFF, WebP")
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    return _check_array(array, name)


def _check_array(array: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ImageError(f"{name} is {array.dtype} of shape {tuple(array.shape)}", allowed=_ARRAYS)
    if not 0 < array.shape[0] * array.shape[1] <= MAX_PIXELS:
        raise ImageError(
            f"{name} has {array.shape[0]} x {array.shape[1]} pixels",
            allowed=f"1 to {MAX_PIXELS} pixels",
        )
    if channels == 1:
        return np.ascontiguousarray(array if array.ndim == 2 else array[:, :, 0])
    return np.ascontiguousarray(array)


def _over_white(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay pixels over white paper."""
    cover = alpha.astype(np.uint16)
    return ((pixels * cover + 255 * (255 - cover) + 127) // 255).astype(np.uint8)
