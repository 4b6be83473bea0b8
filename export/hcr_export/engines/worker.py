"""Measures one model file on one engine, in a process of its own.

``python -m hcr_export.engines.worker TASK.json`` reads input tensors, runs them, writes the
outputs and what it measured. A process of its own gives each engine its own memory, survives an
engine that crashes, and may be a Python of another processor architecture. The files are so plain
that a worker in another language is a page long (``worker.js``).

The task, JSON: ``engine`` (a module of this package), ``model``, ``tensors``, ``dtype`` and
``shape`` (little-endian; number of images first: float32, height, width, channels, as `preprocess`
gives them; for a worker in another language in the type and layout that the file takes), ``batch``
(images that the file takes at a time, or null), ``outputs`` (to be written: float32, images x
classes), ``result`` (to be written, JSON), ``threads``, ``chunk`` (images in a call when all are
answered), ``timed`` (batch size: calls to time), ``seconds`` (at most so long for each batch size).

The result: ``version``, ``load_ms``, ``memory_bytes`` (by which the process grew from NumPy and
OpenCV alone to its peak, or null), ``classes``, ``durations_us`` (batch size: each call's
microseconds); or ``error`` alone.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# First of all: what preprocessing needs anyhow is not counted as an engine's memory.
from hcr_runtime import ModelSpec
from hcr_runtime.border import in_batches
from hcr_runtime.carrier import onnx_spec, read_model, zip_spec

Tensor = NDArray[np.float32]
Run = Callable[[Tensor], Tensor]

# Calls before the clock starts: engines plan, compile and fill caches in the first ones.
WARM_UP = 5


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Carry out a task; returns its result."""
    tensors = np.fromfile(task["tensors"], task["dtype"]).reshape(task["shape"])
    before = resident_bytes("VmRSS")
    engine = importlib.import_module(f"hcr_export.engines.{task['engine']}")
    start = time.perf_counter()
    loaded: Run = engine.load(Path(task["model"]), int(task["threads"]))
    fixed = task["batch"]
    run = partial(in_batches, loaded, size=int(fixed)) if fixed else loaded
    load_ms = 1000 * (time.perf_counter() - start)
    chunk = int(task["chunk"])
    outputs = np.concatenate(
        [run(tensors[first : first + chunk]) for first in range(0, len(tensors), chunk)]
    )
    outputs.astype("<f4").tofile(task["outputs"])
    durations = {
        size: clock(run, tensors, int(size), int(calls), float(task["seconds"]))
        for size, calls in task["timed"].items()
    }
    peak = resident_bytes("VmHWM")
    return {
        "version": engine.VERSION,
        "load_ms": load_ms,
        "memory_bytes": None if before is None or peak is None else peak - before,
        "classes": int(outputs.shape[1]),
        "durations_us": durations,
    }


def clock(run: Run, tensors: Tensor, size: int, calls: int, seconds: float) -> list[float]:
    """Time calls of `size` images, at most `calls` and about `seconds`; returns microseconds."""
    batches = [
        np.take(tensors, range(first, first + size), axis=0, mode="wrap")
        for first in range(0, len(tensors), size)[:calls]
    ]
    for call in range(WARM_UP):
        run(batches[call % len(batches)])
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < calls and time.perf_counter() < end:
        batch = batches[len(durations) % len(batches)]
        start = time.perf_counter_ns()
        run(batch)
        durations.append((time.perf_counter_ns() - start) / 1000)
    return durations


def read_spec(path: Path) -> ModelSpec:
    """Read the description inside an ``.onnx`` or ``.tflite`` file."""
    read = zip_spec if path.suffix == ".tflite" else onnx_spec
    return read(read_model(path), path.name)


def resident_bytes(field: str) -> int | None:
    """Memory of this process in RAM, now (``VmRSS``) or at its peak (``VmHWM``): proc(5).

    None where the system does not tell. `getrusage` would count the parent's memory too.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None


def main(task_file: Path) -> None:
    """Carry out the task in a file and write its result, or the engine's own words."""
    task = json.loads(task_file.read_text(encoding="utf-8"))
    try:
        result = measure(task)
    except Exception as error:  # noqa: BLE001 - engines raise whatever their native code does
        result = {"error": str(error) or type(error).__name__}
    Path(task["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
