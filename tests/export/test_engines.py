"""Engines in processes of their own: what they answer, and what becomes of one that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_export import conversion
from hcr_export.artifacts import choose
from hcr_export.conversion import Conversion
from hcr_export.engines import Engine, choose_engines, engines, measure
from hcr_export.engines.worker import clock
from hcr_export.keras_file import KerasFile
from hcr_export.plan import Border, plan
from hcr_runtime import Classifier, EngineError, ModelError, preprocess


@pytest.fixture(scope="module")
def tensors(bundle, drawn) -> NDArray[np.float32]:
    return np.stack([preprocess(image, bundle.source.spec) for image in drawn.images[:20]])


def engine(name: str) -> Engine:
    (found,) = choose_engines([name])
    return found


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_a_worker_answers_as_the_runtime_does(
    name: str, bundle, tensors: NDArray[np.float32]
) -> None:
    suffix = {"onnxruntime": "onnx", "litert": "tflite"}[name]
    path = bundle.path / f"tiny-int8.{suffix}"
    found = measure(engine(name), path, tensors, timed={1: 20, 8: 5})
    np.testing.assert_array_equal(found.outputs, Classifier.load(path).engine.run(tensors))
    assert found.version[0].isdigit()
    assert {size: len(values) for size, values in found.durations_us.items()} == {1: 20, 8: 5}
    assert (found.durations_us[1] > 0).all()
    assert found.load_ms > 0
    if sys.platform == "linux":
        assert found.memory_bytes is not None
        assert found.memory_bytes > 1e6, "an engine's library alone is larger"


def test_other_engines_agree_on_float32(bundle, tensors: NDArray[np.float32]) -> None:
    """Those that are here; OpenCV always is."""
    path = bundle.path / "tiny-float32.onnx"
    expected = Classifier.load(path).engine.run(tensors)
    others = [
        found
        for found in engines()
        if ".onnx" in found.suffixes and not found.missing and not found.emulated
    ]
    assert "opencv" in [found.name for found in others]
    for other in others:
        answer = measure(other, path, tensors, timed={})
        np.testing.assert_allclose(answer.outputs, expected, atol=1e-4, err_msg=other.name)


@pytest.fixture(scope="module")
def bordered(source: KerasFile, calibration, tmp_path_factory) -> dict[str, Path]:
    """Files that take four images of pixels at a time, channels first."""
    folder = tmp_path_factory.mktemp("bordered")
    tensors = np.stack([preprocess(image, source.spec) for image in calibration.images])
    job = Conversion(source, tensors)
    paths = {}
    names = ["float32.onnx", "int8.onnx", "float32.tflite", "int8.tflite"]
    for item in plan(choose(names), Border("uint8", "NCHW", 4)).artifacts:
        spec = replace(source.spec, input=item.input_spec(source.spec.input))
        paths[item.kind.name] = path = folder / item.kind.file_name("bordered")
        conversion.write(job, item, spec, path)
    return paths


@pytest.mark.parametrize("name", ["opencv", "openvino", "onnxruntime-web"])
@pytest.mark.parametrize("kind", ["float32.onnx", "int8.onnx", "float32.tflite", "int8.tflite"])
def test_every_engine_is_given_what_the_file_takes(
    name: str, kind: str, bordered: dict[str, Path], tensors: NDArray[np.float32]
) -> None:
    """Twenty images in batches of four, and one that is filled up."""
    path, found = bordered[kind], engine(name)
    if found.missing or path.suffix not in found.suffixes:
        pytest.skip(found.missing or f"{name} reads no {path.suffix}")
    if name == "opencv" and path.suffix == ".tflite":
        with pytest.raises(EngineError, match="OpenCV"):
            measure(found, path, tensors[:2], timed={}, batch=4)
        return
    batch = 4 if path.suffix == ".onnx" else None
    expected = Classifier.load(path).engine.run(tensors[:18])
    answer = measure(found, path, tensors[:18], timed={1: 2}, batch=batch).outputs
    # Engines may round a value on the border between two steps otherwise.
    close = np.isclose(answer, expected, atol=1e-4 if "float32" in kind else 0.5)
    assert close.mean() > 0.99, np.abs(answer - expected).max()


def test_the_engines_own_words_are_told(bundle, tensors: NDArray[np.float32]) -> None:
    with pytest.raises(EngineError, match="OpenCV"):
        measure(engine("opencv"), bundle.path / "tiny-int8.tflite", tensors, timed={})


def test_a_damaged_file_is_told(tmp_path: Path, tensors: NDArray[np.float32]) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(b"cut short")
    with pytest.raises(EngineError, match=r"cut\.onnx is cut short"):
        measure(engine("onnxruntime"), path, tensors, timed={})


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV: no word"),
        ("import sys; sys.exit('no such instruction')", "ended with code 1: no such instruction"),
        ("import time; time.sleep(60)", "took longer than 1 s"),
    ],
)
def test_an_engine_that_dies_takes_nothing_with_it(
    program: str, says: str, bundle, tensors: NDArray[np.float32]
) -> None:
    dying = replace(engine("onnxruntime"), command=(sys.executable, "-c", program))
    with pytest.raises(EngineError) as caught:
        measure(dying, bundle.path / "tiny-int8.onnx", tensors, timed={}, limit=1)
    assert says in str(caught.value)


def test_what_is_not_here_says_so(tmp_path: Path, bundle, tensors: NDArray[np.float32]) -> None:
    (arm64,) = choose_engines(["onnxruntime-arm64"], tmp_path)
    with pytest.raises(EngineError, match=r"no arm64 root .*make parity-arm64"):
        measure(arm64, bundle.path / "tiny-int8.onnx", tensors, timed={})
    absent = replace(engine("onnxruntime"), command=(str(tmp_path / "absent"),))
    with pytest.raises(EngineError, match="cannot be started"):
        measure(absent, bundle.path / "tiny-int8.onnx", tensors, timed={})


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean onnxruntime"):
        choose_engines(["onnxruntim"])


def test_calls_are_timed_with_full_batches_of_real_images() -> None:
    """Also where there are fewer images than a batch takes, or more than are timed."""
    seen: list[list[float]] = []

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(batch.ravel().tolist())
        return batch

    tensors = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)
    assert len(clock(run, tensors, size=2, calls=4, seconds=60)) == 4
    assert seen[-4:] == [[0, 1], [2, 0], [0, 1], [2, 0]]
    assert len(clock(run, tensors, size=4, calls=2, seconds=60)) == 2
    assert seen[-1] == [0, 1, 2, 0]
    assert clock(run, tensors, size=1, calls=100, seconds=0) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_web_worker_is_valid_javascript() -> None:
    worker = Path(engine("onnxruntime-web").command[1])
    done = subprocess.run(["node", "--check", worker], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("HCR_EDGE_ARM64_ROOT" not in os.environ, reason="no HCR_EDGE_ARM64_ROOT")
def test_arm64_gives_the_bits_of_this_processor(bundle, tensors: NDArray[np.float32]) -> None:
    path = bundle.path / "tiny-int8.onnx"
    native, emulated = (
        measure(engine(name), path, tensors, timed={})
        for name in ("onnxruntime", "onnxruntime-arm64")
    )
    assert native.outputs.tobytes() == emulated.outputs.tobytes()
