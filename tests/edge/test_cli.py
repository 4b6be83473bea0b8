"""What the commands answer. See `test_cli_bad_input.py` for what they refuse."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hcr_edge import __version__
from hcr_edge.cli.app import app
from hcr_edge.datasets import load_samples
from hcr_edge.labels import ARABIC_LETTERS
from hcr_runtime import ModelSpec

COMMANDS = [
    *("classify", "read", "webcam", "models", "inspect", "selftest", "explain", "sign"),
    *("export", "verify", "matrix", "benchmark", "evaluate", "train", "crossval", "compare"),
]
TEXTS = [label.text for label in ARABIC_LETTERS]
PREDICTION = {
    *("label", "name", "codepoint", "confidence", "top", "accepted", "reason", "between"),
}
PARITY = {
    *("schema_version", "model", "images", "keras", "passed", "artifacts", "advice"),
    *("doubts", "disagreements"),
}
ARTIFACT = {
    *("file", "kind", "engine", "bytes", "correct", "total", "accuracy", "interval", "drop"),
    *("agreement", "max_difference", "lost", "latency_us", "failures", "passed"),
}


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the user's own: two classes of ours, one that the model lacks."""
    root, data = tmp_path_factory.mktemp("letters"), load_samples("test")
    for name, index in (("U+0628", 1), ("seen", 11), ("پ", 1)):
        (root / name).mkdir()
        for number in range(5):
            image = data.encoded([i for i, k in enumerate(data.labels) if k == index][number])
            (root / name / f"{number}.png").write_bytes(image)
    return root


