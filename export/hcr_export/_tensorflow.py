"""TensorFlow, imported once and quietly; only conversion needs it."""

from __future__ import annotations

import logging

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

__all__ = ["tf", "tf2onnx"]
