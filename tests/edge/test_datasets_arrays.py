"""``npz:PATH``: anyone's own arrays, honest and hostile."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS, DIGITS
from hcr_runtime import Label

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 8, 6), np.uint8)
LABELS = np.arange(12) % 3
Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save arrays as `numpy.savez` does; returns the spec."""

    def run(*, packed: bool = False, name: str = "own.npz", **arrays: Any) -> str:
        (np.savez_compressed if packed else np.savez)(tmp_path / name, **arrays)
        return f"npz:{tmp_path / name}"

    return run


def _same(data: Dataset, images: NDArray[np.uint8], texts: list[str]) -> None:
    np.testing.assert_array_equal(np.stack(data.images), images)
    assert [data.label_set[i].text for i in data.labels] == texts


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "targets"), ("images", "y")],
)
def test_names_of_arrays(images: str, labels: str, packed: bool, save: Save) -> None:
    data = load_dataset(save(packed=packed, **{images: IMAGES, labels: LABELS}))
    _same(data, IMAGES, [str(n) for n in LABELS])
    assert data.label_set == DIGITS[:3]
    assert (data.split, data.split_rule, data.writers) == ("all", "none", None)


def test_as_keras_has_its_sets(save: Save) -> None:
    spec = save(
        x_train=IMAGES[:8, ..., None],
        y_train=LABELS[:8, None],
        x_test=IMAGES[8:],
        y_test=LABELS[8:],
    )
    _same(load_dataset(spec, "train"), IMAGES[:8], [str(n) for n in LABELS[:8]])
    _same(load_dataset(spec, "test"), IMAGES[8:], [str(n) for n in LABELS[8:]])
    _same(load_dataset(spec), IMAGES, [str(n) for n in LABELS])
    assert load_dataset(spec, "train").split_rule == "own.npz"
    with pytest.raises(DataError, match="has no split 'val'") as caught:
        load_dataset(spec, "val")
    assert caught.value.allowed == "train, test, all"


@pytest.mark.parametrize("names", ["{0}_{1}", "{1}_{0}"])
def test_parts_by_other_names(names: str, save: Save) -> None:
    parts = {"train": slice(6), "val": slice(6, 9), "test": slice(9, 12)}
    arrays = {
        names.format(what, part): array[rows]
        for part, rows in parts.items()
        for what, array in (("images", IMAGES), ("labels", LABELS))
    }
    spec = save(**arrays)
    for part, rows in parts.items():
        _same(load_dataset(spec, part), IMAGES[rows], [str(n) for n in LABELS[rows]])


def test_parts_number_their_classes_alike(save: Save) -> None:
    """A class that one part lacks must not shift the others' numbers."""
    texts = np.array(["c", "a", "b"])[LABELS]
    spec = save(x_train=IMAGES, y_train=texts, x_test=IMAGES[1:2], y_test=texts[1:2])
    train, test = load_dataset(spec, "train"), load_dataset(spec, "test")
    assert train.label_set == test.label_set
    _same(test, IMAGES[1:2], ["a"])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (IMAGES / 255, IMAGES),  # 0 to 1, as for a network
        ((IMAGES / 255).astype(np.float32), IMAGES),
        ((IMAGES / 255).astype(np.float16), IMAGES),
        (IMAGES.astype(np.float64), IMAGES),  # 0 to 255
        (IMAGES.astype(np.int64), IMAGES),
        (IMAGES.astype(">i2"), IMAGES),
        (IMAGES > 127, (IMAGES > 127) * np.uint8(255)),
        (IMAGES[..., None], IMAGES),
        (np.asfortranarray(IMAGES), IMAGES),
        (np.repeat(IMAGES[..., None], 3, axis=3), IMAGES),  # RGB, grey
        (np.asfortranarray(np.repeat(IMAGES[..., None], 3, axis=3) / 255), IMAGES),
    ],
)
@pytest.mark.filterwarnings("error")
def test_forms_of_images(stored: NDArray, expected: NDArray[np.uint8], save: Save) -> None:
    data = load_dataset(save(images=stored, labels=LABELS))
    assert {image.dtype for image in np.asarray(data.images)} == {np.dtype(np.uint8)}
    np.testing.assert_allclose(
        np.stack(data.images).astype(int), expected.astype(int), atol=1 if stored.ndim == 4 else 0
    )


