"""Training that goes on several times from one network, and the mean of the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.architectures import ARCHITECTURES, Architecture, Shape
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe
from hcr_edge.train import train
from hcr_export._keras import keras
from hcr_export.keras_file import load_keras

TRUNK = Recipe("trunk", "tiny", epochs=1, batch_size=64, learning_rate=0.004, limit=192, seed=5)
BRANCHED = replace(TRUNK, branches=2, branch_epochs=2)


class Last:
    """A watcher during which the user presses Ctrl-C after the last epoch."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.told = epochs, list[int]()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        assert epoch == len(self.told) + 1

    def epoch(self, row: Any, best: bool) -> None:
        self.told.append(row.epoch)
        if row.epoch == self.epochs:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _quick(few_writers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def build(shape: Shape, classes: int) -> keras.Model:
        image = keras.Input(shape)
        x = keras.layers.Conv2D(8, 5, strides=4, use_bias=False)(image)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, keras.layers.Dense(classes)(x))

    monkeypatch.setitem(
        ARCHITECTURES, "tiny", Architecture("tiny", "logits", "for the tests", build)
    )
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)


def _weights(path: Path) -> list[NDArray[np.float32]]:
    return list(keras.saving.load_model(path).get_weights())


def test_the_mean_of_the_branches_is_kept(tmp_path: Path) -> None:
    watcher = Last(BRANCHED.all_epochs)
    with pytest.raises(KeyboardInterrupt):
        train(BRANCHED, tmp_path, watcher=watcher)
    assert watcher.told == [1, 2, 3, 4, 5]
    trunk = _weights(tmp_path / "best.keras")
    ends = [_weights(tmp_path / f"branch-{number}" / "best.keras") for number in (1, 2)]
    result = train(BRANCHED, tmp_path, resume=True)
    assert result["averaged_branches"] == 2
    kept = load_keras(tmp_path / "model.keras")
    for weight, first, one, other in zip(kept.model.get_weights(), trunk, *ends, strict=True):
        np.testing.assert_allclose(weight, (one + other) / 2, atol=1e-6)
        assert not np.allclose(one, other), "both branches saw the same"
        assert not np.allclose(weight, first)
    assert "mean of 2 branches of 2 epochs" in kept.spec.provenance.recipe


def test_branches_that_read_worse_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hcr_edge.branches.BRANCH_RATE", 2000)  # they leave the valley
    train(TRUNK, tmp_path / "trunk")
    result = train(BRANCHED, tmp_path / "branched")
    assert result["averaged_branches"] == 0
    models = [load_keras(tmp_path / name / "model.keras").model for name in ("trunk", "branched")]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_lent_body_has_no_branches() -> None:
    with pytest.raises(RecipeError, match="branches is 2 with a source"):
        Recipe("lent", "transfer", source="russian-letters", branches=2)
