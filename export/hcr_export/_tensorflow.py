"""TensorFlow, imported once and quietly; only conversion needs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

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


__all__ = ["inlined", "tf", "tf2onnx"]
