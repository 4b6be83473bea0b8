"""Carries out a plan: one writer for each format, behind one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hcr_export import (
    micro,
    onnx_quantization,
    openvino,
    ort,
    tflite,
    tflite_compensation,
    tflite_logits,
)
from hcr_export import onnx as onnx_format
from hcr_export.artifacts import Format, choose
from hcr_export.keras_file import KerasFile
from hcr_export.plan import Border, Planned
from hcr_export.quantization import QuantizationRecipe
from hcr_runtime import ModelSpec
from hcr_runtime.border import to_border
from hcr_runtime.engines import Engine, open_engine

# What a manifest says of an artifact beyond its plan: `min_engine`, `opset`, `arena_bytes` ...
Facts = dict[str, Any]

(_PLAIN,) = choose(["float32.tflite"])


@dataclass
class Conversion:
    """One model on its way out; what several artifacts are made from is made once.

    Attributes:
        source: The Keras classifier.
        calibration: Input tensors, float32 (N, height, width, channels).
    """

    source: KerasFile
    calibration: NDArray[np.float32]
    _made: dict[object, Any] = field(default_factory=dict)

    def flatbuffer(self, planned: Planned) -> bytes:
        """Return TFLite, without a description."""
        quantization = planned.kind.quantization
        recipe = planned.recipe if quantization != "float32" else None
        key = ("tflite", quantization, planned.border, recipe)
        made = self._once(key, lambda: tflite.convert(self.source, planned, self.calibration))
        if quantization != "int8":
            return made
        return self._once(("corrected", *key), lambda: self._corrected(made, planned.recipe))

    def graph(self, planned: Planned) -> onnx.ModelProto:
        """Return ONNX, without a description."""
        quantization, border, recipe = planned.kind.quantization, planned.border, planned.recipe
        if quantization == "float32":
            return self._once(("onnx", border), lambda: onnx_format.convert(self.source, border))
        folded = self.folded(border)
        makers: dict[str, Callable[[], onnx.ModelProto]] = {
            "float16": lambda: onnx_quantization.to_float16(folded),
            "dynamic-int8": lambda: onnx_quantization.quantize_weights(folded, recipe),
            "int8": lambda: onnx_quantization.quantize(
                folded, recipe, to_border(self.calibration, self._bordered(border))
            ),
        }
        return self._once(("onnx", quantization, border, recipe), makers[quantization])

    def folded(self, border: Border) -> onnx.ModelProto:
        """Return float32 ONNX, ready for quantization, its layers named."""
        return self._once(
            ("folded", border),
            lambda: onnx_quantization.fold(
                self._once(("onnx", border), lambda: onnx_format.convert(self.source, border))
            ),
        )

    def _corrected(self, made: bytes, recipe: QuantizationRecipe) -> bytes:
        """What the converter made as int8, with steps where they are needed."""
        # Integers at the border or not: inside, the layers are the same.
        plain = self.flatbuffer(Planned(_PLAIN, Border(batch=1), recipe))
        if recipe.compensate:
            made = tflite_compensation.compensate(made, plain, self.calibration)
        temperature = self.source.spec.temperature
        return tflite_logits.sharpen(made, plain, self.calibration, temperature)

    def _bordered(self, border: Border) -> ModelSpec:
        spec = self.source.spec
        return replace(spec, input=replace(spec.input, dtype=border.dtype, layout=border.layout))

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def write(conversion: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    """Make one artifact, with its description inside.

    Args:
        conversion: The model, and what was made of it before.
        planned: What to make.
        spec: Its description; the minimum engine is filled in here.
        path: The main file; the others go beside it.

    Returns:
        What the manifest says of it.
    """
    return FORMATS[planned.kind.format].write(conversion, planned, spec, path)


def open_artifact(path: Path) -> Engine:
    """Load an artifact with the engine that runs its format."""
    return FORMATS[path.suffix[1:]].open(path)  # type: ignore[index]


def artifact_bytes(path: Path) -> int:
    """Bytes that an artifact takes on a device."""
    return FORMATS[path.suffix[1:]].size(path)  # type: ignore[index]


def _write_tflite(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    facts: Facts = {"min_engine": tflite.MIN_ENGINE}
    tflite.write(job.flatbuffer(planned), _stamped(spec, facts), path)
    return facts


def _write_onnx(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    model = job.graph(planned)
    facts: Facts = {
        "min_engine": onnx_format.min_engine(model),
        "opset": onnx_format.opset_of(model),
        "ir_version": model.ir_version,
    }
    onnx_format.write(model, _stamped(spec, facts), path)
    return facts


def _write_ort(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    facts: Facts = {"min_engine": ort.MIN_ENGINE}
    ort.write(job.graph(planned), _stamped(spec, facts), path, *_parts(planned, path))
    return facts


def _write_micro(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    facts: Facts = {"min_engine": micro.MIN_ENGINE}
    made = micro.write(job.flatbuffer(planned), _stamped(spec, facts), path, *_parts(planned, path))
    return {**facts, **made}


def _write_openvino(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    facts: Facts = {"min_engine": openvino.MIN_ENGINE}
    openvino.write(job.graph(planned), _stamped(spec, facts), path)
    return facts


def _stamped(spec: ModelSpec, facts: Facts) -> ModelSpec:
    provenance = replace(spec.provenance, min_engine=facts["min_engine"])
    return replace(spec, provenance=provenance)


def _parts(planned: Planned, path: Path) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in planned.kind.parts]


def _file_bytes(path: Path) -> int:
    return path.stat().st_size


@dataclass(frozen=True, slots=True)
class _Format:
    """How files of one format are written, opened and weighed."""

    write: Callable[[Conversion, Planned, ModelSpec, Path], Facts]
    open: Callable[[Path], Engine] = open_engine
    size: Callable[[Path], int] = _file_bytes


FORMATS: dict[Format, _Format] = {
    "tflite": _Format(_write_tflite),
    "onnx": _Format(_write_onnx),
    "ort": _Format(_write_ort),
    "c": _Format(_write_micro, micro.MicroEngine, micro.array_bytes),
    "xml": _Format(
        _write_openvino,
        openvino.OpenVINOEngine,
        lambda path: _file_bytes(path) + _file_bytes(path.with_suffix(".bin")),
    ),
}
