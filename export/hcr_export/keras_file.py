"""Keras model files that carry their `ModelSpec`: reading, writing, running.

A ``.keras`` file is a ZIP archive; the description is one more entry in it, which Keras ignores.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The layers of foreign models have to be known before a file that holds one is read.
from hcr_export import keras_legacy, saved_model  # noqa: F401
from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.model_files import check_code
from hcr_runtime import ModelError, ModelSpec, SpecError, probabilities
from hcr_runtime.carrier import SPEC_ENTRY, read_zip_spec


@dataclass(frozen=True)
class KerasFile:
    """A loaded Keras classifier.

    Attributes:
        path: The file.
        model: The Keras model.
        spec: Its description.
        sha256: Checksum of the file.
    """

    path: Path
    model: Any
    spec: ModelSpec
    sha256: str

    def scores(self, tensors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map input tensors (N, height, width, channels) to calibrated probabilities (N, classes).

        A blank tensor is answered like any other.
        """
        output = self.model.predict(tensors, batch_size=256, verbose=0)
        return probabilities(np.asarray(output, np.float32), self.spec)


def load_keras(path: Path, allow_unsafe: bool = False) -> KerasFile:
    """Load a ``.keras`` file with its description.

    Args:
        path: The file.
        allow_unsafe: Execute code that it carries (Lambda layers, graphs that do more than
            compute).

    Raises:
        ModelError: The file is missing, damaged, or needs code that is not there.
        SpecError: It has no valid description, or not the outputs that this names.
    """
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    spec = read_zip_spec(path)
    try:
        with zipfile.ZipFile(path) as archive:
            check_code(path, json.loads(archive.read("config.json")), allow_unsafe)
        with quiet(), saved_model.trusting_graphs(allow_unsafe):
            model = keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else repr(error)
        raise ModelError(f"{path.name} is damaged, or no Keras model ({reason})") from error
    wanted = (
        (spec.input.height, spec.input.width, spec.input.channels),
        len(spec.labels),
    )
    shapes = (tuple(model.input_shape[1:]), model.output_shape[-1])
    if shapes != wanted:
        raise SpecError(f"{path.name} maps {shapes[0]} to {shapes[1]} classes", allowed=str(wanted))
    return KerasFile(path, model, spec, file_sha256(path))


def flat_layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it, in order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)
        else:
            yield layer


def save_keras(model: Any, spec: ModelSpec, path: Path) -> None:
    """Write a model with its description, atomically."""
    partial = path.with_name(f".{path.stem}.partial.keras")
    try:
        model.save(partial)
        append_spec(partial, spec)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def append_spec(path: Path, spec: ModelSpec) -> None:
    """Add the description to a ``.keras`` file, or to the end of a ``.tflite`` file."""
    entry = zipfile.ZipInfo(SPEC_ENTRY, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, spec.to_json())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
