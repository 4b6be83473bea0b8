"""An interrupted training goes on as if nothing had happened."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcr_edge.architectures import (
    ARCHITECTURES,
    Architecture,
    Shape,
)
from hcr_edge.augment import Augmentation
from hcr_edge.datasets import load_dataset
from hcr_edge.datasets.splits import make_split
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe
from hcr_edge.run_folder import RunFolder
from hcr_edge.train import train
from hcr_export._keras import keras
from hcr_export.keras_file import load_keras, save_keras

LIMIT = 192
PLAIN = Recipe("plain", "tiny", epochs=2, batch_size=64, learning_rate=0.004, limit=LIMIT, seed=5)
AVERAGED = replace(PLAIN, name="averaged", average=0.9)
DROPPING = replace(PLAIN, name="dropping", arch="tiny-dropout")
# Everything that has a memory.
ALL = replace(
    DROPPING,
    name="all",
    schedule="cosine",
    weight_decay=0.02,
    average=0.9,
    augmentation=Augmentation(),
    views=1,
)
# Two go on from the best of two epochs, and their mean is kept: epochs 3 and 4.
BRANCHED = replace(PLAIN, name="branched", branches=2, branch_epochs=1)
# Validation stays as it is: the rate falls after the second epoch.
PLATEAU = replace(PLAIN, name="plateau", epochs=3, learning_rate=1e-9, plateau_patience=1)


def _tiny(dropout: float, strides: int = 4) -> Architecture:
    """Quick to build, with batch statistics to keep."""

    def build(shape: Shape, classes: int) -> keras.Model:
        image = keras.Input(shape)
        x = keras.layers.Conv2D(8, 5, strides=strides, use_bias=False)(image)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Dropout(dropout)(keras.layers.GlobalAveragePooling2D()(x))
        return keras.Model(image, keras.layers.Dense(classes)(x))

    return Architecture("tiny", "logits", "for the tests", build)


class Interrupting:
    """A watcher during which the user presses Ctrl-C."""

    def __init__(self, epoch: int | None = None, step: tuple[int, int] | None = None) -> None:
        self.at_epoch, self.at_step = epoch, step

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.at_step:
            raise KeyboardInterrupt

    def epoch(self, row: Any, best: bool) -> None:
        if row.epoch == self.at_epoch:
            raise KeyboardInterrupt


def _history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


@pytest.fixture(autouse=True)
def _quick(few_writers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", _tiny(0.0))
    monkeypatch.setitem(ARCHITECTURES, "tiny-dropout", _tiny(0.4))
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders by name, each filled by the first test that needs it."""
    return tmp_path_factory.mktemp("uninterrupted")


def _whole_run(recipe: Recipe, uninterrupted: Path) -> Path:
    out = uninterrupted / recipe.name
    if not out.exists():
        train(recipe, out)
    return out


