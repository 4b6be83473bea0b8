"""``csv:PATH``: anyone's own table of images, labels, splits and writers."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS, LATIN_CAPITALS
from hcr_runtime import Label
from tests.edge.published_files import png, put

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a table, and six images that it may name; returns the spec."""

    def run(text: str | bytes, name: str = "own.csv") -> str:
        images = {f"{i}.png": png(np.full((9, 9), 40 * i, np.uint8)) for i in range(6)}
        images["sub folder/دفتر.png"] = images["5.png"]
        data = text.encode() if isinstance(text, str) else text
        put(tmp_path, {**images, name: data})
        return f"csv:{tmp_path / name}"

    return run


def _pairs(data: Dataset) -> list[tuple[str, str]]:
    assert all(isinstance(path, Path) for path in data.images)
    return [
        (Path(str(path)).name, data.label_set[label].text)
        for path, label in zip(data.images, data.labels.tolist(), strict=True)
    ]


PLAIN = [("0.png", "ب"), ("1.png", "ا"), ("2.png", "ب")]


def test_a_table_from_windows(write: Write) -> None:
    data = load_dataset(write("path,label\nsub folder\\دفتر.png,ب\n0.png,ا\n"), "all")
    assert _pairs(data) == [("دفتر.png", "ب"), ("0.png", "ا")]


def test_parts_may_have_others_names(write: Write) -> None:
    table = "path,label,split\n0.png,ب,Training\n1.png,ا,training\n2.png,ب,valid\n3.png,ا,testing\n"
    spec = write(table)
    assert [len(load_dataset(spec, part)) for part in ("train", "val", "test")] == [2, 1, 1]


def test_a_table_without_parts_is_divided(write: Write) -> None:
    """By its writers, where it names them."""
    rows = [
        f"{i}.png,{letter},{person}"
        for i, letter, person in zip(range(6), "ابابات", "aabbcc", strict=True)
    ]
    spec = write("path,label,writer\n" + "\n".join(rows) + "\n")
    train, test = load_dataset(spec, "train"), load_dataset(spec, "test")
    assert (len(train), len(test), train.split_rule) == (4, 2, "writers")
    assert train.writers is not None
    assert test.writers is not None
    assert not set(train.writers.tolist()) & set(test.writers.tolist())


@pytest.mark.parametrize(
    "table",
    [
        "path,label\n0.png,ب\n1.png,ا\n2.png,ب\n",
        "path,label\n0.png,ب\n1.png,ا\n2.png,ب",  # no line end at the end
        "path,label\r\n0.png,ب\r\n1.png,ا\r\n2.png,ب\r\n",  # Windows
        "path,label\r0.png,ب\r1.png,ا\r2.png,ب\r",  # an old Mac
        "\ufeffpath,label\n0.png,ب\n1.png,ا\n2.png,ب\n",  # Excel's UTF-8
        "path;label\n0.png;ب\n1.png;ا\n2.png;ب\n",  # Excel where the comma is for decimals
        "path\tlabel\n0.png\tب\n1.png\tا\n2.png\tب\n",
        "label,path\nب,0.png\nا,1.png\nب,2.png\n",
        " Path , LABEL \n 0.png , ب \n1.png,ا\n2.png,ب\n",
        '"path","label"\n"0.png","ب"\n"1.png","ا"\n"2.png","ب"\n',
        "path,label\n\n0.png,ب\n\n1.png,ا\n2.png,ب\n\n",  # blank lines
        "id,filename,note,character\n7,0.png,,ب\n8,1.png,x,ا\n9,2.png,y,ب\n",  # others' words
        "file,class\n0.png,beh\n1.png,U+0627\n2.png,u0628\n",
        "path,label\n0.png,ب,more\n1.png,ا\n2.png,ب\n",  # a cell too many
        "path,label\n./0.png,ب\nsub folder/../1.png,ا\n2.png,ب\n",
    ],
)
def test_tables_as_people_write_them(table: str, write: Write) -> None:
    data = load_dataset(write(table))
    assert _pairs(data) == PLAIN
    # In the order of their script, not of the table.
    assert [label.text for label in data.label_set] == ["ا", "ب"]
    assert (data.split, data.writers, data.split_rule) == ("all", None, "none")
    assert (data.skipped, data.licence) == ({}, "the user's own")


@pytest.mark.parametrize("name", ["my letters+own@home.csv", "حروف.csv", "a,b;c.csv", "own.CSV"])
def test_odd_names_of_tables(name: str, write: Write) -> None:
    spec = write("path,label\n0.png,ب\n1.png,ا\n2.png,ب\n", name)
    data = load_dataset(spec)
    assert _pairs(data) == PLAIN
    assert data.name == spec


