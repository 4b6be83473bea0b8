from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hcr_edge.datasets.catalogue import Entry, Manual, RemoteFile, find_entry, load_catalogue
from hcr_edge.errors import DataError

NAMES = {
    "ahcd", "hijja", "emnist-letters", "emnist-balanced", "emnist-byclass", "emnist-bymerge",
    "emnist-digits", "emnist-mnist", "mnist", "hoda", "persian-digits", "comnist-cyrillic",
    "comnist-latin", "russian-letters", "az", "sd19",
    "sd19-vowels", "mohneesh", "charwizard", "ateam",
}  # fmt: skip
ENTRIES = list(load_catalogue().values())
FILES = [pytest.param(e, f, id=f"{e.name}-{f.name}") for e in ENTRIES for f in e.files]


def test_every_known_set_is_there_once() -> None:
    assert set(load_catalogue()) == NAMES
    assert load_catalogue() is load_catalogue(), "read once"
    keys = re.findall(r"^([a-z0-9-]+):", _yaml(), flags=re.MULTILINE)
    # A second entry of the same name would silently replace the first.
    assert sorted(keys) == sorted(NAMES)


def _yaml() -> str:
    import hcr_edge.datasets.catalogue as module

    return Path(module.__file__).with_suffix(".yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_is_complete(entry: Entry) -> None:
    for text in (entry.title, entry.script, entry.citation, entry.licence, entry.terms):
        assert text == " ".join(text.split()) != ""
    assert entry.classes >= 2
    assert entry.images is None or entry.images > 1000
    assert entry.source.startswith(("https://", "http://", "GitHub: ", "Kaggle: "))
    folder = {"hijja": "hijja2"}.get(entry.name, entry.name)
    assert entry.folder == re.sub(r"^(emnist|comnist)-.*", r"\1", folder)
    assert entry.files or entry.manual, "there is a way to get it"
    if entry.manual:
        text = " ".join(entry.manual.steps)
        assert "https://" in text, "it says where"
        assert f"{{data_dir}}/{entry.folder}/" in text, "it says where to put it"
        assert entry.manual.accepts


@pytest.mark.parametrize(("entry", "file"), FILES)
def test_file_can_be_had_and_checked(entry: Entry, file: RemoteFile) -> None:
    assert file.bytes > 1000
    assert Path(file.name).name == file.name
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256) or (
        not file.sha256 and re.fullmatch(r"[0-9a-f]{32}", file.md5)
    )
    assert all(re.fullmatch(r"[0-9a-f]{64}", other) for other in file.also)
    assert len(set(file.urls)) == len(file.urls) >= 1
    for url in file.urls:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert re.fullmatch(r"[!-~]+", url), "spaces are written %20"
        assert "github.com" not in parts.netloc, "a page, not the file itself"


@pytest.mark.parametrize(("entry", "file"), FILES)
def test_real_file_agrees(entry: Entry, file: RemoteFile, data_dir: Path) -> None:
    path = data_dir / entry.folder / file.name
    if not path.is_file():
        pytest.skip(f"{path.name} is not there")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in (file.sha256, *file.also)
    assert path.stat().st_size == file.bytes


@pytest.mark.parametrize("name", ["hijja", "comnist-cyrillic"])
def test_real_folder_is_recognized(name: str, data_dir: Path) -> None:
    """Sets that are had by hand: what lies there is accepted."""
    entry = find_entry(name)
    if not (data_dir / entry.folder).is_dir():
        pytest.skip(f"{entry.folder} is not there")
    assert entry.manual is not None
    assert entry.manual.placed(data_dir / entry.folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("emnist", "ahcd, "),  # the family, not one of its sets
        ("AHCD", "ahcd, "),
        ("hoda ", "did you mean hoda?"),
        ("", "ahcd, "),
    ],
)
def test_unknown_name_tells_the_nearest(name: str, says: str) -> None:
    with pytest.raises(DataError, match=re.escape(repr(name))) as caught:
        find_entry(name)
    assert says in caught.value.allowed


def test_steps_name_the_real_folder(tmp_path: Path) -> None:
    manual = Manual(steps=("Put it at {data_dir}/az/x.csv",), accepts=("*.csv", "x*"))
    assert manual.steps_for(tmp_path) == [f"Put it at {tmp_path}/az/x.csv"]
    assert manual.placed(tmp_path / "az") == [], "the folder need not be there"
    (tmp_path / "x.csv").touch()
    assert manual.placed(tmp_path) == [tmp_path / "x.csv"], "once, though two patterns fit"
