"""Damaged files of every set: `load_dataset` gives what is whole, or one `DataError`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hcr_edge.datasets import SETS, is_present, load_dataset
from hcr_edge.datasets import library as library_module
from hcr_edge.datasets.validation import validate
from hcr_edge.errors import DataError
from tests.edge.published_files import (
    LAYOUTS,
    WRITERS,
    Sample,
    few,
    in_folders,
    put,
    sample,
    split_of,
)

# AHCD's files cost more than all others together.
PLACES = {"ahcd": 3}


@pytest.fixture(autouse=True)
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCR_EDGE_CACHE", "off")


def _small(name: str, data_dir: Path) -> Sample:
    return few(name, data_dir, 30)


def _spread(size: int, count: int) -> Iterator[int]:
    """Places over a file: its first bytes, its last, and evenly between."""
    yield from (0, 3, 9, max(size - 2, 0), max(size - 20, 0))
    yield from (size * i // count + 5 for i in range(count))


def _error(name: str, split: str, place: Path, most: int) -> str:
    """Read a set; return the error, or nothing where what comes out makes sense."""
    try:
        data = load_dataset(name, split, data_dir=place)
    except DataError as error:
        return str(error)
    assert len(data) <= most
    assert data.labels.max(initial=0) < len(data.label_set)
    return ""


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_flipped_and_cut_files(name: str, layout: str, data_dir: Path, tmp_path: Path) -> None:
    """Each file of the set at some twenty places: no other exception comes out."""
    found = _small(name, data_dir)
    files = WRITERS[name][layout](found)
    split = split_of(name, layout)
    errors = []
    for target, whole in files.items():
        for at in _spread(len(whole), PLACES.get(name, 15)):
            if at < len(whole):
                flipped = whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :]
                for damaged in (flipped, whole[:at]):
                    put(tmp_path / name, {**files, target: damaged})
                    errors.append(_error(name, split, tmp_path, len(found)))
    assert sum(map(bool, errors)) > 10
    assert all(error.isprintable() for error in errors)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_something_else_under_a_files_name(
    name: str, content: bytes, data_dir: Path, tmp_path: Path
) -> None:
    """A server's answer saved as the file, a download that never began."""
    for layout, write in WRITERS[name].items():
        files = dict.fromkeys(write(_small(name, data_dir)), content)
        put(tmp_path / layout / name, files)
        with pytest.raises(DataError):
            load_dataset(name, split_of(name, layout), data_dir=tmp_path / layout)


@pytest.mark.parametrize("name", SETS)
def test_nothing_there(name: str, tmp_path: Path) -> None:
    """The error says what to put where, and how to get it."""
    (tmp_path / "empty").mkdir()
    put(tmp_path / "other", {"notes.txt": b"x", f"{name}/readme.md": b"x", "photos/1.png": b"x"})
    for place in ("empty", "other"):
        assert not is_present(name, tmp_path / place)
        with pytest.raises(DataError, match=f"{name} is not in") as caught:
            load_dataset(name, data_dir=tmp_path / place)
        assert caught.value.allowed
        assert f"hcr-edge data fetch {name}" in caught.value.hint
    for place in ("gone", "other/notes.txt", "x" * 300, "a\0b"):
        with pytest.raises(DataError):
            load_dataset(name, data_dir=tmp_path / place)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("split", ["", "Train", "validation", "test ", "0"])
def test_unknown_splits(name: str, split: str, data_dir: Path, tmp_path: Path) -> None:
    layout, write = next(iter(WRITERS[name].items()))
    put(tmp_path / name, write(_small(name, data_dir)))
    assert is_present(name, tmp_path)
    if not split:  # as if none were given
        return
    with pytest.raises(DataError, match=f"{name} has no split '{split}'") as caught:
        load_dataset(name, split, data_dir=tmp_path)
    known = split_of(name, layout)
    assert known in caught.value.allowed.split(", ")


def test_a_place_that_may_not_be_read(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = sample("persian-digits", data_dir).first(20)
    put(tmp_path / "persian-digits", in_folders(digits, lambda t: str(ord(t) - 0x6F0)))

    def refuse(top: Path, onerror: object) -> Iterator[object]:
        raise PermissionError(errno.EACCES, "Permission denied", str(top))

    monkeypatch.setattr("hcr_edge.datasets.formats.files.os.walk", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        load_dataset("persian-digits", "all", data_dir=tmp_path)


def test_files_that_vanish_while_they_are_read(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is pulled out, a folder that somebody tidies up."""
    digits = sample("persian-digits", data_dir).first(20)
    files = in_folders(digits, lambda t: str(ord(t) - 0x6F0))
    put(tmp_path / "persian-digits", files)
    digest = library_module.Finder._entry

    def tidy_up(*arguments: object) -> object:
        (tmp_path / "persian-digits" / next(iter(files))).unlink(missing_ok=True)
        return digest(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(library_module.Finder, "_entry", tidy_up)
    with pytest.raises(DataError, match="No such file"):
        load_dataset("persian-digits", "all", data_dir=tmp_path)


def test_links_and_pipes_are_no_files(data_dir: Path, tmp_path: Path) -> None:
    digits = sample("persian-digits", data_dir).first(20)
    place = put(tmp_path / "persian-digits", in_folders(digits, lambda t: str(ord(t) - 0x6F0)))
    os.mkfifo(place / "3" / "pipe.png")
    os.mkfifo(place / "archive.zip")
    (place / "5" / "gone.png").symlink_to(place / "nowhere.png")
    (place / "6" / "again.png").symlink_to(next((place / "5").glob("*[0-9].png")))
    assert len(load_dataset("persian-digits", "all", data_dir=tmp_path)) == 21


def test_a_damaged_archive_does_not_hide_what_lies_beside_it(
    data_dir: Path, tmp_path: Path
) -> None:
    place = tmp_path / "ahcd"
    place.mkdir()
    (place / "Arabic Handwritten Characters Dataset CSV.zip").write_bytes(b"PK\3\4 cut")
    with pytest.raises(DataError, match=r"CSV\.zip"):
        load_dataset("ahcd", "test", data_dir=tmp_path)
    name = "Train+Test Images Matlab.mat"
    (place / name).write_bytes((data_dir / "ahcd" / name).read_bytes())
    assert len(load_dataset("ahcd", "test", data_dir=tmp_path)) == 3360
    report = validate("ahcd", data_dir=tmp_path, split="test")
    assert [problem.check for problem in report.errors] == ["damaged"]
    assert [part.images for part in report.parts] == [3360]


@pytest.mark.parametrize("name", SETS)
def test_other_sets_in_the_same_folder_do_not_disturb(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    """Every other set lies beside it, damaged: only its own files are read."""
    layout, write = next(iter(WRITERS[name].items()))
    put(tmp_path / name, write(_small(name, data_dir)))
    for other in SETS:
        if other != name:
            put(
                tmp_path / other,
                dict.fromkeys(
                    next(iter(WRITERS[other].values()))(sample(other, data_dir).first(2))
                    if other != "ahcd"
                    else {"csvTestImages 3360x1024.csv": b""},
                    b"damaged",
                ),
            )
    data = load_dataset(name, split_of(name, layout), data_dir=tmp_path)
    assert len(data) == len(_small(name, data_dir))