def test_colours_are_red_green_blue(save: Save) -> None:
    """Not OpenCV's order: red is darker than green in grey."""
    red = np.zeros((2, 4, 4, 3), np.uint8)
    red[0, ..., 0] = red[1, ..., 2] = 255
    data = load_dataset(save(images=red, labels=LABELS[:2]))
    grey = [int(np.asarray(image)[0, 0]) for image in data.images]
    assert grey == [cv2.cvtColor(red[:1, 0], cv2.COLOR_RGB2GRAY)[0, 0], 29]
    assert grey[0] == 76


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (LABELS.astype(np.uint8), ["0", "1", "2"]),
        (LABELS.astype(np.float64), ["0", "1", "2"]),  # Keras' own are often floats
        (np.eye(3)[LABELS], ["0", "1", "2"]),  # one-hot
        (np.eye(3, dtype=bool)[LABELS], ["0", "1", "2"]),
        (np.array(list("abc"))[LABELS], ["a", "b", "c"]),
        (np.array([b"a", b"b", b"c"])[LABELS], ["a", "b", "c"]),
        (np.array(["ت", "ب", "ا"])[LABELS], ["ت", "ب", "ا"]),
        (np.array(["U+0628", "beh", "teh"])[LABELS], ["ب", "ب", "ت"]),
        (np.array(["lam-alef", "yeh", "ه"])[LABELS], ["lam-alef", "ي", "ه"]),
        (np.array([["a"], ["b"], ["c"]])[LABELS], ["a", "b", "c"]),
    ],
)
def test_forms_of_labels(labels: NDArray, texts: list[str], save: Save) -> None:
    _same(load_dataset(save(images=IMAGES, labels=labels)), IMAGES, [texts[n] for n in LABELS])


def test_classes_say_what_numbers_mean(save: Save) -> None:
    spec = save(images=IMAGES, labels=LABELS, classes=["ب", "ا", "lam-alef"])
    data = load_dataset(spec)
    assert [label.text for label in data.label_set] == ["ب", "ا", "lam-alef"], "their own order"
    _same(data, IMAGES, [["ب", "ا", "lam-alef"][n] for n in LABELS])
    matched = load_dataset(spec, label_set=ARABIC_LETTERS)
    assert matched.skipped == {"lam-alef": 4}
    _same(matched, IMAGES[LABELS < 2], [["ب", "ا"][n] for n in LABELS[LABELS < 2]])


def test_classes_may_be_named(save: Save) -> None:
    """By letters' names, where all are; some names are words of a language."""
    named = load_dataset(save(images=IMAGES, labels=LABELS, classes=["beh", "U+0627", "ت"]))
    assert [label.text for label in named.label_set] == ["ب", "ا", "ت"]
    words = load_dataset(save(images=IMAGES, labels=LABELS, classes=["he", "she", "heh"]))
    assert [label.text for label in words.label_set] == ["he", "she", "heh"]


