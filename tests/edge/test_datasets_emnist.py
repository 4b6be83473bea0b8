"""EMNIST, MNIST and the Kaggle A–Z set: 28×28 images in IDX, CSV and MATLAB files."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from tests.edge.published_files import (
    EMNIST_CLASSES,
    Sample,
    az,
    csv_rows,
    emnist_csv,
    emnist_idx,
    emnist_mat,
    emnist_numbers,
    idx,
    mnist,
    put,
    sample,
    zipped,
)

Files = dict[str, bytes]
SPLITS = list(EMNIST_CLASSES)
COUNTS = {"letters": 26, "balanced": 47, "bymerge": 47, "byclass": 62, "digits": 10, "mnist": 10}


def _parts(split: str, data_dir: Path) -> tuple[Sample, Sample]:
    """Train and test."""
    found = sample(f"emnist-{split}", data_dir)
    return found.first(300), Sample(found.images[300:], found.texts[300:])


def _same(data: Dataset, found: Sample) -> None:
    assert [data.label_set[i].text for i in data.labels] == list(found.texts)
    np.testing.assert_array_equal(np.stack(data.images), np.stack(found.images))


def _idx(split: str, data_dir: Path) -> Files:
    train, test = _parts(split, data_dir)
    mapping = {f"emnist-{split}-mapping.txt": b"0 48\n"}
    return {**emnist_idx(split, "train", train), **emnist_idx(split, "test", test), **mapping}


def _plain(files: Files) -> Files:
    """Unpacked, as browsers and file managers leave them."""
    return {
        name.removesuffix(".gz"): gzip.decompress(data) if name.endswith(".gz") else data
        for name, data in files.items()
    }


def _below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": data for name, data in files.items()}


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_from_the_publishers_archive(
    split: str, data_dir: Path, tmp_path: Path
) -> None:
    """``gzip.zip``: gz files in a folder ``gzip/``; the classes in the published order."""
    put(tmp_path, {"emnist/gzip.zip": zipped(_below("gzip", _idx(split, data_dir)))})
    for part, found in zip(("train", "test"), _parts(split, data_dir), strict=True):
        data = load_dataset(f"emnist-{split}", part, data_dir=tmp_path)
        assert data.split_rule == "published"
        assert "".join(label.text for label in data.label_set) == EMNIST_CLASSES[split]
        assert len(data.label_set) == COUNTS[split]
        _same(data, found)
    whole = load_dataset(f"emnist-{split}", "all", data_dir=tmp_path)
    _same(whole, sample(f"emnist-{split}", data_dir))


@pytest.mark.parametrize(
    "arrange",
    [
        lambda files: _below("emnist", files),
        lambda files: files,  # loose in the folder of data
        lambda files: _below("emnist/gzip", files),
        lambda files: _below("gzip", files),
        lambda files: _below("emnist", _plain(files)),
        lambda files: _plain(files),
        lambda files: {"gzip.zip": zipped(_below("gzip", files))},
        # Not packed after all: some browsers unpack what they download and keep its name.
        lambda files: {
            f"emnist/{name}": gzip.decompress(data) if name.endswith(".gz") else data
            for name, data in files.items()
        },
        # Both: the same either way.
        lambda files: _below("emnist", {**files, **_plain(files)}),
        # Beside MNIST's own and another split's files.
        lambda files: {
            **_below("emnist/gzip", files),
            "t10k-images-idx3-ubyte.gz": b"damaged",
            "emnist/gzip/emnist-digits-test-images-idx3-ubyte.gz": b"damaged",
        },
    ],
)
def test_idx_files_wherever_they_lie(
    arrange: Callable[[Files], Files], data_dir: Path, tmp_path: Path
) -> None:
    put(tmp_path, arrange(_idx("letters", data_dir)))
    _same(load_dataset("emnist-letters", "test", data_dir=tmp_path), _parts("letters", data_dir)[1])


@pytest.mark.parametrize("split", ["letters", "byclass"])
@pytest.mark.parametrize(
    "arrange",
    [
        lambda name, data: {f"emnist/{name}.csv": data},
        lambda name, data: {f"{name}.csv": data},
        # Kaggle puts a file of its own into a folder of that name.
        lambda name, data: {f"emnist/{name}.csv/{name}.csv": data},
        lambda name, data: {f"emnist/{name}.csv.gz": gzip.compress(data, 1)},
        lambda name, data: {f"emnist/{name}.zip": zipped({f"{name}.csv": data})},
        lambda name, data: {f"emnist/{name}.csv": data.replace(b"\n", b"\r\n")},
        lambda name, data: {f"emnist/{name}.csv": b"\xef\xbb\xbf" + data},
        # Some copies name their columns.
        lambda name, data: {
            f"emnist/{name}.csv": b"label,"
            + b",".join(b"pixel%d" % i for i in range(784))
            + b"\n"
            + data
        },
    ],
)
def test_kaggles_csv(
    split: str, arrange: Callable[[str, bytes], Files], data_dir: Path, tmp_path: Path
) -> None:
    train, test = _parts(split, data_dir)
    for part, found in (("train", train), ("test", test)):
        put(tmp_path, arrange(f"emnist-{split}-{part}", emnist_csv(split, found)))
    assert len(load_dataset(f"emnist-{split}", "train", data_dir=tmp_path)) == len(train)
    _same(load_dataset(f"emnist-{split}", "test", data_dir=tmp_path), test)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("packed", [False, True])
def test_matlab_files_say_who_wrote(
    split: str, packed: bool, data_dir: Path, tmp_path: Path
) -> None:
    train, test = _parts(split, data_dir)
    # NIST's numbers of writers: neither from 0 nor without gaps; those of the parts differ.
    writers = {
        "train": np.arange(len(train), dtype=np.uint16) // 7 + 100,
        "test": np.arange(len(test), dtype=np.uint16) // 7 + 2100,
    }
    data = emnist_mat(split, {"train": train, "test": test}, writers)
    name = f"emnist-{split}.mat"
    files = {"emnist/matlab.zip": zipped({f"matlab/{name}": data})} if packed else {name: data}
    put(tmp_path, files)
    for part, found in (("train", train), ("test", test)):
        read = load_dataset(f"emnist-{split}", part, data_dir=tmp_path)
        _same(read, found)
        assert read.writers is not None
        np.testing.assert_array_equal(read.writers, writers[part])
    whole = load_dataset(f"emnist-{split}", "all", data_dir=tmp_path)
    assert whole.writers is not None
    assert len(np.unique(whole.writers)) == len(np.unique(np.concatenate(list(writers.values()))))


def test_matlab_file_without_writers(data_dir: Path, tmp_path: Path) -> None:
    _, test = _parts("letters", data_dir)
    images = np.stack(test.images).transpose(0, 2, 1).reshape(len(test), -1)
    # MATLAB keeps numbers as doubles unless told otherwise.
    part = {"images": images, "labels": emnist_numbers("letters", test.texts).astype(float)}
    stream = io.BytesIO()
    savemat(stream, {"dataset": {"test": part}})
    put(tmp_path, {"emnist-letters.mat": stream.getvalue()})
    data = load_dataset("emnist-letters", "test", data_dir=tmp_path)
    _same(data, test)
    assert data.writers is None


@pytest.mark.parametrize("form", ["idx", "csv", "mat"])
@pytest.mark.parametrize("wrong", [0, 27, 255])
def test_letters_number_26_classes_from_1(
    form: str, wrong: int, data_dir: Path, tmp_path: Path
) -> None:
    """Neither 37 classes with an empty one, nor A under 0: the row is named."""
    _, test = _parts("letters", data_dir)
    numbers = emnist_numbers("letters", test.texts)
    numbers[4] = wrong
    images = np.stack(test.images).transpose(0, 2, 1)
    stem = "emnist-letters-test"
    rows = images.reshape(len(test), -1)
    mat = io.BytesIO()
    savemat(mat, {"dataset": {"test": {"images": rows, "labels": numbers}}})
    files = {
        "idx": {
            f"{stem}-images-idx3-ubyte": idx(images, packed=False),
            f"{stem}-labels-idx1-ubyte": idx(numbers, packed=False),
        },
        "csv": {f"{stem}.csv": csv_rows(np.column_stack([numbers, rows]))},
        "mat": {"emnist-letters.mat": mat.getvalue()},
    }[form]
    put(tmp_path / "emnist", files)
    with pytest.raises(DataError, match=rf"row 5: label {wrong}; allowed: 1 to 26") as caught:
        load_dataset("emnist-letters", "test", data_dir=tmp_path)
    assert "emnist-letters" in caught.value.message


def _struct(**fields: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, {"dataset": {"test": fields} if fields else 0})
    return stream.getvalue()


PIXELS = np.zeros((3, 784), np.uint8)
ONES = np.ones(3, np.uint8)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_struct(), "holds no dataset.test"),
        (_struct(labels=ONES), "holds no dataset.test"),
        (_struct(images=PIXELS), "holds no dataset.test"),
        (_struct(images=PIXELS, labels=ONES[:2]), "uint8 of shape (2, 784)"),
        (_struct(images=PIXELS[:, :783], labels=ONES), "(3, 783)"),
        (_struct(images=PIXELS / 255, labels=ONES), "float64"),
        (_struct(images="images", labels=ONES), "images is no array"),
        (_struct(images=PIXELS, labels="abc"), "labels holds no numbers"),
        (_struct(images=PIXELS, labels=np.array([1.0, 1.5, 2.0])), "not whole"),
        (_struct(images=PIXELS, labels=np.array([1.0, np.nan, 2.0])), "not whole"),
        (
            _struct(images=PIXELS, labels=np.array(["a", 1, {"b": 1}], object)),
            "labels holds no numbers",
        ),
        (_struct(images=PIXELS, labels=ONES, writers=np.ones(2, np.uint8)), "2 writers"),
        (_struct(images=PIXELS, labels=ONES, writers="abc"), "writers holds no numbers"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_other_matlab_structs_are_refused(data: bytes, says: str, tmp_path: Path) -> None:
    put(tmp_path, {"emnist-letters.mat": data})
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        load_dataset("emnist-letters", "test", data_dir=tmp_path)
    assert "emnist-letters.mat" in caught.value.message


IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({IMAGES: idx(np.zeros((3, 28, 28), np.uint8))}, LABELS),  # one of the two
        ({LABELS: idx(ONES)}, IMAGES),
        ({IMAGES: idx(np.zeros((3, 28, 28), np.uint8)), LABELS: idx(ONES[:2])}, "each of the 3"),
        ({IMAGES: idx(np.zeros((3, 784), np.uint8)), LABELS: idx(ONES)}, "images of 28 x 28"),
        ({IMAGES: idx(np.zeros((3, 32, 32), np.uint8)), LABELS: idx(ONES)}, "images of 28 x 28"),
        ({IMAGES: idx(ONES), LABELS: idx(np.zeros((3, 28, 28), np.uint8))}, "images of 28 x 28"),
        ({IMAGES: idx(np.zeros((3, 28, 28), np.uint8)), LABELS: idx(ONES + 9)}, "label 10"),
        ({IMAGES: b"", LABELS: idx(ONES)}, "is empty"),
    ],
)
def test_other_idx_files_are_refused(files: Files, says: str, tmp_path: Path) -> None:
    put(tmp_path, _below("mnist", {f"{name}.gz": data for name, data in files.items()}))
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", "test", data_dir=tmp_path)
    assert says in str(caught.value)


def test_the_real_mnist(data_dir: Path) -> None:
    data = load_dataset("mnist", data_dir=data_dir)
    images, labels = mnist(data_dir)
    assert (data.split, len(data)) == ("test", 10000)
    np.testing.assert_array_equal(np.stack(data.images), images)
    np.testing.assert_array_equal(data.labels, labels)
    # LeCun's page: the first ten of the test part.
    assert [data.label_set[i].text for i in data.labels[:10]] == list("7210414959")
    with pytest.raises(DataError, match="the files of its train part are not all in"):
        load_dataset("mnist", "train", data_dir=data_dir)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
@pytest.mark.parametrize("place", ["mnist/", "", "mnist/raw/", "MNIST/"])
def test_mnist_in_both_spellings(
    packed: bool, spelling: str, place: str, data_dir: Path, tmp_path: Path
) -> None:
    """LeCun's archives unpack to ``t10k-images.idx3-ubyte``, copies have ``-idx3``."""
    images, labels = mnist(data_dir)
    end = ".gz" if packed else ""
    files = {
        f"{place}{stem}{spelling}{kind}-ubyte{end}": idx(array, packed=packed)
        for part, rows in (("train", slice(500, 1500)), ("t10k", slice(500)))
        for stem, kind, array in (
            (f"{part}-images", 3, images[rows]),
            (f"{part}-labels", 1, labels[rows]),
        )
    }
    put(tmp_path, files)
    for split, rows in (("train", slice(500, 1500)), ("test", slice(500))):
        data = load_dataset("mnist", split, data_dir=tmp_path)
        np.testing.assert_array_equal(np.stack(data.images), images[rows])
        np.testing.assert_array_equal(data.labels, labels[rows])


