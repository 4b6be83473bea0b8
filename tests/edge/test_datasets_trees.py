"""Sets that are trees of image files: Persian digits, CoMNIST, NIST SD19, Russian letters."""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from hcr_edge.labels import RUSSIAN_CAPITALS, RUSSIAN_SMALL
from tests.edge.published_files import (
    CYRILLIC,
    PERSIAN,
    Sample,
    archive_images,
    by_class,
    decoded,
    in_folders,
    png,
    put,
    russian,
    sample,
    sd19_files,
    zipped,
)

Files = dict[str, bytes]


def _texts(data: Dataset) -> list[str]:
    return [data.label_set[i].text for i in data.labels]


def _below(folder: str, files: Files) -> Files:
    return {f"{folder}/{name}": data for name, data in files.items()}


def _in_order(found: Sample, data: Dataset) -> None:
    """Compare with a sample whose files are numbered as it is, or with a part of it."""
    assert len(set(data.names)) == len(data) <= len(found)
    for i, name in enumerate(data.names):
        number = int(re.findall(r"\d+", name.rsplit("/", 1)[-1])[-1])
        assert data.label_set[int(data.labels[i])].text == found.texts[number]
        np.testing.assert_array_equal(data.images[i], found.images[number])


# ---- Persian digits


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> Sample:
    return sample("persian-digits", data_dir).first(100)


def _western(text: str) -> str:
    return str(PERSIAN.index(text))


@pytest.mark.parametrize(
    "name_of",
    [
        _western,
        str,  # ۴
        lambda text: "٠١٢٣٤٥٦٧٨٩"[PERSIAN.index(text)],  # ٤
    ],
)
@pytest.mark.parametrize(
    "arrange",
    [
        lambda files: _below("persian-digits", files),
        lambda files: _below("persian-digits/dataset/images", files),
        lambda files: files,  # straight in the folder of data
        lambda files: _below("Persian_Digits_28x28", files),
        lambda files: {"persian-digits/archive.zip": zipped(files)},
        lambda files: {"persian-digits/archive.zip": zipped(_below("digits", files))},
        lambda files: {"farsi-digits.zip": zipped(files)},
    ],
)
def test_persian_digits(
    name_of: Callable[[str], str],
    arrange: Callable[[Files], Files],
    digits: Sample,
    tmp_path: Path,
) -> None:
    put(tmp_path, arrange(in_folders(digits, name_of)))
    data = load_dataset("persian-digits", "all", data_dir=tmp_path)
    assert [label.text for label in data.label_set] == list(PERSIAN)
    _in_order(digits, data)
    assert len(data) == len(digits)
    train, test = (load_dataset("persian-digits", s, data_dir=tmp_path) for s in ("train", "test"))
    assert len(train) + len(test) == len(data)
    assert (test.split_rule, test.writers) == ("blocks", None)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".JPG", ".tif"])
def test_persian_digits_in_other_formats(suffix: str, digits: Sample, tmp_path: Path) -> None:
    put(tmp_path / "persian-digits", in_folders(digits, _western, suffix))
    data = load_dataset("persian-digits", "all", data_dir=tmp_path)
    # In order of folder and number, as people sort: 2 before 10.
    order = sorted(range(len(digits)), key=lambda i: (digits.texts[i], i))
    assert _texts(data) == [digits.texts[i] for i in order]
    pixels = np.stack(data.images).astype(int)
    expected = np.stack([digits.images[i] for i in order]).astype(int)
    assert np.abs(pixels - expected).mean() < (4 if suffix.lower() == ".jpg" else 1e-9)


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        ({"train": "train", "test": "test"}, (60, 40, 0)),
        ({"train": "Training", "test": "Testing"}, (60, 40, 0)),
        ({"train": "TRAIN", "test": "TEST", "val": "Validation"}, (60, 25, 15)),
        ({"train": "data/train", "test": "data/test", "val": "data/valid"}, (60, 25, 15)),
    ],
)
def test_persian_digits_divided(
    names: dict[str, str], counts: tuple[int, int, int], digits: Sample, tmp_path: Path
) -> None:
    train, test, _ = counts
    parts = {
        "train": digits.first(train),
        "test": Sample(digits.images[train : train + test], digits.texts[train : train + test]),
        "val": Sample(digits.images[train + test :], digits.texts[train + test :]),
    }
    for part, folder in names.items():
        put(tmp_path / "persian-digits", _below(folder, in_folders(parts[part], _western)))
    for part in names:
        data = load_dataset("persian-digits", part, data_dir=tmp_path)
        _in_order(parts[part], data)
        assert len(data) == len(parts[part])
        assert data.split_rule == "published"
    assert len(load_dataset("persian-digits", "all", data_dir=tmp_path)) == 100


