"""Rounds an ONNX file's weights and biases so that they make up for each other, layer by layer.

Weights: see `compensation`. Biases: what the mean of each channel is off by is taken away (Nagel
and others, 2019, arXiv 1906.04721).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hcr_export.compensation import (
    LEAST_IMAGES,
    MAX_BYTES,
    MAX_FAN_IN,
    MAX_LAYERS,
    Array,
    Window,
    moments,
    round_rows,
    spread,
    spread_places,
)
from hcr_export.onnx import INPUT

_IMAGES_AT_ONCE = 16


def compensate(quantized: onnx.ModelProto, folded: onnx.ModelProto, calibration: Array) -> None:
    """Round a QDQ model's weights and biases anew, in place, where that is nearer to float32.

    Its scales stay.

    Args:
        quantized: Made of `folded`; its nodes are called as there.
        folded: In float32.
        calibration: Inputs as both take them, one after another. Where there are enough, some are
            kept to judge by.
    """
    names = {node.name for node in folded.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    layers = [node for node in quantized.graph.node if node.name in names]
    if len(layers) > MAX_LAYERS or folded.ByteSize() > MAX_BYTES:
        return
    nearest = onnx.ModelProto()
    nearest.CopyFrom(quantized)
    images = spread(calibration, _batch_size(folded))
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
            inputs = _values(quantized, layer.input[0], images)
            each = (image for batch in inputs for image in np.split(batch, len(batch)))
            window = _window(layer, before.shape[2:])
            fits = rows.shape[1] <= MAX_FAN_IN and len(weight.step) in (1, len(rows))
            met = moments(each, window, rows.shape[1]) if fits else None
            if met is not None and met.products is not None:
                # The steps were made from the largest weight: 127, or 64 for weights of 7 bits.
                limit = int(np.abs(weight.values.astype(np.int16)).max())
                rounded = round_rows(rows, weight.step, met.products, limit)
                weight.set(rounded.T if _is_matrix(layer) else rounded)
        if bias.values is not None:
            channel = 1 if plain.op_type == "Conv" else -1
            now = _mean(_values(quantized, layer.output[0], images), channel)
            off = now - _mean(_values(folded, plain.output[0], images), channel)
            bias.set(bias.values - np.round(off / bias.step))
    if not _is_nearer(quantized, nearest, folded, calibration):
        quantized.CopyFrom(nearest)


def _is_nearer(
    made: onnx.ModelProto, before: onnx.ModelProto, folded: onnx.ModelProto, calibration: Array
) -> bool:
    """Whether `made` answers nearer to `folded` than `before`, on average.

    Judged by calibration images that `spread` does not take, where there are enough.
    """
    size = _batch_size(folded)
    others = np.delete(calibration, spread_places(calibration, size), axis=0)
    images = spread(others if len(others) >= max(LEAST_IMAGES, size) else calibration, size)
    exact, now, then = (
        np.concatenate([*_values(model, model.graph.output[0].name, images)])
        for model in (folded, made, before)
    )
    return bool(np.abs(now - exact).mean() < np.abs(then - exact).mean())


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


def _rows(weights: Array, layer: onnx.NodeProto) -> Array:
    """One row for each output: (outputs, fan-in)."""
    return weights.T if _is_matrix(layer) else weights.reshape(len(weights), -1)


def _is_plain(layer: onnx.NodeProto, weight: Array) -> bool:
    """Whether `compensation.patches` knows what meets each weight."""
    if layer.op_type != "Conv":
        return weight.ndim == 2 and not _said(layer, "transA", 0)
    known = weight.ndim == 4 and _said(layer, "auto_pad", b"NOTSET") == b"NOTSET"
    return known and set(_said(layer, "dilations", [1])) == {1}


def _is_matrix(layer: onnx.NodeProto) -> bool:
    """Whether the weights have a column for each output."""
    return layer.op_type == "MatMul" or (layer.op_type == "Gemm" and not _said(layer, "transB", 0))


def _window(layer: onnx.NodeProto, kernel: tuple[int, ...]) -> Window:
    if layer.op_type != "Conv":
        return Window()
    top, left, bottom, right = _said(layer, "pads", [0, 0, 0, 0])
    down, across = _said(layer, "strides", [1, 1])
    return Window(kernel, (top, left, bottom, right), (down, across), _said(layer, "group", 1))


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
