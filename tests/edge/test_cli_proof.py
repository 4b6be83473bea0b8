"""The commands matrix and benchmark."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


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
        ("opencv", "int8.onnx"): False,
    }
    assert answer.json["images"]["total"] == 56
    assert "OpenCV" in (copy / "matrix.md").read_text(encoding="utf-8")
    assert (copy / "matrix.png").read_bytes().startswith(b"\x89PNG")
    assert cli("selftest", copy).code == 0


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
