"""The benchmark: what it measures, and what it advises."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_export import benchmark as module
from hcr_export import tesseract
from hcr_export.advice import advice
from hcr_export.benchmark import Benchmark, run_benchmark
from hcr_export.benchmark_report import draw, to_markdown
from hcr_export.labelled_images import LabelledImages
from hcr_runtime import EngineError, Label, ModelSpec, preprocess


@pytest.fixture(scope="module")
def measured(bundle, drawn: LabelledImages) -> Benchmark:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROUNDS", 2)
        patch.setattr(module, "BATCHES", {1: 30, 8: 4})
        return run_benchmark(bundle.path, drawn, against=[])


def test_every_artifact_is_timed(measured: Benchmark, bundle) -> None:
    kinds = {item.kind: item for item in bundle.report.artifacts}
    assert [speed.name for speed in measured.speeds] == list(kinds)
    for speed in measured.speeds:
        assert speed.bytes == kinds[speed.name].bytes
        assert speed.accuracy == kinds[speed.name].accuracy
        assert speed.latency_us.keys() == {1, 8}
        for shares in speed.latency_us.values():
            assert 0 < shares["p50"] <= shares["p95"] <= shares["p99"]
        best = max(1e6 * size / shares["p50"] for size, shares in speed.latency_us.items())
        assert speed.throughput == pytest.approx(best, rel=0.01)


def test_ratios_are_against_float32_of_the_same_format(measured: Benchmark) -> None:
    medians = {speed.name: speed.latency_us[1]["p50"] for speed in measured.speeds}
    int8 = next(speed for speed in measured.speeds if speed.name == "int8.onnx")
    assert int8.times_as_fast == {
        "float32.onnx": pytest.approx(medians["float32.onnx"] / medians["int8.onnx"], abs=0.01)
    }
    plain = next(speed for speed in measured.speeds if speed.name == "float32.onnx")
    assert plain.times_as_fast == {}


@pytest.mark.parametrize(
    ("medians", "slower"),
    [
        ({"float32.onnx": 100.0, "int8.onnx": 60.0}, []),
        ({"float32.onnx": 100.0, "int8.onnx": 108.0}, []),  # noise
        ({"float32.onnx": 100.0, "int8.onnx": 120.0}, ["int8.onnx"]),
        ({"float32.tflite": 50.0, "float16.tflite": 70.0, "int8.onnx": 90.0}, ["float16.tflite"]),
        ({"float32.onnx": 100.0, "keras": 9000.0, "tesseract": 90000.0}, []),
    ],
)
def test_advice_names_what_is_slower_than_float32(
    medians: dict[str, float], slower: list[str]
) -> None:
    assert [line.split()[0] for line in advice(medians)] == slower


def test_reports(measured: Benchmark) -> None:
    first = measured.speeds[0]
    rival = replace(
        first,
        name="tesseract",
        bytes=None,
        load_ms=None,
        memory_bytes=None,
        latency_us={1: first.latency_us[1]},
    )
    whole = replace(measured, speeds=(*measured.speeds, rival), skipped={"keras": "not here"})
    document = json.loads(json.dumps(whole.to_dict(), allow_nan=False))
    assert document["subjects"][0]["latency_us"]["1"] == dict(first.latency_us[1])
    text = to_markdown(whole)
    assert all(f"| {speed.name} |" in text for speed in whole.speeds)
    assert "- keras: not here" in text
    assert cv2.imdecode(np.frombuffer(draw(whole), np.uint8), cv2.IMREAD_COLOR).shape[1] > 800


def test_tesseract_gets_dark_ink_on_bright_paper(bundle, drawn: LabelledImages) -> None:
    spec = bundle.source.spec
    picture = tesseract.picture(preprocess(drawn.images[0], spec), spec)
    assert picture.dtype == np.uint8
    assert (picture[:10] == 255).all()
    assert picture.min() < 80
    assert (picture < 128).mean() < 0.3


@pytest.mark.parametrize(
    ("text", "script", "code"),
    [("ب", "Arab", "ara"), ("۵", "Arab", "fas"), ("Ж", "Cyrl", "rus"), ("A", "Latn", "eng")],
)
def test_tesseract_reads_the_language_of_the_labels(text: str, script: str, code: str) -> None:
    spec = ModelSpec("one", (Label(text, "one", "", script), Label("?", "two", "", script)))
    assert tesseract.language(spec) == code


def test_a_script_that_tesseract_is_not_known_to_read() -> None:
    spec = ModelSpec("one", (Label("あ", "a", "", "Hira"), Label("い", "i", "", "Hira")))
    with pytest.raises(EngineError, match="Hira"):
        tesseract.language(spec)


# Answers as Tesseract 5.3 does: a page each, ended by a form feed; what it does not see is empty.
STAND_IN = """#!/bin/sh
[ "$1" != --version ] || { echo "tesseract 5.3.0"; exit 0; }
[ "$6" = ara ] || { echo "Failed loading language '$6'" >&2; exit 1; }
case "$1" in
  *.txt) while read -r file; do printf 'ا\\n\\f'; done < "$1";;
  *) printf 'ا\\n\\f';;
esac
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tesseract"
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_tesseract_is_timed_and_counted(stand_in: None, bundle, drawn: LabelledImages) -> None:
    spec = bundle.source.spec
    tensors = np.stack([preprocess(image, spec) for image in drawn.images[:9]])
    found = tesseract.read(spec, tensors)
    assert found.version == "5.3.0 (ara)"
    assert found.texts == ("ا",) * 9
    assert len(found.durations_us) == 9
    assert (found.durations_us > 0).all()


def test_tesseract_without_the_language_says_so(stand_in: None, bundle) -> None:
    labels = (Label("A", "a", "", "Latn"), Label("B", "b", "", "Latn"))
    spec = replace(bundle.source.spec, labels=labels)
    with pytest.raises(EngineError, match="Failed loading language 'eng'"):
        tesseract.read(spec, np.zeros((1, 32, 32, 1), np.float32))


def test_without_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="not installed"):
        tesseract.read(bundle.source.spec, np.zeros((1, 32, 32, 1), np.float32))
