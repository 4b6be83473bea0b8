from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from hcr_edge.datasets import Dataset, find_data_dir, is_present, load_dataset
from hcr_edge.datasets.writers import hold_out_writers
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS
from tests.edge.published_files import (
    AHCD_CSV,
    AHCD_MAT,
    AHCD_TEST_PNG,
    AHCD_ZIP,
    ahcd_csv,
    ahcd_mat,
    ahcd_pngs,
    png,
    put,
    zipped,
)

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
    with zipfile.ZipFile(data_dir / "ahcd" / AHCD_ZIP) as archive:
        return {name: archive.read(name) for name in (IMAGES, LABELS)}


def _unpack(tables: Tables, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in tables.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("below", ["ahcd", "."])
def test_reads_unpacked_files(below: str, tables: Tables, tmp_path: Path, ahcd: Read) -> None:
    _unpack(tables, tmp_path / below)
    assert is_present("ahcd", tmp_path)
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
        (LABELS, _cell(5, 0, b"0"), "row 6: label 0"),  # labels counted from 0
        (LABELS, _cell(9, 0, b"29"), "row 10: label 29"),  # a hamza, as in other sets
        (LABELS, _cell(0, 0, b"-1"), "row 1: label -1"),
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
    (tmp_path / AHCD_ZIP).write_bytes(_zipped(tables))
    assert len(load_dataset("ahcd", "test", data_dir=tmp_path)) == 3360
    for split, says in (("train", "train part"), ("all", "parts")):
        with pytest.raises(DataError, match=f"ahcd: the files of its {says} are not") as caught:
            load_dataset("ahcd", split, data_dir=tmp_path)
        assert caught.value.allowed == "there are: test"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "is damaged"),
        (lambda data: data[: len(data) // 2], "is damaged"),  # a download that broke off
        (lambda data: data[:-10], "is damaged"),
        (lambda data: b"<html>404</html>", "is damaged"),  # a server's answer saved as the file
        # Whole directory, spoiled content: what comes first, a row or the sum, is named.
        (lambda data: data[:5000] + bytes(5000) + data[10000:], IMAGES),
        (lambda data: data[:5000] + b"\xff" * 5000 + data[10000:], "is damaged"),
    ],
)
def test_damaged_zip_is_named(
    damage: Callable[[bytes], bytes], says: str, tables: Tables, tmp_path: Path
) -> None:
    (tmp_path / AHCD_ZIP).write_bytes(damage(_zipped(tables)))
    with pytest.raises(DataError, match=says) as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert AHCD_ZIP in caught.value.message


def test_no_data_here(tmp_path: Path) -> None:
    assert not is_present("ahcd", tmp_path)
    with pytest.raises(DataError, match="ahcd is not in") as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert AHCD_ZIP in caught.value.allowed
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


# ---- the other layouts


def _same(data: Dataset, official: Dataset) -> None:
    np.testing.assert_array_equal(data.labels, official.labels)
    np.testing.assert_array_equal(data.writers, official.writers)
    np.testing.assert_array_equal(np.stack(data.images), np.stack(official.images))
    assert (data.label_set, data.split, data.licence) == (
        official.label_set,
        official.split,
        official.licence,
    )


# Kaggle writes underscores for blanks; people unpack into folders of their own.
@pytest.mark.parametrize(
    "place",
    [
        "{}",
        "ahcd/{}",
        "AHCD/{}",
        "ahcd/csv/{}",
        "ahcd/Arabic Handwritten Characters Dataset CSV/{}",
    ],
)
@pytest.mark.parametrize("blank", [" ", "_"])
def test_unpacked_csv_files_wherever_they_lie(
    place: str, blank: str, tables: Tables, tmp_path: Path, ahcd: Read
) -> None:
    put(tmp_path, {place.format(n.replace(" ", blank)): data for n, data in tables.items()})
    _same(load_dataset("ahcd", "test", data_dir=tmp_path), ahcd("test"))


