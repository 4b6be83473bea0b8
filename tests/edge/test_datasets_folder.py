from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset, load_samples
from hcr_edge.datasets.folder import LabelNames
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS
from hcr_runtime import Label

BEH = 1
LATIN = (Label("é", "e-acute"), Label("A", "capital-a"), Label("a", "small-a"), Label("7", "seven"))
Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Make class folders with so many images each."""

    def run(**counts: int) -> Path:
        for name, count in counts.items():
            folder = tmp_path / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = np.full((20, 20), 250 - number, np.uint8)
                cv2.imwrite(str(folder / f"{number}.png"), image)
        return tmp_path

    return run


def _load(root: Path, split: str | None = None, labels: tuple[Label, ...] = ARABIC_LETTERS):
    return load_dataset(f"folder:{root}", split, label_set=labels)


def _counts(data: Dataset) -> dict[str, int]:
    return {
        data.label_set[index].text: int((data.labels == index).sum())
        for index in np.unique(data.labels)
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ب", "ب"),  # the text
        ("U+0628", "ب"),  # its code point
        ("u+0628", "ب"),
        ("beh", "ب"),  # its name
        ("Beh", "ب"),
        ("1", "ب"),  # its index, from 0
        ("01", "ب"),
        ("٢٧", "ي"),  # an index in Arabic digits
        ("27", "ي"),  # the last index
        ("0", "ا"),
    ],
)
def test_names_of_a_class(name: str, text: str, fill: Fill) -> None:
    data = _load(fill(**{name: 2}))
    assert _counts(data) == {text: 2}
    assert data.skipped == {}


def test_unknown_classes_are_reported_not_guessed(fill: Fill) -> None:
    """Peh is Persian, U+0629 a letter that AHCD lacks, 99 beyond the indices, be no name."""
    data = _load(fill(**{"beh": 3, "پ": 2, "U+0629": 1, "99": 4, "be": 5, "-1": 1, "1.0": 1}))
    assert _counts(data) == {"ب": 3}
    assert data.skipped == {"پ": 2, "U+0629": 1, "99": 4, "be": 5, "-1": 1, "1.0": 1}


def test_several_names_of_one_class_are_one_class(fill: Fill) -> None:
    assert _counts(_load(fill(**{"beh": 1, "U+0628": 2, "ت": 1}))) == {"ب": 3, "ت": 1}


def test_numbering_from_one_is_refused(fill: Fill) -> None:
    """AHCD's own numbers: read as indices, every letter would be taken for the next."""
    root = fill(**{str(number): 1 for number in range(1, 29)})
    with pytest.raises(DataError, match="numbered from 1 to 28") as caught:
        _load(root)
    assert "0 to 27" in caught.value.allowed


def test_numbering_from_zero_is_read(fill: Fill) -> None:
    data = _load(fill(**{str(number): 1 for number in range(28)}))
    assert sorted(data.labels.tolist()) == list(range(28))


def test_a_digit_is_its_own_label_before_it_is_an_index(fill: Fill) -> None:
    assert _counts(_load(fill(**{"7": 2, "1": 1}), labels=LATIN)) == {"7": 2, "A": 1}


def test_upper_and_lower_case_stay_apart(fill: Fill) -> None:
    assert _counts(_load(fill(A=1, a=2), labels=LATIN)) == {"A": 1, "a": 2}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_names_are_the_same(form: str, fill: Fill) -> None:
    """macOS gives folder names decomposed."""
    name = unicodedata.normalize(form, "é")
    assert _counts(_load(fill(**{name: 1}), labels=LATIN)) == {"é": 1}
    decomposed = (Label(unicodedata.normalize("NFD", "é"), "e"), Label("b", "b"))
    assert _load(fill(**{f"deeper/{name}": 1}) / "deeper", labels=decomposed).labels.tolist() == [0]


def test_splits(fill: Fill) -> None:
    root = fill(**{"train/beh": 4, "test/beh": 2, "test/teh": 1, "test/peh": 1})
    train, test, everything = (_load(root, split) for split in ("train", "test", "all"))
    assert (_counts(train), train.split) == ({"ب": 4}, "train")
    assert (_counts(test), test.split, test.skipped) == ({"ب": 2, "ت": 1}, "test", {"peh": 1})
    assert (_counts(everything), everything.split) == ({"ب": 6, "ت": 1}, "all")
    assert len(_load(root)) == 7, "all is the default"
    with pytest.raises(DataError, match="no split 'val'") as caught:
        _load(root, "val")
    assert caught.value.allowed == "train, test, all"


def test_an_undivided_folder_has_no_splits(fill: Fill) -> None:
    root = fill(beh=1)
    assert len(_load(root, "all")) == 1
    with pytest.raises(DataError, match="has no folder 'test'"):
        _load(root, "test")


def test_only_image_files_count(fill: Fill) -> None:
    root = fill(beh=2)
    (root / "beh" / "notes.txt").write_text("not an image", encoding="utf-8")
    (root / "beh" / "Thumbs.db").write_bytes(b"x")
    (root / "beh" / "older").mkdir()
    (root / "beh" / "0.png").rename(root / "beh" / "0.JPEG")
    (root / ".cache").mkdir()
    (root / "README").write_text("about", encoding="utf-8")
    data = _load(root)
    assert sorted(Path(path).name for path in data.images) == ["0.JPEG", "1.png"]
    assert data.skipped == {}


def test_a_folder_called_like_an_image_is_no_image(fill: Fill) -> None:
    root = fill(beh=2)
    (root / "beh" / "export.png").mkdir()
    assert len(_load(root)) == 2


def test_images_are_given_as_they_are(fill: Fill) -> None:
    root = fill(beh=1)
    data = _load(root)
    assert data.encoded(0) == (root / "beh" / "0.png").read_bytes()
    (root / "beh" / "0.png").unlink()
    with pytest.raises(DataError, match=r"cannot read .*0\.png"):
        data.encoded(0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ({}, "no folders"),  # an empty folder
        ({"beh": 0}, "holds no images"),  # a class without images
        ({"peh": 2, "cheh": 1}, "found: cheh, peh"),  # only classes that the model lacks
        ({"train/beh": 0, "train/teh": 0}, "holds no images"),
    ],
)
def test_nothing_to_read(make: dict[str, int], says: str, fill: Fill, tmp_path: Path) -> None:
    fill(**make)
    with pytest.raises(DataError) as caught:
        _load(tmp_path)
    assert says in caught.value.message
    assert "U+0628" in caught.value.allowed


def test_missing_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for name in ("absent", "file"):
        with pytest.raises(DataError, match="there is no folder"):
            _load(tmp_path / name)


def test_label_names_without_files() -> None:
    names = LabelNames(ARABIC_LETTERS, ["beh"])
    assert [names(name) for name in ("beh", "U+0628", "ب", "1", "b", "", "²")] == [
        *(BEH, BEH, BEH, BEH),
        *(None, None, None),  # a transliteration is no name: it is not unique in every script
    ]


def test_samples_of_the_project() -> None:
    for split, each in (("test", 24), ("calibration", 6)):
        data = load_samples(split)
        assert (data.name, data.split) == ("samples", split)
        assert np.bincount(data.labels).tolist() == [each] * 28
        assert data.skipped == {}
        assert "Apache-2.0" in data.licence
