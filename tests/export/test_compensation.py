"""Rounding that makes up for itself: nearer to the float model, with the same scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from hcr_edge.checkpoints import find_checkpoint
from hcr_export import compensation
from hcr_export.conversion import Conversion
from hcr_export.keras_file import load_keras, save_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.onnx import run
from hcr_export.onnx_quantization import quantize
from hcr_export.plan import Border
from hcr_export.quantization import QuantizationRecipe
from hcr_runtime import ModelSpec, preprocess

NEAREST = QuantizationRecipe(compensate=False)


@pytest.fixture(scope="module")
def letters(drawn: LabelledImages, spec: ModelSpec) -> NDArray[np.float32]:
    return np.stack([preprocess(image, spec) for image in drawn.images])


@pytest.fixture(scope="module")
def calibration(letters_dir: Path, spec: ModelSpec) -> NDArray[np.float32]:
    """Other letters: six of each."""
    files = sorted((letters_dir / "calibration").rglob("*.png"))
    return np.stack([preprocess(file, spec) for file in files])


def _error(folded: onnx.ModelProto, quantized: onnx.ModelProto, tensors: NDArray[Any]) -> float:
    return float(np.abs(run(quantized, tensors) - run(folded, tensors)).mean())


def _folded(path: Path, calibration: NDArray[np.float32], border: Border) -> onnx.ModelProto:
    return Conversion(load_keras(path), calibration).folded(border)


@pytest.mark.parametrize("name", ["arabic-letters-nano", "arabic-letters"])
@pytest.mark.parametrize("settings", [{}, {"activations": "int8"}, {"granularity": "tensor"}])
def test_answers_are_nearer_to_those_of_float32(
    name: str,
    settings: dict[str, Any],
    calibration: NDArray[np.float32],
    letters: NDArray[np.float32],
) -> None:
    """On letters that did not calibrate."""
    folded = _folded(find_checkpoint(name), calibration, Border())
    made = [
        quantize(folded, QuantizationRecipe(**settings, compensate=compensate), calibration)
        for compensate in (False, True)
    ]
    nearest, compensated = (_error(folded, model, letters) for model in made)
    assert compensated < 0.9 * nearest
    steps = [
        [numpy_helper.to_array(item) for item in model.graph.initializer if item.data_type == 1]
        for model in made
    ]
    for before, after in zip(*steps, strict=True):
        np.testing.assert_array_equal(before, after, "a scale")


@pytest.mark.parametrize("border", [Border("uint8", "NHWC"), Border("float32", "NCHW", 1)])
def test_every_kind_of_layer(
    border: Border, spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    """Strides, padding, one filter for each channel, dilation, groups, dense: and a fixed batch."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Dense(12, activation="relu"),
            layers.Conv2D(12, 3, dilation_rate=2, padding="same", activation="relu"),
            layers.Conv2D(12, 3, groups=3, padding="same", activation="relu"),
            layers.SeparableConv2D(12, 3, padding="valid", activation="relu"),
            layers.Flatten(),
            layers.Dense(24, activation="relu"),
            layers.Dense(28),
        ]
    )
    path = tmp_path / "kinds.keras"
    save_keras(model, spec, path)
    tensors = letters if border.dtype == "float32" else np.round(letters * 255).astype(np.uint8)
    tensors = tensors.transpose(0, 3, 1, 2) if border.layout == "NCHW" else tensors
    folded = _folded(path, letters, border)
    made = [quantize(folded, recipe, tensors[::2]) for recipe in (NEAREST, QuantizationRecipe())]
    others = tensors[1::2]
    batches = [others] if border.batch is None else np.split(others[:20], 20)
    nearest, compensated = (
        np.mean([_error(folded, each, batch) for batch in batches]) for each in made
    )
    assert compensated < nearest


def test_same_bytes_each_time(letters: NDArray[np.float32]) -> None:
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    first, second = (quantize(folded, QuantizationRecipe(), letters) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()


@pytest.mark.parametrize("limit", ["MAX_LAYERS", "MAX_BYTES"])
def test_large_networks_are_rounded_to_the_nearest(
    limit: str, letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the manual says: the work grows with the square of the layers."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    monkeypatch.setattr(compensation, limit, 3)
    made = [quantize(folded, recipe, letters) for recipe in (NEAREST, QuantizationRecipe())]
    assert made[0].SerializeToString() == made[1].SerializeToString()


def test_wide_pictures_keep_their_weights(
    letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patches that would not fit into memory; biases make up for the weights still."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    monkeypatch.setattr(compensation, "MAX_PATCH_VALUES", 3)
    nearest, biases = (
        quantize(folded, recipe, letters[::2]) for recipe in (NEAREST, QuantizationRecipe())
    )
    weights = [
        [numpy_helper.to_array(item) for item in model.graph.initializer if len(item.dims) == 4]
        for model in (nearest, biases)
    ]
    for before, after in zip(*weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert _error(folded, biases, letters[1::2]) < _error(folded, nearest, letters[1::2])


def test_blank_calibration_images_do_no_harm(letters: NDArray[np.float32]) -> None:
    """Inputs that never vary tell nothing of how weights go together."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    model = quantize(folded, QuantizationRecipe(), np.zeros_like(letters[:8]))
    assert np.isfinite(run(model, letters[:8])).all()
