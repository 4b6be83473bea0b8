from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from hcr_export.artifacts import choose
from hcr_export.plan import plan
from hcr_runtime import ModelSpec
from hcr_runtime.carrier import read_zip_spec

BORDERS = {
    "float32": np.float32,
    "float16": np.float32,
    "dynamic-int8": np.float32,
    "int8": np.int8,
    "int16x8": np.int16,
}
QUANTIZATIONS = list(BORDERS)


def _interpreter(bundle, quantization: str) -> Interpreter:
    interpreter = Interpreter(model_path=str(bundle.path / f"tiny-{quantization}.tflite"))
    interpreter.allocate_tensors()
    return interpreter


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_border_of_the_model(quantization: str, bundle) -> None:
    """LiteRT reads the file although the description is appended to it."""
    interpreter = _interpreter(bundle, quantization)
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(image["shape"]) == [1, 32, 32, 1]
    assert list(output["shape"]) == [1, 28]
    assert image["dtype"] == output["dtype"] == BORDERS[quantization]


def _weights(bundle, quantization: str) -> list[dict[str, object]]:
    details = _interpreter(bundle, quantization).get_tensor_details()
    # Filters of the convolutions (outputs, height, width, inputs) and of the dense layer.
    return [item for item in details if tuple(item["shape"]) in {(8, 5, 5, 1), (16, 3, 3, 8)}]


@pytest.mark.parametrize(
    ("quantization", "stored"),
    [
        ("float32", {np.float32}),
        ("int8", {np.int8}),
    ],
)
def test_how_filters_are_stored(quantization: str, stored: set[type], bundle) -> None:
    weights = _weights(bundle, quantization)
    assert len(weights) == 2
    assert {item["dtype"] for item in weights} == stored


def test_int8_is_full_integer_and_per_channel(bundle) -> None:
    """TensorFlow Lite 8-bit quantization specification: symmetric weights, an axis of scales."""
    details = _interpreter(bundle, "int8").get_tensor_details()
    assert not [item["name"] for item in details if item["dtype"] == np.float32]
    for item in _weights(bundle, "int8"):
        parameters = item["quantization_parameters"]
        assert len(parameters["scales"]) == item["shape"][0]
        assert not np.any(parameters["zero_points"])


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_description_is_at_the_end(quantization: str, bundle) -> None:
    spec = read_zip_spec(bundle.path / f"tiny-{quantization}.tflite")
    assert isinstance(spec, ModelSpec)
    (planned,) = plan(choose([f"{quantization}.tflite"])).artifacts
    assert spec.provenance.quantization == f"{quantization}: {planned.description}"
