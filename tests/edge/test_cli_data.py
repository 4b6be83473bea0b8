"""``hcr-edge data``: what the commands answer, write and refuse."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import SETS
from hcr_edge.label_maps import label_maps

RNG = np.random.default_rng(0)


def write(path: Path) -> Path:
    """Write a scribble that resembles no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((40, 40), 250, np.uint8)
    cv2.polylines(image, [RNG.integers(6, 34, (6, 2)).astype(np.int32)], False, 10, 2)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    root = tmp_path / "letters"
    for letter in "بجسعه":
        for i in range(8):
            write(root / letter / f"{i}.png")
    return root


def test_help_has_examples(cli) -> None:
    answer = cli("data", "--help")
    for name in ("list", "fetch", "validate", "preview", "split"):
        assert name in answer.out
        assert re.search(rf"Examples?:\s+hcr-edge\s+data\s+{name}", cli("data", name, "--help").out)


def test_list(cli, data_dir: Path) -> None:
    document = cli("data", "list", "--json", data=data_dir).json
    assert document["data_dir"] == str(data_dir)
    assert [item["name"] for item in document["sets"]] == list(SETS)
    ahcd = document["sets"][0]
    assert ahcd.keys() == {
        *("name", "title", "script", "classes", "images", "licence", "present", "error")
    }
    assert {"part": "train", "layout": "csv"} in ahcd["present"]
    assert {"part": "test", "layout": "png"} in ahcd["present"]
    assert [item["name"] for item in document["label_maps"]] == list(label_maps())
    assert document["label_maps"][0]["fold"]["أ"] == "ا"


@pytest.mark.parametrize("data", ["empty", None])
def test_list_without_data(data: str | None, cli, tmp_path: Path) -> None:
    if data:
        (tmp_path / data).mkdir()
    answer = cli("data", "list", data=tmp_path / data if data else None)
    assert answer.code == 0
    assert "russian-letters" in answer.out
    assert "@arabic-letters" in answer.out
    assert ("HCR_EDGE_DATA" in answer.out) == (data is None)


def test_list_a_folder_that_is_not_there(cli, tmp_path: Path) -> None:
    answer = cli("data", "list", "--data-dir", tmp_path / "gone")
    assert (answer.code, answer.out) == (2, "")
    assert answer.errors == [
        f"error: there is no folder {tmp_path / 'gone'}; give --data-dir another"
    ]


def test_list_one(cli, data_dir: Path) -> None:
    document = cli("data", "list", "ahcd", "--json", data=data_dir).json
    assert document["splits"] == [
        {"split": "train", "images": 13440, "writers": 60, "rule": "published"},
        {"split": "test", "images": 3360, "writers": 60, "rule": "published"},
        {"split": "all", "images": 16800, "writers": 60, "rule": "whole"},
    ]
    assert document["labels"][0] == "ا"
    assert {item["name"] for item in document["label_maps"]} == {
        *("arabic-letters", "arabic-letters-hamza")
    }
    shown = cli("data", "list", "comnist-cyrillic", data=data_dir).out
    for text in ("Vial, 2017", "CC BY-SA 4.0", "Cyrillic.zip", "by us: no writer is in two parts"):
        assert text in shown


def test_list_shows_what_a_label_map_does(cli) -> None:
    document = cli("data", "list", "sd19", "--json").json
    fits = {item["name"]: item for item in document["label_maps"]}
    assert fits["latin-letters"]["fold"]["q"] == "Q"
    assert fits["latin-letters"]["left_out"] == list("0123456789")
    assert fits["emnist-merged"]["left_out"] == []


def test_list_an_unknown_set(cli) -> None:
    answer = cli("data", "list", "acd")
    assert answer.code == 2
    assert "there is no data set 'acd'" in answer.errors[0]


