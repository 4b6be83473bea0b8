"""One class for each inference engine; `open_engine` picks one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_choice, check_whole
from hcr_runtime.border import dequantize, in_batches, quantize, to_border
from hcr_runtime.carrier import metadata_spec, onnx_spec, read_model, zip_spec
from hcr_runtime.errors import EngineError, ModelError, SpecError
from hcr_runtime.spec import ModelSpec

Tensor = NDArray[np.float32]


class Engine(Protocol):
    """A loaded model: its spec, and `run` from input tensors to raw outputs.

    Threads may share it, and get the same numbers as one.
    """

    name: str
    spec: ModelSpec

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        ...


class OnnxRuntimeEngine:
    """Runs ``.onnx`` and ``.ort`` files with onnxruntime on the CPU.

    Args:
        path: The model file.
        threads: Threads for one inference. With more than one onnxruntime keeps a pool, which a
            forked process does not inherit: `run` then raises `EngineError` in it.
        data: The file's bytes, where they were read before.

    Raises:
        ModelError: The file is missing, cut short or no ONNX.
        SpecError: It has no description inside.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1, data: bytes | None = None) -> None:
        import onnxruntime as ort

        model = read_model(path) if data is None else data
        if path.suffix == ".onnx":
            self.spec = onnx_spec(model, path.name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            # Its fallback would print, and try the same again.
            self.session = ort.InferenceSession(
                model, options, ["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:
            raise ModelError(
                f"{path.name} is cut short, or no ONNX model ({_first_line(error)})"
            ) from error
        if path.suffix == ".ort":
            self.spec = metadata_spec(self.session.get_modelmeta().custom_metadata_map, path.name)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        _check_border(
            path,
            self.spec,
            [(entry.type, entry.shape) for entry in inputs],
            outputs[0].shape,
            ("tensor(float)" if self.spec.input.dtype == "float32" else "tensor(uint8)",),
        )
        self._input = inputs[0].name
        self._outputs = [outputs[0].name]
        size = inputs[0].shape[0]
        self._batch = size if isinstance(size, int) else None
        self._pool_of = os.getpid() if threads > 1 else 0

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes).

        Raises:
            EngineError: The engine has several threads, and the process was forked after loading.
        """
        if self._pool_of and self._pool_of != os.getpid():
            raise EngineError(
                "this process was forked after the model was loaded with several threads",
                hint="load it in the new process, or with threads=1",
            )
        tensor = to_border(batch, self.spec)
        if self._batch is None:
            return self._infer(tensor)
        return in_batches(self._infer, tensor, self._batch)

    def _infer(self, tensor: NDArray[Any]) -> Tensor:
        try:
            output: Tensor = self.session.run(self._outputs, {self._input: tensor})[0]
        except Exception as error:
            raise EngineError(f"onnxruntime cannot run the model ({_first_line(error)})") from error
        return output


class LiteRTEngine:
    """Runs ``.tflite`` files with LiteRT (the extra ``hcr-edge-runtime[litert]``).

    Quantized inputs and outputs are converted from and to float32 here. An interpreter holds one
    image at a time, so that each thread gets its own.

    Args:
        path: The model file.
        threads: Threads for one inference.
        data: The file's bytes, where they were read before.

    Raises:
        EngineError: LiteRT is not installed.
        ModelError: The file is missing, cut short or no TFLite model.
        SpecError: It has no description inside.
    """

    name = "litert"

    def __init__(self, path: Path, threads: int = 1, data: bytes | None = None) -> None:
        self._model = read_model(path) if data is None else data
        self.spec = zip_spec(self._model, path.name)
        self._file, self._threads = path.name, threads
        self._local = threading.local()
        interpreter = self._interpreter()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        _check_border(
            path,
            self.spec,
            [(np.dtype(entry["dtype"]).name, entry["shape"].tolist()) for entry in inputs],
            outputs[0]["shape"].tolist(),
            ("uint8",)
            if self.spec.input.dtype == "uint8"
            else ("float32", "int8", "uint8", "int16"),
        )
        self._input: dict[str, Any] = inputs[0]
        self._output: dict[str, Any] = outputs[0]

    def _interpreter(self) -> Any:
        """This thread's interpreter."""
        known = getattr(self._local, "interpreter", None)
        if known is not None:
            return known
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise EngineError(
                "running a .tflite file needs LiteRT",
                hint="install 'hcr-edge-runtime[litert]', or use the .onnx file",
            ) from error
        try:
            made = Interpreter(model_content=self._model, num_threads=self._threads)
            made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self._file} is cut short, or no TFLite model ({_first_line(error)})"
            ) from error
        self._local.interpreter = made
        return made

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes).

        Raises:
            EngineError: LiteRT cannot run the model.
        """
        interpreter = self._interpreter()
        rows = []
        given, gives = self._input, self._output
        for image in to_border(batch, self.spec):
            tensor = quantize(image[None], given["dtype"], *given["quantization"])
            try:
                interpreter.set_tensor(given["index"], tensor)
                interpreter.invoke()
                rows.append(interpreter.get_tensor(gives["index"]))
            except (ValueError, RuntimeError) as error:
                raise EngineError(
                    f"LiteRT cannot run {self._file} ({_first_line(error)})"
                ) from error
        return dequantize(np.concatenate(rows), *gives["quantization"])


class OpenCVEngine:
    """Runs float32 ``.onnx`` files with OpenCV's DNN module, for devices without onnxruntime's.

    A network holds one batch at a time, so that each thread gets its own. Threads for one inference
    are OpenCV's own (`cv2.setNumThreads`), for the whole process.

    Args:
        path: The model file.
        threads: Must be 1.
        data: The file's bytes, where they were read before.

    Raises:
        EngineError: The model is quantized: OpenCV 5 refuses QDQ, OpenCV 4 reads it wrongly.
        ModelError: The file is missing, cut short or no ONNX.
        SpecError: It has no description inside.
    """

    name = "opencv"

    def __init__(self, path: Path, threads: int = 1, data: bytes | None = None) -> None:
        if threads != 1:
            raise EngineError(
                f"threads is {threads}", allowed="1 for opencv", hint="see cv2.setNumThreads"
            )
        self._model = read_model(path) if data is None else data
        self.spec = onnx_spec(self._model, path.name)
        if "int8" in self.spec.provenance.quantization:
            raise EngineError(
                f"OpenCV cannot run {path.name} ({self.spec.provenance.quantization})",
                allowed="float32 .onnx files",
                hint="use the engine onnxruntime",
            )
        self._file = path.name
        self._local = threading.local()
        shape = self.spec.input
        try:
            answer = self.run(np.zeros((1, shape.height, shape.width, shape.channels), np.float32))
        except EngineError as error:
            raise ModelError(str(error)) from error
        if answer.shape != (1, len(self.spec.labels)):
            raise SpecError(f"{path.name} gives {answer.shape}, its description says otherwise")

    def run(self, batch: Tensor) -> Tensor:
        """Map float32 (N, height, width, channels) to float32 (N, classes).

        Raises:
            EngineError: OpenCV cannot run the model.
        """
        try:
            net = getattr(self._local, "net", None)
            if net is None:
                model = np.frombuffer(self._model, np.uint8)
                net = self._local.net = cv2.dnn.readNetFromONNX(model)
            rows = []
            for image in to_border(batch, self.spec):
                net.setInput(np.ascontiguousarray(image[None]))
                rows.append(net.forward())
            # A copy: the network writes its next answer into the same memory.
            return np.concatenate(rows).astype(np.float32)
        except cv2.error as error:
            raise EngineError(
                f"OpenCV cannot run {self._file} ({_first_line(error)})",
                hint="use the engine onnxruntime",
            ) from error


_ENGINES: dict[str, tuple[tuple[str, ...], Callable[[Path, int, bytes | None], Engine]]] = {
    "onnxruntime": ((".onnx", ".ort"), OnnxRuntimeEngine),
    "litert": ((".tflite",), LiteRTEngine),
    "opencv": ((".onnx",), OpenCVEngine),
}
MOST_THREADS = 1024
# Of the files that `open_engine` loads.
SUFFIXES = (".onnx", ".ort", ".tflite")


def open_engine(
    path: Path, threads: int = 1, engine: str | None = None, data: bytes | None = None
) -> Engine:
    """Load a model file.

    Args:
        path: The file.
        threads: Threads for one inference.
        engine: ``onnxruntime``, ``litert`` or ``opencv``; by default the first that runs files of
            this suffix.
        data: The file's bytes, where they were read before.

    Raises:
        ModelError: The suffix is unknown, or the file missing or damaged.
        SpecError: The file has no valid description inside.
        EngineError: The engine is not installed, or does not run such files.
    """
    check_engine(engine)
    threads = check_whole("threads", threads, MOST_THREADS, EngineError)
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path.name} has the suffix {path.suffix!r}", allowed=", ".join(SUFFIXES))
    runs = [name for name, (suffixes, _) in _ENGINES.items() if path.suffix in suffixes]
    chosen = runs[0] if engine is None else engine
    if chosen not in runs:
        raise EngineError(f"{chosen} does not run {path.name}", allowed=", ".join(runs))
    if data is None and not path.is_file():
        raise ModelError(f"there is no model file {path}")
    return _ENGINES[chosen][1](path, threads, data)


def check_engine(engine: str | None) -> None:
    """Raise `EngineError` unless `engine` is None or the name of an engine."""
    if engine is not None:
        check_choice("engine", engine, _ENGINES, EngineError)


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
