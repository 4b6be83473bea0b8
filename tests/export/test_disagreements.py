"""Images that an artifact reads otherwise than Keras are named and shown."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_export import onnx as onnx_format
from hcr_export._keras import keras
from hcr_export.artifacts import Limits, choose
from hcr_export.bundle import write_report
from hcr_export.disagreements import COLUMNS, SHOWN, draw_disagreements
from hcr_export.keras_file import KerasFile
from hcr_export.labelled_images import LabelledImages
from hcr_export.parity import measure
from hcr_export.parity_report import SHEET, ParityReport
from hcr_export.plan import Border

LOST = 4  # the class that the worse model below can no longer answer


@pytest.fixture(scope="module")
def report(
    source: KerasFile, drawn: LabelledImages, tmp_path_factory: pytest.TempPathFactory
) -> ParityReport:
    model = keras.models.clone_model(source.model)
    weights = source.model.get_weights()
    weights[-1][LOST] = -1000.0
    model.set_weights(weights)
    path = tmp_path_factory.mktemp("worse") / "tiny-float32.onnx"
    worse = onnx_format.convert(replace(source, model=model), Border())
    onnx_format.write(worse, source.spec, path)
    return measure(source, [(choose(["float32.onnx"])[0], path, Limits())], drawn)


def test_they_are_named(report: ParityReport, drawn: LabelledImages, source: KerasFile) -> None:
    text = source.spec.texts[LOST]
    found = report.disagreements
    shown = [item for item in found if drawn.labels[item.number] == LOST]
    assert len(shown) == 3, "every image of that letter"
    for item in found:
        assert item.keras == text, "nothing else changed"
        assert item.answers.keys() == {"float32.onnx"}
        assert item.answers["float32.onnx"] != text
        assert item.label == source.spec.texts[drawn.labels[item.number]]
        assert item.sha256 == hashlib.sha256(drawn.images[item.number]).hexdigest()
    document = report.to_dict()["disagreements"]
    assert [item["number"] for item in document] == [item.number for item in found]
    assert report.artifacts[0].agreement == pytest.approx(1 - len(found) / len(drawn.labels))


def test_they_are_shown_beside_the_report(report: ParityReport, tmp_path: Path) -> None:
    write_report(tmp_path, report)
    assert f"]({SHEET})" in (tmp_path / "parity.md").read_text(encoding="utf-8")
    assert cv2.imread(str(tmp_path / SHEET)) is not None
    # Measured again, and all agree: the old picture goes.
    write_report(tmp_path, replace(report, disagreements=()))
    assert not (tmp_path / SHEET).exists()
    assert SHEET not in (tmp_path / "parity.md").read_text(encoding="utf-8")


def test_the_picture_grows_with_them_to_a_limit(report: ParityReport) -> None:
    first = report.disagreements[0]

    def height(count: int) -> int:
        data = draw_disagreements([replace(first, number=n) for n in range(count)])
        return int(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[0])

    assert height(1) == height(COLUMNS) < height(COLUMNS + 1)
    assert height(SHOWN) == height(SHOWN + 50)
