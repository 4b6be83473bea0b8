"""`to_gray`: every form an image comes in, and everything that is none."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from hcr_runtime import HcrError, ImageError, Limits, to_bgr, to_gray
from hcr_runtime.image_header import read_header

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
        # Other types would be scaled by guesswork.
        (np.zeros((5, 6), np.int64), "int64 of shape (5, 6)"),
        (np.zeros((5, 6), np.complex64), "complex64 of shape (5, 6)"),
        (np.zeros((5, 6), "M8[s]"), "datetime64[s] of shape (5, 6)"),
        # Floats are 0 to 1: 0-255 in floats is a mistake that would become white everywhere.
        (np.full((5, 6), 255.0), "floats from 255 to 255"),
        (np.full((5, 6), -0.1), "floats from -0.1"),
        (np.full((5, 6), np.nan), "floats from nan"),
        (np.full((5, 6), np.inf), "floats from inf"),
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
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_array_of_another_form_is_named(array: Image, says: str) -> None:
    with pytest.raises(ImageError) as caught:
        to_gray(array)
    assert says in str(caught.value)
    assert caught.value.allowed


def test_screenshot_whose_fourth_byte_is_unused(beh: Image) -> None:
    """A BMP of 32 bits with masks and no alpha, as Windows stores what is on the screen."""
    height, width = beh.shape
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[:, :, :3] = beh[::-1, :, None]
    masks = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 32, 3, pixels.size, 0, 0, 0, 0)
    first = 14 + len(header) + len(masks)
    start = b"BM" + struct.pack("<IHHI", first + pixels.size, 0, 0, first)
    np.testing.assert_array_equal(to_gray(start + header + masks + pixels.tobytes()), beh)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a" + bytes(40), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x20ftypavif" + bytes(40), "AVIF"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
    ],
)
def test_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"is of the format {name}; allowed: PNG, JPEG"):
        to_gray(data)


@pytest.mark.parametrize("form", [None, 3, [[1, 2]], ("a.png",)], ids=repr)
def test_what_is_no_image_at_all_is_named(form: object) -> None:
    with pytest.raises(ImageError, match=f"cannot be of type {type(form).__name__}"):
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
        (png(0, 5, 8, 0, b""), "has 5 x 0 pixels"),
        # A few bytes that claim to be 3.6 thousand million pixels.
        (png(60_000, 60_000, 8, 0, b"\0"), "has 60000 x 60000 pixels"),
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


def test_other_numbers_mean_the_same_image(beh: Image) -> None:
    wide = beh.astype(np.uint16) * 257
    assert (to_gray(wide) == beh).all()
    assert (to_gray(wide.astype(">u2")) == beh).all()
    for kind in (np.float16, np.float32, np.float64):
        assert (to_gray((beh / 255).astype(kind)) == beh).all()
    binary = beh > 128
    assert (to_gray(binary) == binary * np.uint8(255)).all()
    # A float file is held to the same range as a float array.
    assert to_gray(encoded(".tiff", np.float32([[0.0, 0.5]]))).tolist() == [[0, 128]]
    with pytest.raises(ImageError, match="floats from 0 to 7"):
        to_gray(encoded(".tiff", np.float32([[0.0, 7.0]])))


def test_red_green_blue_by_name() -> None:
    rgb = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]]])
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    assert to_gray(rgb, color="rgb")[0].tolist() == [76, 150, 29, 8]
    np.testing.assert_array_equal(to_bgr(rgb, color="rgb"), bgr)
    alpha = np.dstack([rgb, np.full((1, 4), 200, np.uint8)])
    np.testing.assert_array_equal(
        to_gray(alpha, color="rgb"), to_gray(np.ascontiguousarray(alpha[:, :, [2, 1, 0, 3]]))
    )
    with pytest.raises(ImageError, match="color is 'hsv'; allowed: bgr, rgb"):
        to_gray(rgb, color="hsv")  # type: ignore[arg-type]


def test_colour_keeps_its_channels_over_white() -> None:
    half = np.uint8([[[200, 100, 0, 128], [1, 2, 3, 0], [4, 5, 6, 255]]])
    assert to_bgr(half)[0].tolist() == [[227, 177, 127], [255, 255, 255], [4, 5, 6]]
    assert to_bgr(np.uint8([[9]]))[0].tolist() == [[9, 9, 9]]


def test_buffers_and_open_files(tmp_path: Path, letter: Letter, beh: Image) -> None:
    data = letter("beh").read_bytes()
    with letter("beh").open("rb") as file:
        forms = [bytearray(data), memoryview(data), io.BytesIO(data), file]
        for form in forms:
            np.testing.assert_array_equal(to_gray(form), beh)
    with pytest.raises(ImageError, match="the file cannot be read"):
        to_gray(file)  # closed
    with pytest.raises(ImageError, match="gives str, not bytes; open it with mode 'rb'"):
        to_gray(io.StringIO("text"))


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.T, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 100}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
    ids=["JPEG", "PNG", "WebP", "TIFF", "TIFF LZW"],
)
def test_photographs_are_turned_upright(
    form: str, options: dict[str, object], orientation: int
) -> None:
    # A gradient in both directions: no turn of it is another.
    stored = np.add.outer(np.arange(24) * 6, np.arange(40) * 2).astype(np.uint8)
    exif = PIL.Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    PIL.Image.fromarray(stored).save(file, form, exif=exif, **options)
    got = to_gray(file.getvalue())
    expected = TURNS[orientation](stored)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= 2
    # Pillow's own picture of the file, which is turned as the file says.
    np.testing.assert_array_equal(to_gray(PIL.Image.open(file)), got)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I;16"])
def test_pillow_images_of_every_mode(beh: Image, mode: str) -> None:
    gray = PIL.Image.fromarray(beh)
    if mode == "I;16":
        image = PIL.Image.fromarray(beh.astype(np.uint16) * 257)
    else:
        image = gray.convert(mode)
    assert image.mode == mode
    got = to_gray(image)
    if mode == "1":
        assert set(np.unique(got)) == {0, 255}
    else:
        assert np.abs(got.astype(int) - beh).max() <= 2


def test_pillow_image_cut_short(letter: Letter) -> None:
    data = letter("beh").read_bytes()
    image = PIL.Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(ImageError, match="the Pillow image cannot be decoded"):
        to_gray(image)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp", ".ppm", ".pgm"])
@pytest.mark.parametrize("shape", [(7, 5), (300, 1), (1, 4000)])
def test_headers_tell_the_size_before_decoding(suffix: str, shape: tuple[int, int]) -> None:
    color = np.zeros((*shape, 3) if suffix != ".pgm" else shape, np.uint8)
    header = read_header(encoded(suffix, color))
    assert header is not None
    assert (header.height, header.width) == shape


def test_limits_are_settable_and_named(beh: Image) -> None:
    data = encoded(".png", beh)
    pixels = beh.size
    assert to_gray(data, limits=Limits(max_pixels=pixels)).shape == beh.shape
    # An array is in memory already.
    assert to_gray(beh, limits=Limits(max_pixels=pixels - 1)).shape == beh.shape
    for form in (data, PIL.Image.fromarray(beh)):
        with pytest.raises(ImageError, match=r"raise Limits\.max_pixels"):
            to_gray(form, limits=Limits(max_pixels=pixels - 1))
    for form in (data, io.BytesIO(data)):
        with pytest.raises(ImageError, match=r"raise Limits\.max_bytes"):
            to_gray(form, limits=Limits(max_bytes=len(data) - 1))
    progressive = encoded(".jpg", beh, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert to_gray(progressive).shape == beh.shape
    with pytest.raises(ImageError, match=r"takes \d passes .*raise Limits\.max_passes"):
        to_gray(progressive, limits=Limits(max_passes=2))
    with pytest.raises(HcrError, match=r"Limits\.max_bytes is 0; allowed: a whole"):
        Limits(max_bytes=0)


def test_a_pipe_gives_less_than_it_is_asked_for(beh: Image) -> None:
    data = encoded(".png", beh)

    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 100))

    assert np.array_equal(to_gray(Pipe(data)), beh)


def test_orientation_that_is_a_text(beh: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives what a hostile file holds."""
    picture = PIL.Image.fromarray(beh)
    monkeypatch.setattr(picture, "getexif", lambda: {0x0112: "upside down"}, raising=False)
    assert np.array_equal(to_gray(picture), beh)


def test_pillow_integers_of_8_bits(beh: Image) -> None:
    assert np.array_equal(to_gray(PIL.Image.fromarray(beh).convert("I")), beh)


def test_bytes_that_are_gone() -> None:
    view = memoryview(b"image")
    view.release()
    with pytest.raises(ImageError, match="released"):
        to_gray(view)


def test_an_endless_file_is_left_early(tmp_path: Path) -> None:
    """What never ends is read up to the limit."""
    with pytest.raises(ImageError, match="has more than 5000 bytes"):
        to_gray("/dev/zero", limits=Limits(max_bytes=5000))


def test_bomb_costs_no_memory() -> None:
    # 40 KB that unpack to 40 MB, under a header that admits it.
    bomb = png(8000, 8001, 8, 0, bytes(40_000_000))
    tracemalloc.start()
    with pytest.raises(ImageError, match="has 8001 x 8000 pixels"):
        to_gray(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