def test_all_four_csv_files_in_another_zip(data_dir: Path, tmp_path: Path, ahcd: Read) -> None:
    """Kaggle's archive has another name, and folders in it."""
    with zipfile.ZipFile(data_dir / "ahcd" / AHCD_ZIP) as archive:
        files = {
            f"data/{name.replace(' ', '_')}": archive.read(name) for name in archive.namelist()
        }
    put(tmp_path, {"ahcd/archive.zip": zipped(files)})
    for split in ("train", "test"):
        _same(load_dataset("ahcd", split, data_dir=tmp_path), ahcd(split))


def test_tables_as_this_suite_writes_them_are_the_publishers(
    tables: Tables, data_dir: Path
) -> None:
    """What other tests build from the upright images is the published form, byte by byte."""
    labels = np.arange(3360) // 2 % 28 + 1
    assert ahcd_csv("test", ahcd_mat(data_dir)["test"], labels) == {
        name: data.replace(b"\r\n", b"\n") for name, data in tables.items()
    }
    assert set(AHCD_CSV["test"]) == set(tables)


@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_the_matlab_file_alone(split: str, data_dir: Path, tmp_path: Path, ahcd: Read) -> None:
    data = load_dataset("ahcd", split, data_dir=_copied(data_dir, AHCD_MAT, tmp_path))
    official = ahcd(split) if split != "all" else load_dataset("ahcd", "all", data_dir=data_dir)
    _same(data, official)


def _copied(data_dir: Path, name: str, target: Path) -> Path:
    return put(target, {name: (data_dir / "ahcd" / name).read_bytes()})


def _stacked(images: Sequence[NDArray[np.uint8] | Path]) -> NDArray[np.uint8]:
    return np.stack([image for image in images if isinstance(image, np.ndarray)])


def _inked(images: Sequence[NDArray[np.uint8] | Path]) -> NDArray[np.uint8]:
    """Binarised as the publisher did it: whatever has any ink is white."""
    return np.where(_stacked(images) > 0, np.uint8(255), np.uint8(0))


@pytest.mark.parametrize("unpacked", [False, True])
def test_the_publishers_png_files_are_the_same_images(
    unpacked: bool, data_dir: Path, tmp_path: Path, ahcd: Read
) -> None:
    """Binarised, in another order in the archive: image N is row N - 1, upright, with its label."""
    source = data_dir / "ahcd" / AHCD_TEST_PNG
    if unpacked:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(tmp_path / "ahcd" / "Test Images 3360x32x32")
    else:
        _copied(data_dir, AHCD_TEST_PNG, tmp_path)
    data, official = load_dataset("ahcd", "test", data_dir=tmp_path), ahcd("test")
    np.testing.assert_array_equal(data.labels, official.labels)
    np.testing.assert_array_equal(data.writers, official.writers)
    assert [int(name.split("_")[1]) for name in data.names] == list(range(1, 3361))
    np.testing.assert_array_equal(_stacked(data.images), _inked(official.images))


def test_png_zips_of_both_parts(data_dir: Path, tmp_path: Path, ahcd: Read) -> None:
    """The publisher's train zip is not at hand: the same naming, 13,440 images."""
    files = ahcd_pngs("train", ahcd_mat(data_dir)["train"], 8)
    put(tmp_path, {"ahcd/Train Images 13440x32x32.zip": zipped(files)})
    _copied(data_dir, AHCD_TEST_PNG, tmp_path / "ahcd")
    data = load_dataset("ahcd", "all", data_dir=tmp_path)
    official = load_dataset("ahcd", "all", data_dir=data_dir)
    np.testing.assert_array_equal(data.labels, official.labels)
    np.testing.assert_array_equal(data.writers, official.writers)
    np.testing.assert_array_equal(_stacked(data.images), _inked(official.images))


@pytest.fixture(scope="module")
def pngs(data_dir: Path) -> Tables:
    with zipfile.ZipFile(data_dir / "ahcd" / AHCD_TEST_PNG) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


