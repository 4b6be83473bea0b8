from __future__ import annotations

import io
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from hcr_edge.datasets.formats import pixel_csv
from hcr_edge.datasets.formats.archive import open_files, open_plain
from hcr_edge.datasets.formats.pixel_csv import read_rows, read_table
from hcr_edge.errors import DataError

MIB = 1024 * 1024
PIXELS = np.array([[0, 7, 10], [99, 100, 255]], np.uint8)


def text_of(values: np.ndarray, spelling: str = "{}", between: str = ",", end: str = "\n") -> bytes:
    rows = (between.join(spelling.format(value) for value in row) for row in values.tolist())
    return "".join(row + end for row in rows).encode()


def read(data: bytes, columns: int, rows: int | None = None, **options: Any) -> np.ndarray:
    return read_table(io.BytesIO(data), "t.csv", columns, rows, **options)


# Blocks of a few bytes, so that rows lie across their borders.
@pytest.mark.parametrize("block", [1, 7, 30, 96 * 1024])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=numbers.arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 255)
    ),
    spelling=st.sampled_from(["{}", "{:03d}", "{:4d}", "{}.0", "{:.3e}", '"{}"', "+{}", " {} "]),
    between=st.sampled_from([",", ";", "\t", " ", ", "]),
    end=st.sampled_from(["\n", "\r\n"]),
    finish=st.sampled_from([b"", b"\n", b"\r\n\r\n", b" \n"]),
    bom=st.booleans(),
)
def test_round_trip(
    values: np.ndarray,
    spelling: str,
    between: str,
    end: str,
    finish: bytes,
    bom: bool,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pixel_csv, "_BLOCK", block)
    data = text_of(values, spelling, between, end)
    data = (b"\xef\xbb\xbf" if bom else b"") + (data + finish if finish else data.rstrip())
    found = read(data, values.shape[1], len(values))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)
    blocks = list(read_rows(io.BytesIO(data), "t.csv"))
    np.testing.assert_array_equal(np.concatenate(blocks), values)


@pytest.mark.parametrize(
    ("values", "low", "high", "dtype"),
    [
        ([[0, 255]], 0, 255, np.uint8),
        ([[1, 28]], 1, 28, np.uint8),
        ([[0, 256, 999]], 0, 999, np.int16),
        ([[-1, 0, 12345]], -1, 32767, np.int16),
        ([[0, 2**31 - 1]], 0, 2**31 - 1, np.int32),
    ],
)
def test_types(values: list[list[int]], low: int, high: int, dtype: type) -> None:
    found = read(text_of(np.array(values)), len(values[0]), low=low, high=high)
    assert found.dtype == dtype
    assert found.tolist() == values


PLAIN = text_of(PIXELS)
WIDE = text_of(np.arange(24).reshape(2, 12) + 100)


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (b"label,pixel0,pixel1", 3),
        (b'"label","1x1","1x2"', 3),  # Kaggle's
        (b"label,0,1", 3),
        (b",0,1", 3),  # pandas, with its index
        (b",1,2", 3),
        ("حرف,ستون,b".encode(), 3),
        (b"label;a;b", 3),
        (b"0,1,2,3,4,5,6,7,8,9,10,11", 12),  # pandas, without
    ],
)
def test_header_is_passed_over(header: bytes, columns: int) -> None:
    data = PLAIN if columns == 3 else WIDE
    if b";" in header:
        data = data.replace(b",", b";")
    expected = read(data, columns)
    np.testing.assert_array_equal(read(header + b"\r\n" + data, columns, header="auto"), expected)
    np.testing.assert_array_equal(
        np.concatenate(list(read_rows(io.BytesIO(header + b"\n" + data), "t.csv", header="auto"))),
        expected,
    )
    # A table may go without.
    np.testing.assert_array_equal(read(data, columns, header="auto"), expected)


@pytest.mark.parametrize(
    "first",
    [
        b"1,x,3",  # numbers, one of them spoiled
        b"x,7,9",  # neither names nor a count
        b"nan,nan,nan",
        b"label,pixel",  # too few names
        b"\x89PNG\r",
        b"a\0b,c,d",
        b"0.5,1,2",
        b"",
    ],
)
def test_damage_is_no_header(first: bytes) -> None:
    with pytest.raises(DataError, match="row 1"):
        read(first + b"\n" + PLAIN, 3, header="auto")


def test_numbers_are_no_header() -> None:
    """Labels that start with 0, or rows that count, in a narrow table."""
    assert read(b"0\n1\n", 1, header="auto").tolist() == [[0], [1]]
    assert read(b"0,1,2\n0,1,2\n", 3, header="auto").tolist() == [[0, 1, 2]] * 2
    assert read(b"label\n0\n", 1, header="auto").tolist() == [[0]]
    with pytest.raises(DataError, match=r"row 1 \(label\) is not a number"):
        read(b"label\n0\n", 1)


