"""Which images calibrated, and which judged; never the same without saying so."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_export.artifacts import choose
from hcr_export.bundle import CalibrationImages, export_bundle
from hcr_export.image_manifest import describe_images
from hcr_export.keras_file import KerasFile
from hcr_export.labelled_images import LabelledImages
from hcr_export.plan import plan


def listing(
    source: KerasFile, calibration: CalibrationImages, images: LabelledImages, out: Path
) -> dict:
    export_bundle(
        source,
        out,
        plan=plan(choose(["int8.onnx"])),
        calibration=calibration,
        images=images,
        golden=images.images[:2],
        overwrite=True,
    )
    return json.loads((out / "images.json").read_text(encoding="utf-8"))


def test_every_image_is_listed(bundle, drawn: LabelledImages) -> None:
    document = json.loads((bundle.path / "images.json").read_text(encoding="utf-8"))
    assert document["calibration"]["total"] == 36
    parity = document["parity"]
    assert parity["description"] == drawn.description
    assert [item["sha256"] for item in parity["images"]] == [
        hashlib.sha256(image).hexdigest() for image in drawn.images
    ]
    assert parity["by_label"] == dict.fromkeys(bundle.source.spec.texts, 3)
    used = {item["sha256"] for item in document["calibration"]["images"]}
    assert used.isdisjoint(item["sha256"] for item in parity["images"])


def test_writers_are_told(bundle, drawn: LabelledImages) -> None:
    writers = np.array([7, 7, -1])
    told = describe_images("three", drawn.images[:3], bundle.source.spec, None, writers)
    assert [item["writer"] for item in told["images"]] == [7, 7, None]
    assert told["by_writer"] == {"7": 2}
    assert [item["label"] for item in told["images"]] == [None] * 3


def test_images_that_judge_do_not_calibrate(
    source: KerasFile,
    calibration: CalibrationImages,
    drawn: LabelledImages,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    both = replace(calibration, images=[*drawn.images[:5], *calibration.images])
    with caplog.at_level(logging.WARNING):
        document = listing(source, both, drawn, tmp_path / "out")
    assert "5 images that are to judge int8 do not calibrate it" in caplog.text
    assert document["calibration"]["total"] == len(calibration.images)
    assert document["calibration"]["description"].endswith(", without 5 that judge")


def test_where_nothing_else_calibrates_the_report_says_so(
    source: KerasFile, drawn: LabelledImages, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same = CalibrationImages("the same", drawn.images[:10])
    with caplog.at_level(logging.WARNING):
        listing(source, same, drawn, tmp_path / "out")
    assert "all images that calibrate int8 judge it too" in caplog.text
    assert "which calibrated int8 too" in (tmp_path / "out" / "parity.md").read_text("utf-8")
