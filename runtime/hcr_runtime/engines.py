"""One class for each inference engine; `open_engine` picks it by the file's suffix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.border import dequantize, in_batches, quantize, to_border
from hcr_runtime.carrier import MAX_SPEC_BYTES, NO_SPEC_HINT, SPEC_KEY, read_zip_spec
from hcr_runtime.errors import EngineError, ModelError, SpecError
from hcr_runtime.spec import ModelSpec

Tensor = NDArray[np.float32]


class Engine(Protocol):
    """A loaded model: its spec, and `run` from input tensors to raw outputs."""

    name: str
    spec: ModelSpec

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        ...


class OnnxRuntimeEngine:
    """Runs ``.onnx`` and ``.ort`` files with onnxruntime on the CPU.

    Raises:
        ModelError: The file is missing, cut short or no ONNX.
        SpecError: It has no description inside.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            model = path.read_bytes()
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            self.session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(
                f"{path.name} is cut short, or no ONNX model ({_first_line(error)})"
            ) from error
        try:
            text = self.session.get_modelmeta().custom_metadata_map.get(SPEC_KEY)
        except UnicodeDecodeError as error:
            raise SpecError(f"{path.name}: the description inside is no text") from error
        if text is None:
            raise SpecError(f"{path.name} has no description inside", hint=NO_SPEC_HINT)
        if len(text) > MAX_SPEC_BYTES:
            raise SpecError(f"{path.name}: the description inside takes {len(text)} bytes")
        self.spec = ModelSpec.from_json(text)
        inputs, output = self.session.get_inputs(), self.session.get_outputs()[0]
        _check_border(
            path,
            self.spec,
            [(entry.type, entry.shape) for entry in inputs],
            output.shape,
            ("tensor(float)" if self.spec.input.dtype == "float32" else "tensor(uint8)",),
        )
        self._input = inputs[0].name
        self._outputs = [output.name]
        size = inputs[0].shape[0]
        self._batch = size if isinstance(size, int) else None

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        tensor = to_border(batch, self.spec)
        if self._batch is None:
            return self._infer(tensor)
        return in_batches(self._infer, tensor, self._batch)

    def _infer(self, tensor: NDArray[Any]) -> Tensor:
        output: Tensor = self.session.run(self._outputs, {self._input: tensor})[0]
        return output


class LiteRTEngine:
    """Runs ``.tflite`` files with LiteRT (the extra ``hcr-edge-runtime[litert]``).

    Quantized inputs and outputs are converted from and to float32 here. Threads that share it
    take turns: an interpreter holds one image at a time.

    Raises:
        EngineError: LiteRT is not installed.
        ModelError: The file is missing, cut short or no TFLite model.
        SpecError: It has no description inside.
    """

    name = "litert"

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.spec = read_zip_spec(path)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise EngineError(
                "running a .tflite file needs LiteRT",
                hint="install 'hcr-edge-runtime[litert]', or use the .onnx file",
            ) from error
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path.name} is cut short, or no TFLite model ({_first_line(error)})"
            ) from error
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        _check_border(
            path,
            self.spec,
            [(np.dtype(entry["dtype"]).name, entry["shape"].tolist()) for entry in inputs],
            outputs[0]["shape"].tolist(),
            ("uint8",)
            if self.spec.input.dtype == "uint8"
            else ("float32", "int8", "uint8", "int16"),
        )
        self._lock = threading.Lock()
        self._input: dict[str, Any] = inputs[0]
        self._output: dict[str, Any] = outputs[0]

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        rows = []
        for image in to_border(batch, self.spec):
            tensor = quantize(image[None], self._input["dtype"], *self._input["quantization"])
            with self._lock:
                self._interpreter.set_tensor(self._input["index"], tensor)
                self._interpreter.invoke()
                rows.append(self._interpreter.get_tensor(self._output["index"]))
        return dequantize(np.concatenate(rows), *self._output["quantization"])


_ENGINES: dict[str, Callable[[Path, int], Engine]] = {
    ".onnx": OnnxRuntimeEngine,
    ".ort": OnnxRuntimeEngine,
    ".tflite": LiteRTEngine,
}
# Of the files that `open_engine` loads.
SUFFIXES = tuple(sorted(_ENGINES))


def open_engine(path: Path, threads: int = 1) -> Engine:
    """Load a model file with the engine that its suffix names.

    Raises:
        ModelError: The suffix is unknown, or the file missing or damaged.
        SpecError: The file has no valid description inside.
        EngineError: The engine is not installed.
    """
    engine = _ENGINES.get(path.suffix)
    if engine is None:
        raise ModelError(f"{path.name} has the suffix {path.suffix!r}", allowed=", ".join(SUFFIXES))
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    return engine(path, threads)


def _check_border(
    path: Path,
    spec: ModelSpec,
    inputs: Sequence[tuple[str, Sequence[object]]],
    output: Sequence[object],
    types: Sequence[str],
) -> None:
    """Refuse a model whose input or output is not what its description says."""
    height, width, channels = spec.input.height, spec.input.width, spec.input.channels
    channels_first = spec.input.layout == "NCHW"
    wanted = [channels, height, width] if channels_first else [height, width, channels]
    if len(inputs) != 1 or inputs[0][0] not in types or list(inputs[0][1][1:]) != wanted:
        raise SpecError(
            f"{path.name} takes {inputs}", allowed=f"one input of {types[0]}, (N, {wanted})"
        )
    outputs = output[-1] if output else "no"
    if outputs != len(spec.labels):
        raise SpecError(f"{path.name} has {outputs} outputs, its description {len(spec.labels)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
