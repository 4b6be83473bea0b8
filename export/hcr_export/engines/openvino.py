"""OpenVINO on the CPU: its own format, and ONNX and TFLite files without conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from hcr_export.engines.worker import Run, Tensor, read_spec
from hcr_runtime import EngineError
from hcr_runtime.border import to_border

VERSION = str(openvino.__version__).partition("-")[0]


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes).

    Raises:
        EngineError: The model takes quantized numbers, whose scale OpenVINO does not tell.
    """
    if path.suffix == ".xml":
        from hcr_export.openvino import OpenVINOEngine

        return OpenVINOEngine(path, threads).run
    spec = read_spec(path)
    core = openvino.Core()
    model = core.read_model(path)
    taken = model.inputs[0].get_element_type().get_type_name()
    if path.suffix == ".tflite" and taken != "f32":
        raise EngineError(f"it does not tell the scale of an input of {taken}")
    # Without the hint it may compute in bfloat16 where the processor has it.
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(batch: Tensor) -> Tensor:
        given = np.ascontiguousarray(to_border(batch, spec))
        return np.array(request.infer([given])[0], np.float32)

    return run
