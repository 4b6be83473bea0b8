"""OpenVINO on the CPU: its own format, and ONNX and TFLite files without conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from hcr_export.engines.worker import Run, Tensor, read_spec
from hcr_export.flatbuffer import read_edges
from hcr_runtime.border import to_border

VERSION = str(openvino.__version__).partition("-")[0]


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes)."""
    if path.suffix == ".xml":
        from hcr_export.openvino import OpenVINOEngine

        return OpenVINOEngine(path, threads).run
    spec = read_spec(path)
    # Of a quantized input or output it does not tell the scale.
    edges = read_edges(path.read_bytes()) if path.suffix == ".tflite" else None
    core = openvino.Core()
    model = core.read_model(path)
    # Without the hint it may compute in bfloat16 where the processor has it.
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(batch: Tensor) -> Tensor:
        given = np.ascontiguousarray(to_border(batch, spec))
        if edges is None:
            return np.array(request.infer([given])[0], np.float32)
        return edges[1].dequantized(request.infer([edges[0].quantized(given)])[0])

    return run
