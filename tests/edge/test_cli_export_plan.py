"""Which files an export makes, asked for on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hcr_runtime import Classifier


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("--target", "raspberrypi"), "(did you mean raspberry-pi?)"),
        (("--quantization", "granularity=row"), "granularity is 'row'; allowed: channel, tensor"),
        (("--quantization", "nowhere.yaml"), "cannot read the quantization recipe nowhere.yaml"),
        (
            ("--quantization", "granularity=tensor,foo"),
            "'foo' is no setting; allowed: name=value, with commas between them",
        ),
        (
            ("--auto", "--quantization", "granularity=tensor"),
            "--auto finds the quantization by itself",
        ),
    ],
)
def test_what_cannot_be_asked_for(asked: tuple[str, ...], says: str, cli, tmp_path: Path) -> None:
    answer = cli("export", "arabic-letters-nano", "--out", tmp_path / "new", *asked)
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert says in answer.errors[0]
    assert not (tmp_path / "new").exists()


def test_a_target_says_why_and_its_files_take_what_was_asked(
    cli, samples_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pi"
    ask = ("--target", "raspberry-pi", "--input", "uint8", "--layout", "NCHW", "--batch", 1)
    recipe = ("--quantization", "granularity=tensor,calibration=percentile")
    answer = cli("export", "arabic-letters", "--out", out, *ask, *recipe)
    assert answer.code == 0, answer.err
    assert "int8.onnx: raspberry-pi: runs on the runtime's own onnxruntime" in answer.out
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["targets"] == ["raspberry-pi"]
    entries = {item["kind"]: item for item in manifest["files"] if item["role"] == "artifact"}
    assert entries.keys() == {"float32.onnx", "int8.onnx", "int8.tflite"}
    assert all(item["reason"].startswith("raspberry-pi: ") for item in entries.values())
    assert entries["int8.onnx"]["input"] == {"dtype": "uint8", "layout": "NCHW", "batch": 1}
    assert entries["int8.tflite"]["input"] == {"dtype": "uint8", "layout": "NHWC", "batch": 1}
    assert "percentile calibration" in entries["int8.onnx"]["description"]
    photo = samples_dir / "photos" / "beh-blue-pen.jpg"
    for item in entries.values():
        assert Classifier.load(out / item["file"]).classify(photo).name == "beh"


def test_what_auto_found_can_be_made_again(cli, data_dir: Path, tmp_path: Path) -> None:
    """The recipe in the bundle, given to another export, makes the same file."""
    found, again = tmp_path / "found", tmp_path / "again"
    images = ("--dataset", "samples", "--calibration", "ahcd")
    ask = ("export", "arabic-letters-nano", *images, "--max-drop", 0.5, "--out")
    only = ("--artifact", "int8.tflite", "--artifact", "float16.onnx")
    answer = cli(*ask, found, "--auto", *only, data=data_dir)
    assert answer.code == 0, answer.err
    recipe = found / "quantization.yaml"
    assert recipe.read_text(encoding="utf-8").startswith("# tried on ")
    (model,) = found.glob("*.tflite")
    answer = cli(*ask, again, "--quantization", recipe, data=data_dir)
    assert answer.code == 0, answer.err
    assert (again / model.name).read_bytes() == model.read_bytes()
    assert [path.name for path in again.glob("*.tflite")] == [model.name]
