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
    LEAST_IMAGES,
    MAX_BYTES,
    MAX_IMAGES,
    MAX_LAYERS,
    Array,
    Window,
    moments,
    patches,
    round_rows,
    spread,
    spread_places,
)
from hcr_export.flatbuffer import read_edges

_CONVOLUTION = schema.BuiltinOperator.CONV_2D
_DEPTHWISE = schema.BuiltinOperator.DEPTHWISE_CONV_2D
_DENSE = schema.BuiltinOperator.FULLY_CONNECTED
_DTYPES: dict[int, str] = {
    schema.TensorType.FLOAT32: "<f4",
    schema.TensorType.INT8: "<i1",
    schema.TensorType.INT32: "<i4",
}
# The specification keeps -128 out of weights.
_LIMIT = 127
# Multiplications that all layers' passes over the images may take together: about 20 s.
MAX_WORK = 2**38


def compensate(quantized: bytes, plain: bytes, calibration: Array) -> bytes:
    """Round an int8 file's weights and biases anew.

    Args:
        quantized: The file; its scales stay.
        plain: The same network in float32.
        calibration: Input tensors, float32 (N, height, width, channels). Where there are enough,
            some are kept to judge by.

    Returns:
        The file with other integers; as it was, where that answers nearer to `plain`, the layers
        are not those of `plain`, or it would take too long.
    """
    file, source = _File(quantized), _File(plain)
    count = len(file.layers)
    alike = count == len(source.layers) and all(
        _are_alike(file, layer, source, before)
        for layer, before in zip(file.layers, source.layers, strict=True)
    )
    if not alike or count > MAX_LAYERS or len(plain) > MAX_BYTES:
        return quantized
    affordable = MAX_WORK // max(count * file.work(), 1)
    images = spread(calibration)[:: -(-MAX_IMAGES // max(affordable, 1))]
    if len(images) < LEAST_IMAGES:
        return quantized
    wanted = _mean_inputs(source, images)
    for layer, before, mean in zip(file.layers, source.layers, wanted, strict=True):
        if layer.window is None or mean is None:
            continue
        rows = before.rows(source.numbers(before.weight))
        inputs = (values for (values,) in file.inputs([layer], images))
        met = moments(inputs, layer.window, layer.fan_in)
        if met is None:
            continue
        if met.products is not None and file.is_own(layer.weight):
            rounded = round_rows(rows, file.scale(layer.weight), met.products, _LIMIT)
            file.put(layer.weight, layer.weights(rounded))
        if layer.bias >= 0 and file.is_own(layer.bias):
            present = layer.rows(file.numbers(layer.weight))
            bias = source.numbers(before.bias) if before.bias >= 0 else 0.0
            bias = bias + _outputs(rows, mean) - _outputs(present, met.mean)
            with np.errstate(divide="ignore", invalid="ignore"):  # of a filter of zeros
                file.put(layer.bias, np.round(bias / file.scale(layer.bias)))
    made = bytes(file.data)
    return made if _is_nearer(made, quantized, plain, calibration) else quantized


def _are_alike(file: _File, layer: _Layer, source: _File, before: _Layer) -> bool:
    """Whether a layer's integers were made of another's numbers."""
    if (layer.shape, layer.is_depthwise) != (before.shape, before.is_depthwise):
        return False
    off = layer.rows(np.abs(file.numbers(layer.weight) - source.numbers(before.weight)))
    return bool((off <= 0.51 * np.broadcast_to(file.scale(layer.weight), len(off))[:, None]).all())


def _mean_inputs(file: _File, images: Array) -> list[Array | None]:
    """What meets each weight of each layer, on average: (groups, fan-in); None where unknown."""
    totals: list[Any] = [0.0] * len(file.layers)
    for inputs in file.inputs(file.layers, images):
        totals = [total + values for total, values in zip(totals, inputs, strict=True)]
    means: list[Array | None] = []
    for layer, total in zip(file.layers, totals, strict=True):
        met = None
        if layer.window is not None:
            met = patches(total / len(images), layer.window, layer.fan_in)
        means.append(None if met is None else met.mean(axis=1, dtype=np.float64))
    return means


def _outputs(rows: Array, means: Array) -> Array:
    """What a layer gives on average, without its bias: (outputs,)."""
    apart = zip(np.split(rows, len(means)), means, strict=True)
    return np.concatenate([some @ mean for some, mean in apart])


def _is_nearer(made: bytes, before: bytes, plain: bytes, calibration: Array) -> bool:
    """Whether `made` answers nearer to `plain` than `before`, on average.

    Judged by calibration images that `spread` does not take, where there are enough.
    """
    others = np.delete(calibration, spread_places(calibration), axis=0)
    images = spread(others if len(others) >= LEAST_IMAGES else calibration)
    exact = np.stack([*_File(plain).answers(images)])
    now, then = (
        np.abs(np.stack([*_File(model).answers(images)]) - exact).mean() for model in (made, before)
    )
    return bool(now < then)


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
        places: Where the window comes to lie.
    """

    shape: tuple[int, ...]
    is_depthwise: bool
    window: Window | None
    source: int
    weight: int
    bias: int
    places: int

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
        self._uses = Counter(
            self._graph.tensors[int(tensor)].buffer
            for operator in operators
            for tensor in operator.inputs
            if tensor >= 0
        )
        known = (_CONVOLUTION, _DEPTHWISE, _DENSE)
        self.layers = [
            self._layer(operator, codes[operator.opcodeIndex])
            for operator in operators
            if codes[operator.opcodeIndex] in known and self._is_constant(int(operator.inputs[1]))
        ]

    def inputs(self, layers: list[_Layer], images: Array) -> Iterator[list[Array]]:
        """What comes into layers, image by image: float, channels before height and width."""
        interpreter = self._interpreter()
        for _ in self._run(interpreter, images):
            met = [self._value(interpreter, layer.source) for layer in layers]
            # A dense layer may follow on an image too: its inputs are the last axis.
            yield [
                values.transpose(0, 3, 1, 2) if len(layer.shape) == 4 else values
                for layer, values in zip(layers, met, strict=True)
            ]

    def answers(self, images: Array) -> Iterator[Array]:
        """What the network answers, image by image: float."""
        interpreter = self._interpreter()
        output = int(self._graph.outputs[0])
        for _ in self._run(interpreter, images):
            yield self._value(interpreter, output)

    def work(self) -> int:
        """Multiplications that all layers take for one image."""
        return sum(math.prod(layer.shape) * layer.places for layer in self.layers)

    def is_own(self, tensor: int) -> bool:
        """Whether one layer alone has a constant: equal ones may lie in one buffer."""
        return self._uses[self._graph.tensors[tensor].buffer] == 1

    def _interpreter(self) -> Interpreter:
        interpreter = Interpreter(
            model_content=bytes(self.data),
            # Others compute several layers at once, and keep none of their values.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        return interpreter

    def _run(self, interpreter: Interpreter, images: Array) -> Iterator[None]:
        place = interpreter.get_input_details()[0]["index"]
        for image in images:
            interpreter.set_tensor(place, self._edge.quantized(image[None]))
            interpreter.invoke()
            yield

    def _value(self, interpreter: Interpreter, tensor: int) -> Array:
        return self._numbers(tensor, interpreter.get_tensor(tensor))

    def numbers(self, tensor: int) -> Array:
        """A constant, without its scale: float, of its shape."""
        return self._numbers(tensor, self._constant(tensor))

    def scale(self, tensor: int) -> Array:
        """Steps of a constant: float64, one or one for each output."""
        return np.asarray(self._graph.tensors[tensor].quantization.scale, np.float64)

    def put(self, tensor: int, integers: Array) -> None:
        """Put integers in the place of a constant's, where they are numbers at all."""
        constant = self._constant(tensor)
        ends = np.iinfo(constant.dtype)
        known = np.isfinite(integers)
        constant[known] = np.clip(integers[known], ends.min, ends.max)

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

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(side) for side in self._graph.tensors[tensor].shape)

    def _is_constant(self, tensor: int) -> bool:
        described = self._graph.tensors[tensor]
        return described.type in _DTYPES and self._root.Buffers(described.buffer).DataLength() > 0

    def _layer(self, operator: Any, code: int) -> _Layer:
        source, weight, bias = (*map(int, operator.inputs), -1)[:3]
        shape = self._shape(weight)
        if bias >= 0 and not self._is_constant(bias):
            bias = -1
        return _Layer(
            shape,
            code == _DEPTHWISE,
            self._window(operator, code, shape, source),
            *(source, weight, bias),
            math.prod(self._shape(int(operator.outputs[0]))[:-1]),
        )

    def _window(
        self, operator: Any, code: int, shape: tuple[int, ...], source: int
    ) -> Window | None:
        if code == _DENSE:
            return Window()
        options = operator.builtinOptions
        if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
            return None
        _, height, width, channels = self._shape(source)
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
