"""Fixtures of the runtime's suite: the shipped model, and tiny models built by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as tfl
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hcr_runtime import Classifier, Label, ModelSpec, shipped_models
from hcr_runtime.carrier import SPEC_ENTRY, SPEC_KEY
from hcr_runtime.image import to_gray
from tests.composed_pages import Look, Score, compose, judge

# The same examples in every run; time limits would fail on a busy device.
settings.register_profile(
    "runtime",
    deadline=None,
    derandomize=True,
    max_examples=100,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("runtime")

Weights = NDArray[np.float32]


@pytest.fixture(scope="session")
def model_file() -> Path:
    return shipped_models()["arabic-letters"]


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load("arabic-letters")


@pytest.fixture(scope="session")
def letter(samples_dir: Path, classifier: Classifier) -> Callable[..., Path]:
    """Return a function from a letter's name to one of its sample images."""
    codepoints = {label.name: label.codepoint for label in classifier.spec.labels}

    def find(name: str, number: int = 0) -> Path:
        return samples_dir / "arabic-letters" / "test" / codepoints[name] / f"{number:02d}.png"

    return find


@pytest.fixture(scope="session")
def read_look(letter: Callable[..., Path], classifier: Classifier) -> Callable[..., Score]:
    """Return a function that writes some letters on a page of a look, reads it, and judges that."""

    def read(look: Look, names: Sequence[str] = (), each: int = 3, seed: int = 1) -> Score:
        texts = {label.name: label.text for label in classifier.spec.labels}
        written = [
            (texts[name], to_gray(letter(name, number)))
            for number in range(each)
            for name in names or list(texts)[::2]
        ]
        page = compose([image for _, image in written], look, seed=seed)
        truth = [written[i][0] for i in page.letters]
        return judge(page, truth, classifier.read(page.image))

    return read


@pytest.fixture(scope="session")
def tiles(samples_dir: Path) -> list[NDArray[np.uint8]]:
    """Return one grey image of each letter, in the order of the code points."""
    files = sorted((samples_dir / "arabic-letters" / "test").glob("*/03.png"))
    return [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]


@pytest.fixture(scope="session")
def two() -> ModelSpec:
    """Return the description of the tiny models: two labels, raw logits."""
    labels = (Label("ا", "alef", "ʾ", "Arab", "rtl"), Label("ب", "beh", "b", "Arab", "rtl"))
    return ModelSpec("two", labels, output="logits")


@pytest.fixture(scope="session")
def weights() -> Weights:
    """Return the tiny models' one matrix: ink in the upper half, ink in the lower half."""
    upper = np.zeros((32, 32), np.float32)
    upper[:16] = 0.05
    return np.stack([upper.ravel(), upper[::-1].ravel()])


@pytest.fixture
def respecced(tmp_path: Path, model_file: Path) -> Callable[..., Path]:
    """Return a function that copies the shipped model with another description inside."""

    def write(text: str | None, name: str = "copy.onnx") -> Path:
        model = onnx.load(model_file)
        del model.metadata_props[:]
        if text is not None:
            helper.set_model_props(model, {SPEC_KEY: text})
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def tiny_onnx(tmp_path: Path, two: ModelSpec, weights: Weights) -> Callable[..., Path]:
    """Return a function that writes an ONNX model of one matrix product.

    Its arguments are the faults: another input shape or type, another description.
    """

    def write(
        shape: tuple[int | None, ...] = (None, 32, 32, 1),
        dtype: int = TensorProto.FLOAT,
        text: str | None = two.to_json(),
    ) -> Path:
        size = int(np.prod(shape[1:]))
        values = np.resize(weights, (2, size)).T.ravel()
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", ["image"], ["flat"]),
                helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            ],
            "tiny",
            [helper.make_tensor_value_info("image", dtype, shape)],
            [helper.make_tensor_value_info("logits", dtype, (None, 2))],
            [helper.make_tensor("weights", dtype, (size, 2), values)],
        )
        return save_onnx(tmp_path / "tiny.onnx", graph, text)

    return write


def save_onnx(path: Path, graph: onnx.GraphProto, text: str | None) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if text is not None:
        helper.set_model_props(model, {SPEC_KEY: text})
    onnx.save(model, path)
    return path


@pytest.fixture
def tiny_tflite(tmp_path: Path, two: ModelSpec, weights: Weights) -> Callable[..., Path]:
    """Return a function that writes a TFLite model of one matrix product.

    Its arguments: int8 inside and at the border, and the faults.
    """

    def write(
        int8: bool = False,
        shape: tuple[int, ...] = (1, 32, 32, 1),
        text: str | None = two.to_json(),
    ) -> Path:
        path = tmp_path / ("tiny-int8.tflite" if int8 else "tiny.tflite")
        matrix = np.resize(weights, (2, int(np.prod(shape))))
        path.write_bytes(fully_connected(matrix, shape, int8))
        if text is not None:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(SPEC_ENTRY, text)
        return path

    return write


def fully_connected(matrix: Weights, shape: tuple[int, ...], int8: bool) -> bytes:
    """Build a TFLite flatbuffer of one layer, ``x @ matrix.T``; int8 steps: 1/255 in, 0.1 out."""
    step = float(np.abs(matrix).max()) / 127
    stored = np.rint(matrix / step).astype(np.int8) if int8 else matrix.astype(np.float32)
    buffers = [tfl.BufferT(), tfl.BufferT()]
    buffers[1].data = np.frombuffer(stored.tobytes(), np.uint8)
    graph = tfl.SubGraphT()
    graph.inputs, graph.outputs = [0], [2]
    graph.tensors = [
        _tensor("image", shape, 0, (1 / 255, -128) if int8 else None),
        _tensor("weights", matrix.shape, 1, (step, 0) if int8 else None),
        _tensor("logits", (1, len(matrix)), 0, (0.1, -100) if int8 else None),
    ]
    layer = tfl.OperatorT()
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, -1], [2]
    layer.builtinOptionsType = tfl.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = tfl.FullyConnectedOptionsT()
    graph.operators = [layer]
    code = tfl.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = tfl.BuiltinOperator.FULLY_CONNECTED
    code.version = 4 if int8 else 1
    model = tfl.ModelT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, buffers, [graph], [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(
    name: str, shape: tuple[int, ...], buffer: int, steps: tuple[float, int] | None
) -> tfl.TensorT:
    tensor = tfl.TensorT()
    tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
    tensor.type = tfl.TensorType.FLOAT32
    if steps is not None:
        tensor.type = tfl.TensorType.INT8
        tensor.quantization = tfl.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [steps[0]], [steps[1]]
    return tensor
