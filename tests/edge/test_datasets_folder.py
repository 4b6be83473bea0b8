from __future__ import annotations

import errno
import json
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcr_edge.datasets import Dataset, load_dataset, load_samples
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS
from hcr_edge.protocol import split_dataset
from hcr_edge.recipe import load_recipe
from hcr_runtime import Label

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


def test_an_undivided_folder_is_divided(fill: Fill) -> None:
    root = fill(beh=10, teh=5)
    train, test, everything = (_load(root, split) for split in ("train", "test", "all"))
    assert (_counts(train), train.split) == ({"ب": 8, "ت": 4}, "train")
    assert (_counts(test), test.split) == ({"ب": 2, "ت": 1}, "test")
    assert train.split_rule == test.split_rule == "blocks"
    assert set(everything.images) == {*train.images, *test.images}
    assert len(everything) == 15
    with pytest.raises(DataError, match="has no folder 'val'"):
        _load(root, "val")


def test_a_class_of_one_image_trains(fill: Fill) -> None:
    root = fill(beh=10, teh=1)
    assert _counts(_load(root, "train")) == {"ب": 8, "ت": 1}
    assert _counts(_load(root, "test")) == {"ب": 2}


def test_one_image_a_class_cannot_be_divided(fill: Fill) -> None:
    root = fill(beh=1)
    assert len(_load(root, "all")) == 1
    with pytest.raises(DataError, match="cannot be divided"):
        load_dataset(f"folder:{root}", "test")


def test_a_few_crops_join_a_training_set(fill: Fill, tmp_path: Path) -> None:
    """What the camera was unsure of, beside a set that it makes better."""
    few = f"folder:{fill(beh=1)}"
    npz = tmp_path / "own.npz"
    np.savez(npz, images=np.zeros((20, 8, 8), np.uint8), labels=np.array(["ب", "ت"] * 10))
    train, test = (load_dataset(f"npz:{npz}+{few}", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (17, 4)
    assert test.origins == (f"npz:{npz}",)
    # In a recipe the test has the training's classes, in their order, whatever comes first.
    recipe = load_recipe("edge-s", dataset=f"{few}+npz:{npz}")
    training, validation, test = split_dataset(recipe, None)
    assert training.label_set == validation.label_set == test.label_set


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
        ({}, "it is empty"),
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


def test_samples_of_the_project() -> None:
    for split, each in (("test", 24), ("calibration", 6)):
        data = load_samples(split)
        assert (data.name, data.split) == ("samples", split)
        assert np.bincount(data.labels).tolist() == [each] * 28
        assert data.skipped == {}
        assert "Apache-2.0" in data.licence


# ---- without labels asked for: the folders name the classes


def _own(root: Path, split: str | None = None) -> Dataset:
    return load_dataset(f"folder:{root}", split)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        ("b B a", "B a b"),
        ("teh U+0628 alef", "ا ب ت"),
        ("3 1 2", "1 2 3"),  # digits are digits
        ("lam-alef ب", "ب lam-alef"),
        ("Ω ω 漢", "Ω ω 漢"),
    ],
)
def test_folders_name_the_classes(names: str, texts: str, fill: Fill) -> None:
    data = _own(fill(**dict.fromkeys(names.split(), 2)))
    assert " ".join(label.text for label in data.label_set) == texts
    assert np.bincount(data.labels).tolist() == [2] * len(data.label_set)
    for path, label in zip(data.images, data.labels.tolist(), strict=True):
        named = Path(str(path)).parent.name
        assert data.label_set[label].text == named or not named.isascii() or len(named) > 1


def test_folders_without_images_are_no_classes(fill: Fill) -> None:
    root = fill(a=2, b=1, notes=0, older=0)
    (root / "older" / "readme.txt").write_text("x", encoding="utf-8")
    data = _own(root)
    assert [label.text for label in data.label_set] == ["a", "b"]
    assert set(data.skipped) <= {"notes", "older"}


