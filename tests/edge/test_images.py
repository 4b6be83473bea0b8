"""Images in one flat file, and the trees that fill it."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcr_edge.datasets.content import known_labels, natural, whole_numbers
from hcr_edge.datasets.formats.archive import open_files
from hcr_edge.datasets.images import Images, PixelFile, map_images
from hcr_edge.datasets.tree import by_base_name, folder_text, is_image, read_tree
from hcr_edge.errors import DataError
from tests.edge.published_files import png, put, zipped

SHAPES = [(3, 4), (1, 1), (5, 2), (28, 28), (1, 255)]


def _made(folder: Path | None, shapes: list[tuple[int, int]]) -> tuple[Images, list[np.ndarray]]:
    rng = np.random.default_rng(len(shapes))
    arrays = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    pixels = PixelFile(folder)
    for array in arrays:
        pixels.append(array)
    return pixels.finish(), arrays


@pytest.mark.parametrize("kept", [False, True])
def test_what_goes_in_comes_out(kept: bool, tmp_path: Path) -> None:
    images, arrays = _made(tmp_path if kept else None, SHAPES)
    assert len(images) == 5
    for one, other in zip(images, arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(images[-1], arrays[-1])
    assert [image.shape for image in images[1:4]] == SHAPES[1:4]
    assert images[np.int64(3)].shape == (28, 28)  # type: ignore[call-overload]
    assert images.side is None
    for index in (5, -6):
        with pytest.raises(IndexError):
            images[index]
    # A plain view: not a memmap, which costs at every slice, and not to be written to.
    assert type(images[0]) is np.ndarray
    assert not images[0].flags.writeable
    assert sorted(path.name for path in tmp_path.iterdir()) == (["pixels.u8"] if kept else [])


def test_blocks_and_single_images_mix() -> None:
    block = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    pixels = PixelFile(None)
    pixels.extend(block)
    pixels.extend(block.transpose(0, 2, 1))  # as it lies, not as it is stored
    pixels.extend(block[:0])
    pixels.append(block[1].T[::-1])
    images = pixels.finish()
    assert [image.shape for image in images] == [(3, 4), (3, 4), (4, 3), (4, 3), (4, 3)]
    np.testing.assert_array_equal(images[3], block[1].T)
    np.testing.assert_array_equal(images[4], block[1].T[::-1])


def test_images_of_one_size_say_so() -> None:
    assert _made(None, [(3, 4)] * 3)[0].side == (3, 4)
    assert _made(None, [(3, 4), (4, 3)])[0].side is None
    assert _made(None, [])[0].side is None
    assert list(_made(None, [])[0]) == []


@given(st.lists(st.integers(-5, 4), max_size=12))
def test_taking_images_copies_none(positions: list[int]) -> None:
    images, arrays = _made(None, SHAPES)
    taken = images.take(positions)
    assert taken.pixels is images.pixels
    assert len(taken) == len(positions)
    for image, position in zip(taken, positions, strict=True):
        np.testing.assert_array_equal(image, arrays[position])
    again = taken.take(np.arange(len(taken))[::-1])
    for image, position in zip(again, positions[::-1], strict=True):
        np.testing.assert_array_equal(image, arrays[position])


@pytest.mark.parametrize(
    ("shapes", "starts", "size", "maps"),
    [
        ([[2, 3]], [0], 6, True),
        ([[2, 3]], [0], 5, False),
        ([[2, 3]], [1], 6, False),
        ([[2, 3]], [-1], 6, False),
        ([[2, -3]], [0], 6, False),
        ([[2, 3]], [0, 0], 6, False),
        ([[2, 3, 1]], [0], 6, False),
        ([[2**16, 2**16]], [0], 6, False),  # 2^32 does not wrap round to 0
        (np.empty((0, 2)), [], 0, True),
        ([[1, 1], [1, 1]], [3, 0], 4, True),  # in another order than they lie
    ],
)
def test_mapping_checks_first(
    shapes: list, starts: list, size: int, maps: bool, tmp_path: Path
) -> None:
    path = tmp_path / "pixels.u8"
    path.write_bytes(bytes(range(size)))
    images = map_images(path, np.array(shapes, np.int32), np.array(starts, np.int64))
    assert (images is not None) == maps
    if images is not None and len(images) == 2:
        assert [int(image[0, 0]) for image in images] == [3, 0]


def test_a_full_disk_is_the_projects_own_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object = b"", /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            self.write()

    pixels = PixelFile(tmp_path)
    pixels.discard()
    monkeypatch.setattr(pixels, "_file", Full())
    image = np.zeros((2, 2), np.uint8)
    for call in (lambda: pixels.append(image), lambda: pixels.extend(image[None]), pixels.finish):
        with pytest.raises(DataError, match=r"cannot be written .No space left"):
            call()
    with pytest.raises(DataError, match="cannot be written"):
        PixelFile(tmp_path / "gone")


# ---- trees of files


@pytest.mark.parametrize("place", ["folder", "zip"])
def test_a_tree_is_read_in_the_order_asked_for(place: str, tmp_path: Path) -> None:
    """An archive gives its files out in its own order."""
    values = {f"{name}/{i}.png": 10 * i + n for n, name in enumerate("ba") for i in range(4)}
    files = {name: png(np.full((2 + v % 3, 3), v, np.uint8)) for name, v in values.items()}
    files["b/2.png"] = b"no image"
    files["a/0.png"] = b""
    if place == "zip":
        (tmp_path / "x.zip").write_bytes(zipped(files))
        opened = open_files(tmp_path / "x.zip")
    else:
        opened = open_files(put(tmp_path / "x", files))
    wanted = ["a/3.png", "b/2.png", "b/0.png", "a/0.png", "a/1.png"]
    with opened:
        content = read_tree(opened, wanted, lambda name: "ab".index(name[0]), PixelFile(None))
    assert content.names == ("a/3.png", "b/0.png", "a/1.png")
    assert content.labels.tolist() == [0, 1, 0]
    assert [int(image[0, 0]) for image in content.images] == [31, 0, 11]
    assert {(p.check, p.where, p.severity) for p in content.problems} == {
        ("undecodable", "b/2.png", "error"),
        ("undecodable", "a/0.png", "error"),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("a.png", "a/b.JPG", "a.tiff", "a.webp", "a.pgm", "a.b.bmp")),
        *((name, False) for name in ("a.txt", "png", ".png", "a.png/b", "a.png.gz", "a.png.")),
    ],
)
def test_image_names(name: str, expected: bool) -> None:
    assert is_image(name) == expected


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["x/a.csv", "b.csv"], ["a.csv", "b.csv"], {"a.csv": "x/a.csv", "b.csv": "b.csv"}),
        (["x/A.CSV"], ["a.csv"], {"a.csv": "x/A.CSV"}),
        (["copy/of/a.csv", "x/a.csv", "a.csv"], ["a.csv"], {"a.csv": "a.csv"}),  # the topmost
        (["xa.csv", "a.csv.bak", "a.csv/b"], ["a.csv"], {}),
        ([], ["a.csv"], {}),
    ],
)
def test_files_by_their_last_name(
    names: list[str], wanted: list[str], found: dict[str, str]
) -> None:
    assert by_base_name(names, wanted) == found
    assert by_base_name(reversed(names), wanted) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ж", "Ж"),
        ("╨û", "Ж"),  # UTF-8, read in the American code page
        ("И\u0306", "Й"),
        ("A", "A"),
        ("é", "é"),  # a French folder stays what it is
        ("┘", "┘"),
        ("", ""),
    ],
)
def test_names_as_their_authors_wrote_them(name: str, text: str) -> None:
    assert folder_text(name) == text


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10.png", "9.png", "1.png"], ["1.png", "9.png", "10.png"]),
        (["a/10", "a/9", "B/1"], ["B/1", "a/9", "a/10"]),
        (["1", "01", "a"], ["a", "1", "01"]),
        (["٢", "١", "10"], ["١", "٢", "10"]),  # digits are numbers in every script
        (["x²", "x1"], ["x1", "x²"]),
        (["9" * 5000, "1"], ["1", "9" * 5000]),
    ],
)
def test_natural_order(names: list[str], ordered: list[str]) -> None:
    assert natural(names) == ordered


@given(st.lists(st.text(st.sampled_from("a1٣²/.9"), max_size=5)))
def test_natural_order_of_anything(names: list[str]) -> None:
    assert sorted(natural(names)) == sorted(names)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_labels_out_of_range(dtype: type) -> None:
    """Each is named by its row, whatever its type could not hold."""
    values = np.array([1, 28, 0, 29, 5], dtype)
    labels, good, problems = known_labels(values, 1, 28, "labels.csv")
    assert labels.tolist() == [0, 27, 4]
    assert labels.dtype == np.int64
    assert good.tolist() == [True, True, False, False, True]
    assert [problem.where for problem in problems] == ["labels.csv, row 3", "labels.csv, row 4"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[1.0], [2.0]]), [1, 2]),
        (np.array([3], np.uint8), [3]),
        (np.array([]), []),
        (np.array([1.5]), None),
        (np.array([np.nan]), None),
        (np.array(["1"]), None),
        ("12", None),
        (None, None),
        ([1, 2], None),
        (np.array([True]), None),
    ],
)
def test_whole_numbers(values: object, expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(DataError, match=r"^labels holds"):
            whole_numbers(values, "labels")
    else:
        assert whole_numbers(values, "labels").tolist() == expected


def test_every_decodable_form_is_grey(tmp_path: Path) -> None:
    """16 bits, palettes and transparency included."""
    grey = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
    colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    files = {
        "8.png": png(grey),
        "16.png": png(grey.astype(np.uint16) * 257),
        "rgb.bmp": png(colour, ".bmp"),
        "rgba.png": png(np.dstack([colour, np.full((4, 6), 255, np.uint8)])),
        "clear.png": png(np.dstack([colour, np.zeros((4, 6), np.uint8)])),
    }
    with open_files(put(tmp_path, files)) as opened:
        content = read_tree(opened, list(files), lambda name: 0, PixelFile(None))
    assert content.problems == ()
    for name, image in zip(content.names, content.images, strict=True):
        expected = np.full_like(grey, 255) if name == "clear.png" else grey
        np.testing.assert_allclose(image.astype(int), expected.astype(int), atol=1, err_msg=name)