def test_folders_that_are_no_digits_are_counted(digits: Sample, tmp_path: Path) -> None:
    image = png(digits.images[0])
    others = {"10/1.png": image, "letters/1.png": image, "1.png": image, "4/readme.txt": b"x"}
    put(tmp_path / "persian-digits", {**in_folders(digits, _western), **others})
    assert len(load_dataset("persian-digits", "all", data_dir=tmp_path)) == 100


@pytest.mark.parametrize("damage", [b"", b"no image", b"\x89PNG\r\n\x1a\n cut"])
def test_damaged_images_are_named(damage: bytes, digits: Sample, tmp_path: Path) -> None:
    files = in_folders(digits, _western)
    name = list(files)[7]
    put(tmp_path / "persian-digits", {**files, name: damage})
    with pytest.raises(DataError, match=re.escape(name)):
        load_dataset("persian-digits", "all", data_dir=tmp_path)


# ---- CoMNIST


def test_the_real_comnist(data_dir: Path) -> None:
    data = load_dataset("comnist-cyrillic", "all", data_dir=data_dir)
    assert (len(data), data.label_set, data.skipped) == (12951, RUSSIAN_CAPITALS, {})
    place, texts = {name: i for i, name in enumerate(data.names)}, _texts(data)
    for name, content in archive_images(data_dir / "comnist" / "Cyrillic.zip", 16).items():
        i = place[name]
        assert texts[i] == name.split("/")[-2]
        np.testing.assert_allclose(data.images[i].astype(int), decoded(content).astype(int), atol=1)


def _upload_time(name: str) -> int | None:
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return int(stem[:8], 16) if re.fullmatch(r"[0-9a-f]{13}", stem) else None


def test_sittings_stay_together(data_dir: Path) -> None:
    """Images uploaded within minutes of each other are one person's: in one part, always."""
    train, test = (
        load_dataset("comnist-cyrillic", split, data_dir=data_dir) for split in ("train", "test")
    )
    assert len(train) + len(test) == 12951
    assert len(test) == pytest.approx(12951 / 5, rel=0.15)
    times = {
        part.split: np.array(
            [t for name in part.names if (t := _upload_time(name)) is not None], np.int64
        )
        for part in (train, test)
    }
    assert test.split_rule == "writers"
    assert len(times["test"]) == len(test), "images of unknown time are only trained on"
    gaps = np.abs(times["test"][:, None] - times["train"][None, :]).min(axis=1)
    assert gaps.min() > 30 * 60
    assert set(np.unique(test.labels)) == set(range(33))


def test_a_pause_ends_a_sitting(data_dir: Path, tmp_path: Path) -> None:
    found = sample("comnist-cyrillic", data_dir).first(6)
    start = 0x58AA0BF8
    seconds = [0, 1700, 3400, 3400 + 1801, 10**6]
    names = [f"{start + s:08x}{17 * i:05x}" for i, s in enumerate(seconds)] + ["drawing 7"]
    files = {
        f"Cyrillic/{text}/{name}.png": png(image)
        for name, text, image in zip(names, found.texts, found.images, strict=True)
    }
    put(tmp_path / "comnist", files)
    data = load_dataset("comnist-cyrillic", "all", data_dir=tmp_path)
    assert data.writers is not None
    of = {n.rsplit("/", 1)[-1][:-4]: w for n, w in zip(data.names, data.writers, strict=True)}
    assert [of[name] for name in names] == [0, 0, 0, 1, 2, -1]


