"""Transfer: a trained body, frozen at first, under a new head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hcr_edge.architectures import application_body, body_of, transfer
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.datasets import load_dataset
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe, load_recipe
from hcr_edge.run_folder import EpochRow
from hcr_edge.train import train
from hcr_export._keras import keras
from hcr_export.keras_file import load_keras
from hcr_runtime import ModelError

SOURCE = "arabic-letters"


def _weights(path: Path) -> dict[str, list[np.ndarray]]:
    model = load_keras(path).model
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _recipe(**changes: object) -> Recipe:
    fields = {"dataset": "hoda", "limit": 640, "source": SOURCE, **changes}
    return load_recipe("transfer", **fields)


class _Stop:
    """Interrupts training after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def step(self, *_: object) -> None:
        """Nothing is to be said of steps."""

    def epoch(self, row: EpochRow, best: bool) -> None:
        """Stop after the last."""
        if row.epoch == self.last:
            raise KeyboardInterrupt


def _moved(weights: dict[str, list[np.ndarray]], before: dict[str, list[np.ndarray]]) -> bool:
    pairs = ((w, b) for name in before for w, b in zip(weights[name], before[name], strict=True))
    return any((weight != was).any() for weight, was in pairs)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Hoda's first digits: all 20,000 of its test part cost more than the training here."""
    whole = load_dataset
    monkeypatch.setattr(
        "hcr_edge.protocol.load_dataset", lambda *a, **k: whole(*a, **k).limit(2000, seed=1)
    )


def test_the_body_is_frozen_then_tuned(few: None, data_dir: Path, tmp_path: Path) -> None:
    """Arabic letters lend their strokes to Persian digits; interruptions change nothing."""
    lender = _weights(find_checkpoint(SOURCE))
    head = {"new_head"}
    recipe = _recipe(epochs=3, frozen_epochs=1)
    whole = tmp_path / "whole"
    result = train(recipe, whole, data_dir=data_dir)
    assert result["epochs"] == 3
    rates = np.genfromtxt(whole / "history.csv", delimiter=",", names=True)["learning_rate"]
    assert rates[1:] == pytest.approx([0.1 * rates[0]] * 2, rel=1e-5)

    cut = tmp_path / "cut"
    for epoch in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, cut, data_dir=data_dir, resume=True, watcher=_Stop(epoch))
        last = keras.saving.load_model(cut / f"epoch-{epoch:04d}" / "last.keras", compile=False)
        weights = {layer.name: layer.get_weights() for layer in last.layers if layer.weights}
        body = {name: weights[name] for name in lender.keys() & weights.keys()}
        assert weights.keys() - body.keys() == head
        assert _moved(body, {name: lender[name] for name in body}) == (epoch > 1)
    assert train(recipe, cut, data_dir=data_dir, resume=True) == result
    assert (cut / "history.csv").read_text() == (whole / "history.csv").read_text()
    assert not _moved(_weights(cut / "model.keras"), _weights(whole / "model.keras"))


def test_tensors_are_made_as_the_lender_was_shown_them(
    few: None, data_dir: Path, tmp_path: Path
) -> None:
    """A body that was trained with an older preprocessing knows nothing of the newest."""
    source = "russian-letters"
    lender = load_keras(find_checkpoint(source)).spec
    assert lender.preprocess.version == 1
    train(_recipe(source=source, epochs=2, frozen_epochs=1), tmp_path / "run", data_dir=data_dir)
    assert load_keras(tmp_path / "run" / "model.keras").spec.preprocess == lender.preprocess


def test_patience_begins_anew_when_all_is_tuned(few: None, data_dir: Path, tmp_path: Path) -> None:
    """A head that learns nothing more is no reason not to tune the body."""
    recipe = _recipe(
        epochs=4, frozen_epochs=2, stop_patience=1, plateau_patience=1, learning_rate=1e-12
    )
    result = train(recipe, tmp_path / "run", data_dir=data_dir)
    assert result["epochs"] >= 3


def test_a_transferred_network_lends_its_body_again() -> None:
    lender = load_keras(find_checkpoint(SOURCE)).model
    again = transfer(body_of(transfer(body_of(lender), 7)), 4)
    assert again.output_shape == (None, 4)
    kinds = [type(layer).__name__ for layer in again.layers]
    assert kinds.count("Dropout") == 1


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


def test_a_source_of_other_tensors_or_none_leaves_no_folder(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        train(_recipe(source="no-such-model"), tmp_path / "run", data_dir=data_dir)
    assert not (tmp_path / "run").exists()


def test_transfer_needs_a_source_and_others_take_none() -> None:
    with pytest.raises(RecipeError, match="source is None"):
        Recipe("m", "transfer")
    with pytest.raises(RecipeError, match="source is 'arabic-letters'"):
        Recipe("m", "edge-s", source="arabic-letters")
