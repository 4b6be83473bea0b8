from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset, find_data_dir, load_dataset
from hcr_edge.datasets.ahcd import ZIP_NAME, is_present
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS

IMAGES, LABELS = "csvTestImages 3360x1024.csv", "csvTestLabel 3360x1.csv"
Read = Callable[[str], Dataset]
Tables = dict[str, bytes]


@pytest.mark.parametrize(("split", "total", "each"), [("train", 13440, 480), ("test", 3360, 120)])
def test_counts(split: str, total: int, each: int, ahcd: Read) -> None:
    data = ahcd(split)
    assert (data.name, data.split, len(data)) == ("ahcd", split, total)
    assert np.bincount(data.labels).tolist() == [each] * 28
    assert data.label_set == ARABIC_LETTERS
    assert {(image.shape, image.dtype) for image in data.images} == {((32, 32), np.dtype(np.uint8))}


@pytest.mark.parametrize(("split", "each"), [("train", 8), ("test", 2)])
def test_sixty_writers_wrote_every_letter(split: str, each: int, ahcd: Read) -> None:
    data = ahcd(split)
    assert data.writers is not None
    counts = np.zeros((60, 28), int)
    np.add.at(counts, (data.writers, data.labels), 1)
    assert (counts == each).all()


def test_all_is_both_and_joins_the_writers(ahcd: Read, data_dir: Path) -> None:
    data = load_dataset("ahcd", "all", data_dir=data_dir)
    assert (data.split, len(data)) == ("all", 16800)
    assert data.writers is not None
    assert np.bincount(data.writers).tolist() == [280] * 60
    np.testing.assert_array_equal(data.images[-1], ahcd("test").images[-1])


def _images(data: Dataset, text: str) -> NDArray[np.uint8]:
    index = [label.text for label in data.label_set].index(text)
    return np.stack([data.images[i] for i in np.flatnonzero(data.labels == index)])


def _width_by_height(data: Dataset, text: str) -> float:
    boxes = [cv2.boundingRect((image > 128).astype(np.uint8)) for image in _images(data, text)]
    return float(np.median([width / height for _, _, width, height in boxes]))


def _dot_is_below(data: Dataset, text: str) -> float:
    """Share of the images whose smaller part lies lower than the larger."""
    found = []
    for image in _images(data, text):
        mask = (image > 100).astype(np.uint8)
        count, _, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
        if count == 3:  # the ground, a bowl, a dot
            bowl, dot = sorted((1, 2), key=lambda part: -stats[part, cv2.CC_STAT_AREA])
            found.append(centres[dot][1] > centres[bowl][1])
    assert len(found) > 40
    return float(np.mean(found))


def test_letters_are_upright(ahcd: Read) -> None:
    """The CSV rows are stored transposed: read plainly, alef lies and beh stands."""
    data = ahcd("test")
    assert _width_by_height(data, "ا") < 0.5
    assert _width_by_height(data, "ب") > 1.3
    # Beh has its dot below its bowl, noon above: not upside down.
    assert _dot_is_below(data, "ب") > 0.9
    assert _dot_is_below(data, "ن") < 0.1
    # Lam's stem stands at the right: not mirrored.
    top = _images(data, "ل").mean(axis=0)[:16]
    assert top[:, 16:].sum() > 2 * top[:, :16].sum()


def test_same_pixels_as_the_publishers_matlab_file(ahcd: Read, data_dir: Path) -> None:
    path = data_dir / "ahcd" / "Train+Test Images Matlab.mat"
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    from scipy.io import loadmat

    upright = loadmat(path, variable_names=["XTest"])["XTest"][:, :, 0]
    np.testing.assert_array_equal(np.stack(ahcd("test").images), upright.transpose(2, 0, 1))


@pytest.fixture(scope="session")
def tables(data_dir: Path) -> Tables:
    """The CSV files of the test part, by name."""
    with zipfile.ZipFile(data_dir / "ahcd" / ZIP_NAME) as archive:
        return {name: archive.read(name) for name in (IMAGES, LABELS)}


