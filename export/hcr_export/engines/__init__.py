"""The engines that may run an artifact: one file each, measured each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hcr_runtime
from hcr_runtime import EngineError, ModelError
from hcr_runtime.border import to_border
from hcr_runtime.engines import open_engine
from hcr_runtime.errors import nearest

ARM64_ROOT = "HCR_EDGE_ARM64_ROOT"
_HERE = Path(__file__).parent
# Not from the folder of whoever called: a keras.py there is not Keras.
_WORKER = ("-P", "-m", "hcr_export.engines.worker")
_HERE_COMMAND = (sys.executable, *_WORKER)


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine on one processor architecture.

    Attributes:
        name: E.g. ``onnxruntime-arm64``.
        module: Its module in this package; empty for a worker in another language.
        suffixes: Of the files that it reads.
        command: What starts its worker, to which the task's file is added.
        missing: Why it cannot run here; empty when it can.
        emulated: Whether its processor is, so that its times mean nothing.
        chunk: Images in a call when all are answered; a device has one at a time.
    """

    name: str
    module: str
    suffixes: frozenset[str]
    command: tuple[str, ...]
    missing: str = ""
    emulated: bool = False
    chunk: int = 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a worker measured.

    Attributes:
        version: Of the engine.
        outputs: float32 (N, classes), raw.
        load_ms: Milliseconds from the file to a model that can run.
        memory_bytes: By which NumPy and OpenCV alone grew, to the peak; None where the system
            does not tell.
        durations_us: For each batch size the microseconds of each timed call.
    """

    version: str
    outputs: NDArray[np.float32]
    load_ms: float
    memory_bytes: int | None
    durations_us: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)


def keras_engine(allow_unsafe: bool = False) -> Engine:
    """Return Keras, with which every other engine is compared.

    Args:
        allow_unsafe: Execute code that a model carries.
    """
    module, missing = "keras_unsafe" if allow_unsafe else "keras", _not_installed("keras")
    return Engine("keras", module, frozenset({".keras"}), _HERE_COMMAND, missing, chunk=256)


def engines(arm64_root: Path | None = None) -> tuple[Engine, ...]:
    """List the engines of artifacts, those that cannot run here too.

    Args:
        arm64_root: What ``tools/arm64_root.sh`` made; by default the variable
            HCR_EDGE_ARM64_ROOT names it.
    """
    node, web_missing = _node()
    arm64, arm64_missing = _arm64(arm64_root)
    onnx, tflite = frozenset({".onnx", ".ort"}), frozenset({".tflite"})
    return (
        Engine("litert", "litert", tflite, _HERE_COMMAND, _not_installed("ai_edge_litert")),
        Engine("onnxruntime", "onnxruntime", onnx, _HERE_COMMAND, _not_installed("onnxruntime")),
        Engine(
            "openvino",
            "openvino",
            frozenset({".onnx", ".tflite", ".xml"}),
            _HERE_COMMAND,
            _not_installed("openvino"),
        ),
        Engine("opencv", "opencv", frozenset({".onnx", ".tflite"}), _HERE_COMMAND),
        Engine("onnxruntime-web", "", onnx, (node, str(_HERE / "worker.js")), web_missing),
        Engine("tflite-micro", "tflite_micro", frozenset({".c"}), _HERE_COMMAND),
        Engine("litert-arm64", "litert", tflite, arm64, arm64_missing, emulated=True),
        Engine("onnxruntime-arm64", "onnxruntime", onnx, arm64, arm64_missing, emulated=True),
    )


def choose_engines(names: list[str], arm64_root: Path | None = None) -> tuple[Engine, ...]:
    """Return the engines called `names`, all when there are none.

    Raises:
        ModelError: A name is unknown.

    >>> [engine.name for engine in choose_engines(["litert"])]
    ['litert']
    """
    known = {engine.name: engine for engine in engines(arm64_root)}
    for name in names:
        if name not in known:
            raise ModelError(f"there is no engine {name!r}", allowed=nearest(name, known))
    return tuple(engine for engine in known.values() if not names or engine.name in names)


def measure(
    engine: Engine,
    model: Path,
    tensors: NDArray[np.float32],
    *,
    timed: Mapping[int, int],
    threads: int = 1,
    batch: int | None = None,
    seconds: float = 3.0,
    limit: float = 600.0,
) -> Measurement:
    """Run a model file on an engine, in a process of its own.

    Args:
        engine: Where.
        model: The file.
        tensors: float32 (N, height, width, channels), as `preprocess` gives them; all are
            answered, in the form that the file takes.
        timed: For each batch size how many calls are timed.
        threads: For one inference.
        batch: Images that the file takes at a time; None for any number.
        seconds: At most so long are calls of one batch size timed.
        limit: Seconds after which the worker is stopped.

    Raises:
        EngineError: It does not run; the message is the engine's own words.
    """
    if engine.missing:
        raise EngineError(engine.missing)
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name:
        folder = Path(name)
        given = tensors if engine.module else _as_taken(tensors, model)
        given.astype(given.dtype.newbyteorder("<")).tofile(folder / "tensors")
        task = {
            "engine": engine.module,
            "model": str(model.resolve()),
            "tensors": str(folder / "tensors"),
            "dtype": given.dtype.name,
            "shape": list(given.shape),
            "batch": batch,
            "outputs": str(folder / "outputs.f32"),
            "result": str(folder / "result.json"),
            "threads": threads,
            "chunk": engine.chunk,
            "timed": {str(size): calls for size, calls in timed.items()},
            "seconds": seconds,
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        result = _work(engine, folder, limit)
        outputs = np.fromfile(folder / "outputs.f32", "<f4")
    return Measurement(
        version=result["version"],
        outputs=outputs.astype(np.float32).reshape(len(tensors), result["classes"]),
        load_ms=float(result["load_ms"]),
        memory_bytes=result["memory_bytes"],
        durations_us={
            int(size): np.asarray(values, np.float64)
            for size, values in result["durations_us"].items()
        },
    )


def _as_taken(tensors: NDArray[np.float32], model: Path) -> NDArray[Any]:
    """Tensors for a worker that knows nothing of our descriptions."""
    return np.ascontiguousarray(to_border(tensors, open_engine(model, 1, "onnxruntime").spec))


def _work(engine: Engine, folder: Path, limit: float) -> dict[str, Any]:
    """Start the worker and read its result; `EngineError` with what it says otherwise."""
    try:
        done = subprocess.run(
            [*engine.command, str(folder / "task.json")],
            capture_output=True,
            check=False,
            timeout=limit,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"took longer than {limit:.0f} s") from error
    except OSError as error:
        raise EngineError(f"cannot be started: {error.strerror or error}") from error
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(
            f"{_ending(done.returncode)}: {said[-1] if said else 'no word'}"
        ) from error
    if "error" in result:
        raise EngineError(" ".join(str(result["error"]).split())[:300])
    return result


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:
        return f"died of signal {-code}"


def _not_installed(module: str) -> str:
    return "" if importlib.util.find_spec(module) else f"{module} is not installed"


def _node() -> tuple[str, str]:
    """Node's path, and why onnxruntime-web cannot run."""
    node = shutil.which("node")
    if node is None:
        return "node", "Node is not installed"
    places = [Path.cwd(), *map(Path, os.environ.get("NODE_PATH", "").split(os.pathsep))]
    found = any(
        (folder / "onnxruntime-web").is_dir() or (folder / "node_modules/onnxruntime-web").is_dir()
        for place in places
        for folder in (place, *place.parents)
    )
    return node, "" if found else "'npm install onnxruntime-web' was not run here"


def _arm64(root: Path | None) -> tuple[tuple[str, ...], str]:
    """What starts an arm64 worker under qemu, and why it cannot run."""
    place = root or Path(os.environ.get(ARM64_ROOT, "build/arm64"))
    root = place.resolve()
    qemu, python = root / "qemu-aarch64", root / "usr/bin/python3.11"
    if not (qemu.is_file() and python.is_file()):
        return (), f"no arm64 root in {place} ('make parity-arm64' makes one)"
    # Its own packages come first; of this machine only ours, which are pure Python.
    sources = [
        str(root / "packages"),
        str(_HERE.parents[1]),
        str(Path(hcr_runtime.__file__).parents[1]),
    ]
    variables = ("-E", "PYTHONHOME=/usr", "-E", f"PYTHONPATH={os.pathsep.join(sources)}")
    return (str(qemu), "-L", str(root), *variables, str(python), *_WORKER), ""
