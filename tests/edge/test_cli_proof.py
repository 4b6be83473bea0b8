"""The commands matrix and benchmark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples" / "arabic-letters" / "test"


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    """A bundle into which reports may be written."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_matrix(copy: Path, cli) -> None:
    """Reports go into the bundle, which stays whole."""
    ask = ("matrix", copy, "--engine", "onnxruntime", "--engine", "opencv", "--limit", 56)
    answer = cli(*ask, "--json")
    assert answer.code == 0, answer.err
    assert answer.json == json.loads((copy / "matrix.json").read_text(encoding="utf-8"))
    runs = {(cell["engine"], cell["kind"]): cell["runs"] for cell in answer.json["cells"]}
    assert runs == {
        ("keras", "keras"): True,
        ("onnxruntime", "float32.onnx"): True,
        ("onnxruntime", "int8.onnx"): True,
        ("opencv", "float32.onnx"): True,
        ("opencv", "int8.onnx"): True,
    }
    assert answer.json["images"]["total"] == 56
    assert "opencv" in (copy / "matrix.md").read_text(encoding="utf-8")
    assert (copy / "matrix.png").read_bytes().startswith(b"\x89PNG")
    assert cli("selftest", copy).code == 0


def test_a_part_of_the_matrix_leaves_the_rest_in_place(copy: Path, cli) -> None:
    """Other engines, and other artifacts; what is answered is of this run alone."""
    ask = ("matrix", copy, "--limit", 28, "--engine")
    assert cli(*ask, "onnxruntime", "--artifact", "int8.onnx").code == 0
    first = json.loads((copy / "matrix.json").read_text(encoding="utf-8"))
    answer = cli(*ask, "opencv", "--artifact", "float32.onnx", "--json")
    assert answer.code == 0
    assert [cell["engine"] for cell in answer.json["cells"]] == ["keras", "opencv"]
    second = json.loads((copy / "matrix.json").read_text(encoding="utf-8"))
    assert [(cell["engine"], cell["kind"]) for cell in second["cells"]] == [
        *(("keras", "keras"), ("onnxruntime", "int8.onnx"), ("opencv", "float32.onnx"))
    ]
    assert second["cells"][1] == first["cells"][1]
    lines = (copy / "matrix.md").read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("| onnxruntime | 100.00% |  |") for line in lines), lines


def test_a_matrix_of_other_images_replaces_the_earlier_one(
    copy: Path, cli, caplog: pytest.LogCaptureFixture
) -> None:
    ask = ("matrix", copy, "--artifact", "float32.onnx", "--engine", "opencv", "--limit")
    assert cli(*ask, 28).code == 0
    other = cli(*ask, 29)
    assert other.code == 0
    assert "matrix.json is of other images, machine or threads" in other.err
    assert json.loads((copy / "matrix.json").read_text("utf-8"))["images"]["total"] == 29


def test_a_matrix_where_nothing_can_run(copy: Path, cli) -> None:
    answer = cli("matrix", copy, "--engine", "litert", "--limit", 2)
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert "no engine ran a file of" in answer.errors[0]
    assert "litert: reads no .onnx" in answer.errors[0]
    assert not (copy / "matrix.json").exists()


def test_without_labels_what_keras_answers_counts(
    copy: Path, cli, tmp_path: Path, monkeypatch
) -> None:
    from hcr_export import benchmark

    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    monkeypatch.setattr(benchmark, "BATCHES", {1: 5})
    loose = tmp_path / "loose"
    loose.mkdir()
    for number, path in enumerate(sorted(SAMPLES.glob("*/00.png"))):
        shutil.copy(path, loose / f"{number}.png")
    given = (copy, "--dataset", f"folder:{loose}", "--json")
    matrix = cli("matrix", *given, "--engine", "onnxruntime").json
    verified = cli("verify", *given).json
    timed = cli("benchmark", *given).json
    for document in (matrix, verified, timed):
        assert document["images"]["labelled"] is False
    assert matrix["cells"][0]["accuracy"] == 1.0
    assert verified["keras"]["accuracy"] == 1.0
    ran = {cell["kind"]: cell["accuracy"] for cell in matrix["cells"]}
    assert ran == {"keras": 1.0} | {i["kind"]: i["accuracy"] for i in verified["artifacts"]}
    assert ran == {item["name"]: item["accuracy"] for item in timed["subjects"]}


def test_benchmark(copy: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from hcr_export import benchmark

    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    monkeypatch.setattr(benchmark, "BATCHES", {1: 20, 8: 2})
    answer = cli("benchmark", copy, "--limit", 28, "--json")
    assert answer.code == 0, answer.err
    assert answer.json == json.loads((copy / "benchmark.json").read_text(encoding="utf-8"))
    subjects = {item["name"]: item for item in answer.json["subjects"]}
    assert subjects.keys() == {"float32.onnx", "int8.onnx", "keras"}
    assert subjects["int8.onnx"]["times_as_fast"].keys() == {"float32.onnx", "keras"}
    assert subjects["int8.onnx"]["times_as_fast"]["keras"] > 5
    assert (copy / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    again = cli("benchmark", copy, "--limit", 28, "--against", "tesseract", "--json")
    assert "keras" not in {item["name"] for item in again.json["subjects"]}
    stored = json.loads((copy / "benchmark.json").read_text(encoding="utf-8"))
    kept = {item["name"]: item for item in stored["subjects"]}["keras"]
    assert kept == subjects["keras"], "timed before, and not again"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("matrix", "{}", "--engine", "onnx"), "did you mean onnxruntime"),
        (("matrix", "{}", "--artifact", "int9.onnx"), "there is no artifact 'int9.onnx'"),
        (("matrix", "nowhere"), "nowhere is no bundle"),
        (("benchmark", "{}", "--against", "easyocr"), "allowed: keras, tesseract"),
        (("benchmark", "nowhere"), "nowhere is no bundle"),
    ],
)
def test_refused(arguments: tuple[str, ...], says: str, exported: Path, cli) -> None:
    answer = cli(*(argument.format(exported) for argument in arguments))
    assert answer.code == 2
    assert says in answer.err
