from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from scipy.io import loadmat, savemat

from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.errors import DataError

MIB = 1024 * 1024
DOUBLE, UINT8, OPAQUE, SPARSE, CHAR, CELL, STRUCT = 6, 9, 17, 5, 4, 1, 2


def saved(variables: dict[str, Any], *, compressed: bool = True) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


def element(kind: int, data: bytes, order: str = "<", *, small: bool = False) -> bytes:
    """Write an element as the format's document has it."""
    if small:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def array_of(
    class_: int,
    shape: tuple[int, ...],
    *content: bytes,
    name: bytes = b"x",
    order: str = "<",
    flags: int = 0,
) -> bytes:
    head = element(6, struct.pack(order + "II", class_ | flags << 8, 0), order)
    head += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    # Short names lie in their tag.
    head += element(1, name, order, small=1 <= len(name) <= 4)
    return element(14, head + b"".join(content), order)


def file_of(*elements: bytes, order: str = "<") -> bytes:
    text = b"MATLAB 5.0 MAT-file, by hand".ljust(124)
    return text + struct.pack(order + "HH", 0x0100, 0x4D49) + b"".join(elements)


def packed(data: bytes, order: str = "<") -> bytes:
    content = zlib.compress(data)
    return struct.pack(order + "II", 15, len(content)) + content


BYTES = element(2, bytes(range(6)))


@pytest.mark.parametrize("compressed", [True, False])
@given(
    values=numbers.arrays(
        st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]),
        numbers.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4),
    )
)
def test_numbers_are_as_scipy_has_them(values: np.ndarray, compressed: bool) -> None:
    data = saved({"values": values}, compressed=compressed)
    found = read_mat(data, "x")["values"]
    expected = loadmat(io.BytesIO(data))["values"]
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert found.flags.f_contiguous


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pack", [packed, lambda data, order: data])
def test_either_byte_order(order: str, pack: Any) -> None:
    """Written by hand: SciPy writes only its machine's own."""
    pixels = np.arange(6, dtype=order + "u2").reshape(2, 3)
    stored = element(4, pixels.tobytes("F"), order)
    text = element(4, "ب alef".encode("utf-16-le" if order == "<" else "utf-16-be"), order)
    cell = array_of(CELL, (1, 1), array_of(CHAR, (1, 6), text, name=b"", order=order), order=order)
    one = array_of(DOUBLE, (1, 1), element(2, b"\7", order, small=True), name=b"one", order=order)
    arrays = (array_of(11, (2, 3), stored, name=b"pixels", order=order), cell, one)
    data = file_of(*(pack(array, order) for array in arrays), order=order)
    found = read_mat(data, "x")
    np.testing.assert_array_equal(found["pixels"], [[0, 1, 2], [3, 4, 5]])
    assert found["pixels"].dtype == np.dtype("u2")
    assert found["pixels"].dtype.isnative
    assert found["x"] == ["ب alef"]
    assert found["one"].tolist() == [[7]]
    assert loadmat(io.BytesIO(data))["pixels"].tolist() == found["pixels"].tolist()


def test_emnist() -> None:
    """The layout of EMNIST's MAT file: structs in a struct."""
    images = np.arange(2 * 784, dtype=np.uint16).astype(np.uint8).reshape(2, 784)
    part = {"images": images, "labels": np.array([[1], [26]], np.uint8), "writers": [[3.0], [4.0]]}
    mapping = np.array([[0, 48], [1, 49]], np.uint8)
    data = saved({"dataset": {"train": part, "test": part, "mapping": mapping}, "other": 1})
    found = read_mat(data, "x", {"dataset"})
    assert list(found) == ["dataset"]
    assert list(found["dataset"]) == ["train", "test", "mapping"]
    np.testing.assert_array_equal(found["dataset"]["test"]["images"], images)
    np.testing.assert_array_equal(found["dataset"]["train"]["labels"], [[1], [26]])
    np.testing.assert_array_equal(found["dataset"]["mapping"], mapping)


