from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_export import onnx as onnx_format
from hcr_export._keras import keras
from hcr_export.artifacts import EXACT, Limits, choose
from hcr_export.comparison import judge
from hcr_export.keras_file import KerasFile
from hcr_export.labelled_images import LabelledImages
from hcr_export.parity import measure
from hcr_export.parity_report import ParityReport
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, ImageError

INT8 = Limits()


@pytest.mark.parametrize(
    ("limits", "drop", "agreement", "difference", "failed"),
    [
        (INT8, 0.0, 1.0, 0.0, []),
        (INT8, 0.3, 0.995, 0.9, []),  # exactly at the limits; probabilities are not limited
        (Limits(max_drop=0.1), 100 * 1 / 1000, 1.0, 0.0, []),  # 0.10000000000000000555
        (Limits(max_drop=0.1), 100 * (0.981 - 0.98), 1.0, 0.0, []),  # 0.10000000000000009
        (INT8, -2.0, 1.0, 0.0, []),  # better than Keras
        (INT8, 0.31, 1.0, 0.0, ["0.31 points of accuracy lost (at most 0.30)"]),
        (INT8, 0.0, 0.994, 0.0, ["99.40% agreement (at least 99.50%)"]),
        (EXACT, 0.0, 1.0, 1e-4, []),
        (EXACT, 0.0, 1.0, 2e-4, ["probabilities differ by 2.0e-04 (at most 1e-04)"]),
        (EXACT, 0.0, 1.0, math.inf, ["probabilities differ by inf (at most 1e-04)"]),
        (EXACT, -0.1, 0.999, 0.0, ["99.90% agreement (at least 100.00%)"]),  # gained, but differs
        (INT8, 1.0, 0.5, 0.9, ["1.00 points", "50.00% agreement"]),  # every reason is told
        (EXACT, 1.0, 0.5, 0.9, ["1.00 points", "50.00% agreement", "probabilities differ"]),
        (EXACT, 0.0, 1.0, math.nan, ["probabilities differ by nan"]),
    ],
)
def test_judge(
    limits: Limits, drop: float, agreement: float, difference: float, failed: list[str]
) -> None:
    failures = judge(limits, drop, agreement, difference, 1000)
    assert len(failures) == len(failed)
    assert all(got.startswith(start) for got, start in zip(failures, failed, strict=True))


def test_judge_fails_nan_also_where_probabilities_are_not_limited() -> None:
    assert judge(INT8, 0.0, 1.0, math.nan, 1000)


def _damaged_onnx(source: KerasFile, folder: Path, column_changes: dict[int, float]) -> Path:
    """Another Keras model, with other biases for some classes, exported as `source` is."""
    model = keras.models.clone_model(source.model)
    weights = source.model.get_weights()
    for column, value in column_changes.items():
        weights[-1][column] = value
    model.set_weights(weights)
    path = folder / "tiny-float32.onnx"
    onnx_format.write(onnx_format.convert(replace(source, model=model)), source.spec, path)
    return path


def _measure_onnx(
    source: KerasFile, path: Path, images: LabelledImages, limits: Limits
) -> ParityReport:
    return measure(source, [(choose(["float32.onnx"])[0], path, limits)], images)


def test_measures_what_a_device_would_see(bundle, drawn: LabelledImages) -> None:
    """Counted again from the answers of `Classifier.classify`, image by image."""
    kind = choose(["int8.onnx"])[0]
    path = bundle.path / kind.file_name("tiny")
    told: list[str] = []
    report = measure(bundle.source, [(kind, path, INT8)], drawn, told.append)
    (item,) = report.artifacts
    classifier = Classifier.load(path)
    texts = [classifier.spec.texts[index] for index in drawn.labels]
    answers = [classifier.classify(image).label for image in drawn.images]
    right = sum(answer == text for answer, text in zip(answers, texts, strict=True))
    assert (item.correct, item.total) == (right, len(texts))
    assert item.accuracy == right / len(texts)
    assert item.drop == pytest.approx(100 * (report.keras_correct - right) / len(texts))
    assert item.bytes == path.stat().st_size
    assert (item.file, item.kind, item.engine) == (path.name, "int8.onnx", "onnxruntime")
    assert item.interval == wilson_interval(right, len(texts))
    assert 0 < item.latency_us["p50"] <= item.latency_us["p95"]
    assert 0 < item.max_difference < 0.5  # quantization shows, but does no harm here
    assert item.failures == judge(INT8, item.drop, item.agreement, item.max_difference, item.total)
    assert told == ["Keras", path.name]


