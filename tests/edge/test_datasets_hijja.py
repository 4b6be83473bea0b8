from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS, ARABIC_LETTERS_HAMZA
from tests.edge.published_files import (
    Sample,
    csv_rows,
    decoded,
    hijja_files,
    hijja_numbers,
    hijja_tree,
    png,
    put,
    sample,
    zipped,
)

TAR = "hijja2.tar.xz"
Load = Callable[..., Dataset]


@pytest.fixture(scope="module")
def whole(data_dir: Path) -> Dataset:
    return load_dataset("hijja", "all", data_dir=data_dir)


@pytest.fixture(scope="module")
def found(data_dir: Path) -> Sample:
    """Real images, up to 20 of each class."""
    return sample("hijja", data_dir)


def _letter(data: Dataset, index: int) -> str:
    return data.label_set[int(data.labels[index])].text


def test_the_real_tree(whole: Dataset, data_dir: Path) -> None:
    """All of it, and of every 60th image the same pixels and class as its file has."""
    assert (whole.name, whole.split, len(whole)) == ("hijja", "all", 47434)
    assert whole.label_set == ARABIC_LETTERS_HAMZA
    assert whole.skipped == {}
    counts = np.bincount(whole.labels, minlength=29)
    # As many as the archive's folders hold: alef has more forms, letters that do not join fewer.
    assert (counts[0], counts.min(), counts[28]) == (2741, 847, 1708)
    assert {image.shape for image in whole.images[::50]} == {(32, 32)}
    place = {name: i for i, name in enumerate(whole.names)}
    order = [label.text for label in ARABIC_LETTERS_HAMZA]
    files = hijja_files(data_dir)
    assert len(files) > 700
    for name, data in files.items():
        i = place[name]
        np.testing.assert_array_equal(whole.images[i], decoded(data))
        assert _letter(whole, i) == order[int(name.split(" ")[0]) - 1]


def test_sheets_are_writers(whole: Dataset) -> None:
    """108 forms to a sheet, up to number 34,452; beyond, nobody can tell."""
    assert whole.writers is not None
    numbers = np.array([int(name.rsplit("/", 1)[-1].split(".")[0]) for name in whole.names])
    np.testing.assert_array_equal(
        whole.writers, np.where(numbers <= 34452, (numbers - 1) // 108, -1)
    )
    assert len(np.unique(whole.writers)) == 320
    # A sheet holds each form once, but for a few that were sorted wrongly: one child's.
    forms = [name.split("/")[-2] for name in whole.names]
    pairs = [(w, form) for w, form in zip(whole.writers.tolist(), forms, strict=True) if w >= 0]
    assert len(set(pairs)) > 0.97 * len(pairs)


def test_derived_parts_share_no_sheet(data_dir: Path, whole: Dataset) -> None:
    train, test = (load_dataset("hijja", split, data_dir=data_dir) for split in ("train", "test"))
    assert train.writers is not None
    assert test.writers is not None
    assert not set(train.writers.tolist()) & set(test.writers.tolist())
    assert (test.writers >= 0).all(), "an unknown child may have written what is trained on"
    assert len(train) + len(test) == len(whole)
    known = (whole.writers >= 0).sum()
    assert len(test) == pytest.approx(known / 5, rel=0.01)
    assert set(train.names).isdisjoint(test.names)
    assert (train.split_rule, test.split_rule) == ("writers", "writers")
    assert set(np.unique(test.labels)) == set(range(29))


@pytest.mark.parametrize(
    ("words", "classes", "forms"),
    [
        ("29", 29, ""),
        ("all", 29, ""),
        ("28", 28, ""),
        ("isolated", 29, "isolated"),
        ("28,isolated", 28, "isolated"),
        ("isolated,28", 28, "isolated"),
    ],
)
def test_variants(words: str, classes: int, forms: str, whole: Dataset, data_dir: Path) -> None:
    data = load_dataset(f"hijja:{words}", "all", data_dir=data_dir)
    assert data.name == f"hijja:{words}"
    assert data.label_set == ARABIC_LETTERS_HAMZA[:classes]
    assert set(np.unique(data.labels)) == set(range(classes))
    form = np.array([name.split("/")[-2] for name in whole.names])
    keep = whole.labels < classes
    if forms:
        # Alone: alef also with a hamza above or below, heh also closed.
        keep &= np.char.endswith(form, ".1") | np.isin(form, ["1.3", "1.4", "26.4"])
    assert list(data.names) == [name for name, k in zip(whole.names, keep, strict=True) if k]
    np.testing.assert_array_equal(data.labels, whole.labels[keep])
    assert data.writers is not None
    np.testing.assert_array_equal(data.writers, whole.writers[keep])


@pytest.mark.parametrize("words", ["27", "30", "Isolated", "28,", "28,initial", " 28", "28;29"])
def test_unknown_variants_name_the_known(words: str, data_dir: Path) -> None:
    with pytest.raises(DataError, match="hijja has no variant") as caught:
        load_dataset(f"hijja:{words}", "all", data_dir=data_dir)
    assert caught.value.allowed == "29, 28, all, isolated"


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz", preset=0) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("place", "packed"),
    [
        ("hijja2/{}", False),  # unpacked, as the catalogue asks for it
        ("hijja2/Hijja2-master/{}", False),
        ("hijja/{}", False),
        ("{}", False),  # straight in the folder of data
        ("Hijja2-master/{}", False),
        ("Hijja2-master/{}", True),  # as GitHub packs the repository
        ("{}", True),
    ],
)
def test_trees_wherever_they_lie(place: str, packed: bool, found: Sample, tmp_path: Path) -> None:
    found = found.first(100)
    files = {place.format(name): data for name, data in hijja_tree(found).items()}
    # What else lies in the repository, and in an unpacked folder.
    files[place.format("README.md")] = b"about"
    files[place.format("1 alif/1.1/notes.txt")] = b"x"
    files[place.format("1 alif/Thumbs.db")] = b"x"
    put(tmp_path, {"hijja2/Hijja2-master.zip": zipped(files)} if packed else files)
    _same(load_dataset("hijja", "all", data_dir=tmp_path), found)


