"""The engines: what they compute, and which files they refuse with which error."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from hcr_runtime import (
    Classifier,
    EngineError,
    HcrError,
    Label,
    ModelError,
    ModelSpec,
    SpecError,
    preprocess,
)
from hcr_runtime.carrier import SPEC_ENTRY, SPEC_KEY
from hcr_runtime.engines import open_engine

Write = Callable[..., Path]
Tensor = NDArray[np.float32]


@pytest.fixture
def batch(tiles: list[NDArray[np.uint8]], two: ModelSpec) -> Tensor:
    return np.stack([preprocess(image, two) for image in tiles])


def test_onnx_computes_the_matrix_product(
    tiny_onnx: Write, batch: Tensor, weights: Tensor, two: ModelSpec
) -> None:
    engine = open_engine(tiny_onnx())
    assert (engine.name, engine.spec) == ("onnxruntime", two)
    output = engine.run(batch)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, batch.reshape(28, -1) @ weights.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("int8", "tolerance"),
    [
        (False, 1e-4),
        # int8 at the border: half a step of the output (0.1), and the weights' own rounding.
        (True, 0.06),
    ],
)
def test_tflite_computes_the_matrix_product(
    tiny_tflite: Write,
    batch: Tensor,
    weights: Tensor,
    two: ModelSpec,
    int8: bool,
    tolerance: float,
) -> None:
    engine = open_engine(tiny_tflite(int8))
    assert (engine.name, engine.spec) == ("litert", two)
    output = engine.run(batch)
    assert (output.shape, output.dtype) == ((28, 2), np.float32)
    np.testing.assert_allclose(output, batch.reshape(28, -1) @ weights.T, atol=tolerance)


def test_litert_that_fails_while_it_runs(tiny_tflite: Write, batch: Tensor) -> None:
    """As LiteRT does where a delegate or an operator gives up."""
    engine = open_engine(tiny_tflite())

    def fail() -> None:
        raise RuntimeError("Node number 0 (FULLY_CONNECTED) failed to invoke.\nmore")

    engine._interpreter().invoke = fail
    with pytest.raises(EngineError, match=r"LiteRT cannot run .* \(Node number 0 .* invoke\.\)"):
        engine.run(batch)


def test_int8_border_saturates_and_does_not_wrap(tiny_tflite: Write, weights: Tensor) -> None:
    # Brighter than 1 cannot be said in the input's int8; -0.5 is below its zero point.
    engine = open_engine(tiny_tflite(int8=True))
    values = np.stack([np.full((32, 32, 1), value, np.float32) for value in (1.0, 7.0, -0.5)])
    white, brighter, below = engine.run(values)
    np.testing.assert_array_equal(white, brighter)
    np.testing.assert_allclose(below, [0, 0], atol=0.06)
    # 512 * 0.05 is 25.6, the output's int8 ends at (127 + 100) * 0.1.
    np.testing.assert_allclose(white, [22.7, 22.7], atol=1e-5)


def test_threads_do_not_change_the_answer(model_file: Path, batch: Tensor) -> None:
    one, several = (open_engine(model_file, threads).run(batch) for threads in (1, 2))
    np.testing.assert_array_equal(one, several)


@pytest.mark.parametrize("share", [0, 1e-5, 1e-3, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_onnx_cut_short(tmp_path: Path, model_file: Path, share: float) -> None:
    whole = model_file.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"cut\.onnx is cut short, or no ONNX model") as caught:
        open_engine(path)
    assert "\n" not in str(caught.value)


def test_onnx_cut_at_every_byte_of_its_end(tmp_path: Path, tiny_onnx: Write) -> None:
    # The description lies at the end: a cut there leaves a graph that onnxruntime would run.
    whole = tiny_onnx().read_bytes()
    path = tmp_path / "cut.onnx"
    for end in range(len(whole) - 900, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises((ModelError, SpecError), match=r"cut\.onnx"):
            open_engine(path)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.97, 0.999])
def test_tflite_cut_short(tmp_path: Path, tiny_tflite: Write, share: float) -> None:
    whole = tiny_tflite().read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SpecError, match=r"cut\.tflite is cut short"):
        open_engine(path)


@pytest.mark.parametrize("end", [0, 4, 8, 100, 4000, 8500])
def test_tflite_whose_flatbuffer_is_damaged_before_its_description(
    tmp_path: Path, tiny_tflite: Write, two: ModelSpec, end: int
) -> None:
    # Reading on in such a file would read outside it.
    path = tmp_path / "cut.tflite"
    path.write_bytes(tiny_tflite(text=None).read_bytes()[:end])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_ENTRY, two.to_json())
    with pytest.raises(ModelError, match=r"cut\.tflite is cut short, or no TFLite model"):
        open_engine(path)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("model.onnx", ModelError, "model.onnx is cut short, or no ONNX model"),
        ("model.tflite", SpecError, "model.tflite is cut short, or has no description"),
        # Formats that other tools export; the message lists ours.
        ("model.h5", ModelError, "'.h5'; allowed: .onnx, .ort, .tflite"),
        ("model", ModelError, "has the suffix ''; allowed: .onnx, .ort, .tflite"),
    ],
)
def test_text_file(tmp_path: Path, name: str, error: type[HcrError], says: str) -> None:
    path = tmp_path / name
    path.write_text("This is a text file.\n" * 50, encoding="utf-8")
    with pytest.raises(error) as caught:
        open_engine(path)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_missing_file_and_folder_of_that_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ModelError, match="there is no model file"):
        open_engine(path)
    path.mkdir()
    with pytest.raises(ModelError, match="there is no model file"):
        open_engine(path)


@pytest.mark.parametrize("form", ["tiny_onnx", "tiny_tflite"])
def test_description_missing_or_wrong(
    form: str, two: ModelSpec, request: pytest.FixtureRequest
) -> None:
    write: Write = request.getfixturevalue(form)
    three = replace(two, labels=(*two.labels, Label("ت", "teh")))
    newer = two.to_json().replace('"schema_version":1', '"schema_version":2')
    cases = [
        (None, "has no description inside|is cut short, or has no description"),
        ("", "not JSON"),
        ("{}", "schema version None"),
        (newer, "schema version 2"),
        # Labels of another model: every answer would be named wrongly.
        (three.to_json(), "2 outputs, its description 3"),
    ]
    for text, says in cases:
        with pytest.raises(SpecError, match=says):
            open_engine(write(text=text))


def test_onnx_description_that_is_no_text(tiny_onnx: Write) -> None:
    path = tiny_onnx()
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"name":"two"', b'"name":"\xff\xfe!"'))
    with pytest.raises(HcrError):
        open_engine(path)


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        # Trained for 28 pixels, described as 32.
        ("tiny_onnx", {"shape": (None, 28, 28, 1)}),
        ("tiny_tflite", {"shape": (1, 28, 28, 1)}),
        # PyTorch's order of axes.
        ("tiny_onnx", {"shape": (None, 1, 32, 32)}),
        ("tiny_tflite", {"shape": (1, 1, 32, 32)}),
        ("tiny_onnx", {"dtype": onnx.TensorProto.DOUBLE}),
    ],
)
def test_input_unlike_its_description_is_one_of_our_errors(
    form: str,
    fault: dict[str, object],
    tiles: list[NDArray[np.uint8]],
    request: pytest.FixtureRequest,
) -> None:
    path = request.getfixturevalue(form)(**fault)
    with pytest.raises(HcrError):
        Classifier.load(path).classify(tiles[0])


@pytest.mark.parametrize(
    "graph",
    [
        # A scalar: there is no axis of classes.
        "(float[N,32,32,1] x) => (float y) { y = ReduceSum <keepdims = 0> (x) }",
        # Of two inputs one would never be fed.
        "(float[N,2] x, float[N,2] z) => (float[N,2] y) { y = Add (x, z) }",
        # Nothing goes in.
        "() => (float[1,2] y) { y = Constant <value = float[1,2] {0.0, 1.0}> () }",
    ],
    ids=["scalar", "two inputs", "no input"],
)
def test_onnx_that_is_no_classifier(
    tmp_path: Path, two: ModelSpec, tiles: list[NDArray[np.uint8]], graph: str
) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> graph {graph}')
    onnx.helper.set_model_props(model, {SPEC_KEY: two.to_json()})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(HcrError):
        Classifier.load(tmp_path / "other.onnx").classify(tiles[0])


def test_missing_litert_names_its_extra(
    tiny_tflite: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(EngineError, match=r"hcr-edge-runtime\[litert\]"):
        open_engine(tiny_tflite())
