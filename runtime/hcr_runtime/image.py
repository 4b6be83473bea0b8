"""From a file, bytes or array to pixels: the one place where images come in."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_choice, check_type, received
from hcr_runtime.errors import ImageError
from hcr_runtime.image_header import FORMATS, ORIENTATION, foreign_format, read_header
from hcr_runtime.limits import DEFAULT_LIMITS, Limits

GrayImage: TypeAlias = NDArray[np.uint8]
Pixels: TypeAlias = NDArray[np.uint8]
# Any: a Pillow image, whose package the runtime does not import.
ImageLike: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any] | Any"
)
ColorOrder: TypeAlias = Literal["bgr", "rgb"]
_ORDERS: tuple[ColorOrder, ...] = get_args(ColorOrder)

# A file is read in parts of so many bytes.
_PART = 1 << 20
_SHAPES = "(H, W) or (H, W, 1) grey, (H, W, 3) colour, (H, W, 4) colour with alpha"
_TYPES = "uint8, uint16, bool, or float from 0 to 1"
_FORMS = "a path, bytes, an open binary file, a NumPy array, or a Pillow image"


def to_gray(
    image: ImageLike, color: ColorOrder = "bgr", limits: Limits = DEFAULT_LIMITS
) -> GrayImage:
    """Return `image` as grey, uint8, shape (H, W).

    Args:
        image: A path, the bytes of an image file (PNG, JPEG, WebP, TIFF, BMP, PGM, PPM, PBM; turned
            upright as its Exif says), a file open for reading bytes, a Pillow image, or an array:
            grey (H, W) or (H, W, 1), colour (H, W, 3), colour with alpha (H, W, 4); uint8,
            uint16 (0 to 65535), bool (True is white) or float (0 to 1). Transparent pixels
            become white.
        color: Order of an array's channels: ``bgr`` (OpenCV's) or ``rgb``. Files and Pillow
            images know their own.
        limits: What is refused as too large.

    Raises:
        ImageError: It is no image, cut short, without pixels, or beyond a limit; or `color` is
            another.
        HcrError: `limits` are none.

    >>> to_gray(np.full((4, 6, 3), 255, np.uint8)).shape
    (4, 6)
    >>> int(to_gray(np.full((4, 6), 0.5))[0, 0])
    128
    """
    pixels = read_pixels(image, color, limits)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)
    gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2GRAY), np.uint8)
    return _over_white(gray, pixels[:, :, 3])


def to_bgr(image: ImageLike, color: ColorOrder = "bgr", limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Return `image` as BGR, uint8, shape (H, W, 3).

    Args:
        image: As of `to_gray`.
        color: Order of an array's channels.
        limits: What is refused as too large.

    Raises:
        ImageError: As of `to_gray`.

    >>> to_bgr(np.full((4, 6), 7, np.uint8)).shape
    (4, 6, 3)
    """
    pixels = read_pixels(image, color, limits)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    if pixels.shape[2] == 3:
        return pixels
    return _over_white(np.ascontiguousarray(pixels[:, :, :3]), pixels[:, :, 3:])


def read_pixels(
    image: ImageLike, color: ColorOrder = "bgr", limits: Limits = DEFAULT_LIMITS
) -> Pixels:
    """Return `image` as it is: uint8, contiguous, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA.

    Arguments and errors as of `to_gray`.
    """
    check_choice("color", color, _ORDERS, ImageError)
    check_type("limits", limits, Limits)
    if isinstance(image, np.ndarray):
        return _from_array(image, "the array", color)
    if isinstance(image, bytes | bytearray | memoryview):
        try:
            return _decode(bytes(image), "the image", limits)
        except ValueError as error:  # a memoryview that was released
            raise ImageError(f"the bytes cannot be read ({error})") from error
    if isinstance(image, str | os.PathLike):
        path = Path(os.fsdecode(image))
        try:
            with path.open("rb") as file:
                data = _read_all(file, limits)
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise ImageError(f"cannot read {str(path)!r}: {error}") from error
        return _decode(data, str(path), limits)
    if hasattr(image, "read"):
        return _decode(_read_foreign(image, limits), "the file", limits)
    pillow = sys.modules.get("PIL.Image")  # a Pillow image exists only where it was imported
    if pillow is not None and isinstance(image, pillow.Image):
        return _from_pillow(image, limits)
    raise ImageError(f"an image cannot be of type {type(image).__name__}", allowed=_FORMS)


def _read_all(file: BinaryIO, limits: Limits) -> bytes:
    """Read a file to its end, or a byte beyond the limit."""
    parts, left = [], limits.max_bytes + 1
    while left > 0:
        # A pipe or a raw file may give less than it was asked for; a limit may be beyond memory.
        part = file.read(min(left, _PART))
        if not isinstance(part, bytes):
            raise ImageError(
                f"the file gives {type(part).__name__}, not bytes", hint="open it with mode 'rb'"
            )
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _read_foreign(file: BinaryIO, limits: Limits) -> bytes:
    try:
        return _read_all(file, limits)
    except ImageError:
        raise
    except Exception as error:  # whatever a foreign object raises
        raise ImageError(f"the file cannot be read ({type(error).__name__}: {error})") from error