def test_a_tar_of_the_tree(found: Sample, tmp_path: Path) -> None:
    put(tmp_path, {f"hijja2/{TAR}": _tar(hijja_tree(found))})
    _same(load_dataset("hijja", "all", data_dir=tmp_path), found)


def _same(data: Dataset, found: Sample) -> None:
    """Compare with a sample whose files are numbered 1, 2, 3 …"""
    assert len(data) == len(found)
    for i, name in enumerate(data.names):
        number = int(name.rsplit("/", 1)[-1].split(".")[0]) - 1
        assert _letter(data, i) == found.texts[number]
        np.testing.assert_array_equal(data.images[i], found.images[number])


def test_image_modes_of_the_tree(found: Sample, tmp_path: Path) -> None:
    """The publisher's PNG files are grey, 1-bit, RGB, and grey with transparency."""
    import cv2

    image = found.images[0]
    shapes = (
        image,
        cv2.cvtColor(image, cv2.COLOR_GRAY2BGR),
        np.dstack([image, image, image, np.full_like(image, 255)]),
        # White with the ink in the transparency.
        np.dstack([np.zeros_like(image)] * 3 + [255 - image]),
    )
    files = {f"1 alif/1.1/{i + 1}.png": png(shape) for i, shape in enumerate(shapes)}
    files["1 alif/1.1/9.jpg"] = png(np.full((32, 32), 255, np.uint8), ".jpg")
    put(tmp_path / "hijja2", files)
    data = load_dataset("hijja", "all", data_dir=tmp_path)
    assert len(data) == 5
    for i in range(4):
        np.testing.assert_allclose(data.images[i].astype(int), image.astype(int), atol=1)


def test_an_undecodable_image_is_named(found: Sample, tmp_path: Path) -> None:
    files = hijja_tree(found)
    first, second = list(files)[10:12]
    files[first], files[second] = files[first][:40], b""
    put(tmp_path, {"hijja2/tree.zip": zipped(files)})
    with pytest.raises(DataError, match=re.escape("and 1 more")) as caught:
        load_dataset("hijja", "all", data_dir=tmp_path)
    assert first in caught.value.message or second in caught.value.message
    assert "tree.zip" in caught.value.message


# ---- the publisher's tables: how they are written varies with who exported them


def _table(values: np.ndarray, *, header: bool, numbered: bool, end: bytes = b"\n") -> bytes:
    """As pandas writes it: with names of columns, or the number of each row."""
    lines = csv_rows(values, end).splitlines(keepends=True)
    if numbered:
        lines = [b"%d,%s" % (i, line) for i, line in enumerate(lines)]
    if header:
        names = b",".join(b"%d" % i for i in range(values.shape[1]))
        lines.insert(0, (b"," if numbered else b"") + names + end)
    return b"".join(lines)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bright", [False, True])
@pytest.mark.parametrize(
    ("header", "numbered", "first"),
    [(False, False, 1), (True, False, 0), (True, True, 1), (False, True, 0), (False, False, 0)],
)
def test_tables_come_out_upright_and_dark(
    transposed: bool,
    bright: bool,
    header: bool,
    numbered: bool,
    first: int,
    found: Sample,
    tmp_path: Path,
) -> None:
    found = found.first(300)
    images = np.stack(found.images)
    stored = 255 - images if bright else images
    stored = (stored.transpose(0, 2, 1) if transposed else stored).reshape(len(found), -1)
    labels = hijja_numbers(found, first).reshape(-1, 1)
    files = {
        "X_test.csv": _table(stored, header=header, numbered=numbered),
        "y_test.csv": _table(labels, header=header, numbered=numbered),
    }
    put(tmp_path / "hijja2", files)
    data = load_dataset("hijja", "test", data_dir=tmp_path)
    assert [_letter(data, i) for i in range(len(data))] == list(found.texts)
    np.testing.assert_array_equal(np.stack(data.images), images)
    assert (data.split, data.split_rule, data.writers) == ("test", "published", None)