def test_every_command_is_tested_here() -> None:
    assert {command.callback.__name__ for command in app.registered_commands} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(command: str, cli) -> None:
    answer = cli(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert f"hcr-edge {command}" in answer.out
    assert "--json" in answer.out
    if command != "models":
        assert "Example" in answer.out


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands(option: str, cli) -> None:
    answer = cli(option)
    assert answer.code == 0
    for command in COMMANDS:
        assert command in answer.out


def test_version(cli) -> None:
    assert cli("--version").out == f"hcr-edge {__version__}\n"


def test_nothing_asked_shows_the_help(cli) -> None:
    assert "Usage" in cli().out


def test_classify_json(cli, letters: Path) -> None:
    paths = sorted(letters.glob("[Us]*/*.png"))
    answers = cli("classify", *paths, "--json", "--top", 2).json
    assert [item["image"] for item in answers] == [str(path) for path in paths]
    for item in answers:
        assert item.keys() == PREDICTION | {"image"}
        assert item["codepoint"] == f"U+{ord(item['label']):04X}"
        assert item["top"][0] == {"label": item["label"], "confidence": item["confidence"]}
        assert len(item["top"]) == 2
        assert 1 >= item["top"][0]["confidence"] >= item["top"][1]["confidence"] >= 0
    names = [item["name"] for item in answers]
    assert names.count("beh") >= 4
    assert names.count("seen") >= 4


def test_classify_for_people(cli, letters: Path) -> None:
    answer = cli("classify", letters / "seen" / "0.png")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 1
    for part in ("0.png", "س", "seen", "U+0633", "%"):
        assert part in answer.out


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_classify_with_a_file(kind: str, cli, letters: Path, exported: Path) -> None:
    model = exported / f"arabic-letters-{kind}.onnx"
    (item,) = cli("classify", letters / "seen" / "0.png", "-m", model, "--json").json
    assert item["label"] == "س"


def test_classify_answers_the_good_images_among_bad_ones(cli, letters: Path) -> None:
    good, bad = letters / "seen" / "0.png", letters / "absent.png"
    answer = cli("classify", bad, good, "--json")
    assert answer.code == 2
    first, second = answer.json
    assert first.keys() == {"image", "error"}
    assert second["label"] == "س"
    assert len(answer.errors) == 1
    assert answer.errors[0].startswith(f"error: cannot read {bad}")


def test_classify_among_some_letters(cli, letters: Path) -> None:
    image = letters / "seen" / "0.png"
    (free,) = cli("classify", image, "--json").json
    (among,) = cli("classify", image, "--allow", "سش", "--json").json
    (denied,) = cli("classify", image, "--deny", "س", "--json").json
    assert free["label"] == among["label"] == "س"
    assert [item["label"] for item in among["top"]] == ["س", "ش"]
    assert cli("classify", image, "--allow", "س,ش", "--json").json == [among]
    assert "س" not in [item["label"] for item in denied["top"]]
    answer = cli("classify", image, "--allow", "Ж")
    assert answer.code == 2
    assert "Ж" in answer.err


def test_standard_input_is_an_image(
    cli, letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (letters / "seen" / "0.png").read_bytes()
    for command in (("classify",), ("read",), ("explain", "--json", "--out", tmp_path / "why.png")):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert "س" in cli(*command, "-").out
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(data)  # a file that is called so
    for command in ("classify", "read"):
        assert "س" in cli(command, "./-").out
    answer = cli("classify", "-")
    assert (answer.code, answer.errors) == (2, ["error: the image is empty (0 bytes)"])


def test_engine_is_chosen(cli, letters: Path, exported: Path) -> None:
    image, model = letters / "seen" / "0.png", exported / "arabic-letters-float32.onnx"
    assert "س" in cli("classify", image, "-m", model, "--engine", "opencv").out
    assert "does not run" in cli("read", image, "-m", model, "--engine", "litert").err


def test_models_json(cli) -> None:
    found = {item["name"]: item for item in cli("models", "--json").json}
    model = found["arabic-letters"]
    assert model.keys() >= {
        *("name", "classes", "labels", "bytes", "quantization", "training_data", "figures"),
    }
    assert (model["classes"], model["labels"]) == (28, TEXTS)
    assert model["bytes"] <= 150_000
    assert all(0 <= value <= 1 for value in model["figures"].values())
    assert model["figures"]["of which ahcd"] > 0.9
    assert "arabic-letters: 28 classes" in cli("models").out


@pytest.mark.parametrize("what", ["name", "onnx", "keras"])
def test_inspect_json(what: str, cli, exported: Path) -> None:
    file = {
        "name": "arabic-letters",
        "onnx": exported / "arabic-letters-float32.onnx",
        "keras": exported / "arabic-letters.keras",
    }[what]
    document = cli("inspect", file, "--json").json
    assert document.keys() == {"file", "bytes", "spec"}
    assert document["bytes"] == Path(document["file"]).stat().st_size
    spec = ModelSpec.from_dict(document["spec"])
    assert list(spec.texts) == TEXTS
    assert bool(spec.provenance.source_sha256) == (what != "keras")


def test_inspect_for_people(cli, exported: Path) -> None:
    text = cli("inspect", exported / "arabic-letters-int8.onnx").out
    assert text == cli("inspect", exported).out, "a bundle means what devices run of it"


def test_altered_bundle_is_not_measured(cli, exported: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported, tmp_path / "bundle"))
    with (bundle / "arabic-letters-int8.onnx").open("ab") as file:
        file.write(b"more")
    for command in ("inspect", "evaluate"):
        more = ("--dataset", "samples") if command == "evaluate" else ()
        answer = cli(command, bundle, *more)
        assert answer.code == 2
        assert "has the SHA-256" in answer.err


def test_inspect_shows_what_a_model_is(cli, exported: Path) -> None:
    text = cli("inspect", exported / "arabic-letters-int8.onnx").out
    for part in ("arabic-letters", "28: ا ب", "32x32x1", "onnxruntime>=1.7", "int8"):
        assert part in text


def test_evaluate_json_reports_what_the_model_lacks(cli, letters: Path) -> None:
    answer = cli("evaluate", "arabic-letters", "--dataset", f"folder:{letters}", "--json")
    assert answer.code == 0
    document = answer.json
    assert document.keys() >= {"accuracy", "correct", "total", "per_class"}
    assert document["total"] == 10
    assert document["accuracy"] == document["correct"] / 10
    assert list(document["per_class"]) == TEXTS
    assert document["per_class"]["س"]["total"] == 5
    assert document["per_class"]["ا"]["accuracy"] is None
    assert document["skipped_classes"] == {"پ": 5}
    assert answer.err.startswith("note: ")
    assert "پ (5)" in answer.err


def test_evaluate_for_people(cli, letters: Path) -> None:
    answer = cli("evaluate", "arabic-letters", "--dataset", f"folder:{letters}")
    assert "of 10, 95 % interval" in answer.out
    assert "seen" in answer.out


def test_evaluate_on_the_test_part_of_real_letters(cli, data_dir: Path) -> None:
    """By option or by variable: the same."""
    ask = ("evaluate", "arabic-letters", "--dataset", "ahcd", "--json")
    by_option, by_variable = cli(*ask, "--data-dir", data_dir), cli(*ask, data=data_dir)
    assert by_option.json == by_variable.json
    assert (by_option.json["split"], by_option.json["total"]) == ("test", 3360)
    assert by_option.json["accuracy"] > 0.97


def test_selftest_json(cli, exported: Path) -> None:
    results = cli("selftest", exported, "--json").json
    assert [item["file"] for item in results] == [
        "arabic-letters-float32.onnx",
        "arabic-letters-int8.onnx",
    ]
    for item in results:
        assert (item["cases"], item["exact_tensors"], item["failures"]) == (28, 28, [])


def test_export_json(cli, exported: Path) -> None:
    """`--json` says what parity.json says."""
    document = json.loads((exported / "parity.json").read_text(encoding="utf-8"))
    assert document.keys() == PARITY
    assert document["passed"] is True
    assert document["images"]["synthetic"] is True
    assert "drew itself" in document["images"]["description"]
    assert all(item.keys() == ARTIFACT for item in document["artifacts"])
    assert {item["kind"] for item in document["artifacts"]} == {"float32.onnx", "int8.onnx"}


def test_verify_json(cli, exported: Path, data_dir: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    ask = ("verify", bundle, "--dataset", "ahcd", "--split", "test", "--limit", 140, "--json")
    document = cli(*ask, data=data_dir).json
    assert document.keys() == PARITY
    assert document["images"] == {
        "description": "140 images of ahcd, test",
        "synthetic": False,
        "labelled": True,
        "total": 140,
    }
    for item in document["artifacts"]:
        assert item.keys() == ARTIFACT
        assert item["interval"][0] <= item["accuracy"] <= item["interval"][1] + 1e-9


def test_drawn_images_do_not_replace_a_report_on_real_ones(
    cli, exported: Path, data_dir: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    assert cli("verify", bundle, "--limit", 140, data=data_dir).code == 0
    before = (bundle / "parity.json").read_bytes()
    answer = cli("verify", bundle, "--json")
    assert answer.json["images"]["synthetic"] is True
    assert (bundle / "parity.json").read_bytes() == before
    assert cli("verify", bundle).code == 0, "the bundle is still whole"


def test_read_and_classify_draw_what_they_read(samples_dir: Path, tmp_path: Path, cli) -> None:
    photo = samples_dir / "photos" / "jeem-black-pen.jpg"
    before = cv2.imread(str(photo))
    for command in ("read", "classify"):
        place = tmp_path / f"{command}.png"
        answer = cli(command, photo, "--annotate", place, "--json")
        assert answer.code == 0
        drawn = cv2.imread(str(place))
        assert drawn.shape == before.shape
        assert 0.01 < (drawn != before).any(axis=2).mean() < 0.2
        assert cli(command, photo, "--annotate", place).code == 2  # nothing is overwritten
        assert cli(command, photo, "--annotate", place, "--overwrite").code == 0
    glyphs = json.loads(cli("read", photo, "--json").out)["glyphs"]
    assert [(glyph["label"], glyph["line"], glyph["order"]) for glyph in glyphs] == [("ج", 0, 0)]
    told = cli("read", photo)
    assert "ج" in told.out
    assert "1 character, 1 accepted" in told.err


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [
        (".png", b"\x89PNG"),
        (".jpg", b"\xff\xd8\xff"),
        (".JPEG", b"\xff\xd8\xff"),
        (".webp", b"RIFF"),
        (".tif", b"II*"),
        (".bmp", b"BM"),
    ],
)
def test_annotate_writes_what_the_suffix_says(
    suffix: str, begins: bytes, samples_dir: Path, tmp_path: Path, cli
) -> None:
    photo = samples_dir / "photos" / "jeem-black-pen.jpg"
    place = tmp_path / f"out{suffix}"
    assert cli("classify", photo, "--annotate", place).code == 0
    assert place.read_bytes().startswith(begins)
    drawn, before = cv2.imread(str(place)), cv2.imread(str(photo))
    assert drawn.shape == before.shape
    assert (cv2.absdiff(drawn, before).max(axis=2) > 60).any()


@pytest.mark.parametrize("name", ["out.txt", "out", "out.gif", "out.onnx"])
@pytest.mark.parametrize("command", ["classify", "read"])
def test_annotate_refuses_what_is_no_picture(
    command: str, name: str, samples_dir: Path, tmp_path: Path, cli
) -> None:
    photo = samples_dir / "photos" / "jeem-black-pen.jpg"
    answer = cli(command, photo, "--annotate", tmp_path / name)
    assert answer.code == 2
    assert "no name of a picture; allowed: .png, .jpg" in answer.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_a_blank_image_is_named_and_the_others_are_answered(cli, letters: Path) -> None:
    blank = letters / "blank.png"
    cv2.imwrite(str(blank), np.full((64, 64), 255, np.uint8))
    answer = cli("classify", blank, letters / "seen" / "0.png", "--json")
    assert answer.code == 2
    assert [(item["label"], item["reason"]) for item in answer.json] == [("", "blank"), ("س", "")]
    assert answer.errors == [f"error: {blank}: the image is empty: no ink found"]


def test_annotate_takes_one_image(samples_dir: Path, tmp_path: Path, cli) -> None:
    photo = samples_dir / "photos" / "jeem-black-pen.jpg"
    answer = cli("classify", photo, photo, "--annotate", tmp_path / "out.png")
    assert answer.code == 2
    assert "2 images" in answer.errors[0]