@pytest.fixture(scope="module")
def letters(data_dir: Path) -> Sample:
    return sample("comnist-cyrillic", data_dir).first(33 * 3)


def _in_dos(files: Files) -> Files:
    return {name.encode("cp866").decode("cp437"): data for name, data in files.items()}


@pytest.mark.parametrize(
    "arrange",
    [
        lambda files: _below("comnist/Cyrillic", files),
        lambda files: _below("comnist", files),  # letters straight in the set's folder
        lambda files: _below("Cyrillic", files),
        lambda files: _below("CoMNIST/images/Cyrillic", files),
        lambda files: {"comnist/Cyrillic.zip": zipped(_below("Cyrillic", files))},
        lambda files: {"Cyrillic.zip": zipped(_below("Cyrillic", files))},
        lambda files: {"comnist/Cyrillic.zip": zipped(files)},
        # Names in UTF-8 of which the zip does not say so: read in a code page, ╨û for Ж.
        lambda files: {"comnist/Cyrillic.zip": zipped(_below("Cyrillic", files), flagged=False)},
        # Packed in Russian Windows: its code page is read as the American one, å for Ж.
        lambda files: {"comnist/Cyrillic.zip": zipped(_below("Cyrillic", _in_dos(files)))},
    ],
)
def test_comnist_trees(arrange: Callable[[Files], Files], letters: Sample, tmp_path: Path) -> None:
    put(tmp_path, arrange(in_folders(letters, str)))
    data = load_dataset("comnist-cyrillic", "all", data_dir=tmp_path)
    _in_order(letters, data)
    assert (len(data), data.skipped) == (len(letters), {})