@pytest.mark.parametrize(
    ("place", "archive"),
    [
        ("hijja2/{}", ""),
        ("{}", ""),
        ("{}", "hijja2/CSV.zip"),
        ("CSV/{}", "hijja2/CSV.zip"),
        ("{}", "CSV.zip"),
    ],
)
def test_both_parts_of_the_tables(place: str, archive: str, found: Sample, tmp_path: Path) -> None:
    train, test = found.first(400), Sample(found.images[400:], found.texts[400:])
    files = {
        place.format(f"{name}.csv"): data
        for part, rows in (("train", train), ("test", test))
        for name, data in (
            (f"X_{part}", csv_rows(np.stack(rows.images).reshape(len(rows), -1))),
            (f"y_{part}", csv_rows(hijja_numbers(rows).reshape(-1, 1))),
        )
    }
    put(tmp_path, {archive: zipped(files)} if archive else files)
    counts = [len(load_dataset("hijja", s, data_dir=tmp_path)) for s in ("train", "test")]
    assert counts == [400, len(found) - 400]
    data = load_dataset("hijja:28", "all", data_dir=tmp_path)
    assert data.label_set == ARABIC_LETTERS
    kept = [text for text in found.texts if text != "ء"]
    assert [_letter(data, i) for i in range(len(data))] == kept


def test_packed_tables_with_windows_line_ends(found: Sample, tmp_path: Path) -> None:
    images = np.stack(found.images).reshape(len(found), -1)
    files = {
        "x_test.csv.gz": gzip.compress(csv_rows(images, b"\r\n"), 1),
        "Y_TEST.CSV": csv_rows(hijja_numbers(found).reshape(-1, 1), b"\r\n"),
    }
    put(tmp_path / "hijja2", files)
    assert len(load_dataset("hijja", "test", data_dir=tmp_path)) == len(found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y: (x[:-1], y), "one label for each image"),
        (lambda x, y: (x, y[:-1]), "one label for each image"),
        # One more label than images, the first a 0: without pandas' header that is no header.
        (lambda x, y: (x[:-1], np.where(y == 1, 0, y)), "one label for each image"),
        (lambda x, y: (x[:, :-1], y), "1023 columns"),
        (lambda x, y: (x, np.column_stack([y, y])), "2 columns"),
        (lambda x, y: (x, y + 1), "label 30"),  # from 2 to 30
        (lambda x, y: (x, np.where(y == 29, 0, y) * 3), "label"),
        # Numbers of rows that do not count them: a column too many, not pandas' own.
        (lambda x, y: (np.column_stack([x[:, 0], x]), y), "1025 columns"),
    ],
)
def test_tables_that_do_not_fit(
    change: Callable[..., tuple[np.ndarray, np.ndarray]],
    says: str,
    found: Sample,
    tmp_path: Path,
) -> None:
    images = np.stack(found.images).reshape(len(found), -1)
    images, labels = change(images, hijja_numbers(found).reshape(-1, 1))
    put(tmp_path / "hijja2", {"X_test.csv": csv_rows(images), "y_test.csv": csv_rows(labels)})
    with pytest.raises(DataError) as caught:
        load_dataset("hijja", "test", data_dir=tmp_path)
    assert says in str(caught.value)


def test_a_missing_table_is_named(found: Sample, tmp_path: Path) -> None:
    images = np.stack(found.images).reshape(len(found), -1)
    put(tmp_path / "hijja2", {"X_test.csv": csv_rows(images)})
    with pytest.raises(DataError, match=r"y_test\.csv"):
        load_dataset("hijja", "test", data_dir=tmp_path)
    with pytest.raises(DataError, match="train part"):
        load_dataset("hijja", "train", data_dir=tmp_path)


def test_tables_do_not_tell_which_letters_stand_alone(found: Sample, tmp_path: Path) -> None:
    """Beside them, the tree does: then it is read, whatever part is asked for."""
    images = np.stack(found.images).reshape(len(found), -1)
    tables = {"X_test.csv": csv_rows(images), "y_test.csv": csv_rows(hijja_numbers(found))}
    put(tmp_path / "hijja2", tables)
    with pytest.raises(DataError, match="do not say which letters stand alone") as caught:
        load_dataset("hijja:isolated", "test", data_dir=tmp_path)
    assert "PNG tree" in caught.value.hint
    put(tmp_path / "hijja2", {"Hijja2.zip": zipped(hijja_tree(found))})
    data = load_dataset("hijja:isolated", "test", data_dir=tmp_path)
    assert data.split_rule == "writers"
    assert data.names
