"""ONNX to OpenVINO's intermediate representation (the extra ``hcr-edge-export[openvino]``)."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export.onnx_order import put_in_order
from hcr_runtime import EngineError, ModelSpec
from hcr_runtime.border import in_batches, to_border

MIN_ENGINE = "openvino>=2024.6"
# Where the description lies in the file's runtime information.
_RT_INFO = ["hcr_edge", "model_spec"]
# Operations whose names are those of the model's border.
_NAMED = ("Parameter", "Result")


def write(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write the graph (``.xml``) with its description inside, and its weights (``.bin``)."""
    openvino = _openvino()
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        source = Path(name, "model.onnx")
        onnx.save(put_in_order(copy.deepcopy(model)), source)
        converted = openvino.convert_model(source)
        # Its own names count what this process converted before: the bytes would differ.
        inner = (op for op in converted.get_ordered_ops() if op.get_type_name() not in _NAMED)
        for number, operation in enumerate(inner):
            operation.set_friendly_name(f"{operation.get_type_name()}_{number}")
        converted.set_rt_info(spec.to_json(), _RT_INFO)
        openvino.save_model(converted, path, compress_to_fp16=False)


class OpenVINOEngine:
    """Runs ``.xml`` files with OpenVINO on the CPU."""

    name = "openvino"

    def __init__(self, path: Path, threads: int = 1) -> None:
        openvino = _openvino()
        core = openvino.Core()
        model = core.read_model(path)
        self.spec = ModelSpec.from_json(model.get_rt_info(_RT_INFO).astype(str))
        batch = model.inputs[0].get_partial_shape()[0]
        self._batch = batch.get_length() if batch.is_static else None
        # Without the hint it may compute in bfloat16 where the processor has it.
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = core.compile_model(model, "CPU", options).create_infer_request()

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        tensor = to_border(batch, self.spec)
        return in_batches(self._infer, tensor, self._batch or len(tensor))

    def _infer(self, tensor: NDArray[Any]) -> NDArray[np.float32]:
        return np.array(self._request.infer([np.ascontiguousarray(tensor)])[0], np.float32)


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            "an .xml artifact needs OpenVINO", hint="pip install 'hcr-edge-export[openvino]'"
        ) from error
    return openvino
