"""Arithmetic and ``keras.ops`` between layers survive an ``.h5`` file of Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcr_export._keras import keras
from hcr_export.model_files import open_model_file


def _squeeze_and_excitation(tensor: Any) -> Any:
    """As in MobileNetV3: the gate is ``relu6(x + 3) * (1 / 6)``."""
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(tensor)
    gate = keras.layers.Conv2D(tensor.shape[-1], 1)(gate)
    gate = keras.layers.ReLU(6.0)(gate + 3.0) * (1.0 / 6.0)
    return keras.layers.Multiply()([tensor, gate])


def _functions(tensor: Any) -> Any:
    tensor = keras.ops.relu(3 - tensor / 2.0)
    tensor = keras.ops.concatenate([tensor, -tensor], axis=-1)
    tensor = keras.ops.clip(tensor[:, 1:-1, 1:-1, :] ** 2, 0, 6)
    return keras.layers.Add()([tensor, tensor]) + tensor


def _inner_model(tensor: Any) -> Any:
    given = keras.Input(tensor.shape[1:])
    inner = keras.Model(given, _squeeze_and_excitation(given) * 2.0)
    return inner(tensor)


@pytest.mark.parametrize("body", [_squeeze_and_excitation, _functions, _inner_model])
def test_operations_survive_an_h5_file(body: Any, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1))
    tensor = body(keras.layers.Conv2D(4, 3, activation="relu")(image))
    scores = keras.ops.softmax(keras.layers.Dense(3)(keras.ops.mean(tensor, axis=(1, 2))))
    model = keras.Model(image, scores)
    model.save(tmp_path / "model.h5")
    opened = open_model_file(tmp_path / "model.h5").model
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    np.testing.assert_array_equal(opened(images), model(images))
