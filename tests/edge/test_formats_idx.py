from __future__ import annotations

import gzip
import io
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from hcr_edge.datasets.formats.archive import open_plain
from hcr_edge.datasets.formats.idx import read_idx
from hcr_edge.errors import DataError

MIB = 1024 * 1024


def idx_of(values: np.ndarray, kind: int = 8) -> bytes:
    """Write as published: two zero bytes, type, dimensions, sizes big-endian, values."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return header + values.tobytes()


@given(numbers.arrays(np.uint8, st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple)))
def test_round_trip(values: np.ndarray) -> None:
    read = read_idx(io.BytesIO(idx_of(values)), "x")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


def test_mnist(data_dir: Path) -> None:
    with open_plain(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        images = read_idx(stream, "images")
    with open_plain(data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz") as stream:
        labels = read_idx(stream, "labels")
    assert images.shape == (10000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # A seven leans from the upper right; ink is bright.
    assert images[0, :4].max() == 0
    assert images[0].max() > 250


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("data", "says", "allowed"),
    [
        (b"", "x is empty", ""),
        (b"\0\0\x08", "no IDX file", "two zero bytes"),
        (b"\x89PNG\r\n\x1a\n", "starts with b'\\\\x89PNG'", "two zero bytes"),
        (gzip.compress(idx_of(IMAGES), mtime=0), "no IDX file", "two zero bytes"),  # packed twice
        (idx_of(IMAGES, 0x0D), "type 0x0d", "0x08"),  # floats
        (struct.pack(">HBB4I", 0, 8, 4, 1, 1, 1, 1) + b"x", "4 dimensions", "1 to 3"),
        (struct.pack(">HBB", 0, 8, 0), "0 dimensions", "1 to 3"),
        (idx_of(IMAGES)[:15], "within its header", ""),
        (idx_of(IMAGES)[:-1], "holds 23 values", "2 x 3 x 4"),
        (idx_of(IMAGES) + b"\0", "more than 24 values", "2 x 3 x 4"),
        (idx_of(IMAGES)[:16], "holds 0 values", "2 x 3 x 4"),
    ],
)
def test_damage_is_named(data: bytes, says: str, allowed: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_idx(io.BytesIO(data), "x")
    assert allowed in caught.value.allowed


@pytest.mark.parametrize("sizes", [(2**32 - 1,), (2**32 - 1,) * 3, (2**32 - 1, 28, 28)])
def test_a_promise_allocates_nothing(sizes: tuple[int, ...]) -> None:
    data = struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(1000)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="holds 1,000 values"):
            read_idx(io.BytesIO(data), "x")
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_the_array(tmp_path: Path) -> None:
    values = np.arange(20 * MIB, dtype=np.uint8)
    (tmp_path / "x").write_bytes(idx_of(values))
    tracemalloc.start()
    try:
        with (tmp_path / "x").open("rb") as stream:
            read = read_idx(stream, "x")
        assert tracemalloc.get_traced_memory()[1] < 1.25 * len(values)
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(read, values)


def test_emnist_in_time(tmp_path: Path, data_dir: Path) -> None:
    """As many images as in EMNIST's Letters for training, 97.8 MB; read in about half a second."""
    with open_plain(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        images = read_idx(stream, "images").tobytes()
    count = 124_800
    values = (images * 13)[: count * 784]
    with gzip.open(tmp_path / "x.gz", "wb", compresslevel=1) as file:
        file.write(struct.pack(">HBB3I", 0, 8, 3, count, 28, 28) + values)
    start = time.monotonic()
    with open_plain(tmp_path / "x.gz") as stream:
        assert read_idx(stream, "x").shape == (count, 28, 28)
    assert time.monotonic() - start < 4