@pytest.mark.parametrize(
    ("data", "columns", "says"),
    [
        (b"", 3, "t.csv is empty"),
        (b"\n\r\n \n", 3, "t.csv is empty"),
        (b"\xef\xbb\xbf", 3, "t.csv is empty"),
        (PLAIN, 2, "row 1 has 3 columns"),
        (PLAIN, 4, "row 1 has 3 columns"),
        (PLAIN + b"1,2\n", 3, "row 3 has 2 columns"),
        (PLAIN + b"1,2,3,\n", 3, "row 3 has 4 columns"),
        (PLAIN + b"\n" + PLAIN, 3, "row 3 is empty"),
        (b"\n" + PLAIN, 3, "row 1 is empty"),
        (PLAIN + b"1,,3\n", 3, r"row 3 \(\) is not a number"),
        (PLAIN + b"1,alef,3\n", 3, r"row 3 \(alef\) is not a number"),
        (PLAIN + "1,٣,3\n".encode(), 3, r"row 3 \(٣\) is not a number"),
        (PLAIN + b"1,nan,3\n", 3, r"row 3 \(nan\) is not a number"),
        (PLAIN + b"1,1e400,3\n", 3, r"row 3 \(1e400\) is not a whole"),
        (PLAIN + b"1,0.5,3\n", 3, r"row 3 \(0\.5\) is not a whole number"),
        (PLAIN + b"1,256,3\n", 3, r"row 3 \(256\) is out of range"),
        (PLAIN + b"1,-1,3\n", 3, r"row 3 \(-1\) is out of range"),
        (PLAIN + b"1,70000,3\n", 3, r"row 3 \(70000\) is out of range"),
        (PLAIN + b"1,1_0,3\n", 3, r"row 3 \(1_0\) is not a number"),
        (PLAIN + b"1,0x10,3\n", 3, r"row 3 \(0x10\) is not a number"),
        (PLAIN + b"1,#2,3\n", 3, r"row 3 \(#2\) is not a number"),
        (PLAIN + b"1,2 3,3\n", 3, r"row 3 \(2 3\) is not a number"),
        (PLAIN + b'1,"2"3,3\n', 3, "row 3 .* is not a number"),
        (PLAIN + b'1,"2,3\n', 3, "row 3 .* is not a number"),
        (PLAIN + b"1;2;3\n", 3, "row 3 has 1 columns"),
        (b"1;2;3\n1,5;2\n", 3, "row 2 has 2 columns"),  # decimal commas
        (PLAIN + b"1,2\r3,4\n", 3, r"row 3 \('2\\r3'\) is not a number"),
        (PLAIN + b"1,\0,3\n", 3, r"row 3 \('\\x00'\) is not a number"),
        (PLAIN + b"1," + b"9" * 9999 + b",3\n", 3, "row 3 .9{40}. is"),
        (b"1," * 10 * MIB, 3, "a row of more than"),  # no end of line
    ],
)
def test_damage_is_named(data: bytes, columns: int, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(data, columns)
    assert caught.value.message.startswith("t.csv")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_rows_are_counted() -> None:
    for rows in (1, 3):
        with pytest.raises(DataError, match=r"t\.csv has 2 rows of 3 columns") as caught:
            read(PLAIN, 3, rows)
        assert f"{rows} rows of 3" in caught.value.allowed
    # Far into the file the row is still the line that an editor shows, header included.
    data = b"label,a,b\n" + PLAIN * 50_000 + b"1,2,x\n"
    with pytest.raises(DataError, match=r"row 100002 \(x\)"):
        read(data, 3, header="auto")


_LINE = re.compile(rb'[ \t\r]*"?[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*"?[ \t\r]*')


@given(
    st.lists(
        st.sampled_from(
            [*"0123456789", *',,,\n\n;\t "', ".", "-", "+", "e", "\r", "_", "n", "\0", "²"]
        ),
        max_size=30,
    ).map("".join)
)
def test_only_numbers_are_taken_for_numbers(text: str) -> None:
    data = text.encode()
    try:
        found = read(data, 2, header="auto")
    except DataError:
        return
    lines = data.strip(b"\n\r \t").split(b"\n")
    assert len(lines) - len(found) in (0, 1)
    for line, row in zip(lines[-len(found) :], found.tolist(), strict=True):
        cells = re.split(rb"[,;\t]| +(?=[^ ])", line.strip())
        cells = [cell for cell in cells if cell.strip()]
        assert [int(float(cell.strip(b'" \r'))) for cell in cells] == row
        assert all(_LINE.fullmatch(cell) for cell in cells)


def test_memory_is_that_of_a_block() -> None:
    data = text_of(np.full((1000, 1024), 255))
    tracemalloc.start()
    try:
        for block in read_rows(io.BytesIO(data), "t.csv", 1024):
            assert block.nbytes < MIB
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB
        tracemalloc.reset_peak()
        assert read(data, 1024).nbytes == 1000 * 1024
        assert tracemalloc.get_traced_memory()[1] < 5 * MIB
    finally:
        tracemalloc.stop()


def test_ahcd_whole(data_dir: Path) -> None:
    path = data_dir / "ahcd" / "Arabic Handwritten Characters Dataset CSV.zip"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    tables = {}
    with open_files(path) as files:
        for name in files.names():
            rows, columns = map(int, re.findall(r"\d+", name)[-2:])
            with files.open(name) as stream:
                tables[name] = read_table(stream, name, columns, rows)
    labels = tables["csvTrainLabel 13440x1.csv"]
    assert np.bincount(labels[:, 0]).tolist() == [0] + [480] * 28
    with open_files(path) as files:
        data = files.read("csvTestImages 3360x1024.csv")
    np.testing.assert_array_equal(
        tables["csvTestImages 3360x1024.csv"], np.loadtxt(io.BytesIO(data), np.uint8, delimiter=",")
    )


def test_kaggle_letters(data_dir: Path) -> None:
    path = data_dir / "latin" / "A_Z Handwritten Data sample.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    with open_plain(path) as stream:
        table = read_table(stream, path.name, 785, 5934, header="auto")
    assert set(table[:, 0].tolist()) == set(range(26))
