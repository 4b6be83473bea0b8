"""TensorFlow, imported once and quietly; only conversion needs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_runtime import EngineError

if keras.config.backend() != "tensorflow":
    raise EngineError(
        f"Keras runs on the backend {keras.config.backend()!r}",
        allowed="tensorflow, to export",
        hint="unset KERAS_BACKEND",
    )
with quiet():
    import tensorflow as tf
    import tf2onnx
    from tensorflow.lite.python.convert import mlir_quantize

    # Teaches the converter.
    from hcr_export import onnx_ops  # noqa: F401

tf.get_logger().setLevel("ERROR")
# The converter warns that frozen constants are an old path; the other one cannot be calibrated.
logging.getLogger("absl").setLevel(logging.ERROR)


@contextmanager
def inlined() -> Iterator[None]:
    """Trace functions within functions in place.

    Keras compiles a grouped convolution as a function of its own; tf2onnx does not look into such.
    """
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(eager)


def is_contained(function: Any) -> bool:
    """Whether a concrete function takes nothing from outside but variables."""
    return all(tensor.dtype == tf.resource for tensor in function.captured_inputs)


def call_contained(function: Any, *inputs: Any, **named: Any) -> Any:
    """Call a concrete function in a graph that is being built, what is from outside as constants.

    Tensors that are captured from outside tf2onnx takes for inputs.
    """
    captured = function.captured_inputs
    constants = [
        tensor if tensor.dtype == tf.resource else tf.constant(tensor.numpy())
        for tensor in captured
    ]
    function.set_external_captures(constants)
    try:
        return function(*inputs, **named)
    finally:
        function.set_external_captures(captured)


def nodes(function: Any) -> list[Any]:
    """The operations of a concrete function, and of those within it, as ``NodeDef``."""
    graph = function.graph.as_graph_def()
    return [*graph.node, *(node for each in graph.library.function for node in each.node_def)]


__all__ = [
    "call_contained",
    "inlined",
    "is_contained",
    "mlir_quantize",
    "nodes",
    "tf",
    "tf2onnx",
]