def test_float32_agrees_on_real_images(bundle, drawn: LabelledImages) -> None:
    assert bundle.report.keras_correct >= 80, "the network for these tests reads its images"
    exact = [item for item in bundle.report.artifacts if item.kind.startswith("float32")]
    assert {item.kind for item in exact} >= {"float32.onnx", "float32.ort", "float32.tflite"}
    for item in exact:
        assert item.max_difference <= 1e-4
        assert item.agreement == 1.0
        assert item.failures == ()


def test_a_worse_artifact_fails_and_the_letters_are_named(
    source: KerasFile, drawn: LabelledImages, tmp_path: Path
) -> None:
    """Two classes can no longer win; the third image of the second is left out."""
    first, second = 4, 9
    kept = np.arange(len(drawn.labels)) != np.flatnonzero(drawn.labels == second)[-1]
    images = replace(
        drawn,
        images=[image for image, keep in zip(drawn.images, kept, strict=True) if keep],
        labels=drawn.labels[kept],
    )
    whole = _measure_onnx(source, _damaged_onnx(source, tmp_path, {}), images, INT8)
    assert whole.passed, "without damage the same way passes"
    path = _damaged_onnx(source, tmp_path, {first: -1000.0, second: -1000.0})
    report = _measure_onnx(source, path, images, INT8)
    (item,) = report.artifacts
    labels = source.spec.labels
    assert [(lost.label, lost.name) for lost in item.lost] == [
        (labels[first].text, labels[first].name),  # lost most, first
        (labels[second].text, labels[second].name),
    ]
    assert [(lost.keras, lost.artifact, lost.total) for lost in item.lost] == [(3, 0, 3), (2, 0, 2)]
    assert item.drop == pytest.approx(100 * 5 / len(images.labels))
    assert item.agreement == pytest.approx(1 - 5 / len(images.labels))
    assert not report.passed
    assert len(item.failures) == 2
    text = report.to_markdown()
    assert "FAILED" in text
    assert f"{labels[first].text} ({labels[first].name}) 3 → 0 of 3" in text
    assert not report.to_dict()["passed"]
    assert report.to_dict()["artifacts"][0]["lost"][0]["label"] == labels[first].text


@pytest.fixture(scope="module")
def nan_report(
    source: KerasFile, drawn: LabelledImages, tmp_path_factory: pytest.TempPathFactory
) -> ParityReport:
    """Not a number for every letter. Measured on the first letter, for which argmax answers 0."""
    folder = tmp_path_factory.mktemp("nan")
    path = _damaged_onnx(source, folder, {7: math.nan})
    first = drawn.labels == 0
    images = replace(drawn, images=drawn.images[: int(first.sum())], labels=drawn.labels[first])
    return _measure_onnx(source, path, images, INT8)


def test_an_artifact_that_answers_nan_fails(nan_report: ParityReport) -> None:
    assert math.isnan(nan_report.artifacts[0].max_difference)
    assert not nan_report.passed


def test_a_report_with_nan_is_still_json(nan_report: ParityReport) -> None:
    """RFC 8259 has no NaN: other languages' readers stop at it."""
    json.dumps(nan_report.to_dict(), allow_nan=False)


def test_report_round_trips_through_json(bundle) -> None:
    document = bundle.report.to_dict()
    assert json.loads(json.dumps(document))["artifacts"][0]["interval"] == list(
        bundle.report.artifacts[0].interval
    )
    assert document["images"] == {
        "description": "84 images for the tests",
        "synthetic": True,
        "labelled": True,
        "total": 84,
    }
    assert document["keras"]["accuracy"] == bundle.report.keras_correct / 84
    assert all(item["passed"] == (not item["failures"]) for item in document["artifacts"])


def test_markdown_says_whether_people_wrote_the_images(bundle) -> None:
    assert "drawn by a program, not written by people" in bundle.report.to_markdown()
    written = replace(bundle.report, synthetic=False).to_markdown()
    assert "drawn by a program" not in written
    for item in bundle.report.artifacts:
        assert f"| {item.file} |" in written


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "no images"),
        ([b""], "empty"),
        ([b"\x89PNG\r\n\x1a\n cut"], "no image, or cut short"),
    ],
)
def test_images_that_cannot_be_measured_on(
    images: list[bytes], says: str, source: KerasFile
) -> None:
    labels = np.zeros(len(images), np.int64)
    with pytest.raises(ImageError, match=says):
        measure(source, [], LabelledImages("none", images, labels))
