"""LiteRT, through the class that the device's runtime uses."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from ai_edge_litert import interpreter as interpreter

from hcr_export.engines.worker import Run
from hcr_runtime.engines import open_engine

VERSION = version("ai-edge-litert")


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes)."""
    return open_engine(path, threads, "litert").run
