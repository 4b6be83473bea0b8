"""OpenCV's own DNN module.

The runtime's class for it refuses what OpenCV is known not to run; here OpenCV says so itself.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hcr_export.engines.worker import Run, Tensor, read_spec
from hcr_runtime.border import to_border

VERSION = str(cv2.__version__)


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes)."""
    cv2.setNumThreads(threads)
    spec = read_spec(path)
    read = cv2.dnn.readNetFromTFLite if path.suffix == ".tflite" else cv2.dnn.readNetFromONNX
    net = read(str(path))

    def run(batch: Tensor) -> Tensor:
        net.setInput(np.ascontiguousarray(to_border(batch, spec)))
        return np.array(net.forward(), np.float32)

    return run
