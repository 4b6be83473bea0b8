"""Keras to ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from hcr_export._quiet import quiet
from hcr_export._tensorflow import tf2onnx
from hcr_export.keras_file import KerasFile
from hcr_export.onnx_order import put_in_order
from hcr_export.tflite import inference_function
from hcr_runtime import ModelSpec
from hcr_runtime.carrier import SPEC_KEY

# The newest that tf2onnx writes without complaint; every onnxruntime in use reads it.
OPSET = 17
INPUT = "image"


def convert(source: KerasFile) -> onnx.ModelProto:
    """Convert a model to float32 ONNX with a free batch axis, NHWC input called ``image``.

    Goes through a TensorFlow function: tf2onnx's `from_keras` fails on Keras 3 Sequential models.
    """
    function = inference_function(source, batch=None)
    with quiet():
        model, _ = tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=OPSET
        )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    return model


def quantize(model: onnx.ModelProto, calibration: NDArray[np.float32]) -> onnx.ModelProto:
    """Quantize to QDQ with uint8 activations and per-channel weights of 7 bits in int8.

    U8S8 runs up to twice as fast as float32 on x86-64 with VNNI, and gives the same bits on
    arm64. On x86-64 without VNNI two products of 8 bits saturate their 16-bit sum; weights of
    7 bits cannot, so that one file reads alike on every engine.

    Args:
        model: What `convert` gave.
        calibration: Input tensors, float32 (N, height, width, channels).
    """
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        folder = Path(name)
        onnx.save(model, folder / "float.onnx")
        # Folds batch normalisation into the convolutions, which quantization needs.
        quant_pre_process(folder / "float.onnx", folder / "folded.onnx", skip_symbolic_shape=True)
        quantize_static(
            folder / "folded.onnx",
            folder / "int8.onnx",
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            reduce_range=True,
        )
        return onnx.load(folder / "int8.onnx")


def save(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a model with its description in ``metadata_props``."""
    put_in_order(model)
    onnx.checker.check_model(model, full_check=True)
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = SPEC_KEY, spec.to_json()
    model.producer_name = "hcr-edge"
    onnx.save(model, path)


class _Calibration(CalibrationDataReader):
    def __init__(self, tensors: NDArray[np.float32]) -> None:
        self._feeds: Iterator[dict[str, Any]] = ({INPUT: tensor[None]} for tensor in tensors)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None at the end."""
        return next(self._feeds, None)
