"""Smaller ONNX: int8 (QDQ), dynamic int8, float16 weights."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from hcr_export._quiet import quiet
from hcr_export.artifacts import UnsupportedError
from hcr_export.onnx import INPUT, tidy
from hcr_export.onnx_compensation import compensate
from hcr_export.quantization import QuantizationError, QuantizationRecipe

# Operators with weights: the layers that a recipe may leave in float32.
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_LOOPS = frozenset({"Loop", "Scan"})
# Smaller tensors stay in float32: a Cast would take more bytes than it saves.
MIN_FLOAT16_VALUES = 64
LARGEST_FLOAT16 = 65504.0

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
_TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Prepare a float32 model for quantization, and number its layers.

    Batch normalisation goes into the convolutions, which quantization needs.
    """
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        before, after = Path(name, "float.onnx"), Path(name, "folded.onnx")
        onnx.save(model, before)
        quant_pre_process(before, after, skip_symbolic_shape=True)
        folded = onnx.load(after)
    numbers: Counter[str] = Counter()
    for node in folded.graph.node:
        operator = node.op_type.lower()
        numbers[operator] += 1
        node.name = f"{operator}_{numbers[operator]}"
    return folded


def layers(folded: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the layers that a recipe can exclude, in the order of the graph."""
    return tuple(node.name for node in folded.graph.node if node.op_type in LAYERS)


def quantize(
    folded: onnx.ModelProto, recipe: QuantizationRecipe, calibration: NDArray[Any]
) -> onnx.ModelProto:
    """Quantize to QDQ; how is up to the recipe.

    The default, uint8 activations with per-channel weights of 7 bits in int8, is half as fast again
    as float32 on processors with VNNI, and answers on arm64 as on x86-64, but for single steps of
    a quantizer: see docs/parity.md.

    Args:
        folded: What `fold` gave.
        recipe: How.
        calibration: Inputs as the model takes them, one after another.

    Raises:
        QuantizationError: The recipe excludes a layer that is not there.
    """
    _check_layers(folded, recipe)
    if any(node.op_type in _LOOPS for node in folded.graph.node):
        raise UnsupportedError(
            "onnxruntime's quantizer cannot look into loops (of recurrent layers: unroll=True)"
        )
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        before, after = Path(name, "folded.onnx"), Path(name, "int8.onnx")
        onnx.save(folded, before)
        quantize_static(
            before,
            after,
            _Calibration(folded, calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=recipe.granularity == "channel",
            activation_type=_TYPES[recipe.activations],
            weight_type=QuantType.QInt8,
            calibrate_method=_METHODS[recipe.calibration],
            reduce_range=recipe.reduce_range,
            nodes_to_exclude=list(recipe.exclude),
            extra_options={"CalibPercentile": recipe.percentile},
        )
        quantized = onnx.load(after)
        _leave_answers(quantized.graph, folded.graph)
        if recipe.compensate:
            compensate(quantized, folded, calibration)
        return tidy(quantized)


def quantize_weights(folded: onnx.ModelProto, recipe: QuantizationRecipe) -> onnx.ModelProto:
    """Quantize weights alone; activations are quantized on the fly, to a range of their own.

    Weights are uint8, of 8 bits: onnxruntime computes int8 ones five times slower. Products of two
    unsigned numbers it sums without saturation, also on x86-64 without VNNI.

    Raises:
        QuantizationError: The recipe excludes a layer that is not there.
    """
    _check_layers(folded, recipe)
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        before, after = Path(name, "folded.onnx"), Path(name, "dynamic.onnx")
        onnx.save(folded, before)
        quantize_dynamic(
            before,
            after,
            per_channel=recipe.granularity == "channel",
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=list(recipe.exclude),
        )
        return tidy(onnx.load(after))


def _leave_answers(graph: onnx.GraphProto, folded: onnx.GraphProto) -> None:
    """Take the quantization of what a last dense layer gives away, and of softmax behind it.

    Its steps would be the coarsest of all. Onnxruntime has a dense layer of integers that gives
    float. A layer with an activation of its own keeps it: the quantizer may have put the range of
    the integers in the activation's place.

    Args:
        graph: Quantized.
        folded: What it was made of; its nodes are called as there.
    """
    name, plain = graph.output[0].name, folded.output[0].name
    while name:
        makers = {node.output[0]: node for node in graph.node}
        after = makers.get(name)
        before = makers.get(after.input[0]) if after is not None else None
        if after is None or before is None:
            break
        if (before.op_type, after.op_type) != ("QuantizeLinear", "DequantizeLinear"):
            break
        last = makers.get(before.input[0])
        source = next((node for node in folded.node if plain in node.output), None)
        uses = Counter(each for node in graph.node for each in node.input)
        alone = uses[before.input[0]] == uses[after.input[0]] == 1
        if last is None or source is None or last.name != source.name or not alone:
            break
        if last.op_type not in ("Gemm", "MatMul", "Softmax"):
            break
        last.output[0] = name
        graph.node.remove(before)
        graph.node.remove(after)
        _drop(graph, (*before.input[1:], *after.input[1:]))
        again = last.op_type == "Softmax"
        name, plain = (last.input[0], source.input[0]) if again else ("", "")


def _drop(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Remove constants that no node reads any more."""
    read = {each for node in graph.node for each in node.input}
    for tensor in [each for each in graph.initializer if each.name in {*names} - read]:
        graph.initializer.remove(tensor)


def to_float16(folded: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights in float16; arithmetic stays float32, as in TFLite's float16.

    onnxruntime converts them once, when it loads the file. It has no float16 convolution on
    x86-64: a graph that computes in float16 runs half as fast there.
    """
    model = onnx.ModelProto()
    model.CopyFrom(folded)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < MIN_FLOAT16_VALUES:
            continue
        if np.abs(values).max() > LARGEST_FLOAT16:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return tidy(model)


def _check_layers(folded: onnx.ModelProto, recipe: QuantizationRecipe) -> None:
    known = layers(folded)
    unknown = [name for name in recipe.exclude if name not in known]
    if unknown:
        raise QuantizationError(
            f"the model has no layer {', '.join(unknown)}", allowed=", ".join(known)
        )


class _Calibration(CalibrationDataReader):
    def __init__(self, model: onnx.ModelProto, tensors: NDArray[Any]) -> None:
        size = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 1
        # The last batch is filled up with the first images: their ranges count already.
        filled = np.resize(tensors, (math.ceil(len(tensors) / size) * size, *tensors.shape[1:]))
        batches = filled.reshape(-1, size, *tensors.shape[1:])
        self._feeds: Iterator[dict[str, Any]] = ({INPUT: batch} for batch in batches)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None at the end."""
        return next(self._feeds, None)