def test_validate_a_sound_set(cli, letters: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    answer = cli("data", "validate", f"folder:{letters}", "--report", out)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"folder:{letters}: no errors, no warnings"
    document = json.loads(out.read_text(encoding="utf-8"))
    assert (document["ok"], document["problems"]) == (True, [])
    assert document["parts"][0]["counts"] == dict.fromkeys("بجسعه", 8)


def test_validate_with_errors(cli, letters: Path, tmp_path: Path) -> None:
    for i in range(14):
        (letters / "ب" / f"cut{i:02}.png").write_bytes(b"\x89PNG")
    (letters / "ب" / "notes.txt").write_text("x", encoding="utf-8")
    answer = cli("data", "validate", f"folder:{letters}")
    assert answer.code == 1
    assert answer.errors == [f"error: folder:{letters}: 14 errors, 1 warning"]
    assert answer.out.count("cut short; allowed:") == 10, "a table shows ten of each"
    assert "and 4 more" in answer.out
    asked = cli("data", "validate", f"folder:{letters}", "--json")
    assert (asked.code, asked.errors) == (1, [])
    assert (asked.json["errors"], asked.json["warnings"]) == (14, 1)
    assert len(asked.json["problems"]) == 15
    assert asked.json["problems"][0]["where"] == "ب/cut00.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "there is no data set 'nope'"),
        (("folder:gone",), "there is no folder gone"),
        (("csv:gone.csv",), "there is no file gone.csv"),
        (("ahcd:isolated",), "ahcd has no variant 'isolated'"),
        (("ahcd@nope",), "there is no label map 'nope'"),
        (("folder:letters", "--split", "val"), "letters has no folder 'val'"),
        (("folder:letters", "--split", "x.json:val"), "cannot read x.json"),
        (("folder:letters", "--report", "gone/x.json"), "there is no folder gone; make it first"),
    ],
)
def test_validate_bad_input(
    arguments: tuple[str, ...],
    message: str,
    cli,
    letters: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(letters.parent)
    answer = cli("data", "validate", *arguments, data=data_dir)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.errors) == 1
    assert message.replace("no folder 'val'", "no split 'val'") in answer.errors[0]