def _unpack(tables: Tables, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in tables.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("below", ["ahcd", "."])
def test_reads_unpacked_files(below: str, tables: Tables, tmp_path: Path, ahcd: Read) -> None:
    _unpack(tables, tmp_path / below)
    assert is_present(tmp_path)
    data = load_dataset("ahcd", "test", data_dir=tmp_path)
    np.testing.assert_array_equal(np.stack(data.images), np.stack(ahcd("test").images))
    np.testing.assert_array_equal(data.labels, ahcd("test").labels)


def _rows(data: bytes) -> list[list[bytes]]:
    return [line.split(b",") for line in data.splitlines()]


def _text(rows: list[list[bytes]]) -> bytes:
    return b"\n".join(b",".join(row) for row in rows) + b"\n"


def _cell(row: int, column: int, value: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        rows = _rows(data)
        rows[row][column] = value
        return _text(rows)

    return change


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (IMAGES, lambda data: _text([row[:-1] for row in _rows(data)]), "1023 columns"),
        (IMAGES, lambda data: _text([[*row, b"0"] for row in _rows(data)]), "1025 columns"),
        (LABELS, lambda data: _text([[*row, b"0"] for row in _rows(data)]), "2 columns"),
        (IMAGES, lambda data: _text(_rows(data)[:-1]), "3359 rows"),  # one image short
        (LABELS, lambda data: _text(_rows(data)[:-1]), "3359 rows"),
        (IMAGES, lambda data: data[: len(data) // 2], ""),  # cut short within a row
        (IMAGES, lambda data: b"", ""),
        (LABELS, _cell(5, 0, b"0"), "row 6 (0)"),  # labels counted from 0
        (LABELS, _cell(9, 0, b"29"), "row 10 (29)"),  # a hamza, as in other sets
        (LABELS, _cell(0, 0, b"-1"), "row 1 (-1)"),
        (LABELS, _cell(0, 0, b"alef"), "alef"),
        (LABELS, _cell(0, 0, b""), ""),
        (IMAGES, _cell(3, 7, b"256"), "row 4 (256)"),
        (IMAGES, _cell(3, 7, b"-1"), "row 4 (-1)"),
        (IMAGES, _cell(3, 7, b"70000"), "70000"),  # beyond 16 bits: not wrapped round
        (IMAGES, _cell(3, 7, b"0.5"), "0.5"),  # scaled to 0-1: another file
        (IMAGES, _cell(3, 7, b"nan"), "nan"),
        (IMAGES, lambda data: b"\x89PNG\r\n\x1a\n" + data, ""),  # something else altogether
    ],
)
@pytest.mark.filterwarnings("error")
def test_damaged_csv_is_named(
    name: str, change: Callable[[bytes], bytes], says: str, tables: Tables, tmp_path: Path
) -> None:
    _unpack({**tables, name: change(tables[name])}, tmp_path)
    with pytest.raises(DataError) as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert name in caught.value.message
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_missing_csv_is_named(tables: Tables, tmp_path: Path) -> None:
    _unpack({IMAGES: tables[IMAGES]}, tmp_path)
    with pytest.raises(DataError, match=LABELS):
        load_dataset("ahcd", "test", data_dir=tmp_path)


def _zipped(tables: Tables) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in tables.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_zip_of_one_part_reads_that_part(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / ZIP_NAME).write_bytes(_zipped(tables))
    assert len(load_dataset("ahcd", "test", data_dir=tmp_path)) == 3360
    with pytest.raises(DataError, match="does not hold 'csvTrainImages"):
        load_dataset("ahcd", "train", data_dir=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],  # a download that broke off
        lambda data: data[:-10],
        lambda data: b"<html>404</html>",  # a server's answer saved as the file
        # Whole directory, spoiled content.
        lambda data: data[:5000] + bytes(5000) + data[10000:],
        lambda data: data[:5000] + b"\xff" * 5000 + data[10000:],
    ],
)
def test_damaged_zip_is_named(
    damage: Callable[[bytes], bytes], tables: Tables, tmp_path: Path
) -> None:
    (tmp_path / ZIP_NAME).write_bytes(damage(_zipped(tables)))
    with pytest.raises(DataError, match="is damaged") as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert ZIP_NAME in caught.value.message


def test_no_data_here(tmp_path: Path) -> None:
    assert not is_present(tmp_path)
    with pytest.raises(DataError, match="AHCD is not in") as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert ZIP_NAME in caught.value.allowed
    assert "GitHub" in caught.value.hint


def test_folder_of_data_comes_from_the_environment(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HCR_EDGE_DATA", raising=False)
    assert find_data_dir(None) is None
    with pytest.raises(DataError, match="no folder with data sets is named") as caught:
        load_dataset("ahcd", "test")
    assert "HCR_EDGE_DATA" in caught.value.hint
    monkeypatch.setenv("HCR_EDGE_DATA", str(_unpack(tables, tmp_path)))
    assert len(load_dataset("ahcd")) == 3360  # the test part is the default
    assert find_data_dir(Path("given")) == Path("given")


def test_unknown_split(data_dir: Path) -> None:
    with pytest.raises(DataError, match="'valid'") as caught:
        load_dataset("ahcd", "valid", data_dir=data_dir)
    assert caught.value.allowed == "train, test, all"


@pytest.mark.parametrize(
    ("name", "nearest"), [("ahdc", "ahcd"), ("folder:", "folder:PATH"), ("", "ahcd")]
)
def test_unknown_data_set_names_the_known(name: str, nearest: str) -> None:
    with pytest.raises(DataError, match="there is no data set") as caught:
        load_dataset(name)
    assert nearest in caught.value.allowed
