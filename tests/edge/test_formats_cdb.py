from __future__ import annotations

import struct
import time
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from hcr_edge.datasets.formats.cdb import read_cdb
from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.errors import DataError

Labelled = list[tuple[int, np.ndarray]]


def coded(image: np.ndarray) -> bytes:
    """Lengths of ground and ink in turn, row by row; 0 first where a row starts with ink."""
    runs: list[int] = []
    for row in image:
        if row[0]:
            runs.append(0)
        runs.extend(len(list(group)) for _, group in groupby(row.tolist()))
    return bytes(runs)


def record(label: int, image: bytes, size: tuple[int, int] | None) -> bytes:
    head = bytes([255, label]) if size is None else bytes([255, label, *size])
    return head + struct.pack("<H", len(image)) + image


def cdb_of(records: list[bytes], counts: list[int], *, width=0, height=0, kind=0) -> bytes:
    """Write as published: date, size, number, counts, type, comment, then the records."""
    header = struct.pack("<HBBBBI", 2005, 8, 4, width, height, len(records))
    header += struct.pack("<128I", *counts, *[0] * (128 - len(counts)))
    header += struct.pack("<B256s245x", kind, b"by hand")
    assert len(header) == 1024
    return header + b"".join(records)


def binary(images: Labelled) -> bytes:
    return cdb_of(
        [record(label, coded(image), image.shape[::-1]) for label, image in images],
        np.bincount([label for label, _ in images], minlength=128).tolist(),
    )


IMAGE = np.array([[0, 0, 255], [255, 0, 255], [255, 255, 255], [0, 0, 0]], np.uint8)
ONE = binary([(3, IMAGE)])
_shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
_images = numbers.arrays(np.uint8, _shapes, elements=st.sampled_from([0, 255]))


@given(st.lists(st.tuples(st.integers(0, 127), _images), max_size=5))
def test_round_trip(images: Labelled) -> None:
    read = read_cdb(binary(images), "x")
    assert read.labels.tolist() == [label for label, _ in images]
    assert read.labels.dtype == np.int64
    assert len(read.images) == len(images)
    for found, (_, image) in zip(read.images, images, strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, image)
    assert read.comment == "by hand"
    assert sum(read.counts) == len(images)


def test_images_of_one_size_and_grey_images() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(4, 3)
    same = cdb_of([record(1, coded(IMAGE), None)] * 2, [0, 2], width=3, height=4)
    own = cdb_of([record(0, grey.tobytes(), (3, 4))], [1], kind=1)
    both = cdb_of([record(0, grey.tobytes(), None)], [1], width=3, height=4, kind=1)
    np.testing.assert_array_equal(read_cdb(same, "x").images, [IMAGE, IMAGE])
    np.testing.assert_array_equal(read_cdb(own, "x").images, [grey])
    np.testing.assert_array_equal(read_cdb(both, "x").images, [grey])


def _one(image: bytes, size: tuple[int, int] = (3, 4)) -> bytes:
    return cdb_of([record(3, image, size)], [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "has 0 bytes"),
        (ONE[:1023], "has 1023 bytes"),
        (ONE[:1025], "promises 1 images"),
        (ONE[:-1], "9 bytes long, 8 are left"),
        (ONE + b"\0", "goes on for 1 bytes after image 1"),
        (ONE + ONE[1024:], "goes on"),
        (ONE[:6] + b"\2" + ONE[7:], "promises 2 images|image 2"),
        (ONE[:522] + b"\2" + ONE[523:], "type 2"),
        (ONE[:1024] + b"\xfe" + ONE[1025:], "image 1 at byte 1024 starts with 254"),
        (ONE[:1025] + b"\x80" + ONE[1026:], "label 128"),
        (_one(coded(IMAGE), (0, 4)), "0 wide"),
        (_one(coded(IMAGE), (3, 0)), "0 high"),
        (cdb_of([record(3, b"", (3, 4)), ONE[1024:]], [0, 0, 0, 2]), "image 1 .* has 0 pixels"),
        (_one(b"\3\3\3\2"), "11 pixels"),
        (_one(b"\3\3\3\4"), "13 pixels"),
        (_one(b"\3\3\2\2\2"), "beyond the end of its row"),
        (_one(b"\3\3\6"), "beyond the end of its row"),
        (_one(b"\3\3\3\1\0\2"), "run of 0"),  # in a row's middle
        (_one(b"\3\3\3\0\0\3"), "run of 0"),  # twice where a row starts
        (_one(b"\3\3\3\3\0"), "run of 0"),  # after the last row
        (cdb_of([record(0, bytes(11), (3, 4))], [1], kind=1), "11 bytes long"),
        (cdb_of([record(0, bytes(13), (3, 4))], [1], kind=1), "13 bytes long"),
        # 300 images of 65,025 pixels in 80 KB: each row one run.
        (cdb_of([record(0, b"\xff" * 255, (255, 255))] * 300, [300]), "unpacks to more"),
    ],
)
def test_damage_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_cdb(data, "x.cdb")
    assert caught.value.message.startswith("x.cdb")


def test_hoda(data_dir: Path) -> None:
    path = data_dir / "hoda" / "Test 20000.cdb"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    data = path.read_bytes()
    start = time.monotonic()
    read = read_cdb(data, path.name)
    assert time.monotonic() - start < 3
    assert np.bincount(read.labels).tolist() == [2000] * 10
    assert read.counts[:11] == (2000,) * 10 + (0,)
    assert "NewTest2000each.cdb" in read.comment
    # What was decoded says the same when coded again: nothing was lost or turned.
    again = [coded(image) for image in read.images[::20]]
    assert again == _stored(data)[::20]
    # The same style as the publisher's MAT file: tight crops of ink 255 on 0.
    mat = data_dir / "hoda" / "Data_hoda_full.mat"
    others = read_mat(mat.read_bytes(), mat.name, {"Data"})["Data"] if mat.is_file() else []
    for image in (*read.images[:500], *others[:500]):
        assert set(np.unique(image)) <= {0, 255}
        assert all(edge.any() for edge in (image[0], image[-1], image[:, 0], image[:, -1]))
    # The digit one is a tall stroke: upright.
    ones = [
        image.shape for image, label in zip(read.images, read.labels, strict=True) if label == 1
    ]
    assert np.median([height / width for height, width in ones]) > 2


def _stored(data: bytes) -> list[bytes]:
    found, at = [], 1024
    while at < len(data):
        (length,) = struct.unpack_from("<H", data, at + 4)
        found.append(data[at + 6 : at + 6 + length])
        at += 6 + length
    return found