def test_cells_text_and_structs() -> None:
    cell = np.empty((2, 2), object)
    cell[0, 0], cell[1, 0], cell[0, 1], cell[1, 1] = "alef", np.ones((2, 2)), "ب", np.zeros((0, 3))
    structs = np.array([(1, "a"), (2, "b")], dtype=[("number", object), ("text", object)])
    data = saved(
        {
            "cell": cell,
            "rows": np.array(["alef", "beh"]),
            "empty": "",
            "structs": structs,
            "logical": np.array([[True, False]]),
            "none": np.empty((0, 0), object),
        }
    )
    found = read_mat(data, "x")
    assert [found["cell"][i] for i in (0, 2)] == ["alef", "ب"]  # down the columns, as Fortran
    assert found["cell"][1].tolist() == [[1, 1], [1, 1]]
    assert found["cell"][3].shape == (0, 3)
    assert found["rows"] == ["alef", "beh"]
    assert found["empty"] == ""
    assert [s["text"] for s in found["structs"]] == ["a", "b"]
    assert [int(s["number"][0, 0]) for s in found["structs"]] == [1, 2]
    assert found["logical"].tolist() == [[1, 0]]
    assert found["none"] == []


def test_unknown_kinds_are_left_out() -> None:
    opaque = element(6, struct.pack("<II", OPAQUE, 0)) + element(1, b"object")
    opaque += element(1, b"MCOS") + element(1, b"categorical")
    known = array_of(UINT8, (2, 3), BYTES, name=b"known")
    data = file_of(
        element(14, opaque),
        packed(element(14, opaque)),
        array_of(SPARSE, (2, 3), BYTES, name=b"sparse"),
        array_of(DOUBLE, (2, 3), BYTES, BYTES, name=b"complex", flags=8),
        array_of(CELL, (1, 2), element(14, opaque), known),
        known,
        array_of(UINT8, (1, 2), element(2, b"\1\1", small=True), name=b"known"),  # comes too late
        array_of(UINT8, (2, 3), BYTES, name=b""),  # a workspace of functions
    )
    found = read_mat(data, "x")
    assert list(found) == ["x", "known"]
    assert found["known"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert found["x"][0] is None
    assert found["x"][1].tolist() == found["known"].tolist()


def test_only_what_is_wanted_is_decoded() -> None:
    """What is not asked for may be damaged inside."""
    broken = bytearray(packed(array_of(UINT8, (100, 100), element(2, bytes(10000)), name=b"a")))
    broken[-4:] = b"\xff" * 4
    data = file_of(bytes(broken), packed(array_of(UINT8, (2, 3), BYTES, name=b"b")))
    assert list(read_mat(data, "x", ["b", "c"])) == ["b"]
    with pytest.raises(DataError, match="x is damaged"):
        read_mat(data, "x")


def _nested(depth: int) -> bytes:
    array = array_of(UINT8, (2, 3), BYTES)
    for _ in range(depth):
        array = array_of(CELL, (1, 1), array)
    return file_of(array)


def test_depth() -> None:
    value: Any = read_mat(_nested(15), "x")["x"]
    for _ in range(15):
        (value,) = value
    assert value.shape == (2, 3)
    for depth in (17, 5000):
        with pytest.raises(DataError, match="in each other"):
            read_mat(_nested(depth), "x")


_NAMES = element(5, struct.pack("<i", 4), small=True) + element(1, b"a\0\0\0b\0\0\0")
BOMB = file_of(packed(array_of(UINT8, (1, 17 * MIB), element(2, bytes(17 * MIB)))))
_PIXELS = array_of(UINT8, (2, 3), BYTES)


@pytest.mark.parametrize(
    ("data", "says", "allowed"),
    [
        (b"", "x is empty", ""),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "version 7.3", "5 to 7"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "version 7.3", "5 to 7"),
        (struct.pack("<5I", 0, 2, 3, 0, 2) + b"x\0" + bytes(200), "version 4", "5 to 7"),
        (struct.pack(">5I", 1000, 2, 3, 0, 2) + b"x\0" + bytes(200), "version 4", "5 to 7"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "no MAT file", "5 to 7"),
        (file_of()[:127], "no MAT file", "5 to 7"),
        (file_of(_PIXELS, b"\0"), "ends within an element", ""),
        (file_of(_PIXELS)[:-8], "56 bytes promised, 48 are left", ""),
        (file_of(element(2, b"12345678")), "element of type 2", ""),
        (file_of(packed(element(2, b"12345678"))), "packed element of type 2", ""),
        (file_of(packed(_PIXELS + b"\0")), "does not unpack to the 64 bytes", ""),
        (file_of(packed(_PIXELS[:-1])), "does not unpack to the 64 bytes", ""),
        (file_of(packed(_PIXELS)[:-1]), "promised", ""),
        (file_of(array_of(UINT8, (2, 4), BYTES)), "x: x is damaged .8 numbers in 6 bytes", ""),
        (file_of(array_of(UINT8, (2**31 - 1,) * 9, BYTES)), "numbers in 6 bytes", ""),
        (file_of(array_of(UINT8, (2, -3), BYTES)), "dimensions", ""),
        (file_of(array_of(UINT8, (6,), BYTES)), "without dimensions", ""),
        (file_of(array_of(UINT8, (1,) * 33, BYTES)), "without dimensions", ""),
        (file_of(array_of(UINT8, (2, 3), element(99, bytes(6)))), "type 99", ""),
        (file_of(array_of(UINT8, (2, 3))), "an element is missing", ""),
        (file_of(array_of(UINT8, (2, 3), struct.pack("<II", 2 | 6 << 16, 0))), "small", ""),
        (file_of(array_of(CELL, (1, 2), _PIXELS)), "an element is missing", ""),
        (file_of(array_of(CELL, (1, 1), BYTES)), "in place of an array", ""),
        (file_of(array_of(CELL, (2**31 - 1, 2), _PIXELS)), "arrays promised in", ""),
        (file_of(array_of(STRUCT, (1, 1), _NAMES, _PIXELS)), "an element is missing", ""),
        (file_of(array_of(STRUCT, (1, 1), BYTES, BYTES)), "without names", ""),
        # Structs of nothing take no room in the file, but each its own in memory.
        (
            file_of(array_of(STRUCT, (2**31 - 1, 2), _NAMES[:8], element(1, b""))),
            "structs of 0 fields",
            "",
        ),
        (file_of(array_of(CHAR, (1, 7), element(4, b"alef"))), "7 letters in 4 bytes", ""),
        (file_of(array_of(CHAR, (2, 2), element(16, b"alefs"))), "5 letters", ""),
        (file_of(array_of(CHAR, (1, 2), element(4, b"\0\xd8\0\xd8"))), "x: x is damaged", ""),
        (
            file_of(packed(array_of(UINT8, (1, 17 * MIB), element(2, bytes(17 * MIB))))),
            "unpacks",
            "",
        ),
    ],
)
def test_damage_is_named(data: bytes, says: str, allowed: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=says) as caught:
            read_mat(data, "x")
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    assert allowed in caught.value.allowed
    assert "\n" not in str(caught.value)


