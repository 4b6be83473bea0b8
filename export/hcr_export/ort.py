"""ONNX to onnxruntime's own format, for builds that hold this model's operators alone."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime

from hcr_export._quiet import quiet
from hcr_export.onnx import with_spec
from hcr_runtime import ModelSpec

# The first that reads version 6 of the format; 1.21.0 dies with SIGILL on a Raspberry Pi 4.
MIN_ENGINE = "onnxruntime>=1.16,!=1.21.0"


def write(model: onnx.ModelProto, spec: ModelSpec, path: Path, operators: Path) -> None:
    """Write a model, optimized, and the list of its operators.

    Only optimizations for every processor: those for wide vectors (NCHWc) would tie the file to
    x86-64, so that it may be slower there than its ONNX source.

    Args:
        model: Any ONNX model that onnxruntime runs.
        spec: Its description.
        path: The ``.ort`` file.
        operators: The configuration for onnxruntime's build script
            (``--include_ops_by_config``).
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name, quiet():
        onnxruntime.InferenceSession(
            with_spec(model, spec).SerializeToString(),
            options,
            ["CPUExecutionProvider"],
            disabled_optimizers=["NchwcTransformer"],
        )
        config = Path(name, "operators.config")
        create_config_from_models = _config_writer()
        create_config_from_models([path], config, enable_type_reduction=False)
        lines = config.read_text(encoding="utf-8").splitlines()
    # Its comments name this machine's folders.
    kept = [line for line in lines if not line.startswith("#")]
    operators.write_text(
        f"# The operators of {path.name}, for build.py --include_ops_by_config\n"
        + "".join(f"{line}\n" for line in kept),
        encoding="utf-8",
    )


def _config_writer() -> Callable[..., None]:
    """Import onnxruntime's tool, which on import takes over the program's logging."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    from onnxruntime.tools.ort_format_model import create_config_from_models

    root.handlers[:] = handlers
    logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
    return create_config_from_models