def test_mnist_as_csv(data_dir: Path, tmp_path: Path) -> None:
    """Kaggle's ``mnist_test.csv``, with a header; upright, unlike EMNIST's."""
    images, labels = mnist(data_dir)
    rows = np.column_stack([labels[:300], images[:300].reshape(300, -1)])
    names = "label," + ",".join(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))
    put(tmp_path, {"mnist/mnist_test.csv": names.encode() + b"\n" + csv_rows(rows)})
    data = load_dataset("mnist", "test", data_dir=tmp_path)
    np.testing.assert_array_equal(np.stack(data.images), images[:300])


# ---- A–Z


def test_the_real_sample_of_az(data_dir: Path) -> None:
    data = load_dataset("az", "all", data_dir=data_dir)
    images, labels = az(data_dir)
    assert (data.name, len(data), len(data.label_set)) == ("az", 5934, 26)
    np.testing.assert_array_equal(np.stack(data.images[::4]), images)
    np.testing.assert_array_equal(data.labels[::4], labels)
    train, test = (load_dataset("az", split, data_dir=data_dir) for split in ("train", "test"))
    assert len(train) + len(test) == len(data)
    assert (train.split_rule, test.split_rule) == ("blocks", "blocks")
    assert len(test) == pytest.approx(len(data) / 5, rel=0.05)


