"""Transfer: a trained body, frozen at first, under a new head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hcr_edge.architectures import application_body, body_of, transfer
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe, load_recipe
from hcr_edge.train import train
from hcr_export.keras_file import load_keras

SOURCE = "arabic-letters"


def _weights(path: Path) -> dict[str, list[np.ndarray]]:
    model = load_keras(path).model
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _recipe(**changes: object) -> Recipe:
    fields = {"dataset": "hoda", "limit": 640, "epochs": 2, "source": SOURCE, **changes}
    return load_recipe("transfer", **fields)


def test_the_body_is_frozen_then_tuned(data_dir: Path, tmp_path: Path) -> None:
    """Arabic letters lend their strokes to Persian digits; an interruption changes nothing."""
    lender = _weights(find_checkpoint(SOURCE))
    frozen = tmp_path / "frozen"
    train(_recipe(epochs=1, frozen_epochs=1), frozen, data_dir=data_dir)
    kept = _weights(frozen / "model.keras")
    head = (set(kept) - set(lender)).pop()
    assert head == "new_head"
    for name, weights in kept.items():
        if name != head:
            for weight, before in zip(weights, lender[name], strict=True):
                np.testing.assert_array_equal(weight, before)

    tuned = tmp_path / "tuned"
    result = train(_recipe(frozen_epochs=1), tuned, data_dir=data_dir)
    assert result["epochs"] == 2
    rates = np.genfromtxt(tuned / "history.csv", delimiter=",", names=True)["learning_rate"]
    assert rates[1] == pytest.approx(0.1 * rates[0], rel=1e-5)
    assert result["test"]["accuracy"] > 0.3


def test_an_application_lends_its_body() -> None:
    model = transfer(application_body("mobilenet_v2", (32, 32, 1), weights=None), 5)
    assert model.output_shape == (None, 5)
    trainable = {id(variable) for variable in model.trainable_variables}
    assert trainable == {id(variable) for variable in model.layers[-1].variables}


def test_the_body_gives_what_its_classifier_reads() -> None:
    lender = load_keras(find_checkpoint(SOURCE)).model
    images = np.random.default_rng(0).random((4, 32, 32, 1), np.float32)
    features = np.asarray(body_of(lender)(images))
    weight, bias = lender.layers[-1].get_weights()
    np.testing.assert_allclose(features @ weight + bias, np.asarray(lender(images)), atol=1e-4)


@pytest.mark.parametrize(
    ("source", "says"),
    [("imagenet:lenet", "no application 'lenet'"), ("random:x", "no application 'x'")],
)
def test_unknown_application(source: str, says: str, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        train(_recipe(source=source), tmp_path / "run", data_dir=data_dir)
    assert "mobilenet_v2" in caught.value.allowed


def test_transfer_needs_a_source_and_others_take_none() -> None:
    with pytest.raises(RecipeError, match="source is None"):
        Recipe("m", "transfer")
    with pytest.raises(RecipeError, match="source is 'arabic-letters'"):
        Recipe("m", "edge-s", source="arabic-letters")
