"""Keras to ONNX."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxslim
from numpy.typing import NDArray
from onnx import helper

from hcr_export._quiet import quiet
from hcr_export._tensorflow import inlined, tf2onnx
from hcr_export.keras_file import KerasFile
from hcr_export.onnx_order import put_in_order
from hcr_export.plan import Border
from hcr_export.tflite import inference_function
from hcr_runtime import ModelSpec
from hcr_runtime.carrier import SPEC_KEY

# The oldest that can hold a scale for each channel; the newest that tf2onnx writes without
# complaint, for networks that the first cannot express.
OPSETS = (13, 17)
# The first onnxruntime 1.x that runs an opset, and operators that came later than theirs. Opset 13
# was tried with the versions that docs/targets.md names; opset 17 is from onnxruntime's own table
# of versions (docs/reference/compatibility), not tried.
_FIRST_MINOR = {13: 6, 17: 12}
_FIRST_MINOR_WITH = {"DequantizeLinear": 7, "DynamicQuantizeLinear": 8}
INPUT = "image"
# What simplifying may change in an output, through another order of additions.
SLIM_TOLERANCE = 1e-4

log = logging.getLogger(__name__)


def convert(source: KerasFile, border: Border | None = None) -> onnx.ModelProto:
    """Convert a model to float32 ONNX, simplified; its input is called ``image``.

    Goes through a TensorFlow function: tf2onnx's `from_keras` fails on Keras 3 Sequential models.
    """
    border = border or Border()
    with inlined():
        function = inference_function(source, border)
    for opset in OPSETS:
        try:
            with quiet(), inlined():
                model, _ = tf2onnx.convert.from_function(
                    function, input_signature=function.input_signature, opset=opset
                )
            break
        except Exception:  # tf2onnx raises whatever its handlers do
            if opset == OPSETS[-1]:
                raise
    for value in (*model.graph.input, *model.graph.output):
        batch = value.type.tensor_type.shape.dim[0]
        if border.batch is None:
            batch.dim_param = "batch"
        else:
            batch.dim_value = border.batch
    return simplify(model)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Simplify a graph with onnxslim; where its answers change, the graph stays as it was."""
    with quiet():
        slim = onnxslim.slim(_copy(model))
    probe = probe_tensor(model)
    before, after = run(model, probe), run(slim, probe)
    if before.shape != after.shape or not np.allclose(before, after, atol=SLIM_TOLERANCE):
        log.warning("onnxslim changes what the model answers: the graph is left unsimplified")
        slim = model
    return tidy(slim)


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what no engine reads; name the operator sets in use alone, and the oldest IR for them.

    Raises:
        onnx.checker.ValidationError: The model is not valid.
    """
    used = {node.domain for node in model.graph.node}
    opsets = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.ir_version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    # Shapes of inner tensors follow from the graph.
    del model.graph.value_info[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators that a model uses."""
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def min_engine(model: onnx.ModelProto) -> str:
    """Return the oldest onnxruntime that runs a model, as a requirement.

    1.21.0 dies with SIGILL on a Raspberry Pi 4.
    """
    minors = [_FIRST_MINOR_WITH.get(node.op_type, 0) for node in model.graph.node]
    return f"onnxruntime>=1.{max(_FIRST_MINOR[opset_of(model)], *minors)},!=1.21.0"


def write(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a model with its description in ``metadata_props``."""
    path.write_bytes(with_spec(model, spec).SerializeToString(deterministic=True))


def with_spec(model: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """Return a copy that carries its description."""
    described = put_in_order(_copy(model))
    del described.metadata_props[:]
    entry = described.metadata_props.add()
    entry.key, entry.value = SPEC_KEY, spec.to_json()
    described.producer_name, described.producer_version = "hcr-edge", ""
    return described


def probe_tensor(model: onnx.ModelProto) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Return noise that fits a model's input, the same each time."""
    kind = model.graph.input[0].type.tensor_type
    shape = [axis.dim_value or 2 for axis in kind.shape.dim]
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if kind.elem_type == onnx.TensorProto.UINT8:
        return noise
    return (noise / 255).astype(np.float32)


def run(model: onnx.ModelProto, tensor: NDArray) -> NDArray[np.float32]:
    """Answer a batch with onnxruntime, without its own optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {INPUT: tensor})[0], np.float32)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