ONE = "test/id_17_label_9.png"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({ONE: None}, "1 of 3360 images are missing, the first id_17_"),  # half an archive unpacked
        ({ONE: b"\x89PNG cut short"}, ONE),
        ({ONE: b""}, ONE),
        ({ONE: None, "test/id_17_label_29.png": png(np.zeros((32, 32), np.uint8))}, "label 29"),
        ({ONE: None, "test/id_17_label_0.png": png(np.zeros((32, 32), np.uint8))}, "label 0"),
        ({"test/id_3361_label_1.png": png(np.zeros((32, 32), np.uint8))}, "number 3361"),
        ({"test/id_0_label_1.png": png(np.zeros((32, 32), np.uint8))}, "number 0"),
        # Unpacked twice, or two labels for one image.
        ({"again/test/id_17_label_9.png": png(np.zeros((32, 32), np.uint8))}, "17 comes twice"),
        ({"test/id_17_label_8.png": png(np.zeros((32, 32), np.uint8))}, "17 comes twice"),
    ],
)
def test_damaged_png_trees_are_named(
    change: dict[str, bytes | None], says: str, pngs: Tables, tmp_path: Path
) -> None:
    files = {name: data for name, data in {**pngs, **change}.items() if data is not None}
    put(tmp_path, {AHCD_TEST_PNG: zipped(files)})
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert AHCD_TEST_PNG in caught.value.message
    assert "hcr-edge data validate ahcd" in caught.value.hint


def test_number_and_label_of_endless_digits(pngs: Tables, tmp_path: Path) -> None:
    """Python reads no number of more than 4,300 digits; a zip's names may have 65,535."""
    odd = f"test/id_{'9' * 5000}_label_1.png"
    put(tmp_path, {AHCD_TEST_PNG: zipped({odd: b"", f"{'8' * 5000}.png": b"", **pngs})})
    assert len(load_dataset("ahcd", "test", data_dir=tmp_path)) == 3360


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "holds no XTest"),
        ({"XTest": np.zeros((32, 32, 3360), np.uint8)}, "uint8 of shape (32, 32, 3360)"),
        ({"XTest": np.zeros((32, 32, 1, 3359), np.uint8)}, "(32, 32, 1, 3359)"),  # one is missing
        ({"XTest": np.full((32, 32, 1, 3360), 0.5)}, "float64"),  # scaled to 0-1
        ({"XTest": "text"}, "str"),
        ({"XTest": {"a": 1}}, "dict"),
    ],
)
def test_other_matlab_files_are_refused(
    variables: dict[str, object], says: str, tmp_path: Path
) -> None:
    """It has no labels: only the published number of images tells them."""
    stream = io.BytesIO()
    savemat(stream, {"XTrain": 0, **variables})
    put(tmp_path, {AHCD_MAT: stream.getvalue()})
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        load_dataset("ahcd", "test", data_dir=tmp_path)
    assert AHCD_MAT in caught.value.message


def test_the_best_layout_is_taken(data_dir: Path, tmp_path: Path, ahcd: Read) -> None:
    """Beside the binarised PNG files, those with all their greys are read."""
    _copied(data_dir, AHCD_TEST_PNG, tmp_path)
    _copied(data_dir, AHCD_MAT, tmp_path)
    _same(load_dataset("ahcd", "test", data_dir=tmp_path), ahcd("test"))


@pytest.mark.parametrize("share", [5, 10])
def test_folds_are_those_of_every_run_before(share: int, ahcd: Read, data_dir: Path) -> None:
    """Writer number modulo folds: the figures in the model card were measured on these."""
    for data in (ahcd("train"), load_dataset("ahcd", "all", data_dir=data_dir)):
        assert data.writers is not None
        for fold in range(share):
            held_out = hold_out_writers(data, share, fold)
            np.testing.assert_array_equal(held_out, data.writers % share == fold)


@pytest.mark.parametrize("spec", ["ahcd:28", "ahcd:x,y", "ahcd:,"])
def test_it_has_no_variants(spec: str, data_dir: Path) -> None:
    with pytest.raises(DataError, match="ahcd has no variant") as caught:
        load_dataset(spec, "test", data_dir=data_dir)
    assert caught.value.allowed == "none"
