"""TensorFlow Lite Micro's interpreter, or LiteRT's reference kernels, which give the same bits."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hcr_export.engines.worker import Run
from hcr_export.micro import MicroEngine

try:
    VERSION = version("tflite-micro")
except PackageNotFoundError:
    VERSION = f"reference kernels of LiteRT {version('ai-edge-litert')}"


def load(path: Path, threads: int) -> Run:
    """Load the array in a ``.c`` file; what comes back maps (N, H, W, C) to (N, classes)."""
    del threads  # a microcontroller has one
    return MicroEngine(path).run
