from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from hcr_edge.labels import PERSIAN_DIGITS
from tests.edge.published_files import (
    PERSIAN,
    Sample,
    cdb,
    hoda_as_mat,
    hoda_mat,
    put,
    sample,
    zipped,
)

MAT = "Data_hoda_full.mat"


@pytest.fixture(scope="module")
def found(data_dir: Path) -> Sample:
    return sample("hoda", data_dir)


def _cdb(found: Sample) -> bytes:
    return cdb(found.images, [PERSIAN.index(text) for text in found.texts], comment=b"made here")


def _same(data: Dataset, found: Sample) -> None:
    assert [data.label_set[i].text for i in data.labels] == list(found.texts)
    assert len(data) == len(found)
    for image, was in zip(data.images, found.images, strict=True):
        np.testing.assert_array_equal(image, was)


def test_the_real_test_part(data_dir: Path) -> None:
    data = load_dataset("hoda", data_dir=data_dir)
    assert (data.name, data.split, len(data), data.writers) == ("hoda", "test", 20000, None)
    assert np.bincount(data.labels).tolist() == [2000] * 10
    assert data.label_set == PERSIAN_DIGITS
    assert {int(v) for image in data.images[::100] for v in np.unique(image)} == {0, 255}
    # The header of the file counts the images of each class.
    head = (data_dir / "hoda" / "Test 20000.cdb").read_bytes()[:1024]
    assert struct.unpack_from("<10I", head, 10) == (2000,) * 10


def test_the_real_matlab_file_is_the_training_part(data_dir: Path) -> None:
    data = load_dataset("hoda", "train", data_dir=data_dir)
    images, labels = hoda_mat(data_dir)
    assert (data.split, len(data)) == ("train", 60000)
    np.testing.assert_array_equal(data.labels, labels)
    for i in range(0, 60000, 97):
        np.testing.assert_array_equal(data.images[i], images[i])


def test_all_is_every_part_whatever_its_form(data_dir: Path) -> None:
    """The training part is at hand as a MATLAB file alone, the test part as a CDB file."""
    data = load_dataset("hoda", "all", data_dir=data_dir)
    assert (data.split, len(data)) == ("all", 80000)
    assert np.bincount(data.labels).tolist() == [8000] * 10
    test = load_dataset("hoda", "test", data_dir=data_dir)
    np.testing.assert_array_equal(data.images[-1], test.images[-1])


def test_one_image_is_the_same_in_both_forms(found: Sample, tmp_path: Path) -> None:
    put(tmp_path / "cdb", {"hoda/Train 60000.cdb": _cdb(found)})
    put(tmp_path / "mat", {f"hoda/{MAT}": hoda_as_mat(found)})
    for form in ("cdb", "mat"):
        data = load_dataset("hoda", "train", data_dir=tmp_path / form)
        _same(data, found)
        with pytest.raises(DataError, match="test part"):
            load_dataset("hoda", "test", data_dir=tmp_path / form)
        # Part of a set is not all of it.
        with pytest.raises(DataError, match="its parts are not all in") as caught:
            load_dataset("hoda", "all", data_dir=tmp_path / form)
        assert caught.value.allowed == "there are: train"


@pytest.mark.parametrize(
    ("place", "archive"),
    [
        ("{}", ""),
        ("hoda/{}", ""),
        ("hoda/DigitDB/{}", ""),
        ("{}", "hoda/DigitDB.zip"),
        ("DigitDB/{}", "DigitDB.zip"),
    ],
)
def test_all_three_parts(place: str, archive: str, found: Sample, tmp_path: Path) -> None:
    """`RemainingSamples.cdb` is the publisher's name of the third."""
    parts = {
        "Train 60000.cdb": found.first(200),
        "Test 20000.cdb": Sample(found.images[200:350], found.texts[200:350]),
        "RemainingSamples.cdb": Sample(found.images[350:], found.texts[350:]),
    }
    files = {place.format(name): _cdb(part) for name, part in parts.items()}
    put(tmp_path, {archive: zipped(files)} if archive else files)
    for split, part in zip(("train", "test", "remaining"), parts.values(), strict=True):
        _same(load_dataset("hoda", split, data_dir=tmp_path), part)
    _same(load_dataset("hoda", "all", data_dir=tmp_path), found)


def test_remaining_may_be_missing(found: Sample, tmp_path: Path) -> None:
    put(tmp_path, {"Train 60000.cdb": _cdb(found), "Test 20000.cdb": _cdb(found.first(99))})
    assert len(load_dataset("hoda", "all", data_dir=tmp_path)) == len(found) + 99
    with pytest.raises(DataError, match="remaining part") as caught:
        load_dataset("hoda", "remaining", data_dir=tmp_path)
    assert caught.value.allowed == "there are: train, test"


def test_a_letter_among_the_digits_is_named(found: Sample, tmp_path: Path) -> None:
    labels = [PERSIAN.index(text) for text in found.texts]
    labels[6] = 11
    put(tmp_path, {"Test 20000.cdb": cdb(found.images, labels)})
    with pytest.raises(DataError, match="row 7: label 11; allowed: 0 to 9"):
        load_dataset("hoda", data_dir=tmp_path)


def _mat(**variables: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables)
    return stream.getvalue()


def _cells(*values: object) -> np.ndarray:
    cells = np.empty((len(values), 1), object)
    for i, value in enumerate(values):
        cells[i, 0] = value
    return cells


ONE = np.full((3, 4), 255, np.uint8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_mat(labels=np.ones((2, 1))), "no cell array Data"),
        (_mat(Data=_cells(ONE, ONE)), "or no labels"),
        (_mat(Data=np.zeros((2, 4, 4)), labels=np.ones((2, 1))), "no cell array Data"),
        (_mat(Data=_cells(ONE, ONE, ONE), labels=np.ones((2, 1))), "3 images and 2 labels"),
        (_mat(Data=_cells(ONE, ONE), labels=np.array([[1], [10]])), "row 2: label 10"),
        (_mat(Data=_cells(ONE, ONE), labels=np.array([[1], [-1]])), "row 2: label -1"),
        (_mat(Data=_cells(ONE, ONE), labels=np.array([[1], [1.5]])), "not whole"),
        (_mat(Data=_cells(ONE, ONE), labels=np.array([[1], [np.nan]])), "not whole"),
        (_mat(Data=_cells(ONE, ONE), labels="ab"), "labels holds no numbers"),
        (_mat(Data=_cells(ONE, "text"), labels=np.ones((2, 1))), "cell 2: str is no image"),
        (_mat(Data=_cells(ONE, np.zeros((0, 3))), labels=np.ones((2, 1))), "cell 2: (0, 3)"),
        (_mat(Data=_cells(ONE, np.zeros((2, 2, 2))), labels=np.ones((2, 1))), "cell 2: (2, 2, 2)"),
        # Pixels that are no bytes: they would wrap round.
        (_mat(Data=_cells(ONE, np.full((2, 2), 300)), labels=np.ones((2, 1))), "cell 2"),
        (_mat(Data=_cells(ONE, np.full((2, 2), 0.5)), labels=np.ones((2, 1))), "cell 2"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_other_matlab_files_are_refused(data: bytes, says: str, tmp_path: Path) -> None:
    put(tmp_path, {MAT: data})
    with pytest.raises(DataError) as caught:
        load_dataset("hoda", "train", data_dir=tmp_path)
    assert says in caught.value.message
    assert MAT in caught.value.message
