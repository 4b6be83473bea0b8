"""Keras, as its user calls it: ``model.predict``. The reference of every other engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hcr_export._keras import keras
from hcr_export.engines.worker import Run, Tensor
from hcr_export.keras_file import load_keras

VERSION = str(keras.__version__)


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes).

    `threads` is left to the backend: one process cannot change it for one model.
    """
    return open_keras(path, allow_unsafe=False)


def open_keras(path: Path, allow_unsafe: bool) -> Run:
    """As `load`; executes the code that the file carries where its author is trusted."""
    model = load_keras(path, allow_unsafe).model

    def run(batch: Tensor) -> Tensor:
        return np.asarray(model.predict(batch, batch_size=256, verbose=0), np.float32)

    return run
