"""Reading a TFLite flatbuffer (schema.fbs, version 3): its operators, and the memory they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from hcr_runtime.border import dequantize, quantize

# TensorFlow Lite Micro aligns every buffer so.
_ALIGNMENT = 16
# Bytes of its structures on a 64-bit machine, and what it keeps besides.
_TENSOR_BYTES, _NODE_BYTES, _OTHER_BYTES = 24, 64 + 64, 1280
# A multiplier and a shift for each output channel of a quantized weight.
_CHANNEL_BYTES = 8
# Bytes of the element types that full integer models have; 4 for all others.
_ELEMENT_BYTES = {
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
    schema.TensorType.BOOL: 1,
    schema.TensorType.INT16: 2,
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.INT64: 8,
}
_BUILTINS = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
# Where the resolver's method is not simply the operator's name.
_METHODS = {"BATCH_MATMUL": "AddBatchMatMul", "PADV2": "AddPadV2"}


_DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """A model's input or output.

    Attributes:
        dtype: Type of its numbers.
        scale: Of a quantized one; else 0.
        zero_point: Of a quantized one; else 0.
    """

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def quantized(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Turn numbers into this edge's integers, if it has a scale."""
        return quantize(tensor, self.dtype, self.scale, self.zero_point) if self.scale else tensor

    def dequantized(self, tensor: NDArray[Any]) -> NDArray[np.float32]:
        """Turn this edge's integers into numbers, if it has a scale."""
        if not self.scale:
            return np.asarray(tensor, np.float32)
        return dequantize(np.asarray(tensor, self.dtype), self.scale, self.zero_point)


@dataclass(frozen=True, slots=True)
class Graph:
    """What a device must know of a model's graph.

    Attributes:
        operators: Methods of ``tflite::MicroMutableOpResolver`` that register its operators.
        nodes: How many operations there are.
        tensors: How many tensors.
        channels: Output channels of all quantized weights.
        peak: Bytes of the activations that live at once, at most.
    """

    operators: tuple[str, ...]
    nodes: int
    tensors: int
    channels: int
    peak: int

    def arena_estimate(self) -> int:
        """Bytes of arena that TensorFlow Lite Micro will hardly exceed."""
        structures = (
            self.tensors * _TENSOR_BYTES
            + self.nodes * _NODE_BYTES
            + self.channels * _CHANNEL_BYTES
            + _OTHER_BYTES
        )
        # Its planner packs what lives at once with little loss.
        return _aligned(int(1.1 * self.peak) + structures)


def read_graph(model: bytes) -> Graph:
    """Read the graph of a flatbuffer with one subgraph."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = root.subgraphs[0]
    codes = {max(code.builtinCode, code.deprecatedBuiltinCode) for code in root.operatorCodes}
    constant = [
        root.buffers[tensor.buffer].data is not None and len(root.buffers[tensor.buffer].data) > 0
        for tensor in graph.tensors
    ]
    sizes = [
        0 if fixed else _aligned(_tensor_bytes(tensor))
        for tensor, fixed in zip(graph.tensors, constant, strict=True)
    ]
    channels = sum(
        len(tensor.quantization.scale)
        for tensor, fixed in zip(graph.tensors, constant, strict=True)
        if fixed and tensor.quantization is not None and tensor.quantization.scale is not None
    )
    return Graph(
        operators=tuple(sorted(_method(_BUILTINS[code]) for code in codes)),
        nodes=len(graph.operators),
        tensors=len(graph.tensors),
        channels=channels,
        peak=_peak(graph, sizes),
    )


def read_edges(model: bytes) -> tuple[Edge, Edge]:
    """Read the only input and the only output of a flatbuffer."""
    graph = schema.ModelT.InitFromPackedBuf(model, 0).subgraphs[0]
    given, gives = (_edge(graph.tensors[int(ends[0])]) for ends in (graph.inputs, graph.outputs))
    return given, gives


def _edge(tensor: schema.TensorT) -> Edge:
    quantization, dtype = tensor.quantization, np.dtype(_DTYPES[tensor.type])
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return Edge(dtype, 0.0, 0)
    return Edge(dtype, float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def _peak(graph: schema.SubGraphT, sizes: list[int]) -> int:
    """Largest sum of the sizes of tensors that are needed at the same time."""
    first, last = dict.fromkeys(graph.inputs, 0), {}
    for number, operation in enumerate(graph.operators):
        for tensor in operation.outputs:
            first.setdefault(int(tensor), number)
        for tensor in (*operation.inputs, *operation.outputs):
            last[int(tensor)] = number
    last |= dict.fromkeys(map(int, graph.outputs), len(graph.operators))
    return max(
        sum(
            sizes[tensor] for tensor, start in first.items() if start <= step <= last.get(tensor, 0)
        )
        for step in range(len(graph.operators))
    )


def _tensor_bytes(tensor: schema.TensorT) -> int:
    shape = [int(axis) for axis in tensor.shape] if tensor.shape is not None else []
    return math.prod(shape) * _ELEMENT_BYTES.get(tensor.type, 4)


def _method(name: str) -> str:
    """``CONV_2D`` is registered by ``AddConv2D``."""
    if name in _METHODS:
        return _METHODS[name]
    return "Add" + "".join(
        part if part[0].isdigit() else part.capitalize() for part in name.split("_")
    )


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
