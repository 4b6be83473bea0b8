"""What a bundle may contain: decided before anything is converted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hcr_runtime import ModelError
from hcr_runtime.errors import nearest

Format = Literal["tflite", "onnx", "ort", "c", "xml"]
Quantization = Literal["float32", "float16", "dynamic-int8", "int8", "int16x8"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an artifact may be from its Keras source.

    Attributes:
        max_drop: Points of accuracy (hundredths of all images) that may be lost.
        min_agreement: Least share of images with the same top-1 label, 0-1.
        max_difference: Largest difference of any probability; None where it is not limited.
    """

    max_drop: float = 0.3
    min_agreement: float = 0.995
    max_difference: float | None = None


EXACT = Limits(max_drop=0.0, min_agreement=1.0, max_difference=1e-4)


class UnsupportedError(Exception):
    """A network is known not to become an artifact, whatever is tried."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of artifact.

    Attributes:
        format: Also the main file's suffix.
        quantization: How the numbers are stored.
        engine: The engine that runs it.
        description: For people.
        parts: Suffixes of the files that belong to the main one.
        module: The package without which it cannot be made, where it is an extra.
    """

    format: Format
    quantization: Quantization
    engine: str
    description: str
    parts: tuple[str, ...] = ()
    module: str = ""

    @property
    def name(self) -> str:
        """E.g. ``int8.onnx``; a bundle's files are called after their model and this."""
        return f"{self.quantization}.{self.format}"

    @property
    def calibrated(self) -> bool:
        """Whether images tell the range of its activations."""
        return self.quantization in ("int8", "int16x8")

    def file_name(self, model: str) -> str:
        """E.g. ``arabic-letters-int8.onnx``."""
        return f"{model}-{self.name}"

    def part_names(self, model: str) -> tuple[str, ...]:
        """E.g. ``arabic-letters-int8.h``, beside ``arabic-letters-int8.c``."""
        return tuple(f"{model}-{self.quantization}{suffix}" for suffix in self.parts)


_OPERATORS = (".required_operators.config",)

KINDS = (
    Kind("tflite", "float32", "litert", "float32"),
    Kind("tflite", "float16", "litert", "float16 weights, float32 arithmetic"),
    Kind("tflite", "dynamic-int8", "litert", "int8 weights, activations quantized on the fly"),
    Kind("tflite", "int8", "litert", "full integer"),
    Kind("tflite", "int16x8", "litert", "full integer, int16 activations, int8 weights"),
    Kind("onnx", "float32", "onnxruntime", "float32"),
    Kind("onnx", "float16", "onnxruntime", "float16 weights, float32 arithmetic"),
    Kind("onnx", "dynamic-int8", "onnxruntime", "uint8 weights, activations quantized on the fly"),
    Kind("onnx", "int8", "onnxruntime", "QDQ"),
    Kind("ort", "float32", "onnxruntime", "float32, optimized", _OPERATORS),
    Kind("ort", "int8", "onnxruntime", "QLinear, optimized", _OPERATORS),
    Kind("c", "int8", "tflite-micro", "full integer, as a C array", (".h",)),
    Kind("xml", "float32", "openvino", "float32, OpenVINO IR", (".bin",), "openvino"),
    Kind("xml", "int8", "openvino", "QDQ, OpenVINO IR", (".bin",), "openvino"),
)

# What most devices need; the rest is asked for by name or by target.
USUAL = tuple(
    kind
    for kind in KINDS
    if kind.name
    in {
        *("float32.tflite", "float16.tflite", "dynamic-int8.tflite", "int8.tflite"),
        *("float32.onnx", "int8.onnx"),
    }
)


def choose(names: Iterable[str]) -> tuple[Kind, ...]:
    """Return the kinds called `names`, the usual ones when there are none.

    Raises:
        ModelError: A name is unknown.

    >>> [kind.name for kind in choose(["int8.onnx"])]
    ['int8.onnx']
    """
    known = {kind.name: kind for kind in KINDS}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise ModelError(f"there is no artifact {name!r}", allowed=nearest(name, known))
    return tuple(kind for kind in KINDS if kind.name in wanted) if wanted else USUAL