def test_paths_are_relative_to_the_table(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = tmp_path / "0.png"
    spec = write(f"path,label\nsub folder/دفتر.png,ب\n{absolute},ا\n")
    assert _pairs(load_dataset(spec)) == [("دفتر.png", "ب"), ("0.png", "ا")]
    monkeypatch.chdir(tmp_path.parent)
    assert len(load_dataset(f"csv:{tmp_path.name}/own.csv")) == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    data = load_dataset("csv:~/own.csv")
    assert data.encoded(1) == absolute.read_bytes()


SPLIT = (
    "path,label,split,writer\n0.png,a,train,Ann\n1.png,b,train,Bob\n"
    "2.png,a,test,Ann\n3.png,c,test,\n4.png,b,,Cem\n"
)


def test_splits_and_writers(write: Write) -> None:
    spec = write(SPLIT)
    train, test = load_dataset(spec, "train"), load_dataset(spec, "test")
    assert _pairs(train) == [("0.png", "a"), ("1.png", "b")]
    assert _pairs(test) == [("2.png", "a"), ("3.png", "c")]
    assert (train.split, train.split_rule) == ("train", "own.csv")
    whole = load_dataset(spec)
    assert len(whole) == 5, "a row without a split is in all"
    assert whole.writers is not None
    assert whole.writers.tolist() == [0, 1, 0, -1, 2]
    with pytest.raises(DataError, match="has no split 'val'") as caught:
        load_dataset(spec, "val")
    assert caught.value.allowed == "test, train, all"


def test_splits_number_their_classes_alike(write: Write) -> None:
    """`c` is in the test part alone: it must not shift the classes of the other."""
    spec = write(SPLIT)
    found = {split: load_dataset(spec, split).label_set for split in ("train", "test", "all")}
    assert found["train"] == found["test"] == found["all"]
    assert [label.text for label in found["all"]] == ["a", "b", "c"]


def test_labels_asked_for(write: Write) -> None:
    """With a model's labels, what they lack is counted, never guessed."""
    spec = write("path,label\n0.png,ب\n1.png,پ\n2.png,1\n3.png,پ\n4.png,lam-alef\n")
    data = load_dataset(spec, label_set=ARABIC_LETTERS)
    assert _pairs(data) == [("0.png", "ب"), ("2.png", "ب")]
    assert data.skipped == {"پ": 2, "lam-alef": 1}
    with pytest.raises(DataError, match="no images of the classes asked for"):
        load_dataset(write("path,label\n0.png,ب\n"), label_set=LATIN_CAPITALS)


def test_labels_in_two_parts_are_one(write: Write) -> None:
    nfd = unicodedata.normalize("NFD", "é")
    data = load_dataset(write(f"path,label\n0.png,é\n1.png,{nfd}\n"))
    assert [label.text for label in data.label_set] == ["é"]
    labels = (Label(nfd, "e-acute"), Label("x", "x"))
    assert load_dataset(write("path,label\n0.png,é\n"), label_set=labels).labels.tolist() == [0]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", "has the columns none"),
        ("\n", "has the columns none"),
        ("path,label\n", "lists no images"),
        ("0.png,ب\n1.png,ا\n", "has the columns 0.png, ب"),  # no header
        ("path,colour\n0.png,ب\n", "has the columns path, colour"),
        ("label\nب\n", "has the columns label"),
        ("path,label\n0.png,\n", "line 2: no label"),
        ("path,label\n0.png,ب\n1.png\n", "line 3: no label"),
        ("path,label\n0.png,ب\ngone.png,ا\nlost.png,ا\n", "line 3: there is no file"),
        ("path,label\n0.png,ب\ngone.png,ا\nlost.png,ا\n", "and 1 more are missing"),
        ("path,label\n,ب\n", "line 2: there is no file"),
        ("path,label\nsub folder,ب\n", "line 2: there is no file"),  # a folder
        ("path,label\n" + "x" * 300 + ".png,ب\n", "line 2: there is no file"),
        ("path,label\n0.png\0,ب\n", "line 2: there is no file"),
        ('path,label\n"0.png,ب\n1.png,ا\n', "line"),  # a quote that is never closed
        ("path,label\n0.png," + "x" * 200_000 + "\n", "line 2: field larger"),
        (b"\xff\xfep\0a\0t\0h\0", "no text in UTF-8"),  # Excel's "Unicode text"
        ("path,label\n0.png,ب\n".encode("cp1256"), "no text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text in UTF-8"),
        ("path,label\n0.png,12\n1.png,13\n", "classes are numbered up to 13"),
        ("path,label\n0.png," + "9" * 5000 + "\n", "classes are numbered up to"),
        ("path,label\n0.png,\x07\n", "which is no text"),
        ("path,label\n0.png,a\u200bb\n", "which is no text"),
    ],
)
def test_mistakes_are_named(table: str | bytes, says: str, write: Write) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(write(table))
    assert says in str(caught.value)
    assert "own.csv" in str(caught.value) or "called" in says or "class" in str(caught.value)
    assert str(caught.value).isprintable() or "\0" in str(table)


@pytest.mark.parametrize(
    "path",
    [
        "gone.csv",
        "{}",
        "{}/x/own.csv",
        "{}/" + "x" * 300,
        "{}/a\0b",
        "~nobody-of-that-name/own.csv",
    ],
)
def test_no_such_table(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_dataset(f"csv:{path.format(tmp_path)}")


def test_numbers_of_a_model_count_from_0(write: Write) -> None:
    rows = "\n".join(f"0.png,{i}" for i in range(1, 29))
    with pytest.raises(DataError, match="numbered from 1 to 28"):
        load_dataset(write(f"path,label\n{rows}\n"), label_set=ARABIC_LETTERS)


@given(data=st.binary(max_size=400))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_a_table_or_an_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "any.csv").write_bytes(data)
    with pytest.raises(DataError):  # there are no images that it could name
        load_dataset(f"csv:{tmp_path / 'any.csv'}")


CELL = st.text(st.sampled_from('abب1",;\n\r\t \0٣é'), max_size=4)


@given(rows=st.lists(st.lists(CELL, max_size=4), max_size=5), end=st.sampled_from(["\n", "\r\n"]))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_cells_are_labels_or_an_error(rows: list[list[str]], end: str, tmp_path: Path) -> None:
    put(tmp_path, {"0.png": png(np.zeros((3, 3), np.uint8))})
    lines = ["path,label,writer", *(",".join(["0.png", *row]) for row in rows)]
    (tmp_path / "any.csv").write_text(end.join(lines), encoding="utf-8", newline="")
    try:
        data = load_dataset(f"csv:{tmp_path / 'any.csv'}")
    except DataError:
        return
    assert len(data.images) == len(data.labels) > 0
    assert all(label.text.isprintable() and label.text.strip() for label in data.label_set)
