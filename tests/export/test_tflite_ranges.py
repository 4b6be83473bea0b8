"""Activations' ranges without their outermost values."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.checkpoints import find_checkpoint
from hcr_export import tflite, tflite_ranges
from hcr_export.artifacts import choose
from hcr_export.conversion import Conversion
from hcr_export.keras_file import load_keras, save_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.plan import plan
from hcr_export.quantization import QuantizationRecipe
from hcr_export.tflite_file import TFLiteFile
from hcr_runtime import ModelSpec, preprocess

NEAREST = QuantizationRecipe(compensate=False)


@pytest.fixture(scope="module")
def letters(drawn: LabelledImages, spec: ModelSpec) -> NDArray[np.float32]:
    return np.stack([preprocess(image, spec) for image in drawn.images])


def _int8(path: Path, letters: NDArray[np.float32], recipe: QuantizationRecipe) -> TFLiteFile:
    (planned,) = plan(choose(["int8.tflite"]), None, recipe).artifacts
    return TFLiteFile(Conversion(load_keras(path), letters).flatbuffer(planned))


def _range_of_first(file: TFLiteFile) -> tuple[float, float]:
    """The range of what the first layer gives: the second one's input."""
    return file.range(file.layers[1].source)


@pytest.fixture(scope="module")
def loud(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, NDArray[np.float32]]:
    """A network, and letters of which one has a pixel 40 times as bright as ink."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    first = layers.Conv2D(4, 1, kernel_initializer="ones")
    rest = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(28)]
    path = tmp_path_factory.mktemp("loud") / "loud.keras"
    save_keras(keras.Sequential([keras.Input((32, 32, 1)), first, *rest]), spec, path)
    images = np.concatenate([letters, letters])
    images[3, 5, 5] = 40.0
    return path, images


def test_one_loud_value_does_not_stretch_a_range(loud: tuple[Path, NDArray[np.float32]]) -> None:
    """Of 688,128 values six are cut off on each side; four of them are loud."""
    low, high = _range_of_first(_int8(*loud, NEAREST))
    assert low == pytest.approx(0, abs=0.01)
    assert high == pytest.approx(1, abs=0.02)


def test_a_small_network_keeps_its_extremes(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    layers = keras.layers
    dense = [layers.Flatten(), layers.Dense(8), layers.Dense(28)]
    model = keras.Sequential([keras.Input((32, 32, 1)), *dense])
    save_keras(model, spec, tmp_path / "small.keras")
    values = np.asarray(model.layers[1](letters.reshape(len(letters), -1)))
    found = _range_of_first(_int8(tmp_path / "small.keras", letters, NEAREST))
    assert found == pytest.approx((values.min(), values.max()), abs=0.02)


def test_answers_are_nearer(
    loud: tuple[Path, NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, images = loud
    letters = images[84:]
    exact, off = np.asarray(load_keras(path).model(letters)), []
    for narrow in (tflite_ranges.clip_ranges, lambda calibrated, _: calibrated):
        monkeypatch.setattr(tflite, "clip_ranges", narrow)
        answers = np.concatenate([*_int8(path, images, NEAREST).answers(letters)])
        off.append(np.abs(answers - exact).mean())
    assert off[0] < 0.8 * off[1]


def test_too_few_images_or_too_large_a_network_change_nothing(
    letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated = []

    def noted(file: bytes, images: NDArray[np.float32]) -> bytes:
        calibrated.append((file, tflite_ranges.clip_ranges(file, images)))
        return calibrated[-1][1]

    monkeypatch.setattr(tflite, "clip_ranges", noted)
    path = find_checkpoint("arabic-letters-nano")
    _int8(path, letters, NEAREST)
    _int8(path, letters[:15], NEAREST)
    monkeypatch.setattr(tflite_ranges, "MAX_VALUES", 100_000)
    _int8(path, letters, NEAREST)
    assert [before == after for before, after in calibrated] == [False, True, True]