def test_an_unflagged_zip_is_what_it_is_meant_to_be(tmp_path: Path) -> None:
    """The test above would say nothing if its names came out in UTF-8."""
    put(tmp_path, {"a.zip": zipped({"Ж/1.png": b"x"}, flagged=False)})
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["╨û/1.png"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("packed", [False, True])
def test_letters_in_two_parts(form: str, packed: bool, letters: Sample, tmp_path: Path) -> None:
    """A Mac writes Й and Ё as a letter and its mark."""
    assert {"Й", "Ё"} <= set(letters.texts)
    files = in_folders(letters, lambda text: "Cyrillic/" + unicodedata.normalize(form, text))
    put(tmp_path / "comnist", {"Cyrillic.zip": zipped(files)} if packed else files)
    _in_order(letters, load_dataset("comnist-cyrillic", "all", data_dir=tmp_path))


def test_small_letters_are_the_same_class(letters: Sample, tmp_path: Path) -> None:
    put(tmp_path / "comnist", in_folders(letters, str.lower))
    _in_order(letters, load_dataset("comnist-cyrillic", "all", data_dir=tmp_path))


def test_big_transparent_drawings(letters: Sample, tmp_path: Path) -> None:
    """The publisher's own size: RGBA, 278×278, ink in the transparency; come out dark on white."""
    files = {}
    for i, (image, text) in enumerate(zip(letters.images, letters.texts, strict=True)):
        ink = 255 - cv2.resize(image, (278, 278), interpolation=cv2.INTER_CUBIC)
        rgba = np.dstack([np.zeros_like(ink)] * 3 + [ink])
        files[f"Cyrillic/{text}/{i}.png"] = png(rgba)
    put(tmp_path / "comnist", {"Cyrillic.zip": zipped(files)})
    data = load_dataset("comnist-cyrillic", "all", data_dir=tmp_path)
    assert {image.shape for image in data.images} == {(278, 278)}
    corners = [int(image[0, 0]) for image in data.images]
    assert np.mean(corners) > 250
    for name, image in zip(data.names, data.images, strict=True):
        number = int(name.rsplit("/", 1)[-1][:-4])
        small = cv2.resize(np.asarray(image), (28, 28), interpolation=cv2.INTER_AREA)
        wanted = letters.images[number].astype(int)
        assert np.abs(small.astype(int) - wanted).mean() < 25


def test_images_of_any_size(letters: Sample, tmp_path: Path) -> None:
    sizes = [(28 + i % 7, 20 + i % 11) for i in range(len(letters))]
    images = tuple(
        np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        for image, size in zip(letters.images, sizes, strict=True)
    )
    found = Sample(images, letters.texts)
    put(tmp_path / "comnist", {"Cyrillic.zip": zipped(in_folders(found, str))})
    _in_order(found, load_dataset("comnist-cyrillic", "all", data_dir=tmp_path))


def test_both_scripts_in_one_folder(data_dir: Path, letters: Sample, tmp_path: Path) -> None:
    """A, B, C … are letters of both: the folder of the script says which."""
    latin = sample("comnist-latin", data_dir).first(104)
    cyrillic_files = in_folders(letters, lambda text: f"Cyrillic/{text}")
    latin_files = in_folders(latin, lambda text: f"Latin/{text}")
    for place, files in (
        ("folders", _below("comnist", {**cyrillic_files, **latin_files})),
        (
            "zips",
            {
                "comnist/Cyrillic.zip": zipped(cyrillic_files),
                "comnist/Latin.zip": zipped(latin_files),
            },
        ),
        ("one zip", {"comnist/CoMNIST-master.zip": zipped({**cyrillic_files, **latin_files})}),
    ):
        put(tmp_path / place, files)
        for name, found in (("comnist-cyrillic", letters), ("comnist-latin", latin)):
            data = load_dataset(name, "all", data_dir=tmp_path / place)
            _in_order(found, data)
            assert (len(data), data.skipped) == (len(found), {})


def test_the_other_script_alone_is_not_the_set(letters: Sample, tmp_path: Path) -> None:
    put(tmp_path / "comnist", in_folders(letters, lambda text: f"Cyrillic/{text}"))
    with pytest.raises(DataError, match="comnist-latin is not in"):
        load_dataset("comnist-latin", "all", data_dir=tmp_path)


def test_a_letter_that_russian_lacks_is_counted(letters: Sample, tmp_path: Path) -> None:
    """Other copies of CoMNIST hold the Ukrainian I."""
    image = png(letters.images[0])
    others = {"Cyrillic/І/1.png": image, "Cyrillic/І/2.png": image}
    put(tmp_path / "comnist", {**in_folders(letters, lambda t: f"Cyrillic/{t}"), **others})
    data = load_dataset("comnist-cyrillic", "all", data_dir=tmp_path)
    _in_order(letters, data)
    assert data.skipped == {"І": 2}
    # Said again when it comes out of the cache.
    assert load_dataset("comnist-cyrillic", "all", data_dir=tmp_path).skipped == {"І": 2}


# ---- NIST SD19


def test_real_excerpts_of_sd19(data_dir: Path) -> None:
    data = load_dataset("sd19", "all", data_dir=data_dir)
    assert (len(data), len(data.label_set)) == (4688, 62)
    assert "".join(label.text for label in data.label_set) == (
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )
    place = {name: i for i, name in enumerate(data.names)}
    texts = _texts(data)
    for name, content in sd19_files(data_dir).items():
        i = place[name]
        # The number in the name is the class; the folder of this excerpt is small for both cases.
        assert texts[i] == chr(int(name.rsplit("_", 2)[-2], 16))
        np.testing.assert_array_equal(data.images[i], decoded(content))


def test_vowels_of_sd19_by_their_folders(data_dir: Path, tmp_path: Path) -> None:
    """Every eighth of the other excerpt: ``dataset/v20220930/A_u/train_41/train_41_00000.png``."""
    files = archive_images(data_dir / "latin" / "sd19_vowels.tar.xz", 8)
    put(tmp_path, {"sd19/vowels.zip": zipped(files)})
    data = load_dataset("sd19", "all", data_dir=tmp_path)
    assert (len(data), set(_texts(data))) == (1079, set("AEIOUaeiou"))
    for name, text in zip(data.names, _texts(data), strict=True):
        assert f"train_{ord(text):02x}" in name
        assert ("_u/" in name) == text.isupper()


@pytest.fixture(scope="module")
def nist(data_dir: Path) -> Sample:
    return sample("sd19", data_dir).first(120)


FIELDS = ("hsf_0", "hsf_3", "hsf_4", "hsf_7")


@pytest.mark.parametrize(
    "arrange",
    [
        lambda files: _below("sd19", files),
        lambda files: {"sd19/by_class.zip": zipped(files)},
        lambda files: files,
        lambda files: {"by_class.zip": zipped(files)},
        lambda files: _below("sd19", {k.removeprefix("by_class/"): v for k, v in files.items()}),
    ],
)
def test_nists_own_tree(arrange: Callable[[Files], Files], nist: Sample, tmp_path: Path) -> None:
    """``by_class/4a/hsf_0/hsf_0_00012.png``: hsf_4 is the test partition."""
    put(tmp_path, arrange(by_class(nist, FIELDS)))
    whole = load_dataset("sd19", "all", data_dir=tmp_path)
    assert len(whole) == 120
    train, test = (load_dataset("sd19", split, data_dir=tmp_path) for split in ("train", "test"))
    assert (len(train), len(test)) == (90, 30)
    assert all("/hsf_4/" in f"/{name}" for name in test.names)
    assert not any("/hsf_4/" in f"/{name}" for name in train.names)
    assert test.split_rule == "published"
    for data in (train, test, whole):
        _in_order(nist, data)


def test_train_folders_hold_the_others_again(nist: Sample, tmp_path: Path) -> None:
    """``train_4a`` repeats hsf_0 to 3, 6 and 7: no image is taken twice, none is lost."""
    files = by_class(nist, FIELDS)
    again = {}
    for name, data in files.items():
        code, field, file = name.split("/")[1:]
        if field != "hsf_4" and code != "41":  # an excerpt: no such folder for A
            number = file.split("_")[-1]
            again[f"by_class/{code}/train_{code}/train_{code}_{number}"] = data
    put(tmp_path / "sd19", {**files, **again})
    train, test = (load_dataset("sd19", split, data_dir=tmp_path) for split in ("train", "test"))
    assert (len(train), len(test)) == (90, 30)
    _in_order(nist, train)
    kept = {name: data for name, data in {**files, **again}.items() if "hsf_4" not in name}
    put(tmp_path / "excerpt/sd19", kept)
    assert len(load_dataset("sd19", "all", data_dir=tmp_path / "excerpt")) == 90


def _mit(files: Files, writer_of: Callable[[int], int]) -> Files:
    """``hsf_0.mit`` beside the folder ``hsf_0``: for each image the form that it was cut from."""
    tables: dict[str, list[str]] = {}
    for name in files:
        folder, file = name.rsplit("/", 1)
        number = int(file[:-4].rsplit("_", 1)[-1])
        writer = writer_of(number)
        form = f"f{writer:04d}_{number % 43:02d}"
        letter = ("d", "l", "u")[number % 3] + form[1:]
        tables.setdefault(folder, []).append(f"{file} {letter}/{letter}_{number % 90:05d}.png")
    return {
        f"{folder}.mit": "\n".join([str(len(rows)), *rows, ""]).encode()
        for folder, rows in tables.items()
    }


@pytest.mark.parametrize("packed", [False, True])
def test_writers_of_sd19(packed: bool, nist: Sample, tmp_path: Path) -> None:
    files = by_class(nist, ("train", "hsf_4"))
    tables = _mit(files, lambda number: 100 + number // 20)
    # One table is missing: its writers are unknown.
    lost = next(iter(tables))
    del tables[lost]
    every = {**files, **tables}
    put(tmp_path / "sd19", {"by_class.zip": zipped(every)} if packed else every)
    for split in ("train", "test"):
        data = load_dataset("sd19", split, data_dir=tmp_path)
        assert data.writers is not None
        for name, writer in zip(data.names, data.writers, strict=True):
            number = int(name[:-4].rsplit("_", 1)[-1])
            expected = 100 + number // 20 if lost.removesuffix(".mit") not in name else -1
            assert writer == expected
        _in_order(nist, data)


def test_a_changed_table_of_writers_is_read_anew(nist: Sample, tmp_path: Path) -> None:
    files = by_class(nist.first(40))
    put(tmp_path / "sd19", {**files, **_mit(files, lambda _: 7)})
    before = load_dataset("sd19", "all", data_dir=tmp_path)
    put(tmp_path / "sd19", _mit(files, lambda _: 8))
    after = load_dataset("sd19", "all", data_dir=tmp_path)
    assert before.writers is not None
    assert after.writers is not None
    assert (set(before.writers), set(after.writers)) == ({7}, {8})


def test_codes_that_are_no_letters_are_left_out(nist: Sample, tmp_path: Path) -> None:
    image = png(nist.images[0])
    others = {f"by_class/{code}/hsf_0/hsf_0_00001.png": image for code in ("40", "7f", "c4", "20")}
    put(tmp_path / "sd19", {**by_class(nist), **others})
    _in_order(nist, load_dataset("sd19", "all", data_dir=tmp_path))


# ---- Russian letters


@pytest.fixture(scope="module")
def handwritten(data_dir: Path) -> Sample:
    return sample("russian-letters", data_dir).first(100)


@pytest.mark.parametrize(
    "arrange",
    [
        lambda files: _below("russian-letters", files),
        lambda files: files,
        lambda files: {"russian-letters/archive.zip": zipped(files)},
        lambda files: {"russian-letters/archive.zip": zipped(_below("data", files))},
        lambda files: {"classification-of-handwritten-letters.zip": zipped(files)},
    ],
)
def test_russian_letters(
    arrange: Callable[[Files], Files], handwritten: Sample, tmp_path: Path
) -> None:
    """RGB on coloured paper, the table says which is which."""
    put(tmp_path, arrange({**russian(handwritten), "LetterColorImages.h5": b"x"}))
    data = load_dataset("russian-letters", "all", data_dir=tmp_path)
    assert data.label_set == RUSSIAN_SMALL
    assert _texts(data) == list(handwritten.texts)
    for image, was in zip(data.images, handwritten.images, strict=True):
        assert np.corrcoef(image.ravel(), was.ravel())[0, 1] > 0.99
        assert image.mean() > 60, "dark ink on brighter paper"


def test_several_tables(handwritten: Sample, tmp_path: Path) -> None:
    """The set grew: ``letters2.csv`` beside ``letters2/``; the same file names in each."""
    first, second = handwritten.first(45), Sample(handwritten.images[45:], handwritten.texts[45:])
    put(tmp_path / "russian-letters", {**russian(first), **russian(second, "letters2")})
    assert _texts(load_dataset("russian-letters", "all", data_dir=tmp_path)) == list(
        handwritten.texts
    )


def _edit(files: Files, change: Callable[[list[str]], list[str]]) -> Files:
    lines = files["letters.csv"].decode().splitlines()
    return {**files, "letters.csv": ("\n".join(change(lines)) + "\n").encode()}


def _row(number: int, **cells: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        row = dict(zip(lines[0].split(","), lines[number].split(","), strict=True))
        lines[number] = ",".join({**row, **cells}.values())
        return lines

    return change


def _shifted(lines: list[str]) -> list[str]:
    """Labels counted from 0, as a copy of the table has them."""
    rows = [line.split(",") for line in lines[1:]]
    return [lines[0], *(",".join([a, str(int(b) - 1), c, d]) for a, b, c, d in rows)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_shifted, "row 2: letter"),  # off by one: never silently the next letter
        (_row(3, label="34"), "row 4: letter"),
        (_row(3, label="0"), "row 4: letter"),
        (_row(3, label=""), "row 4: letter"),
        (_row(3, label="9" * 5000), "row 4: letter"),
        (_row(3, label="٣"), "row 4: letter"),
        (_row(3, letter="z"), "row 4: letter 'z'"),
        (_row(3, letter=""), "row 4: letter ''"),
        (_row(3, file="gone.png"), "row 4: there is no file letters/gone.png"),
        (_row(3, file="../letters.csv"), "row 4: there is no file"),
        (_row(3, file=""), "row 4: there is no file"),
        (lambda lines: [*lines, lines[5]], "is listed twice"),
        (lambda lines: [*lines, "а"], "row 102: letter 'а'"),  # cut short
        (lambda lines: [line.replace("label", "klass") for line in lines], "no column label"),
        (lambda lines: [], "no column letter, label, file"),
        (lambda lines: ["\0" + "x" * 200_000 + '"', *lines], "letters.csv"),
    ],
)
def test_tables_that_do_not_fit(
    change: Callable[[list[str]], list[str]], says: str, handwritten: Sample, tmp_path: Path
) -> None:
    put(tmp_path / "russian-letters", _edit(russian(handwritten), change))
    with pytest.raises(DataError) as caught:
        load_dataset("russian-letters", "all", data_dir=tmp_path)
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_tables_as_people_save_them(handwritten: Sample, tmp_path: Path) -> None:
    """With a mark of UTF-8 at its start, Windows line ends, letters in two parts, blanks, Ё."""
    files = russian(handwritten)
    lines = [
        unicodedata.normalize("NFD", line).replace(",", " , ") if i % 2 else line.upper()
        for i, line in enumerate(files["letters.csv"].decode().splitlines())
    ]
    lines[0] = "letter,label,file,background"
    lines = [line if i % 2 else line.replace(".PNG", ".png") for i, line in enumerate(lines)]
    files["letters.csv"] = "\ufeff".encode() + "\r\n".join(lines).encode()
    put(tmp_path / "russian-letters", files)
    data = load_dataset("russian-letters", "all", data_dir=tmp_path)
    assert _texts(data) == list(handwritten.texts)


def test_a_table_in_another_code_page(handwritten: Sample, tmp_path: Path) -> None:
    files = russian(handwritten)
    files["letters.csv"] = files["letters.csv"].decode().encode("cp1251")
    put(tmp_path / "russian-letters", files)
    with pytest.raises(DataError, match=r"letters\.csv is no CSV file"):
        load_dataset("russian-letters", "all", data_dir=tmp_path)


def test_changed_images_are_read_anew(handwritten: Sample, tmp_path: Path) -> None:
    """The table stays the same; a few files, so that they are known by what they hold."""
    few = handwritten.first(12)
    put(tmp_path / "russian-letters", russian(few))
    before = load_dataset("russian-letters", "all", data_dir=tmp_path)
    turned = russian(few.turned(lambda image: image[::-1]))
    put(tmp_path / "russian-letters", turned)
    after = load_dataset("russian-letters", "all", data_dir=tmp_path)
    np.testing.assert_array_equal(after.images[3], before.images[3][::-1])


def test_every_letter_has_its_number() -> None:
    assert [label.text for label in RUSSIAN_SMALL] == list(CYRILLIC.lower())
    assert (RUSSIAN_SMALL[6].text, len(RUSSIAN_SMALL)) == ("ё", 33)
