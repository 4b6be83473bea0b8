"""Keras to TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export._tensorflow import tf
from hcr_export.artifacts import Quantization
from hcr_export.keras_file import KerasFile


def convert(
    source: KerasFile, quantization: Quantization, calibration: NDArray[np.float32]
) -> bytes:
    """Convert a model, with a fixed batch of one image.

    Args:
        source: The Keras classifier.
        quantization: ``float32``, ``float16``, ``dynamic-int8`` or ``int8``. The last has int8
            input and output (TensorFlow Lite 8-bit quantization specification).
        calibration: Input tensors, float32 (N, height, width, channels), for ``int8``.

    Returns:
        The flatbuffer, without a description.
    """
    function = inference_function(source, batch=1)
    # Without the model as second argument the variables are frozen into constants, which
    # calibration needs.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":

        def representative() -> Iterator[list[NDArray[np.float32]]]:
            for tensor in calibration:
                yield [tensor[None]]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    with quiet():
        return bytes(converter.convert())


def inference_function(source: KerasFile, batch: int | None) -> Any:
    """Wrap the model as a TensorFlow function from ``image`` to ``logits`` or ``softmax``."""
    shape = source.spec.input
    signature = tf.TensorSpec(
        (batch, shape.height, shape.width, shape.channels), tf.float32, name="image"
    )

    def infer(image: Any) -> dict[str, Any]:
        return {source.spec.output: source.model(image, training=False)}

    return tf.function(infer, input_signature=[signature])
