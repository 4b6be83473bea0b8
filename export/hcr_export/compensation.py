"""Lets what is still to be rounded make up for what rounding has lost, layer by layer.

Weights: each column is rounded, and the columns to come take over its error, weighted by how the
layer's inputs go together (GPTQ: Frantar and others, 2022, arXiv 2210.17323). Biases: what the mean
of each channel is off by is taken away (Nagel and others, 2019, arXiv 1906.04721).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hcr_export.onnx import INPUT

Array = NDArray[Any]

# The work grows with the square of the layers: deeper networks are rounded to the nearest.
MAX_LAYERS = 32
# A layer with more inputs to each output, or more values in the patches of one image, keeps its
# weights, and a larger model all of its integers: time and memory grow with each.
MAX_FAN_IN = 1024
MAX_PATCH_VALUES = 2**24
MAX_BYTES = 2**25
MAX_IMAGES = 128
_IMAGES_AT_ONCE = 16
_DAMPING = 0.01  # share of the mean of the diagonal: inputs that never vary


def compensate(quantized: onnx.ModelProto, folded: onnx.ModelProto, calibration: Array) -> None:
    """Round a QDQ model's weights and biases anew, in place; its scales stay.

    Args:
        quantized: Made of `folded`; its nodes are called as there.
        folded: In float32.
        calibration: Inputs as both take them, one after another.
    """
    names = {node.name for node in folded.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    layers = [node for node in quantized.graph.node if node.name in names]
    if len(layers) > MAX_LAYERS or folded.ByteSize() > MAX_BYTES:
        return
    size = _batch_size(folded)
    count = max(min(len(calibration), MAX_IMAGES) // size, 1) * size
    # Evenly from all of them: they may be in the order of writers or classes.
    images = calibration[np.linspace(0, len(calibration) - 1, count).astype(int)]
    weights = {tensor.name: tensor for tensor in folded.graph.initializer}
    uses = Counter(name for node in folded.graph.node for name in node.input)
    for plain in folded.graph.node:
        layer = next((node for node in layers if node.name == plain.name), None)
        # What two layers share cannot make up for the errors of both.
        if layer is None or any(uses[name] > 1 for name in plain.input[1:]):
            continue
        if plain.input[1] not in weights:
            continue
        weight, bias = _Integers(quantized, layer, 1), _Integers(quantized, layer, 2)
        if weight.values is not None and _is_plain(layer, weight.values):
            before = numpy_helper.to_array(weights[plain.input[1]])
            rows = _rows(before, layer)
            fits = rows.shape[1] <= MAX_FAN_IN and len(weight.step) in (1, len(rows))
            inputs = _values(quantized, layer.input[0], images)
            met = _products(inputs, layer, rows.shape[1], before.shape[2:]) if fits else None
            if met is not None:
                rounded = _round(weight, weight.values, rows, met)
                weight.set(rounded.T if _is_matrix(layer) else rounded)
        if bias.values is not None:
            channel = 1 if plain.op_type == "Conv" else -1
            now = _mean(_values(quantized, layer.output[0], images), channel)
            off = now - _mean(_values(folded, plain.output[0], images), channel)
            bias.set(bias.values - np.round(off / bias.step))


class _Integers:
    """The integers behind one input of a QDQ layer, and the step between them.

    Attributes:
        values: As in the file; None where the input is not quantized.
        step: Float64 (outputs,) or (1,).
    """

    def __init__(self, model: onnx.ModelProto, layer: onnx.NodeProto, place: int) -> None:
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        made = {node.output[0]: node for node in model.graph.node}
        node = made.get(layer.input[place]) if place < len(layer.input) else None
        dequantized = node is not None and node.op_type == "DequantizeLinear"
        self._tensor = tensors.get(node.input[0]) if node is not None and dequantized else None
        self.values: Array | None = None
        if node is not None and self._tensor is not None:
            self.values = numpy_helper.to_array(self._tensor)
            self.step = numpy_helper.to_array(tensors[node.input[1]]).astype(np.float64).reshape(-1)

    def set(self, values: Array) -> None:
        """Put others in their place, of the same shape."""
        if self._tensor is not None and self.values is not None:
            ends = np.iinfo(self.values.dtype)
            within = np.clip(values, ends.min, ends.max).reshape(self.values.shape)
            integers = np.ascontiguousarray(within, self.values.dtype)
            self._tensor.CopyFrom(numpy_helper.from_array(integers, self._tensor.name))


def _round(weight: _Integers, before: Array, rows: Array, products: Array) -> Array:
    """Round `rows`, float (outputs, fan-in), given products (groups, fan-in, fan-in)."""
    # The steps were made from the largest weight: 127, or 64 where the range is reduced.
    limit = int(np.abs(before.astype(np.int16)).max())
    steps = np.split(np.broadcast_to(weight.step, len(rows)), len(products))
    parts = zip(np.split(rows, len(products)), steps, products, strict=True)
    return np.concatenate([_rounded(some, step, each, limit) for some, step, each in parts])


def _rounded(rows: Array, scale: Array, products: Array, limit: int) -> Array:
    """Round columns one after another; those to come take over the error: (outputs, fan-in)."""
    products = products.copy()
    diagonal = np.diag_indices(len(products))
    products[diagonal] += _DAMPING * products[diagonal].mean() + np.finfo(np.float64).tiny
    # The loudest inputs are rounded first, while there is much that can make up for them.
    order = np.argsort(-products[diagonal], kind="stable")
    rows, products = rows[:, order].astype(np.float64), products[np.ix_(order, order)]
    try:
        shares = np.linalg.cholesky(np.linalg.inv(products)).T
    except np.linalg.LinAlgError:  # nothing ever comes in
        shares = np.eye(len(products))
    integers = np.empty_like(rows)
    for column in range(rows.shape[1]):
        rounded = np.clip(np.round(rows[:, column] / scale), -limit, limit)
        error = (rows[:, column] - rounded * scale) / shares[column, column]
        rows[:, column:] -= np.outer(error, shares[column, column:])
        integers[:, order[column]] = rounded
    return integers


def _rows(weights: Array, layer: onnx.NodeProto) -> Array:
    """One row for each output: (outputs, fan-in)."""
    return weights.T if _is_matrix(layer) else weights.reshape(len(weights), -1)


def _is_plain(layer: onnx.NodeProto, weight: Array) -> bool:
    """Whether `_patches` knows what meets each weight."""
    if layer.op_type != "Conv":
        return weight.ndim == 2 and not _said(layer, "transA", 0)
    known = weight.ndim == 4 and _said(layer, "auto_pad", b"NOTSET") == b"NOTSET"
    return known and set(_said(layer, "dilations", [1])) == {1}


def _is_matrix(layer: onnx.NodeProto) -> bool:
    """Whether the weights have a column for each output."""
    return layer.op_type == "MatMul" or (layer.op_type == "Gemm" and not _said(layer, "transB", 0))


def _products(
    inputs: Iterator[Array], layer: onnx.NodeProto, fan_in: int, kernel: tuple[int, ...]
) -> Array | None:
    """Sums of products of what meets each weight: float64 (groups, fan-in, fan-in), or too much."""
    total: Array = np.zeros((_said(layer, "group", 1), fan_in, fan_in))
    for values in inputs:
        for image in np.split(values, len(values)):
            if layer.op_type == "Conv":
                if image.shape[1] * math.prod((*image.shape[2:], *kernel)) > MAX_PATCH_VALUES:
                    return None
                patches = _patches(image, layer, kernel)
            else:
                patches = image.reshape(1, -1, fan_in)
            total += patches.transpose(0, 2, 1) @ patches
    return total


def _patches(image: Array, layer: onnx.NodeProto, kernel: tuple[int, ...]) -> Array:
    """What meets each weight of a convolution, in order: float32 (groups, places, fan-in)."""
    top, left, bottom, right = _said(layer, "pads", [0, 0, 0, 0])
    down, across = _said(layer, "strides", [1, 1])
    groups = _said(layer, "group", 1)
    padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))
    seen = seen[:, :, ::down, ::across].transpose(1, 0, 2, 3, 4, 5)
    size = len(seen) // groups, math.prod(kernel)
    apart = seen.reshape(groups, size[0], -1, size[1]).transpose(0, 2, 1, 3)
    return apart.reshape(groups, -1, math.prod(size))


def _mean(batches: Iterator[Array], channel: int) -> Array:
    """Of each channel, the axis `channel`: float64 (channels,)."""
    apart = (np.moveaxis(each, channel, -1).reshape(-1, each.shape[channel]) for each in batches)
    return np.asarray(np.mean([each.mean(axis=0) for each in apart], axis=0), np.float64)


def _values(model: onnx.ModelProto, name: str, images: Array) -> Iterator[Array]:
    """What a tensor inside `model` is for the images, batch by batch."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    # Fused layers would saturate on some processors; here they compute what they say.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        shown.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    size = _batch_size(model)
    for start in range(0, len(images), size):
        yield np.asarray(session.run([name], {INPUT: images[start : start + size]})[0])


def _batch_size(model: onnx.ModelProto) -> int:
    return model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or _IMAGES_AT_ONCE


def _said(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = (helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    return next(found, default)