def _assert_same_run(first: Path, second: Path) -> None:
    before, after = _history(first), _history(second)
    assert [row["epoch"] for row in after] == [row["epoch"] for row in before]
    for one, other in zip(before, after, strict=True):
        assert other == pytest.approx(one, abs=1e-4)
    models = [load_keras(run / "model.keras") for run in (first, second)]
    for one, other in zip(*(file.model.get_weights() for file in models), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert models[0].spec.temperature == pytest.approx(models[1].spec.temperature, rel=0.05)


@pytest.mark.parametrize(
    ("recipe", "watcher"),
    [
        (PLAIN, Interrupting(epoch=1)),
        (PLAIN, Interrupting(step=(1, 2))),  # before anything was kept
        (AVERAGED, Interrupting(epoch=1)),  # the moving average of the weights
        (DROPPING, Interrupting(epoch=1)),  # the random numbers of dropout
        (ALL, Interrupting(step=(2, 2))),  # in the middle of an epoch
        (BRANCHED, Interrupting(epoch=2)),  # before its branches
        (BRANCHED, Interrupting(step=(4, 2))),  # in the second
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_resumed_run_is_the_uninterrupted_one(
    recipe: Recipe, watcher: Interrupting, uninterrupted: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, watcher=watcher)
    assert not (tmp_path / "result.json").exists()
    train(recipe, tmp_path, resume=True)
    _assert_same_run(_whole_run(recipe, uninterrupted), tmp_path)
    assert not list(tmp_path.glob("epoch-*")) + list(tmp_path.glob("branch-*"))


def test_a_lowered_rate_stays_lowered(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(PLATEAU, tmp_path, watcher=Interrupting(epoch=2))
    train(PLATEAU, tmp_path, resume=True)
    rates = [row["learning_rate"] for row in _history(tmp_path)]
    assert rates == pytest.approx([1e-9, 1e-9, 1e-9 / 3], rel=1e-5, abs=0)


def test_interrupted_while_the_best_is_written(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch is not closed then: it is run again, and stands in the history once."""
    calls: list[object] = []

    def save(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save_keras(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("hcr_edge.epochs.save_keras", save)
        with pytest.raises(KeyboardInterrupt):
            train(PLAIN, tmp_path)
    train(PLAIN, tmp_path, resume=True)
    _assert_same_run(_whole_run(PLAIN, uninterrupted), tmp_path)


@pytest.fixture
def interrupted(uninterrupted: Path, tmp_path: Path) -> Path:
    """A copy of a run that was interrupted after its first epoch."""
    kept = uninterrupted / "interrupted"
    if not kept.exists():
        with pytest.raises(KeyboardInterrupt):
            train(ALL, kept, watcher=Interrupting(epoch=1))
    return Path(shutil.copytree(kept, tmp_path / "run"))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(item.relative_to(folder)): item.read_bytes()
        for item in folder.rglob("*")
        if item.is_file()
    }


def test_another_recipe_is_refused(interrupted: Path) -> None:
    before = _files(interrupted)
    with pytest.raises(RecipeError, match=r"another recipe: learning_rate is 0\.003") as caught:
        train(replace(ALL, learning_rate=0.003), interrupted, resume=True)
    assert caught.value.allowed == repr(ALL.learning_rate)
    assert _files(interrupted) == before


def test_a_run_from_before_a_recipe_had_a_field_goes_on(interrupted: Path) -> None:
    stored = interrupted / "recipe.yaml"
    lines = stored.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("neighbours:")]
    assert len(kept) < len(lines)
    stored.write_text("".join(kept), encoding="utf-8")
    assert train(ALL, interrupted, resume=True)["epochs"] == ALL.epochs


@pytest.mark.parametrize("other", [ARCHITECTURES["lenet5"], _tiny(0.4, strides=3)])
def test_a_run_of_an_earlier_network_is_refused(
    other: Architecture, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network may be built otherwise after an update, and keep its name."""
    before = _files(interrupted)
    monkeypatch.setitem(ARCHITECTURES, ALL.arch, other)
    with pytest.raises(RecipeError, match=f"another {ALL.arch}, of an earlier version.*overwrite"):
        train(ALL, interrupted, resume=True)
    kept = {name: data for name, data in before.items() if name.startswith("epoch-")}
    assert kept
    assert kept.items() <= _files(interrupted).items(), "that version can still go on"


def test_a_finished_run_is_not_run_again(uninterrupted: Path) -> None:
    """The same command twice, as in a Makefile: it answers what is there."""
    out = _whole_run(PLAIN, uninterrupted)
    before = _files(out)
    result = train(PLAIN, out, resume=True)
    assert result == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert _files(out) == before


def test_a_run_is_not_begun_over_another(interrupted: Path) -> None:
    before = _files(interrupted)
    with pytest.raises(RecipeError, match="exists"):
        train(PLAIN, interrupted)
    assert _files(interrupted) == before


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RecipeError, match="no run folder"):
        train(PLAIN, tmp_path, overwrite=True)
    assert list(_files(tmp_path)) == ["thesis.txt"]


def test_a_new_run_in_an_old_folder_starts_afresh(interrupted: Path) -> None:
    """With another recipe, and without a trace of the old history."""
    result = train(replace(PLAIN, epochs=1), interrupted, overwrite=True)
    assert result["name"] == "plain"
    assert len(_history(interrupted)) == 1
    assert load_keras(interrupted / "model.keras").spec.name == "plain"
    assert not list(interrupted.glob("epoch-*"))


def test_nothing_of_the_old_run_stands_beside_the_new_recipe(
    uninterrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(_whole_run(PLAIN, uninterrupted), tmp_path / "run")
    other = replace(AVERAGED, seed=6)
    with pytest.raises(KeyboardInterrupt):
        train(other, tmp_path / "run", overwrite=True, watcher=Interrupting(step=(1, 1)))
    assert not (tmp_path / "run" / "model.keras").exists()
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("name", ["epoch-log.txt", "epoch-12", "branch-notes.txt", "branch-1b"])
def test_names_like_those_of_the_run_are_left_alone(name: str, tmp_path: Path) -> None:
    """Files and folders of the user's, beside a run that is interrupted, goes on, and ends."""
    recipe = replace(PLAIN, branches=1, branch_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, watcher=Interrupting(epoch=1))
    own = tmp_path / name
    if own.suffix:
        own.write_text("mine", encoding="utf-8")
    else:
        own.mkdir()
    assert train(recipe, tmp_path, resume=True)["best_epoch"] <= 2
    assert len(_history(tmp_path)) == 2, "it went on"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, overwrite=True, watcher=Interrupting(step=(1, 1)))
    assert own.exists()


def test_the_last_epoch_is_the_highest_number(interrupted: Path) -> None:
    (kept,) = interrupted.glob("epoch-*")
    for number in (9999, 10000):
        state = json.loads((kept / "state.json").read_text(encoding="utf-8")) | {"epoch": number}
        shutil.copytree(kept, interrupted / f"epoch-{number}")
        (interrupted / f"epoch-{number}" / "state.json").write_text(json.dumps(state))
    assert RunFolder(interrupted).open(ALL, resume=True).epoch == 10000


@pytest.mark.parametrize("name", ["state.json", "last.keras", "average.npz"])
def test_what_resuming_needs_is_damaged(name: str, interrupted: Path) -> None:
    (kept,) = interrupted.glob(f"epoch-*/{name}")
    kept.write_bytes(kept.read_bytes()[:20])
    with pytest.raises(RecipeError, match=name):
        train(ALL, interrupted, resume=True)


def test_a_run_begun_before_losses_were_noted(interrupted: Path) -> None:
    (file,) = interrupted.glob("epoch-*/state.json")
    state = json.loads(file.read_text(encoding="utf-8"))
    noted = state.pop("best_loss")
    file.write_text(json.dumps(state), encoding="utf-8")
    folder = RunFolder(interrupted)
    assert folder.open(ALL, resume=True).best_loss == pytest.approx(noted, rel=1e-6)
    state["best_epoch"] = 0
    file.write_text(json.dumps(state), encoding="utf-8")
    assert folder.open(ALL, resume=True).best_loss == float("inf")
    state["best_epoch"] = 1
    file.write_text(json.dumps(state), encoding="utf-8")
    history = interrupted / "history.csv"
    history.write_text(history.read_text().replace("val_loss", "loss_of_it"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"history\.csv is damaged"):
        folder.open(ALL, resume=True)


def test_more_images_than_the_run_began_with(interrupted: Path) -> None:
    """The number of images is as much part of a run as its rate."""
    with pytest.raises(RecipeError):
        train(replace(ALL, limit=2 * LIMIT), interrupted, resume=True)


@pytest.fixture
def listed(own: str, tmp_path: Path) -> Recipe:
    """A recipe with a split file, of letters of nobody in particular."""
    split = tmp_path / "mine.json"
    recipe = replace(PLAIN, dataset=own, split=str(split), limit=None)
    _write_split(recipe, seed=5)
    return recipe


def _write_split(recipe: Recipe, **options: Any) -> None:
    split = make_split(load_dataset(recipe.dataset, "all"), "random", **options)
    Path(str(recipe.split)).write_text(json.dumps(split.to_dict()), encoding="utf-8")


@pytest.fixture
def own_data(few_writers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`few_writers` knows one data set alone."""
    monkeypatch.setattr("hcr_edge.protocol.load_dataset", load_dataset)


@pytest.mark.usefixtures("own_data")
def test_another_split_file_in_the_place_of_the_first(listed: Recipe, tmp_path: Path) -> None:
    """What trained before might be tested now."""
    out, split = tmp_path / "run", Path(str(listed.split))
    with pytest.raises(KeyboardInterrupt):
        train(listed, out, watcher=Interrupting(epoch=1))
    before, first = _files(out), split.read_bytes()
    assert str(tmp_path) not in (out / "environment.json").read_text(encoding="utf-8")
    _write_split(listed, seed=6)
    with pytest.raises(
        RecipeError, match=r"mine\.json has changed .* in train, val, test"
    ) as caught:
        train(listed, out, resume=True)
    assert "bring the file back" in caught.value.hint
    assert _files(out) == before
    _write_split(listed, seed=5, val=0.0)  # what validated trains: the test is the same
    with pytest.raises(RecipeError, match=r"has changed .* in train, val;"):
        train(listed, out, resume=True)
    # The same parts, written otherwise.
    split.write_text(json.dumps(json.loads(first), indent=2), encoding="utf-8")
    assert train(listed, out, resume=True)["epochs"] == listed.epochs


@pytest.mark.usefixtures("own_data")
def test_a_split_whose_checksum_was_not_noted(listed: Recipe, tmp_path: Path) -> None:
    """A run from before it was goes on."""
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(listed, out, watcher=Interrupting(epoch=1))
    noted = json.loads((out / "environment.json").read_text(encoding="utf-8"))
    assert sorted(noted.pop("split")) == ["test", "train", "val"]
    (out / "environment.json").write_text(json.dumps(noted), encoding="utf-8")
    assert train(listed, out, resume=True)["epochs"] == listed.epochs
