"""What a bundle contains, decided before anything is converted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hcr_runtime import ModelError
from hcr_runtime.errors import nearest

Quantization = Literal["float32", "float16", "dynamic-int8", "int8"]


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


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of artifact.

    Attributes:
        format: ``tflite`` or ``onnx``; also the file's suffix.
        quantization: How the numbers are stored.
        engine: The engine that runs it.
        min_engine: The oldest version of it that is known to.
        description: For people.
    """

    format: Literal["tflite", "onnx"]
    quantization: Quantization
    engine: str
    min_engine: str
    description: str

    @property
    def name(self) -> str:
        """E.g. ``int8.onnx``; a bundle's files are called after their model and this."""
        return f"{self.quantization}.{self.format}"

    def file_name(self, model: str) -> str:
        """E.g. ``arabic-letters-int8.onnx``."""
        return f"{model}-{self.name}"


_LITERT = ("litert", "ai-edge-litert>=2.0")
_ONNX = ("onnxruntime", "onnxruntime>=1.22")

KINDS = (
    Kind("tflite", "float32", *_LITERT, "float32"),
    Kind("tflite", "float16", *_LITERT, "float16 weights, float32 arithmetic"),
    Kind("tflite", "dynamic-int8", *_LITERT, "int8 weights, activations quantized on the fly"),
    Kind("tflite", "int8", *_LITERT, "full integer, int8 input and output, per-channel weights"),
    Kind("onnx", "float32", *_ONNX, "float32, opset 17"),
    Kind("onnx", "int8", *_ONNX, "QDQ, uint8 activations, int8 per-channel weights, opset 17"),
)


def choose(names: Iterable[str]) -> tuple[Kind, ...]:
    """Return the kinds called `names`, all when there are none.

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
    return tuple(kind for kind in KINDS if not wanted or kind.name in wanted)
