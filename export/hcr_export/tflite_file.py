"""A TFLite flatbuffer whose integers can be changed, and what flows through its layers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hcr_export.compensation import Array, Window
from hcr_export.flatbuffer import read_edges

_CONVOLUTION = schema.BuiltinOperator.CONV_2D
_DEPTHWISE = schema.BuiltinOperator.DEPTHWISE_CONV_2D
_DENSE = schema.BuiltinOperator.FULLY_CONNECTED
_SOFTMAX = schema.BuiltinOperator.SOFTMAX
_QUANTIZE = schema.BuiltinOperator.QUANTIZE
_DTYPES: dict[int, str] = {
    schema.TensorType.FLOAT32: "<f4",
    schema.TensorType.INT8: "<i1",
    schema.TensorType.INT32: "<i4",
}


@dataclass(frozen=True, slots=True)
class Layer:
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


class TFLiteFile:
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
        self._makers = {
            int(tensor): (codes[operator.opcodeIndex], operator)
            for operator in operators
            for tensor in operator.outputs
        }
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

    def inputs(self, layers: list[Layer], images: Array) -> Iterator[list[Array]]:
        """What comes into layers, image by image: float, channels before height and width."""
        interpreter = self._interpreter()
        for _ in self._run(interpreter, images):
            met = [self._value(interpreter, layer.source) for layer in layers]
            # A dense layer may follow on an image too: its inputs are the last axis.
            yield [
                values.transpose(0, 3, 1, 2) if len(layer.shape) == 4 else values
                for layer, values in zip(layers, met, strict=True)
            ]

    def values(self, tensor: int, images: Array) -> Iterator[Array]:
        """What a tensor is, image by image: float."""
        interpreter = self._interpreter()
        for _ in self._run(interpreter, images):
            yield self._value(interpreter, tensor)

    def answers(self, images: Array) -> Iterator[Array]:
        """What the network answers, image by image: float."""
        return self.values(self._output, images)

    @property
    def logits(self) -> int | None:
        """What the last dense layer gives, before softmax; None where it does not come last."""
        tensor = self._output
        for wrapper in (_QUANTIZE, _SOFTMAX):
            code, operator = self._makers[tensor]
            if code == wrapper:
                tensor = int(operator.inputs[0])
        return tensor if self._makers[tensor][0] == _DENSE else None

    def range(self, tensor: int) -> tuple[float, float]:
        """What the integers of an int8 tensor stand for at least and at most."""
        known = self._graph.tensors[tensor].quantization
        scale, zero = float(known.scale[0]), int(known.zeroPoint[0])
        return (-128 - zero) * scale, (127 - zero) * scale

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """Let the integers of an int8 tensor stand for `low` to `high`; 0 must be among them.

        What is the same at the border, in another type, follows. Only what a dense layer gives may
        be changed so: no integer of the file hangs on it.
        """
        step = (high - low) / 255
        zero = round(-128 - low / step)
        places = [(tensor, zero)]
        code, operator = self._makers[self._output]
        if code == _QUANTIZE and int(operator.inputs[0]) == tensor:
            is_uint8 = self._graph.tensors[self._output].type == schema.TensorType.UINT8
            places.append((self._output, zero + 128 if is_uint8 else zero))
        for place, point in places:
            stored = self._root.Subgraphs(0).Tensors(place).Quantization()
            stored.ScaleAsNumpy()[0], stored.ZeroPointAsNumpy()[0] = step, point
            known = self._graph.tensors[place].quantization
            known.scale, known.zeroPoint = stored.ScaleAsNumpy(), stored.ZeroPointAsNumpy()

    @property
    def _output(self) -> int:
        return int(self._graph.outputs[0])

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

    def _layer(self, operator: Any, code: int) -> Layer:
        source, weight, bias = (*map(int, operator.inputs), -1)[:3]
        shape = self._shape(weight)
        if bias >= 0 and not self._is_constant(bias):
            bias = -1
        return Layer(
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
