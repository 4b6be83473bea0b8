"""Rounds a TFLite file's weights and biases so that they make up for each other, layer by layer.

Weights: see `compensation`. Biases: set so that the mean of each channel is what it is in float32
(Nagel and others, 2019, arXiv 1906.04721). The file keeps its scales, and its layout: integers are
put in the place of others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hcr_export.compensation import (
    MAX_BYTES,
    MAX_LAYERS,
    Array,
    Window,
    moments,
    patches,
    round_rows,
    spread,
)
from hcr_export.flatbuffer import read_edges

_CONVOLUTION = schema.BuiltinOperator.CONV_2D
_DEPTHWISE = schema.BuiltinOperator.DEPTHWISE_CONV_2D
_DENSE = schema.BuiltinOperator.FULLY_CONNECTED
_DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
# The specification keeps -128 out of weights.
_LIMIT = 127


def compensate(quantized: bytes, plain: bytes, calibration: Array) -> bytes:
    """Round a full integer file's weights and biases anew.

    Args:
        quantized: The file; its scales stay.
        plain: The same network in float32.
        calibration: Input tensors, float32 (N, height, width, channels).

    Returns:
        The file with other integers; as it was, where its layers are not those of `plain`, or too
        many.
    """
    file, source = _File(quantized), _File(plain)
    alike = [layer.kind for layer in file.layers] == [layer.kind for layer in source.layers]
    if not alike or len(file.layers) > MAX_LAYERS or len(plain) > MAX_BYTES:
        return quantized
    images = spread(calibration)
    wanted = _mean_inputs(source, images)
    for layer, before, mean in zip(file.layers, source.layers, wanted, strict=True):
        # What two layers share cannot make up for the errors of both.
        if layer.window is None or layer.is_shared or mean is None:
            continue
        rows = before.rows(source.numbers(before.weight))
        inputs = (values for (values,) in file.inputs([layer], images))
        met = moments(inputs, layer.window, layer.fan_in)
        if met is None:
            continue
        if met[1] is not None:
            rounded = round_rows(rows, file.scale(layer.weight), met[1], _LIMIT)
            file.put(layer.weight, layer.weights(rounded))
        if layer.bias >= 0 and before.bias >= 0:
            present = layer.rows(file.numbers(layer.weight))
            off = _outputs(rows, mean) - _outputs(present, met[0])
            bias = source.numbers(before.bias) + off
            file.put(layer.bias, np.round(bias / file.scale(layer.bias)))
    return bytes(file.data)


def _mean_inputs(file: _File, images: Array) -> list[Array | None]:
    """What meets each weight of each layer, on average: (groups, fan-in); None where unknown."""
    totals: list[Array | None] = [np.zeros(()) for _ in file.layers]
    for inputs in file.inputs(file.layers, images):
        for number, (layer, values) in enumerate(zip(file.layers, inputs, strict=True)):
            total, window = totals[number], layer.window
            met = None if window is None else patches(values, window, layer.fan_in)
            if total is not None:
                mean = None if met is None else met.mean(axis=1, dtype=np.float64)
                totals[number] = None if mean is None else total + mean
    return [None if total is None else total / len(images) for total in totals]


def _outputs(rows: Array, means: Array) -> Array:
    """What a layer gives on average, without its bias: (outputs,)."""
    apart = zip(np.split(rows, len(means)), means, strict=True)
    return np.concatenate([some @ mean for some, mean in apart])


@dataclass(frozen=True, slots=True)
class _Layer:
    """An operator with weights; tensors by their numbers.

    Attributes:
        shape: Of its weights, as in the file.
        is_depthwise: Whether each input channel has filters of its own.
        window: How they move over the input; None where `compensation` does not know.
        source: The input.
        weight: The weights.
        bias: The bias; -1 where there is none.
        is_shared: Whether another operator has the same weights or bias, or as many zeros.
    """

    shape: tuple[int, ...]
    is_depthwise: bool
    window: Window | None
    source: int
    weight: int
    bias: int
    is_shared: bool

    @property
    def kind(self) -> tuple[object, ...]:
        """What it has in common with the same layer of another file."""
        return self.shape, self.is_depthwise, self.window

    @property
    def fan_in(self) -> int:
        """Weights of one output."""
        outputs = self.shape[-1] if self.is_depthwise else self.shape[0]
        return math.prod(self.shape) // outputs

    def rows(self, weights: Array) -> Array:
        """One row for each output: (outputs, fan-in)."""
        if len(self.shape) == 2:
            return weights
        first = weights.transpose((3, 0, 1, 2) if self.is_depthwise else (0, 3, 1, 2))
        return first.reshape(len(first), -1)

    def weights(self, rows: Array) -> Array:
        """What `rows` was made of: (outputs, height, width, inputs), or (1, ..., outputs)."""
        if len(self.shape) == 2:
            return rows
        filters = rows.reshape(len(rows), -1, *self.shape[1:3])
        return filters.transpose((1, 2, 3, 0) if self.is_depthwise else (0, 2, 3, 1))


class _File:
    """A flatbuffer whose integers can be changed.

    Attributes:
        data: The file.
        layers: Its operators with weights, in their order.
    """

    def __init__(self, model: bytes) -> None:
        self.data = bytearray(model)
        self._root = schema.Model.GetRootAs(self.data, 0)
        described = schema.ModelT.InitFromPackedBuf(model, 0)
        self._graph = described.subgraphs[0]
        self._edge = read_edges(model)[0]
        operators = self._graph.operators
        codes = [
            max(code.builtinCode, code.deprecatedBuiltinCode) for code in described.operatorCodes
        ]
        # Constants of the same bytes may lie in one buffer.
        uses = Counter(
            self._graph.tensors[int(tensor)].buffer
            for operator in operators
            for tensor in operator.inputs
            if tensor >= 0
        )
        known = (_CONVOLUTION, _DEPTHWISE, _DENSE)
        self.layers = [
            self._layer(operator, codes[operator.opcodeIndex], uses)
            for operator in operators
            if codes[operator.opcodeIndex] in known and self._is_constant(int(operator.inputs[1]))
        ]

    def inputs(self, layers: list[_Layer], images: Array) -> Iterator[list[Array]]:
        """What comes into layers, image by image: float, channels before height and width."""
        interpreter = Interpreter(
            model_content=bytes(self.data),
            # Others compute several layers at once, and keep none of their values.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        for image in images:
            interpreter.set_tensor(place, self._edge.quantized(image[None]))
            interpreter.invoke()
            met = [
                self._numbers(layer.source, interpreter.get_tensor(layer.source))
                for layer in layers
            ]
            # A dense layer may follow on an image too: its inputs are the last axis.
            yield [
                values.transpose(0, 3, 1, 2) if len(layer.shape) == 4 else values
                for layer, values in zip(layers, met, strict=True)
            ]

    def numbers(self, tensor: int) -> Array:
        """A constant, without its scale: float, of its shape."""
        return self._numbers(tensor, self._constant(tensor))

    def scale(self, tensor: int) -> Array:
        """Steps of a constant: float64, one or one for each output."""
        return np.asarray(self._graph.tensors[tensor].quantization.scale, np.float64)

    def put(self, tensor: int, integers: Array) -> None:
        """Put integers in the place of a constant's."""
        constant = self._constant(tensor)
        ends = np.iinfo(constant.dtype)
        constant[...] = np.clip(integers, ends.min, ends.max)

    def _numbers(self, tensor: int, values: Array) -> Array:
        quantization = self._graph.tensors[tensor].quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return values
        axis = [1] * values.ndim
        if values.ndim:
            axis[quantization.quantizedDimension] = -1
        scale, zero = (
            np.asarray(each, np.float64).reshape(axis if len(each) > 1 else [1] * values.ndim)
            for each in (quantization.scale, quantization.zeroPoint)
        )
        return np.asarray((values - zero) * scale)

    def _constant(self, tensor: int) -> Array:
        """A constant as it lies in the file: what is written there changes the file."""
        described = self._graph.tensors[tensor]
        stored = self._root.Buffers(described.buffer).DataAsNumpy()
        return np.asarray(stored.view(_DTYPES[described.type]).reshape(described.shape))

    def _is_constant(self, tensor: int) -> bool:
        described = self._graph.tensors[tensor]
        return described.type in _DTYPES and self._root.Buffers(described.buffer).DataLength() > 0

    def _layer(self, operator: Any, code: int, uses: Counter[int]) -> _Layer:
        source, weight, bias = (*map(int, operator.inputs), -1)[:3]
        shape = tuple(int(side) for side in self._graph.tensors[weight].shape)
        if bias >= 0 and not self._is_constant(bias):
            bias = -1
        return _Layer(
            shape,
            code == _DEPTHWISE,
            self._window(operator, code, shape, source),
            *(source, weight, bias),
            any(uses[self._graph.tensors[tensor].buffer] > 1 for tensor in {weight, bias} - {-1}),
        )

    def _window(
        self, operator: Any, code: int, shape: tuple[int, ...], source: int
    ) -> Window | None:
        if code == _DENSE:
            return Window()
        options = operator.builtinOptions
        if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
            return None
        _, height, width, channels = (int(side) for side in self._graph.tensors[source].shape)
        strides = options.strideH, options.strideW
        pads = [(0, 0), (0, 0)]
        if options.padding == schema.Padding.SAME:
            sides = zip((height, width), shape[1:3], strides, strict=True)
            pads = [_same(side, kernel, stride) for side, kernel, stride in sides]
        (top, bottom), (left, right) = pads
        groups = channels if code == _DEPTHWISE else channels // shape[3]
        return Window(shape[1:3], (top, left, bottom, right), strides, groups)


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind, with which there are as many outputs as strides."""
    missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return missing // 2, missing - missing // 2
