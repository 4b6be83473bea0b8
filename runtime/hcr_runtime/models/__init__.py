"""The models that ship inside the package, and how a name or a path finds its file."""

from __future__ import annotations

import os
from pathlib import Path

from hcr_runtime.arguments import received
from hcr_runtime.errors import ModelError, nearest
from hcr_runtime.integrity import MANIFEST

_FOLDER = Path(__file__).parent


def shipped_models() -> dict[str, Path]:
    """Name and file (``.onnx``) of each model inside the package, by name.

    >>> "arabic-letters" in shipped_models()
    True
    """
    return {path.stem: path for path in sorted(_FOLDER.glob("*.onnx"))}


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model's name, of a path to a model file, or a bundle's folder.

    Raises:
        ModelError: It is neither; the message names the nearest known models.
    """
    shipped = shipped_models()
    try:
        path = Path(model)
    except TypeError as error:
        raise ModelError(
            f"a model cannot be of type {type(model).__name__}", allowed="a name or a path"
        ) from error
    if str(path) in shipped:
        return shipped[str(path)]
    try:
        is_file, exists, is_bundle = path.is_file(), path.exists(), (path / MANIFEST).is_file()
    except (OSError, ValueError):  # a name too long for the file system, or with a zero byte
        is_file = exists = is_bundle = False
    if is_bundle:
        return path
    if path.suffix in (".onnx", ".ort", ".tflite"):
        if is_file:
            return path
        raise ModelError(
            f"there is no model file {received(str(path))}", allowed=nearest(path.stem, shipped)
        )
    if exists:
        trained = path.suffix == ".keras" or (path / "model.keras").is_file()
        raise ModelError(
            f"{path} is no model file",
            allowed=".onnx, .ort, .tflite, a bundle, or a shipped name",
            hint=f"'hcr-edge export {path}' makes a bundle of it" if trained else "",
        )
    raise ModelError(
        f"there is no model {received(str(model))}", allowed=nearest(str(model), shipped)
    )
