"""`to_gray`: every form an image comes in, and everything that is none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import ImageError
from hcr_runtime.image import MAX_PIXELS, to_gray

Image = NDArray[np.uint8]
Letter = Callable[..., Path]


@pytest.fixture
def beh(letter: Letter) -> Image:
    return np.asarray(cv2.imread(str(letter("beh")), cv2.IMREAD_GRAYSCALE), np.uint8)


def encoded(suffix: str, image: NDArray[np.generic], *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return bytes(data)


def png(width: int, height: int, depth: int, colour: int, row: bytes, **chunks: bytes) -> bytes:
    """Build a PNG of one row by hand, for the forms that OpenCV does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + pixels + chunk(b"IEND", b"")


def test_path_text_bytes_and_array_are_the_same_image(letter: Letter, beh: Image) -> None:
    path = letter("beh")
    for form in (path, str(path), path.read_bytes(), beh, beh[:, :, None]):
        np.testing.assert_array_equal(to_gray(form), beh)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", ()),
        (".bmp", ()),
        (".tiff", ()),
        (".pgm", ()),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),  # above 100: lossless
    ],
)
def test_lossless_formats_keep_every_pixel(
    beh: Image, suffix: str, options: tuple[int, ...]
) -> None:
    np.testing.assert_array_equal(to_gray(encoded(suffix, beh, *options)), beh)


def test_jpeg_is_read(beh: Image) -> None:
    gray = to_gray(encoded(".jpg", beh, cv2.IMWRITE_JPEG_QUALITY, 95))
    assert np.abs(gray.astype(int) - beh).mean() < 2


def test_16_bit_scan_keeps_its_upper_byte(beh: Image) -> None:
    fine = beh.astype(np.uint16) * 256 + (255 - beh)
    np.testing.assert_array_equal(to_gray(encoded(".png", fine)), beh)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # Black and white of one bit, as fax machines and form scanners write.
        (png(8, 1, 1, 0, b"\xaa"), [255, 0] * 4),
        (png(2, 1, 4, 0, b"\x0f"), [0, 255]),
        # A palette; and one whose first colour is transparent black, which becomes paper.
        (png(2, 1, 8, 3, b"\0\1", PLTE=b"\xff\xff\xff\0\0\0"), [255, 0]),
        (png(2, 1, 8, 3, b"\0\1", PLTE=bytes(6), tRNS=b"\0\xff"), [255, 0]),
        # Grey with alpha, 8 and 16 bits.
        (png(3, 1, 8, 4, b"\0\xff\0\x80\0\0"), [0, 127, 255]),
        (png(2, 1, 16, 4, b"\0\0\xff\xff\0\0\0\0"), [0, 255]),
    ],
    ids=["1 bit", "4 bit", "palette", "palette with alpha", "grey alpha", "grey alpha 16"],
)
def test_rare_kinds_of_png(data: bytes, expected: list[int]) -> None:
    assert to_gray(data)[0].tolist() == expected


def test_colours_are_blue_green_red() -> None:
    # Luma weights: 0.114, 0.587, 0.299. In the other order blue would be 76.
    colours = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]])
    assert to_gray(colours)[0].tolist() == [29, 150, 76, 90]


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ((0, 0, 0, 255), 0),  # opaque ink
        ((0, 0, 0, 0), 255),  # what drawing programs put around a letter: transparent black
        ((255, 255, 255, 0), 255),
        ((0, 0, 0, 128), 127),  # the soft rim of a stroke
        ((200, 200, 200, 64), round((200 * 64 + 255 * 191) / 255)),
    ],
)
def test_transparent_pixels_become_white(pixel: tuple[int, ...], expected: int) -> None:
    assert to_gray(np.uint8([[pixel]])).tolist() == [[expected]]


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image[::-1, ::-1],  # negative strides
        lambda image: image[::2, 1::3],
        lambda image: image.T,
        lambda image: np.stack([image] * 5, axis=2)[:, :, 1:4],  # a slice of channels
    ],
    ids=["flipped", "strided", "transposed", "channels"],
)
def test_views_are_read_and_not_written(beh: Image, view: Callable[[Image], Image]) -> None:
    given = view(beh)
    before = given.copy()
    gray = to_gray(given)
    assert gray.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(gray, before if before.ndim == 2 else before[:, :, 0])
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        # Other types would be scaled by guesswork: 0-1, or 0-255?
        (np.zeros((5, 6), np.float32), "float32 of shape (5, 6)"),
        (np.zeros((5, 6), bool), "bool of shape (5, 6)"),
        (np.zeros((5, 6), np.int64), "int64 of shape (5, 6)"),
        (np.zeros((5, 6), object), "object of shape (5, 6)"),
        # Numbers of channels and of axes.
        (np.zeros((5, 6, 2), np.uint8), "uint8 of shape (5, 6, 2)"),
        (np.zeros((5, 6, 0), np.uint8), "uint8 of shape (5, 6, 0)"),
        (np.zeros((1, 5, 6, 3), np.uint8), "uint8 of shape (1, 5, 6, 3)"),
        (np.zeros(30, np.uint8), "uint8 of shape (30,)"),
        (np.zeros((), np.uint8), "uint8 of shape ()"),
        # No pixels at all: a crop outside its frame.
        (np.zeros((0, 6), np.uint8), "0 x 6 pixels"),
        (np.zeros((5, 0, 3), np.uint8), "5 x 0 pixels"),
        # One row beyond the limit; a view, so that the test costs no memory.
        (np.broadcast_to(np.uint8(0), (8001, MAX_PIXELS // 8000)), "8001 x 8000 pixels"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_array_of_another_form_is_named(array: Image, says: str) -> None:
    with pytest.raises(ImageError) as caught:
        to_gray(array)
    assert says in str(caught.value)
    assert caught.value.allowed


@pytest.mark.parametrize("form", [None, 3, [[1, 2]], bytearray(b"x"), ("a.png",)], ids=repr)
def test_what_is_no_image_at_all_is_named(form: object) -> None:
    with pytest.raises(ImageError, match=f"cannot be a {type(form).__name__}"):
        to_gray(form)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_image_file_cut_short(tmp_path: Path, beh: Image, suffix: str, share: float) -> None:
    whole = encoded(suffix, beh)
    path = tmp_path / f"letter{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=f"letter\\{suffix} is"):
        to_gray(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty (0 bytes)"),
        (b"this is a text file\n" * 20, "is no image"),
        (bytes(1000), "is no image"),
        (b"\x89PNG\r\n\x1a\n", "is no image, or cut short"),
        (png(0, 5, 8, 0, b""), "is no image"),
        # A few bytes that claim to be 3.6 thousand million pixels.
        (png(60_000, 60_000, 8, 0, b"\0"), "cannot be decoded"),
    ],
    ids=["empty", "text", "zeros", "header only", "no width", "bomb"],
)
def test_file_that_is_no_image(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "letter.png"
    path.write_bytes(data)
    for form in (path, data):
        with pytest.raises(ImageError) as caught:
            to_gray(form)
        assert says in str(caught.value)
        assert ("letter.png" if form is path else "the image") in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.png", "", "a\0b.png", "x" * 300])
def test_path_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"  # "" is the folder itself
    with pytest.raises(ImageError, match="cannot read"):
        to_gray(path)


def test_float_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="float32"):
        to_gray(encoded(".tiff", np.float32([[0.0, 0.5]])))