def test_numbers_are_a_models_indices(save: Save) -> None:
    data = load_dataset(save(images=IMAGES, labels=LABELS + 5), label_set=ARABIC_LETTERS)
    assert data.labels.tolist() == (LABELS + 5).tolist()
    with pytest.raises(DataError, match="none of the classes: 28, 29, 30"):
        load_dataset(save(images=IMAGES, labels=LABELS + 28), label_set=ARABIC_LETTERS[:-1])
    with pytest.raises(DataError, match="numbered from 1 to 12"):
        load_dataset(save(images=IMAGES, labels=np.arange(1, 13)), label_set=ARABIC_LETTERS)


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        # The same numbers are the same people, whichever part they are in.
        ([5, 5, 9, 9], [9, 7], [0, 0, 2, 2, 2, 1]),
        ([5, -1, 9, 9], [-7, 7], [2, -1, 4, 4, -1, 3]),
        (["Ann", "Bob", "", "Ann"], ["Bob", "Cem"], [1, 2, -1, 1, 2, 3]),
        ([b"Ann", b"Bob", b"", b"Ann"], [b"Bob", b"Cem"], [1, 2, -1, 1, 2, 3]),
    ],
)
def test_writers(train: list, test: list, expected: list[int], save: Save) -> None:
    spec = save(
        x_train=IMAGES[:4],
        y_train=LABELS[:4],
        writers_train=np.array(train),
        x_test=IMAGES[4:6],
        y_test=LABELS[4:6],
        writers_test=np.array(test),
    )
    data = load_dataset(spec)
    assert data.writers is not None
    found = data.writers.tolist()
    assert [w < 0 for w in found] == [w < 0 for w in expected]
    for first, a in zip(found, expected, strict=True):
        for second, b in zip(found, expected, strict=True):
            assert (first == second) == (a == b)


