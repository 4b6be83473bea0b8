"""onnxruntime, through the class that the device's runtime uses."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from hcr_export.engines.worker import Run
from hcr_runtime.engines import open_engine

VERSION = str(onnxruntime.__version__)


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes)."""
    return open_engine(path, threads, "onnxruntime").run
