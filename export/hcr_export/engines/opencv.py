"""OpenCV's own DNN module.

The runtime's class for it refuses what OpenCV is known not to run; here OpenCV says so itself.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hcr_export.engines.worker import Run, Tensor, read_spec
from hcr_export.flatbuffer import read_edges
from hcr_runtime.border import to_border

VERSION = str(cv2.__version__)


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes)."""
    cv2.setNumThreads(threads)
    spec = read_spec(path)
    edges = read_edges(path.read_bytes()) if path.suffix == ".tflite" else None
    read = cv2.dnn.readNetFromONNX if edges is None else cv2.dnn.readNetFromTFLite
    net = read(str(path))

    def run(batch: Tensor) -> Tensor:
        given = np.ascontiguousarray(to_border(batch, spec))
        net.setInput(given if edges is None else edges[0].quantized(given))
        # A copy: the network writes its next answer into the same memory.
        rows = np.array(net.forward())
        return rows.astype(np.float32) if edges is None else edges[1].dequantized(rows)

    return run
