"""Keras, for a model with code whose author is trusted; see `hcr_export.engines.keras`."""

from __future__ import annotations

from pathlib import Path

from hcr_export.engines.keras import VERSION, open_keras
from hcr_export.engines.worker import Run

__all__ = ["VERSION", "load"]


def load(path: Path, threads: int) -> Run:
    """Load a model file, and execute the code that it carries."""
    return open_keras(path, allow_unsafe=True)
