"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from hcr_export.engines.worker import Run, Tensor
from hcr_runtime import EngineError

VERSION = str(openvino.__version__).partition("-")[0]


def load(path: Path, threads: int) -> Run:
    """Load a model file; what comes back maps float32 (N, H, W, C) to (N, classes).

    Raises:
        EngineError: The model takes quantized numbers, whose scale OpenVINO does not tell.
    """
    core = openvino.Core()
    model = core.read_model(path)
    taken = model.inputs[0].get_element_type()
    if taken != openvino.Type.f32:
        raise EngineError(
            f"OpenVINO does not tell the scale of an input of {taken.get_type_name()}"
        )
    # Without the hint it may compute in bfloat16 where the processor has it.
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(batch: Tensor) -> Tensor:
        return np.array(request.infer([batch])[0], np.float32)

    return run