def _decode(data: bytes, name: str, limits: Limits) -> Pixels:
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        raise ImageError(
            f"{name} has more than {limits.max_bytes} bytes",
            allowed=f"{limits.max_bytes} bytes",
            hint="raise Limits.max_bytes",
        )
    header = read_header(data)
    if header is None:
        found = foreign_format(data)
        problem = f"of the format {found}" if found else "no image, or cut short"
        raise ImageError(f"{name} is {problem}", allowed=FORMATS)
    check_size(header.width, header.height, name, limits)
    if header.passes > limits.max_passes:
        raise ImageError(
            f"{name} takes {header.passes} passes to decode",
            allowed=f"{limits.max_passes} passes",
            hint="raise Limits.max_passes",
        )
    try:
        # Unchanged keeps transparency and 16 bits.
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"{name} cannot be decoded ({error.err})") from error
    if array is None:
        raise ImageError(f"{name} is no image, or cut short", allowed=FORMATS)
    if data[:2] == b"BM" and array.shape[2:] == (4,) and not array[:, :, 3].any():
        array = array[:, :, :3]  # a screenshot's fourth byte, which is not used
    return upright(_from_array(array, name, "bgr"), header.orientation)


def check_size(width: int, height: int, name: str, limits: Limits) -> None:
    """Raise `ImageError` unless an image of this size is within the limits.

    >>> check_size(2000, 1000, "the crop", Limits(max_pixels=1_000_000))
    Traceback (most recent call last):
    hcr_runtime.errors.ImageError: the crop has 1000 x 2000 pixels; allowed: ...
    """
    if not 0 < width * height <= limits.max_pixels:
        raise ImageError(
            f"{name} has {height} x {width} pixels",
            allowed=f"1 to {received(limits.max_pixels)} pixels",
            hint="raise Limits.max_pixels" if width and height else "",
        )


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn an image as Exif says (Exif 2.32, 4.6.4 A): 1 is upright, 6 a phone held upright.

    >>> upright(np.array([[1, 2]], np.uint8), 6).tolist()
    [[1], [2]]
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _from_array(array: NDArray[Any], name: str, color: ColorOrder) -> Pixels:
    # NumPy loads its masked arrays where they are first named, which takes longer than to classify.
    if "numpy.ma" in sys.modules and isinstance(array, np.ma.MaskedArray):
        raise ImageError(
            f"{name} is masked", allowed="arrays without a mask", hint="fill it: array.filled(255)"
        )
    try:
        return _to_pixels(array, name, color)
    except MemoryError as error:  # a view may claim more than there is
        raise ImageError(
            f"{name} of shape {array.shape} is too large", allowed="what fits into memory"
        ) from error


def _to_pixels(array: NDArray[Any], name: str, color: ColorOrder) -> Pixels:
    if array.ndim == 2 and array.dtype == np.uint8 and array.size:  # as nearly always
        return np.ascontiguousarray(array)
    channels = array.shape[2] if array.ndim == 3 else 1
    kind, size = array.dtype.kind, array.dtype.itemsize
    known = kind in "bf" or (kind == "u" and size <= 2)
    if not known or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ImageError(
            f"{name} is {array.dtype} of shape {tuple(array.shape)}",
            allowed=f"{_TYPES}, of shape {_SHAPES}",
        )
    if not array.size:
        raise ImageError(
            f"{name} has {array.shape[0]} x {array.shape[1]} pixels", allowed="1 or more"
        )
    if array.dtype != np.uint8:
        array = _to_bytes(array, name)
    if channels == 1:
        return np.ascontiguousarray(array if array.ndim == 2 else array[:, :, 0])
    if color == "rgb":
        array = array[:, :, [2, 1, 0, 3][:channels]]
    return np.ascontiguousarray(array)


def _to_bytes(array: NDArray[Any], name: str) -> Pixels:
    """Bring other types to 0-255."""
    if array.dtype.kind == "u":
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    low, high = float(array.min()), float(array.max())
    if not 0.0 <= low <= high <= 1.0:  # also refuses NaN
        raise ImageError(f"{name} holds floats from {low:g} to {high:g}", allowed="0 to 1")
    return (array.astype(np.float32) * 255 + 0.5).astype(np.uint8)


def _from_pillow(image: Any, limits: Limits) -> Pixels:
    check_size(image.width, image.height, "the image", limits)
    try:
        image.load()  # Pillow turns some formats itself, now, and then says so
        found = image.getexif().get(ORIENTATION, 1)
        orientation = found if isinstance(found, int) else 1  # a hostile file may hold a text
        mode = str(image.mode)
        if mode.startswith("I"):  # what 16-bit files are opened as
            array = np.asarray(image).astype(np.int64)
            if array.size and not 0 <= array.min() <= array.max() <= 0xFFFF:
                raise ImageError(f"the image of mode {mode} is no 16-bit image")
            # Pillow's own conversions to this mode keep 0-255.
            wide = mode != "I" or array.max(initial=0) > 0xFF
            array = array.astype(np.uint16 if wide else np.uint8)
        elif mode in ("1", "L", "F"):
            array = np.asarray(image)
        else:
            transparent = mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
            array = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    except ImageError:
        raise
    except Exception as error:  # Pillow decodes late, and raises much
        raise ImageError(
            f"the Pillow image cannot be decoded ({type(error).__name__}: {error})"
        ) from error
    return upright(_from_array(array, "the image", "rgb"), orientation)


def _over_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Lay pixels over white paper."""
    cover = alpha.astype(np.uint16)
    return ((pixels * cover + 255 * (255 - cover) + 127) // 255).astype(np.uint8)