@pytest.mark.parametrize(
    "name",
    [
        "az/A_Z Handwritten Data.csv",
        "A_Z Handwritten Data.csv",
        "az/A_Z_Handwritten_Data.csv",
        "az/A_Z Handwritten Data.csv/A_Z Handwritten Data.csv",
        "latin/A_Z Handwritten Data sample.csv.gz",
        "az/archive.zip",
        "A_ZHandwrittenData.zip",
    ],
)
@pytest.mark.parametrize("header", [False, True])
def test_az_files(name: str, header: bool, data_dir: Path, tmp_path: Path) -> None:
    """Kaggle's file has no header; copies have one."""
    images, labels = (array[::3] for array in az(data_dir))
    data = csv_rows(np.column_stack([labels, images.reshape(len(images), -1)]))
    if header:
        data = b"label," + b",".join(b"p%d" % i for i in range(784)) + b"\n" + data
    if name.endswith(".gz"):
        data = gzip.compress(data, 1)
    if name.endswith(".zip"):
        data = zipped({"A_Z Handwritten Data.csv": data})
    put(tmp_path, {name: data})
    read = load_dataset("az", "all", data_dir=tmp_path)
    np.testing.assert_array_equal(np.stack(read.images), images)
    np.testing.assert_array_equal(read.labels, labels)


def test_labels_of_az_count_from_0(data_dir: Path, tmp_path: Path) -> None:
    images, labels = (array[::3] for array in az(data_dir))
    data = csv_rows(np.column_stack([labels + 1, images.reshape(len(images), -1)]))
    put(tmp_path, {"A_Z Handwritten Data.csv": data})
    with pytest.raises(DataError, match="label 26; allowed: 0 to 25"):
        load_dataset("az", "all", data_dir=tmp_path)