def test_writers_of_one_part_alone_are_none(save: Save) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS}
    spec = save(**arrays, writers_train=LABELS)
    assert load_dataset(spec).writers is None
    assert load_dataset(spec, "train").writers is not None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "holds the arrays none"),
        ({"images": IMAGES}, "holds the arrays images"),
        ({"labels": LABELS}, "holds the arrays labels"),
        ({"x_train": IMAGES, "y_test": LABELS}, "holds the arrays x_train, y_test"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "holds the arrays"),
        ({"images": IMAGES, "labels": LABELS[:-1]}, "12 images, labels of shape (11,)"),
        ({"images": IMAGES, "labels": 3}, "one label an image"),
        ({"images": IMAGES, "labels": np.zeros((12, 2))}, "one-hot"),
        ({"images": IMAGES, "labels": np.ones((12, 2))}, "one-hot"),  # two classes at once
        ({"images": IMAGES, "labels": np.full((12, 2), 0.5)}, "one-hot"),
        ({"images": IMAGES, "labels": np.zeros((12, 2, 2))}, "(12, 2, 2)"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, "float64"),
        ({"images": IMAGES, "labels": np.full(12, np.nan)}, "float64"),
        ({"images": IMAGES, "labels": LABELS + 1j}, "complex128"),
        ({"images": IMAGES, "labels": np.array([""] * 12)}, "no text"),
        ({"images": IMAGES, "labels": np.array([b"\xff"] * 12)}, "no text in UTF-8"),
        ({"images": IMAGES, "labels": LABELS + 10}, "numbered up to 12"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a", "b"]}, "label 2; allowed: 0 to 1"),
        ({"images": IMAGES, "labels": -LABELS, "classes": ["a", "b"]}, "label -1"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a", "b", "a"]}, "called alike"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a", "b", ""]}, "called alike"),
        ({"images": IMAGES, "labels": LABELS, "writers": LABELS[:3]}, "12 images, 3 writers"),
        ({"images": IMAGES, "labels": LABELS, "writers": LABELS / 2}, "writers.npy is float64"),
        ({"images": IMAGES[0], "labels": LABELS}, "shape (8, 6)"),
        ({"images": IMAGES.reshape(12, 48), "labels": LABELS}, "shape (12, 48)"),
        ({"images": np.zeros((12, 3, 8, 6)), "labels": LABELS}, "shape (12, 3, 8, 6)"),
        ({"images": np.zeros((12, 8, 6, 4)), "labels": LABELS}, "shape (12, 8, 6, 4)"),
        ({"images": np.zeros((0, 8, 6)), "labels": []}, "shape (0, 8, 6)"),
        ({"images": np.zeros((12, 0, 6)), "labels": LABELS}, "shape (12, 0, 6)"),
        ({"images": IMAGES / 127 - 1, "labels": LABELS}, "values from -1 to"),  # -1 to 1
        ({"images": IMAGES * 2.0, "labels": LABELS}, "values from"),
        ({"images": np.full((12, 8, 6), np.nan), "labels": LABELS}, "values from nan"),
        ({"images": np.full((12, 8, 6), np.inf), "labels": LABELS}, "values from inf"),
        ({"images": np.where(IMAGES > 250, np.nan, IMAGES), "labels": LABELS}, "values from nan"),
        ({"images": IMAGES.astype(int) - 1, "labels": LABELS}, "int64"),
        ({"images": IMAGES.astype(int) + 1, "labels": LABELS}, "int64"),
        ({"images": IMAGES.astype(complex), "labels": LABELS}, "complex128"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "<U3"),
        ({"images": IMAGES.astype("M8[s]"), "labels": LABELS}, "datetime64"),
        ({"images": IMAGES.view([("a", "u1")]), "labels": LABELS}, "[('a', 'u1')]"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_mistakes_are_named(arrays: dict[str, Any], says: str, save: Save) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(save(**arrays))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["gone.npz", "{}", "{}/" + "x" * 300, "{}/a\0b", "~nobody-of-that-name/own.npz"]
)
def test_no_such_file(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_dataset(f"npz:{path.format(tmp_path)}")


# ---- hostile files


class _Loud:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (print, ("unpickled",))


def _npy(header: str | bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() if isinstance(header, str) else header
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + text + data


def _header(descr: str = "'|u1'", shape: str = "(12, 8, 6)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


GOOD_LABELS = _npy(_header("'|u1'", "(12,)"), bytes(12))


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (_npy(_header("'|O'", "(12,)"), pickle.dumps([_Loud()])), "holds Python objects"),
        (_npy(_header("[('a', '|O')]", "(12,)"), pickle.dumps([_Loud()])), "holds Python objects"),
        (pickle.dumps(_Loud()), "is no array"),  # what numpy.load would unpickle if allowed
        (_npy(_header(shape="(4000000000, 28, 28)"), bytes(99)), "is not what it holds"),
        (_npy(_header(shape="(2305843009213693952, 8)"), bytes(99)), "is not what it holds"),
        (_npy(_header(shape="(4294967296, 4294967296)"), b""), "is not what it holds"),  # 2^64: 0
        (_npy(_header(shape="(-12, -48)"), bytes(576)), "is not what it holds"),
        (_npy(_header(shape="(-1,)"), b""), "is not what it holds"),
        (_npy(_header(shape="(True, False)"), b"x"), "is not what it holds"),
        (_npy(_header(), bytes(575)), "is not what it holds"),  # cut short
        (_npy(_header(), bytes(577)), "is not what it holds"),
        (_npy(_header("'|V0'", "(12,)"), b""), "is not what it holds"),
        (_npy(_header("'<U0'", "(12,)"), b""), "is not what it holds"),
        (_npy(_header(order="1"), bytes(576)), "is no array"),
        (_npy(_header(shape="12"), bytes(12)), "is no array"),
        (_npy(_header(shape="('a',)"), bytes(12)), "is no array"),
        (_npy(_header("'nothing'"), bytes(576)), "is no array"),
        (_npy(_header("{'a': 1}"), bytes(576)), "is no array"),
        (_npy(_header("('|u1', 'x', 'y', 'z')"), bytes(576)), "is no array"),
        (_npy("{'descr': '|u1'}\n"), "is no array"),
        (_npy("__import__('os').getpid()\n"), "is no array"),
        (_npy("[" * 5000 + "\n"), "is no array"),
        (_npy("-" * 9000 + "1\n"), "is no array"),
        (_npy("'''\n"), "is no array"),
        (_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (12L, \n"), "is no array"),
        (_npy(b"\xff" * 80), "is no array"),
        (_npy(_header() + " " * 60_000, bytes(576)), "is no array"),
        (_npy(_header(), bytes(576), b"\x09\x00"), "is no array"),
        (b"\x93NUMPY\x01", "is no array"),
        (b"\x93NUMPY\x01\x00\xff\xff", "is no array"),
        (b"", "is no array"),
    ],
)
@pytest.mark.parametrize("name", ["images", "labels", "classes", "writers"])
@pytest.mark.filterwarnings("error")
def test_hostile_arrays(
    member: bytes, says: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a header promises, nothing is run, and no memory taken that is not there."""
    files = {"images": _npy(_header(), bytes(576)), "labels": GOOD_LABELS, name: member}
    with zipfile.ZipFile(tmp_path / "bad.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in files.items():
            archive.writestr(f"{key}.npy", data)
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        load_dataset(f"npz:{tmp_path / 'bad.npz'}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert says in caught.value.message
    assert f"{name}.npy" in caught.value.message
    assert "\n" not in str(caught.value)
    assert peak < 20_000_000
    assert capsys.readouterr().out == ""


HEADER = st.one_of(
    st.text(max_size=120),
    st.builds(
        _header,
        st.sampled_from(
            ["'|u1'", "'<i8'", "'<U3'", "'|S2'", "'|b1'", "'<f2'", "[('a','u1')]", "1"]
        ),
        st.one_of(
            st.sampled_from(["()", "(12,)", "(12, 8, 6)", "(True,)", "(1e3,)", "[12]"]),
            st.tuples(st.integers(-3, 9), st.integers(-3, 9)).map(str),
        ),
        st.sampled_from(["True", "False", "None"]),
    ),
)


# NumPy takes True for a size, but not to shape an array by.
@example(header=_header("'|u1'", "(True, 2, 1)"), data=b"xx", name="images")
@given(header=HEADER, data=st.binary(max_size=64), name=st.sampled_from(["images", "labels"]))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_header_is_an_array_or_an_error(
    header: str, data: bytes, name: str, tmp_path: Path
) -> None:
    good = {"images": _npy(_header(), bytes(576)), "labels": GOOD_LABELS}
    encoded = header.encode("latin-1", "replace")
    with zipfile.ZipFile(tmp_path / "any.npz", "w") as archive:
        for key, content in {**good, name: _npy(encoded, data)}.items():
            archive.writestr(f"{key}.npy", content)
    try:
        loaded = load_dataset(f"npz:{tmp_path / 'any.npz'}")
    except DataError:
        return
    assert len(loaded.images) == len(loaded.labels)


def test_any_damage_to_a_file_is_an_error_or_harmless(save: Save, tmp_path: Path) -> None:
    spec = save(packed=True, images=IMAGES, labels=np.array(list("abc"))[LABELS], writers=LABELS)
    path = tmp_path / "own.npz"
    whole = path.read_bytes()
    stream = io.BytesIO(whole)
    assert zipfile.is_zipfile(stream)
    for at in range(0, len(whole), max(len(whole) // 150, 1)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            try:
                data = load_dataset(spec)
            except DataError:
                continue
            assert len(data) == 12


def test_a_bomb_is_refused(save: Save) -> None:
    """A GiB of one value packs to a MiB: no images of handwriting do."""
    blank = np.zeros((64, 1024, 1024), np.uint8)
    with pytest.raises(DataError, match="unpacks to more than"):
        load_dataset(save(packed=True, images=blank, labels=np.zeros(64, int)))


def test_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", IMAGES)
    (tmp_path / "text.npz").write_text("text", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "slip.npz", "w") as archive:
        archive.writestr("../images.npy", b"x")
    for name in ("one.npy", "text.npz", "slip.npz"):
        with pytest.raises(DataError, match=name):
            load_dataset(f"npz:{tmp_path / name}")


def test_labels_of_a_model_with_odd_texts(save: Save) -> None:
    labels = (Label("1", "one"), Label("0", "zero"))
    data = load_dataset(save(images=IMAGES[:2], labels=np.array([0, 1])), label_set=labels)
    # A digit is its own label before it is an index.
    assert data.labels.tolist() == [1, 0]