def test_bomb_in_many_variables() -> None:
    one = [array_of(UINT8, (1, MIB), element(2, bytes(MIB)), name=b"v%d" % i) for i in range(17)]
    data = file_of(*map(packed, one))
    with pytest.raises(DataError, match="unpacks to more than 16,777,216"):
        read_mat(data, "x")
    assert list(read_mat(data, "x", ["v16"])) == ["v16"]


def test_memory_is_that_of_the_data() -> None:
    values = np.random.default_rng(0).integers(0, 5, (6 * MIB, 1), np.uint8)
    data = file_of(packed(array_of(UINT8, values.shape, element(2, values.tobytes()))))
    tracemalloc.start()
    try:
        found = read_mat(data, "x")["x"]
        assert tracemalloc.get_traced_memory()[1] < 1.3 * len(values)
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, values)


def test_ahcd(data_dir: Path) -> None:
    """Doubles by class, bytes as stored; beside them objects and a workspace without a name."""
    path = data_dir / "ahcd" / "Train+Test Images Matlab.mat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    data = path.read_bytes()
    found = read_mat(data, path.name)
    assert {name: value.shape for name, value in found.items()} == {
        "XTest": (32, 32, 1, 3360),
        "XTrain": (32, 32, 1, 13440),
    }
    expected = loadmat(path, variable_names=["XTest"])["XTest"]
    assert found["XTest"].dtype == np.uint8
    np.testing.assert_array_equal(found["XTest"], expected)


def test_hoda(data_dir: Path) -> None:
    path = data_dir / "hoda" / "Data_hoda_full.mat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    data = path.read_bytes()
    start = time.monotonic()
    found = read_mat(data, path.name)
    assert time.monotonic() - start < 3
    expected = loadmat(path)
    assert len(found["Data"]) == 60000
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    for image, other in zip(found["Data"][::50], expected["Data"][::50, 0], strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, other)
