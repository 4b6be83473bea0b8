"""Every parser against every kind of damage: out comes what was written, or one `DataError`."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from hcr_edge.datasets.formats.archive import open_files, open_plain
from hcr_edge.datasets.formats.cdb import read_cdb
from hcr_edge.datasets.formats.idx import read_idx
from hcr_edge.datasets.formats.mat import read_mat
from hcr_edge.datasets.formats.pixel_csv import read_table
from hcr_edge.errors import DataError

MIB = 1024 * 1024
CONTENT = {"a/1.png": b"one", "a/2.png": b"two" * 99, "labels.csv": b"1\n2\n"}


@dataclass(frozen=True)
class Case:
    """A parser, a small file that it reads, and what is known of it.

    Attributes:
        summed: The format has a sum over its content: damage is noticed, always.
        whole: No part of a file is a file.
    """

    read: Callable[[bytes], Any]
    data: bytes
    summed: bool = False
    whole: bool = True


# One name for all: pathlib keeps each, and its table grows by megabytes at once.
_FOLDER = tempfile.TemporaryDirectory()


def _in_file(read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    path = Path(_FOLDER.name) / "damaged"

    def parse(data: bytes) -> Any:
        path.write_bytes(data)
        return read(path)

    return parse


def _all(path: Path) -> dict[str, bytes]:
    with open_files(path) as files:
        return dict(files.walk(lambda name: True))


def _plain(path: Path) -> bytes:
    with open_plain(path) as stream:
        return stream.read()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in CONTENT.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in CONTENT.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    # Less padding, to be quick: one end mark is enough.
    return stream.getvalue().rstrip(b"\0").ljust(3072, b"\0") + bytes(512)


def _mat(*, compressed: bool) -> bytes:
    stream = io.BytesIO()
    cell = np.empty((2, 1), object)
    cell[:, 0] = [np.arange(6, dtype=np.uint8).reshape(2, 3), "alef"]
    variables = {"Data": cell, "s": {"labels": [[1.0], [300.0]]}}
    savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


def _cdb() -> bytes:
    header = struct.pack("<H4BI128IB501x", 2005, 8, 4, 0, 0, 2, 1, 1, *[0] * 126, 0)
    records = (b"\xff\0\2\2\3\0\2\0\2", b"\xff\1\3\1\3\0\1\1\1")
    return header + b"".join(records)


CSV = b"label,a,b\n" + b"1,20,255\n2,0,7\n" * 3
CASES = {
    "zip": Case(_in_file(_all), _zip(), summed=True),
    "tar": Case(_in_file(_all), _tar()),
    "tar.gz": Case(_in_file(_all), gzip.compress(_tar(), mtime=0), summed=True),
    "tar.xz": Case(_in_file(_all), lzma.compress(_tar(), preset=0), summed=True),
    "gzip": Case(_in_file(_plain), gzip.compress(CSV, mtime=0), whole=False),
    "idx": Case(
        lambda data: read_idx(io.BytesIO(data), "x"),
        struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24)),
    ),
    "cdb": Case(lambda data: read_cdb(data, "x"), _cdb()),
    "mat": Case(lambda data: read_mat(data, "x"), _mat(compressed=False), whole=False),
    "mat packed": Case(lambda data: read_mat(data, "x"), _mat(compressed=True), whole=False),
    "csv": Case(
        lambda data: read_table(io.BytesIO(data), "x", 3, 6, header="auto"), CSV, whole=False
    ),
}
_by_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def survives(case: Case, data: bytes) -> Any:
    """Return what is read, or None where it is refused as it should be."""
    try:
        return case.read(data)
    except DataError as error:
        text = str(error)
        assert text.isprintable()
        assert len(text) < 500
        return None


@_by_case
def test_the_small_file_is_read(case: Case) -> None:
    assert survives(case, case.data) is not None


@_by_case
def test_cut_short_anywhere(case: Case) -> None:
    for length in range(len(case.data)):
        found = survives(case, case.data[:length])
        # A tar may lose of its padding what is beyond its end mark.
        assert found is None or not case.whole or found == CONTENT, length


@_by_case
def test_longer_than_it_should_be(case: Case) -> None:
    for more in (b"\xff", b"PK", bytes(range(256)), case.data):
        found = survives(case, case.data + more)
        assert found is None or not case.whole or found == CONTENT, more


@_by_case
def test_one_byte_wrong_anywhere(case: Case) -> None:
    for place in range(len(case.data)):
        for change in (0x01, 0xFF):
            data = bytearray(case.data)
            data[place] ^= change
            found = survives(case, bytes(data))
            assert found is None or not case.summed or found == CONTENT, (place, change)


@_by_case
@settings(max_examples=150)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=12)), max_size=4
    )
)
def test_pieces_replaced(case: Case, edits: list[tuple[float, int, bytes]]) -> None:
    data = case.data
    for where, length, new in edits:
        at = int(where * len(data))
        data = data[:at] + new + data[at + length :]
    survives(case, data)


@_by_case
@given(data=st.binary(max_size=200), kept=st.sampled_from([0, 4, 8, 128, 512, 1024]))
def test_anything_behind_a_valid_start(case: Case, data: bytes, kept: int) -> None:
    survives(case, case.data[:kept] + data)


@_by_case
def test_numbers_that_promise_gigabytes(case: Case) -> None:
    """Each number of four bytes in turn made about as large as can be, and memory watched."""
    tracemalloc.start()
    try:
        for place in range(min(len(case.data), 1100)):
            for number in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff"):
                # Of each alone: what errors held waits for the garbage collector.
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                survives(case, case.data[:place] + number + case.data[place + 4 :])
                assert tracemalloc.get_traced_memory()[1] - before < 2 * MIB, place
    finally:
        tracemalloc.stop()