def test_all_divisions_number_their_classes_alike(fill: Fill) -> None:
    """A class that the test part lacks must not shift the others."""
    root = fill(**{"train/a": 2, "train/b": 2, "train/c": 1, "test/c": 3, "val/b": 1})
    found = {split: _own(root, split) for split in ("train", "val", "test", "all")}
    assert {data.label_set for data in found.values()} == {found["train"].label_set}
    assert found["test"].labels.tolist() == [2, 2, 2]
    assert found["val"].labels.tolist() == [1]


def test_what_file_managers_leave_is_no_class_and_no_image(fill: Fill) -> None:
    root = fill(a=1, b=1, **{"__MACOSX": 1, ".ipynb_checkpoints": 1})
    (root / "a" / "._0.png").write_bytes(b"resource fork")
    (root / "a" / ".hidden.png").write_bytes(b"x")
    data = _own(root)
    assert [label.text for label in data.label_set] == ["a", "b"]
    assert (len(data), data.skipped) == (2, {})


@pytest.mark.parametrize("names", ["1 2 10", "01 02", "11 12"])
def test_numbers_alone_name_nothing(names: str, fill: Fill) -> None:
    with pytest.raises(DataError, match="nothing says of what"):
        _own(fill(**dict.fromkeys(names.split(), 1)))


def test_odd_names_and_places(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(**{"my letters+own@home/ب": 1, "my letters+own@home/two words": 1})
    data = _own(root / "my letters+own@home")
    assert [label.text for label in data.label_set] == ["ب", "two words"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(_own(Path("~/my letters+own@home"))) == 2
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("folder:my letters+own@home")) == 2


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Old disks hold names in other code pages: bytes that are no UTF-8."""
    for name in (b"beh", b"caf\xe9"):
        folder = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - a name of bytes
        os.mkdir(folder)  # noqa: PTH102
        cv2.imwrite(str(tmp_path / "one.png"), np.zeros((3, 3), np.uint8))
        with open(os.path.join(folder, b"1.png"), "wb") as file:  # noqa: PTH118, PTH123
            file.write((tmp_path / "one.png").read_bytes())
    with pytest.raises(DataError, match="which is no text") as caught:
        _own(tmp_path)
    str(caught.value).encode()
    data = _load(tmp_path)
    assert (len(data), data.skipped) == (1, {"caf\ufffd": 1})
    json.dumps(dict(data.skipped)).encode()


@pytest.mark.parametrize(
    "path", ["{}/" + "x" * 300, "{}/a\0b", "~nobody-of-that-name/x", "{}/0.png"]
)
def test_places_that_cannot_be(path: str, fill: Fill) -> None:
    with pytest.raises(DataError):
        _own(Path(path.format(fill(a=1) / "a")))


def test_a_folder_that_may_not_be_read(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    root, iterdir = fill(a=1, b=1), Path.iterdir

    def refuse(self: Path) -> Iterator[Path]:
        if self.name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"cannot read .*/b: Permission denied"):
        _own(root)


def test_damaged_images_are_named_when_they_are_looked_at(fill: Fill) -> None:
    root = fill(a=2)
    (root / "a" / "1.png").write_bytes(b"no image")
    data = _own(root)
    assert len(data) == 2
    with pytest.raises(DataError, match=r"1\.png"):
        data.blame(range(2))
    data.blame([0])


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)


@given(names=st.lists(NAMES.filter(lambda n: n not in (".", "..")), max_size=4, unique=True))
@settings(max_examples=100, deadline=None)
def test_any_names_are_classes_or_an_error(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for name in names:
            (Path(root) / name).mkdir(exist_ok=True)
            (Path(root) / name / "1.png").write_bytes(b"x")
        try:
            data = _own(Path(root))
        except DataError as error:
            str(error).encode()
            return
        assert len(data) + sum(data.skipped.values()) <= len(names)
        assert all(label.text.isprintable() for label in data.label_set)
