"""Keras to TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export._tensorflow import call_contained, is_contained, mlir_quantize, nodes, tf
from hcr_export.artifacts import UnsupportedError
from hcr_export.keras_file import KerasFile, append_spec
from hcr_export.plan import Border, Planned
from hcr_export.tflite_ranges import clip_ranges
from hcr_runtime import ModelSpec

_LOOPS = frozenset({"While", "StatelessWhile"})
MIN_ENGINE = "ai-edge-litert>=2.0"


def convert(source: KerasFile, planned: Planned, calibration: NDArray[np.float32]) -> bytes:
    """Convert a model, with a fixed batch of one image.

    Args:
        source: The Keras classifier.
        planned: What to make. Full integer files follow the TensorFlow Lite 8-bit quantization
            specification, or have int16 activations (16x8).
        calibration: Input tensors, float32 (N, height, width, channels), for full integer files.

    Returns:
        The flatbuffer, without a description.
    """
    quantization = planned.kind.quantization
    # Integers at the border carry their scale; only other files normalise inside.
    border = Border(batch=1) if planned.full_integer else planned.border
    function = inference_function(source, border).get_concrete_function()
    if planned.full_integer and any(node.op in _LOOPS for node in nodes(function)):
        # The converter's calibration ends the process.
        raise UnsupportedError(
            "the converter cannot quantize loops (of recurrent layers: unroll=True)"
        )
    # Without the model as second argument the variables are frozen into constants, which
    # calibration needs.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if planned.full_integer:
        converter.representative_dataset = lambda: _one_by_one(calibration)
        operators = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        if quantization == "int16x8":
            operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [operators]
        integers = tf.as_dtype(planned.integers)
        converter.inference_input_type = converter.inference_output_type = integers
    # The only switch there is.
    by_tensor = planned.recipe.granularity == "tensor"
    converter._experimental_disable_per_channel = by_tensor
    # Between its two steps, which the converter takes at once, ranges are narrowed.
    converter._experimental_calibrate_only = quantization == "int8"
    try:
        with quiet(tell=False) as said:
            made = bytes(converter.convert())
            if quantization != "int8":
                return made
            return bytes(
                mlir_quantize(
                    clip_ranges(made, calibration),
                    disable_per_channel=by_tensor,
                    input_data_type=integers,
                    output_data_type=integers,
                )
            )
    except Exception as error:  # it raises whatever its native code does, and says why before
        why = next((line for line in said if ": error: " in line), said[-1] if said else "")
        if not why:
            raise
        raise ValueError(why.rpartition(": error: ")[2]) from error


def write(model: bytes, spec: ModelSpec, path: Path) -> None:
    """Write a flatbuffer with its description appended."""
    path.write_bytes(model)
    append_spec(path, spec)


def inference_function(source: KerasFile, border: Border) -> Any:
    """Wrap the model as a TensorFlow function from ``image`` to ``logits`` or ``softmax``."""
    shape, params = source.spec.input, source.spec.preprocess
    axes: tuple[int | None, ...] = (border.batch, shape.height, shape.width, shape.channels)
    if border.layout == "NCHW":
        axes = (border.batch, shape.channels, shape.height, shape.width)
    signature = tf.TensorSpec(axes, tf.as_dtype(border.dtype), name="image")
    std, mean = np.asarray(params.std), np.asarray(params.mean)
    answer = _answering(source, border.batch)

    def infer(image: Any) -> dict[str, Any]:
        if border.layout == "NCHW":
            image = tf.transpose(image, (0, 2, 3, 1))
        if border.dtype == "uint8":
            gain = (1 / (255 * std)).astype(np.float32)
            image = tf.cast(image, tf.float32) * gain - (mean / std).astype(np.float32)
        return {source.spec.output: answer(image)}

    return tf.function(infer, input_signature=[signature])


def _answering(source: KerasFile, batch: int | None) -> Callable[[Any], Any]:
    """The model as a function of a tensor, to be called in a graph that is being built."""
    shape = source.spec.input
    whole = tf.TensorSpec((batch, shape.height, shape.width, shape.channels), tf.float32)
    call = tf.function(lambda image: source.model(image, training=False))
    traced = call.get_concrete_function(whole)
    if is_contained(traced):
        return lambda image: source.model(image, training=False)
    return lambda image: call_contained(traced, image)


def _one_by_one(calibration: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for tensor in calibration:
        yield [tensor[None]]
