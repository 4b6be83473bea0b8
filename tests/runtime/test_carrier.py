"""The description inside a ``.tflite`` or ``.keras`` file, and what damage does to it."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcr_runtime import HcrError, ModelError, ModelSpec, SpecError
from hcr_runtime.carrier import MAX_SPEC_BYTES, SPEC_ENTRY, read_zip_spec

FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) * 4


def zipped(
    text: str | bytes,
    name: str = SPEC_ENTRY,
    before: bytes = FLATBUFFER,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """Append a ZIP archive of one entry to `before`."""
    stream = io.BytesIO(before)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", method) as archive:
        archive.writestr(name, text)
    return stream.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.tflite"


@pytest.mark.parametrize(
    ("before", "method"),
    [
        (FLATBUFFER, zipfile.ZIP_STORED),  # appended to a model, as the export does
        (FLATBUFFER, zipfile.ZIP_DEFLATED),  # as a user's own tool might append it
        (b"", zipfile.ZIP_STORED),  # a .keras file is nothing but a ZIP archive
    ],
)
def test_description_is_read(file: Path, two: ModelSpec, before: bytes, method: int) -> None:
    file.write_bytes(zipped(two.to_json(), before=before, method=method))
    assert read_zip_spec(file) == two


def test_description_is_found_among_other_entries(file: Path, two: ModelSpec) -> None:
    file.write_bytes(zipped(two.to_json(), before=zipped(b"weights", "model.weights.h5")))
    assert read_zip_spec(file) == two


@pytest.mark.parametrize(
    ("data", "says"),
    [
        # A model of another tool: no ZIP at its end.
        (FLATBUFFER, "no description inside"),
        (b"", "no description inside"),
        (b"a text file named model.tflite\n", "no description inside"),
        # Someone else's ZIP.
        (zipped("hello", "labels.txt"), "model.tflite has no description inside"),
        # The entry is there, but is no description.
        (zipped(""), "not JSON"),
        (zipped("hello"), "not JSON"),
        (zipped(b"\xff\xfe\x00"), "not JSON"),
        (zipped("[]"), "list"),
        (zipped("{}"), "schema version None"),
        # A compressed gigabyte must not be unpacked to find out.
        (
            zipped(b" " * (MAX_SPEC_BYTES + 1), method=zipfile.ZIP_DEFLATED),
            f"takes {MAX_SPEC_BYTES + 1} bytes; allowed: {MAX_SPEC_BYTES} bytes",
        ),
    ],
    ids=range(10),
)
def test_file_without_a_valid_description(file: Path, data: bytes, says: str) -> None:
    file.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        read_zip_spec(file)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limit_itself_is_allowed(file: Path, two: ModelSpec) -> None:
    text = two.to_json().encode()
    file.write_bytes(zipped(text + b" " * (MAX_SPEC_BYTES - len(text))))
    assert read_zip_spec(file) == two


def test_newer_schema_is_refused(file: Path, two: ModelSpec) -> None:
    newer = two.to_json().replace('"schema_version":1', '"schema_version":2')
    file.write_bytes(zipped(newer))
    with pytest.raises(SpecError, match="schema version 2"):
        read_zip_spec(file)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_file_cut_short(file: Path, two: ModelSpec, share: float) -> None:
    whole = zipped(two.to_json())
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SpecError, match=r"model\.tflite is cut short"):
        read_zip_spec(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.tflite: No such file"):
        read_zip_spec(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match="cannot read"):
        read_zip_spec(tmp_path)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (8, 0x0001),  # the entry claims to be encrypted
        (10, 99),  # packed by a method that nobody knows
        (10, zipfile.ZIP_DEFLATED),  # stored, but claims to be deflated
        (10, zipfile.ZIP_BZIP2),
        (10, zipfile.ZIP_LZMA),
        (16, 0xBEEF),  # its checksum is wrong
    ],
)
def test_damaged_entry(file: Path, two: ModelSpec, offset: int, value: int) -> None:
    data = bytearray(zipped(two.to_json()))
    struct.pack_into("<H", data, data.rindex(b"PK\x01\x02") + offset, value)
    file.write_bytes(data)
    with pytest.raises((SpecError, ModelError), match=r"model\.tflite|cannot read"):
        read_zip_spec(file)


def test_entry_name_that_is_no_text(file: Path, two: ModelSpec) -> None:
    # The flag says UTF-8, the bytes are none: `zipfile` then raises UnicodeDecodeError.
    data = bytearray(zipped(two.to_json()))
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<H", data, central + 8, 0x0800)
    data[central + 46] = 0xFF
    file.write_bytes(data)
    with pytest.raises(SpecError, match=r"model\.tflite"):
        read_zip_spec(file)


@given(st.data())
def test_damaged_bytes_raise_only_our_errors(
    tmp_path_factory: pytest.TempPathFactory, two: ModelSpec, data: st.DataObject
) -> None:
    damaged = bytearray(zipped(two.to_json()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(len(FLATBUFFER), len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged.tflite"
    file.write_bytes(damaged)
    try:
        spec = read_zip_spec(file)
    except HcrError:
        return
    # A ZIP entry carries a checksum: what is read is what was written.
    assert spec == two