def test_reports_are_not_overwritten(cli, letters: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    out.write_text("mine", encoding="utf-8")
    ask = ("data", "validate", f"folder:{letters}", "--report", out)
    refused = cli(*ask)
    assert refused.errors == [f"error: {out} exists; give --overwrite to replace it"]
    assert (refused.code, out.read_text(encoding="utf-8")) == (2, "mine")
    assert cli(*ask, "--overwrite").code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["ok"]


def test_preview(cli, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli("data", "preview", "folder:letters", "--columns", 4, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["file"] == "folder-letters.png"
    assert (answer.json["images"], answer.json["classes"]) == (40, 5)
    sheet = cv2.imread("folder-letters.png", cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (answer.json["height"], answer.json["width"])
    first = Path("folder-letters.png").read_bytes()
    again = cli("data", "preview", "folder:letters", "--columns", 4)
    assert (again.code, again.out) == (2, "")
    assert "folder-letters.png exists; give --overwrite" in again.errors[0]
    other = ("--columns", 4, "--seed", 3, "--out", "other.png")
    assert cli("data", "preview", "folder:letters", *other).code == 0
    assert Path("other.png").read_bytes() != first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("folder-letters.png", "letters", "other.png")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "sheet.txt"), "sheet.txt has no known suffix; allowed: .png"),
        (("--out", "gone/sheet.png"), "there is no folder gone"),
        (("--split", "val"), "'val'"),
    ],
)
def test_preview_bad_input(
    arguments: tuple[str, ...], message: str, cli, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(letters.parent)
    answer = cli("data", "preview", "folder:letters", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.errors[0]
    assert [path.name for path in letters.parent.iterdir()] == ["letters"]


def test_preview_names_the_extra(
    cli, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answer = cli("data", "preview", f"folder:{letters}", "--out", tmp_path / "sheet.png")
    assert answer.code == 2
    assert answer.errors == [
        "error: 'hcr-edge data preview' needs matplotlib; pip install 'hcr-edge[export]'"
    ]


def split_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_split_by_writers_and_its_use(cli, data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.json"
    answer = cli("data", "split", "ahcd", "--out", out, "--json", data=data_dir)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json.keys() == {
        *("file", "schema_version", "dataset", "checksum", "rule", "seed", "shared_writers"),
        *("parts", "label_map", "classes", "origins"),
    }
    assert answer.json["parts"] == {
        "train": {"images": 11760, "writers": 42},
        "val": {"images": 1680, "writers": 6},
        "test": {"images": 3360, "writers": 12},
    }
    assert (answer.json["rule"], answer.json["shared_writers"]) == ("writers", 0)
    assert [len(part["positions"]) for part in split_of(out)["parts"].values()] == [
        11760,
        1680,
        3360,
    ]
    part = ("--split", f"{out}:val")
    evaluated = cli(
        "evaluate", "arabic-letters", "--dataset", "ahcd", *part, "--json", data=data_dir
    )
    assert (evaluated.json["split"], evaluated.json["total"]) == ("val", 1680)
    sheet = tmp_path / "sheet.png"
    drawn = cli("data", "preview", "ahcd", *part, "--out", sheet, "--json", data=data_dir)
    assert (drawn.json["split"], drawn.json["images"]) == ("val", 1680)
    judged = cli("data", "validate", "ahcd", *part, "--json", data=data_dir)
    assert [item["split"] for item in judged.json["parts"]] == ["val"]
    wrong = cli("data", "validate", "az", *part, data=data_dir)
    assert wrong.code == 2
    assert "was made for ahcd, other images than az" in wrong.errors[0]


@pytest.mark.parametrize(
    ("spec", "options", "rule", "note"),
    [
        ("ahcd", ("--by", "random"), "random", "note: a random split shares writers: 60 of them"),
        (
            "ahcd",
            ("--by", "published"),
            "published",
            "note: the published split shares writers: 60",
        ),
        ("az", (), "blocks", "note: who wrote az is not known: blocks of consecutive images"),
        ("az", ("--by", "random"), "random", ""),  # there is nobody to share
        ("comnist-cyrillic", ("--folds", "3"), "writers", ""),
        ("comnist-cyrillic", ("--by", "default"), "writers", ""),
        ("az", ("--by", "default"), "blocks", ""),
        ("ahcd", ("--by", "default"), "published", "note: the default split shares writers: 60"),
    ],
)
def test_splits_warn(
    spec: str, options: tuple[str, ...], rule: str, note: str, cli, data_dir: Path, tmp_path: Path
) -> None:
    answer = cli("data", "split", spec, "--out", tmp_path / "s.json", *options, data=data_dir)
    assert answer.code == 0
    assert answer.err.startswith(note)
    assert bool(answer.err) == bool(note)
    assert split_of(tmp_path / "s.json")["rule"] == rule
    assert f"divided by {rule}" in answer.out


def test_split_of_joined_sets(cli, data_dir: Path, tmp_path: Path) -> None:
    spec = "ahcd+hijja:28,isolated@arabic-letters"
    answer = cli("data", "split", spec, "--out", tmp_path / "s.json", data=data_dir)
    assert answer.code == 0
    assert "label map @arabic-letters" in answer.out
    assert "أ→ا" in answer.out
    assert re.search(r"hijja:28,isolated +[\d,]+ +28: ا ب ت", answer.out)
    assert split_of(tmp_path / "s.json")["dataset"] == spec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "split.txt"), "does not end in .json"),
        (("--out", "s.json", "--by", "published"), "comes without a split of its own"),
        (("--out", "s.json", "--test", "0.9", "--val", "0.2"), "leave nothing to train on"),
        (("--out", "s.json", "--folds", "1"), "1 folds divide nothing"),
        (("--out", "s.json", "--folds", "99"), "groups of writers"),
        (("--out", "there.json"), "there.json exists; give --overwrite"),
    ],
)
def test_split_bad_input(
    arguments: tuple[str, ...], message: str, cli, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(letters.parent)
    Path("there.json").write_text("{}", encoding="utf-8")
    answer = cli("data", "split", "folder:letters", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.errors[0]
    assert sorted(path.name for path in letters.parent.iterdir()) == ["letters", "there.json"]


def test_split_of_a_divided_folder(cli, tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        for letter in "بج":
            for i in range(count):
                write(tmp_path / "own" / part / letter / f"{i}.png")
    out = tmp_path / "s.json"
    ask = ("data", "split", f"folder:{tmp_path / 'own'}", "--by", "published", "--out", out)
    answer = cli(*ask)
    assert (answer.code, answer.err) == (0, "")
    parts = split_of(out)["parts"]
    assert {name: part["images"] for name, part in parts.items()} == {
        "train": 12,
        "val": 4,
        "test": 6,
    }
