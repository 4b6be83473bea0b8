"""The engine matrix: what it says of artifacts that run, are refused, or answer worse."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_export.artifacts import USUAL
from hcr_export.contents import add_reports, read_contents
from hcr_export.engines import choose_engines
from hcr_export.labelled_images import LabelledImages
from hcr_export.manifest import BundleError, check_files, read_manifest
from hcr_export.matrix import EngineMatrix, Native, measure_matrix
from hcr_export.matrix_report import draw, to_markdown
from hcr_runtime import ImageError

ENGINES = ["litert", "onnxruntime", "opencv"]


@pytest.fixture(scope="module")
def matrix(bundle, drawn: LabelledImages, tmp_path_factory) -> EngineMatrix:
    nowhere = tmp_path_factory.mktemp("nowhere")
    engines = choose_engines([*ENGINES, "onnxruntime-arm64"], nowhere)
    told: list[str] = []
    found = measure_matrix(bundle.path, drawn, engines, kinds=USUAL, progress=told.append)
    assert told[0] == "Keras"
    assert "tiny-int8.onnx on onnxruntime" in told
    return found


def cell(matrix: EngineMatrix, engine: str, kind: str):
    (found,) = (c for c in matrix.cells if (c.engine, c.kind) == (engine, kind))
    return found


def test_every_engine_meets_every_artifact(matrix: EngineMatrix, bundle) -> None:
    kinds = [kind.name for kind in USUAL]
    met = [(c.engine, c.kind) for c in matrix.cells]
    expected = [(e, k) for e in (*ENGINES, "onnxruntime-arm64") for k in kinds]
    assert met == [("keras", "keras"), *expected]


def test_it_agrees_with_the_parity_report(matrix: EngineMatrix, bundle) -> None:
    """There every image goes through the runtime, here through a process of its own."""
    for item in (i for i in bundle.report.artifacts if i.kind in {k.name for k in USUAL}):
        found = cell(matrix, item.engine, item.kind).answer
        assert found is not None
        assert (found.correct, found.agreement) == (item.correct, item.agreement)
        assert found.max_difference == pytest.approx(item.max_difference, abs=1e-6)
        assert found.failures == item.failures
    assert matrix.cells[0].answer.correct == bundle.report.keras_correct


def test_float32_agrees_on_every_engine(matrix: EngineMatrix) -> None:
    for engine in ("onnxruntime", "opencv"):
        answer = cell(matrix, engine, "float32.onnx").answer
        assert answer is not None
        assert answer.agreement == 1.0
        assert answer.max_difference <= 1e-4


def test_refusals_are_told_in_the_engines_words(matrix: EngineMatrix) -> None:
    refused = cell(matrix, "opencv", "int8.tflite")
    assert refused.answer is None
    assert "OpenCV" in refused.words
    assert cell(matrix, "onnxruntime", "int8.tflite").words == "reads no .tflite"
    assert "no arm64 root" in cell(matrix, "onnxruntime-arm64", "int8.onnx").words
    text = to_markdown(matrix)
    said = text.partition("in the engine's words")[2]
    assert refused.words in said
    assert "reads no" not in text, "another format is no refusal"


def test_json_holds_every_cell(matrix: EngineMatrix) -> None:
    document = json.loads(json.dumps(matrix.to_dict(), allow_nan=False))
    assert len(document["cells"]) == len(matrix.cells)
    by_cell = {(c["engine"], c["kind"]): c for c in document["cells"]}
    ran, refused = by_cell["onnxruntime", "int8.onnx"], by_cell["opencv", "int8.tflite"]
    assert ran["runs"]
    assert 0 < ran["latency_us"]["p50"] <= ran["latency_us"]["p95"]
    assert not refused["runs"]
    assert "accuracy" not in refused


def test_an_artifact_beyond_its_limits_fails_and_is_named(matrix: EngineMatrix) -> None:
    first = cell(matrix, "onnxruntime", "int8.onnx")
    worse = replace(first, answer=replace(first.answer, failures=("50 points lost",)))
    failed = replace(matrix, cells=(matrix.cells[0], worse))
    assert not failed.passed
    assert "**tiny-int8.onnx** on onnxruntime: 50 points lost" in to_markdown(failed)
    assert failed.to_dict()["passed"] is False


@pytest.mark.parametrize(
    ("native", "says"),
    [
        (Native("1.2", 0, 0.0, 0), "every output bit is the same (1.9 on arm64, 1.2 here)"),
        (
            Native("1.2", 9, 0.04, 3),
            "differ for 9 of 84 images, by up to 4.0e-02, the first answer for 3",
        ),
    ],
)
def test_arm64_is_held_against_this_processor(
    native: Native, says: str, matrix: EngineMatrix
) -> None:
    first = cell(matrix, "onnxruntime", "int8.onnx")
    emulated = replace(
        first,
        engine="onnxruntime-arm64",
        emulated=True,
        answer=replace(first.answer, version="1.9", native=native, latency_us=None),
    )
    text = to_markdown(replace(matrix, cells=(matrix.cells[0], emulated)))
    assert says in text
    assert "times and memory mean nothing" in text


def test_the_picture_shows_green_red_and_grey(matrix: EngineMatrix) -> None:
    def colours(found: EngineMatrix) -> set[tuple[int, ...]]:
        data = draw(found)
        assert data == draw(found), "the same matrix gives the same bytes"
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        values, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        return {
            tuple(value)
            for value, count in zip(values.tolist(), counts, strict=True)
            if count > 2000
        }

    green, red, grey = (0xCD, 0xE1, 0xB7), (0xC3, 0xC7, 0xF4), (0xDD, 0xDD, 0xDD)
    assert {green, grey} <= colours(matrix)
    first = cell(matrix, "onnxruntime", "int8.onnx")
    worse = replace(first, answer=replace(first.answer, failures=("50 points lost",)))
    assert red in colours(replace(matrix, cells=(matrix.cells[0], worse)))


def test_reports_are_recorded_and_the_bundle_stays_whole(
    matrix: EngineMatrix, bundle, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    for text in ("first", "second"):
        add_reports(copy, {"matrix.md": text.encode()})
    manifest = read_manifest(copy)
    entries = [item for item in manifest["files"] if item["file"] == "matrix.md"]
    assert entries == [{"file": "matrix.md", "role": "report"}]
    assert (copy / "matrix.md").read_text(encoding="utf-8") == "second"
    check_files(copy, manifest)
    assert len(read_contents(copy).artifacts) == len(bundle.report.artifacts)


def test_an_altered_bundle_is_refused(bundle, drawn: LabelledImages, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    (copy / "tiny-int8.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError, match=r"tiny-int8\.onnx was altered"):
        measure_matrix(copy, drawn, [])
    with pytest.raises(ImageError, match="no images"):
        measure_matrix(bundle.path, replace(drawn, images=[], labels=drawn.labels[:0]), [])
