"""What a training leaves, and of whom it learns. See `test_train_resume.py` for interruptions."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.augment import Augmentation
from hcr_edge.batches import LEAST_EPOCH, InkBatches
from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.datasets.splits import make_split
from hcr_edge.errors import DataError, RecipeError
from hcr_edge.labels import ARABIC_LETTERS
from hcr_edge.protocol import protocol_of, split_dataset
from hcr_edge.recipe import FOLDS, Recipe, load_recipe
from hcr_edge.run_folder import EpochRow, State
from hcr_edge.train import calibrate, fit_temperature, scores, tensors, train
from hcr_export._keras import keras
from hcr_export.keras_file import load_keras
from hcr_runtime import ModelError, ModelSpec

SPEC = ModelSpec("letters", ARABIC_LETTERS, output="logits")


def _history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="", encoding="utf-8") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def test_run_folder_holds_everything_and_nothing_else(base_run) -> None:
    assert {item.name for item in base_run.path.iterdir()} == {
        "recipe.yaml",
        "environment.json",
        "history.csv",
        "curves.png",
        "model.keras",
        "result.json",
        "classification_report.txt",
        "classification_report.json",
        "confusion.csv",
        "confusion.png",
    }


def test_what_was_run_can_be_run_again(base_run) -> None:
    assert load_recipe(base_run.path / "recipe.yaml") == load_recipe(
        "ahcd-baseline", epochs=2, limit=1400
    )
    environment = json.loads((base_run.path / "environment.json").read_text(encoding="utf-8"))
    assert environment["backend"] == "tensorflow"
    assert environment["libraries"].keys() >= {"keras", "tensorflow", "numpy"}
    assert str(base_run.path.parent) not in json.dumps(environment)


def test_the_input_may_have_another_size(few_writers, data_dir: Path, tmp_path: Path) -> None:
    recipe = Recipe("larger", "ahcd-baseline", side=44, epochs=4, batch_size=64)
    result = train(recipe, tmp_path / "run", data_dir=data_dir)
    model = load_keras(tmp_path / "run" / "model.keras")
    assert (model.spec.input.height, model.spec.input.width) == (44, 44)
    assert model.model.input_shape[1:] == (44, 44, 1)
    assert result["test"]["accuracy"] > 0.3


def test_history_has_a_row_an_epoch_and_the_watcher_was_told(base_run) -> None:
    rows = _history(base_run.path)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    assert [row["val_accuracy"] for row in rows] == [
        told.val_accuracy for told in base_run.told.epochs
    ]
    steps = 1400 // 32
    assert base_run.told.steps == [(e, s, steps) for e in (1, 2) for s in range(1, steps + 1)]
    assert base_run.told.bests[0]


def test_it_learns_and_says_how_well(base_run) -> None:
    result = base_run.result
    assert result == json.loads((base_run.path / "result.json").read_text(encoding="utf-8"))
    best = max(_history(base_run.path), key=lambda row: (row["val_accuracy"], row["epoch"]))
    assert (result["best_epoch"], result["validation"]["accuracy"]) == (
        *(best["epoch"], best["val_accuracy"]),
    )
    test = result["test"]
    assert (test["split"], test["total"]) == ("test", 3360)
    assert test["accuracy"] == test["correct"] / 3360
    assert test["interval"][0] < test["accuracy"] < test["interval"][1]
    assert test["accuracy"] > 0.4  # 1 in 28 would be chance


def test_the_model_is_the_best_by_validation_and_describes_itself(
    base_run, ahcd: Callable[[str], Dataset], data_dir: Path
) -> None:
    source = load_keras(base_run.path / "model.keras")
    _, validation, _ = split_dataset(load_recipe("ahcd-baseline"), data_dir)
    inputs = tensors(validation, source.spec)
    answers = scores(source.model, inputs, source.spec).argmax(axis=1)
    accuracy = float((answers == validation.labels).mean())
    assert accuracy == pytest.approx(base_run.result["validation"]["accuracy"], abs=1e-6)
    assert len(validation) == base_run.result["validation"]["total"]
    assert source.spec.name == "ahcd-baseline"
    assert source.spec.output == "softmax"
    assert source.spec.texts == tuple(label.text for label in ARABIC_LETTERS)
    provenance = source.spec.provenance
    assert provenance.architecture == "ahcd-baseline"
    assert "ahcd" in provenance.training_data
    assert "1400 images" in provenance.training_data
    assert provenance.data_licence == "no licence stated"
    result = base_run.result
    assert provenance.figures["ahcd test (official split)"] == result["test"]["accuracy"]
    for part in ("validation", "test"):
        share = provenance.figures[f"{part}: sure enough to be answered"]
        assert share == result[part]["accepted"]
        assert provenance.figures[f"{part}: wrong among those"] == result[part]["error"]
    assert "seed 0" in provenance.recipe
    first = provenance.confusions.split(", ")[0]
    assert re.fullmatch(r"\w→\w \d+", first)
    # Temperature was fitted on the validation images: no other one near it does better.
    fitted = source.spec.temperature
    raw = replace(source.spec, temperature=1.0)
    assert fitted == fit_temperature(source.model, inputs, validation.labels, raw)


@pytest.mark.parametrize("fold", [None, *range(FOLDS)])
def test_no_writer_is_on_both_sides(
    fold: int | None, ahcd: Callable[[str], Dataset], few_writers: list[str]
) -> None:
    """Neither in training and validation, nor, by protocol writers, in the test part."""
    who = {
        image.ctypes.data: int(writer)
        for split in ("train", "test")
        for image, writer in zip(ahcd(split).images, ahcd(split).writers, strict=True)
    }
    protocol: dict[str, Any] = {} if fold is None else {"protocol": "writers", "fold": fold}
    recipe = load_recipe("edge-s", **protocol)
    training, validation, test = split_dataset(recipe, None)
    parts = [{who[image.ctypes.data] for image in part.images} for part in (training, validation)]
    assert len(parts[0]) + len(parts[1]) == (60 if fold is None else 48)
    assert not parts[0] & parts[1]
    # One writer in so many, beginning with the second.
    assert len(parts[1]) == len(range(1, len(parts[0] | parts[1]), recipe.validation_share))
    if fold is not None:
        held_out = {who[image.ctypes.data] for image in test.images}
        assert len(held_out) == 12
        assert not held_out & (parts[0] | parts[1])
        assert len(training) + len(validation) + len(test) == 2 * 60 * 28
    # Every letter can be validated.
    assert set(validation.labels) == set(test.labels) == set(range(28))


def test_test_part_is_read_by_the_model_once_after_the_last_epoch(
    few_writers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)

    class Watcher:
        def step(self, *_: object) -> None:
            pass

        def epoch(self, *_: object) -> None:
            few_writers.append("epoch")

    def told(model: Any, inputs: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
        few_writers.append(f"scored {len(inputs)}")
        return scores(model, inputs, spec)

    monkeypatch.setattr("hcr_edge.train.scores", told)
    train(load_recipe("ahcd-baseline", epochs=2, limit=64), tmp_path, watcher=Watcher())
    assert few_writers[:4] == ["train", "test", "epoch", "epoch"]
    # Validation is scored for the threshold and what it costs, drawings for false acceptance.
    assert few_writers.count("scored 280") == 1
    assert set(few_writers[4:]) == {"scored 168", "scored 280", "scored 100"}


def test_plateau_lowers_the_rate_then_training_stops_early(
    few_writers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of nothing validation never improves after the first epoch."""
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)
    recipe = replace(
        load_recipe("ahcd-baseline"),
        epochs=9,
        learning_rate=1e-12,
        plateau_patience=1,
        stop_patience=3,
        limit=64,
    )
    result = train(recipe, tmp_path)
    rates = [row["learning_rate"] for row in _history(tmp_path)]
    assert rates == pytest.approx([1e-12, 1e-12, 1e-12 / 3, 1e-12 / 9], rel=1e-5, abs=0)
    assert (result["epochs"], result["best_epoch"]) == (4, 4), "of equal epochs the last is kept"


def test_cosine_ends_at_two_per_cent(
    few_writers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)
    recipe = replace(load_recipe("ahcd-baseline"), schedule="cosine", epochs=4, limit=128)
    train(recipe, tmp_path)
    rows = _history(tmp_path)
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] == pytest.approx(1e-3, rel=1e-3), "reached after the first epoch"
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.02 * 1e-3, rel=1e-2)


@pytest.mark.parametrize(("schedule", "best"), [("cosine", 3), ("plateau", 2)])
def test_a_cosine_schedule_keeps_the_least_loss(
    schedule: Literal["cosine", "plateau"],
    best: int,
    few_writers: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hcr_edge.train.report.write_reports", lambda *_: None)
    told = iter([(0.5, 0.90), (0.4, 0.92), (0.3, 0.91), (0.4, 0.90)])
    monkeypatch.setattr(keras.Model, "evaluate", lambda *_, **__: next(told))
    recipe = replace(load_recipe("ahcd-baseline"), schedule=schedule, epochs=4, limit=64)
    result = train(recipe, tmp_path)
    assert result["best_epoch"] == best
    assert result["validation"]["accuracy"] == (0.91 if best == 3 else 0.92)


@pytest.mark.parametrize(
    ("by_loss", "losses", "best", "improved"),
    [
        (False, (0.5, 0.4, 0.3, 0.2), 3, 2),
        (True, (0.5, 0.3, 0.4, 0.2), 4, 4),
        (True, (0.5, 0.3, 0.3, 0.4), 3, 2),
        (True, (math.nan, 0.5, math.nan, 0.6), 2, 2),
        (True, (math.nan, math.inf, math.nan, math.nan), 4, 0),
    ],
)
def test_the_best_epoch(by_loss: bool, losses: tuple[float, ...], best: int, improved: int) -> None:
    state = State()
    accuracies = (0.90, 0.92, 0.92, 0.91)
    for epoch, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), 1):
        kept = state.judge(EpochRow(epoch, 1e-3, 1.0, 0.9, loss, accuracy), by_loss)
        assert kept == (state.best_epoch == epoch)
    assert (state.best_epoch, state.improved_epoch) == (best, improved)
    assert state.best_accuracy == accuracies[best - 1]


def test_another_source_may_be_the_test(data_dir: Path) -> None:
    """Leave one source out: all of one set trains, all of another is the test."""
    recipe = Recipe("m", "edge-nano", dataset="hijja:isolated", test_dataset="ahcd")
    training, validation, test = split_dataset(recipe, data_dir)
    assert len(training) + len(validation) > 13704
    assert (test.name, len(test)) == ("ahcd", 13440 + 3360)
    assert len(test.label_set) == 29, "numbered as the training is"


def test_another_source_is_renumbered(data_dir: Path) -> None:
    """A is class 0 of one set and class 10 of the other."""
    recipe = Recipe("m", "edge-nano", dataset="az", test_dataset="sd19")
    training, _, test = split_dataset(recipe, data_dir)
    assert test.label_set == training.label_set
    assert set(test.labels) == set(range(26))
    assert test.skipped.keys() >= {"a", "z"}
    plain = load_dataset("sd19", "all", data_dir=data_dir)
    letters = [label.text for label in plain.label_set]
    assert len(test) == sum(letters[label].isupper() for label in plain.labels)


@pytest.mark.parametrize(
    ("dataset", "other"),
    [("ahcd", "ahcd"), ("ahcd+hijja:28", "hijja:isolated"), ("sd19", "sd19-vowels")],
)
def test_a_test_that_training_has_seen_is_refused(dataset: str, other: str, data_dir: Path) -> None:
    recipe = Recipe("m", "edge-nano", dataset=dataset, test_dataset=other)
    with pytest.raises(RecipeError, match="both dataset and test_dataset"):
        split_dataset(recipe, data_dir)


def test_two_folders_of_ones_own_are_two_sources(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        for letter, rotation in (("ا", 0), ("ب", 1)):
            image = np.rot90(np.eye(16, dtype=np.uint8) * 255, rotation)
            for i in range(12):
                (tmp_path / name / letter).mkdir(parents=True, exist_ok=True)
                cv2.imencode(".png", np.roll(image, i))[1].tofile(
                    tmp_path / name / letter / f"{i}.png"
                )
    own = [f"folder:{tmp_path / name}" for name in ("mine", "theirs")]
    recipe = Recipe("m", "edge-nano", dataset=own[0], test_dataset=own[1])
    training, validation, test = split_dataset(recipe, None)
    assert (len(training) + len(validation), len(test)) == (24, 24)
    again = Recipe("m", "edge-nano", dataset=own[0], test_dataset=f"{own[0]}/../mine")
    with pytest.raises(RecipeError, match="both dataset and test_dataset"):
        split_dataset(again, None)


def _write_split(path: Path, spec: str, **options: Any) -> dict[str, list[Any]]:
    """Write a split file; returns the images of each part."""
    data = load_dataset(spec, "all")
    split = make_split(data, "random", **options)
    path.write_text(json.dumps(split.to_dict()), encoding="utf-8")
    return {name: [data.images[i] for i in found] for name, found in split.parts.items()}


def test_a_split_that_was_written_down_is_trained_on(own: str, tmp_path: Path) -> None:
    listed = _write_split(tmp_path / "mine.json", own, seed=5)
    recipe = Recipe("m", "edge-nano", dataset=own, split=str(tmp_path / "mine.json"))
    parts = dict(zip(("train", "val", "test"), split_dataset(recipe, None), strict=True))
    assert {name: list(part.images) for name, part in parts.items()} == listed
    assert len(listed["val"]) == 6
    assert protocol_of(recipe, parts["test"]) == "mine.json"


def test_a_split_without_validation_holds_some_of_its_training_out(
    own: str, tmp_path: Path
) -> None:
    listed = _write_split(tmp_path / "mine.json", own, val=0.0)
    recipe = Recipe("m", "edge-nano", dataset=own, split=str(tmp_path / "mine.json"))
    training, validation, test = split_dataset(recipe, None)
    assert validation.split == "validation"
    assert 0 < len(validation) < len(training)
    assert sorted([*training.images, *validation.images]) == sorted(listed["train"])
    assert list(test.images) == listed["test"]


@pytest.mark.parametrize("options", [{"folds": 3}, {"test": 0.0}])
def test_a_split_without_a_test(options: dict[str, Any], own: str, tmp_path: Path) -> None:
    _write_split(tmp_path / "mine.json", own, **options)
    recipe = Recipe("m", "edge-nano", dataset=own, split=str(tmp_path / "mine.json"))
    with pytest.raises(RecipeError, match=r"gives nothing to .*it has .*without --folds"):
        split_dataset(recipe, None)


def test_a_split_of_other_images(own: str, tmp_path: Path) -> None:
    _write_split(tmp_path / "mine.json", own)
    recipe = Recipe("m", "edge-nano", dataset="samples", split=str(tmp_path / "mine.json"))
    with pytest.raises(DataError, match=r"was made for .*name that data set"):
        split_dataset(recipe, None)


def test_the_default_split_written_down_is_the_default(data_dir: Path) -> None:
    """So what was trained unasked can be trained again from the list."""
    plain = Recipe("m", "edge-nano", dataset="comnist-cyrillic")
    listed = replace(plain, split="docs/splits/comnist-cyrillic.json")
    for own, other in zip(
        split_dataset(plain, data_dir), split_dataset(listed, data_dir), strict=True
    ):
        assert own.labels.tolist() == other.labels.tolist()
        assert all((a == b).all() for a, b in zip(own.images, other.images, strict=True))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("m", "no-such-network"),
        Recipe("m", "edge-s", dataset="no-such-set"),
    ],
)
def test_a_bad_recipe_leaves_no_folder(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises((RecipeError, DataError), match="no-such"):
        train(recipe, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_teacher_leaves_no_folder(data_dir: Path, tmp_path: Path) -> None:
    recipe = Recipe("m", "edge-s", teachers=("no-such-teacher",), distill=0.5)
    with pytest.raises(ModelError, match="no-such"):
        train(recipe, tmp_path / "run", data_dir=data_dir)
    assert list(tmp_path.iterdir()) == []


def test_damaged_images_are_found_before_training(samples_dir: Path, tmp_path: Path) -> None:
    """Those of the test, too, and several at once."""
    shutil.copytree(samples_dir / "arabic-letters" / "test", tmp_path / "letters")
    for name in ("U+0628/00", "U+0628/01", "U+0633/00", "U+0633/01"):  # the first are the test
        (tmp_path / "letters" / f"{name}.png").write_bytes(b"no image")
    recipe = load_recipe("ahcd-baseline", dataset=f"folder:{tmp_path / 'letters'}", epochs=1)
    with pytest.raises(DataError, match=r"00\.png: the image is no image.*; and 1 more"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_test_part_is_found_before_training(samples_dir: Path, tmp_path: Path) -> None:
    """Not after hours of it."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "train").symlink_to(samples_dir / "arabic-letters" / "test")
    recipe = load_recipe("ahcd-baseline", dataset=f"folder:{tmp_path / 'letters'}", epochs=1)
    with pytest.raises(DataError, match="no split 'test'"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("output", ["logits", "softmax"])
@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_temperature_finds_how_overconfident_a_network_is(output: str, truth: float) -> None:
    """Labels drawn by the very probabilities that the right temperature gives."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4000, 28)).astype(np.float32)
    chances = _softmax(logits / truth)
    labels = np.array([rng.choice(28, p=row) for row in chances])
    given = logits if output == "logits" else _softmax(logits).astype(np.float32)
    model = SimpleNamespace(predict=lambda *_, **__: given)
    found = fit_temperature(model, given, labels, replace(SPEC, output=output))
    assert found == pytest.approx(truth, rel=0.08)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def letters(ahcd: Callable[[str], Dataset]) -> Dataset:
    return ahcd("test").limit(100)


def test_a_validation_without_mistakes_makes_no_temperature(letters: Dataset) -> None:
    """Sharpened without end, drawings that are no character were surely letters."""
    inputs = tensors(letters, SPEC)
    known = {image.tobytes(): label for image, label in zip(inputs, letters.labels, strict=True)}
    rng = np.random.default_rng(0)

    def answer(given: NDArray[np.float32], **_: object) -> NDArray[np.float32]:
        """Know the validation images by heart, and four of five others."""
        logits = rng.normal(0, 1, (len(given), 28)).astype(np.float32)
        truth = np.resize(letters.labels, len(given))
        by_heart = np.array([image.tobytes() in known for image in given])
        right = by_heart | (rng.random(len(given)) < 0.8)
        logits[np.arange(len(given))[right], truth[right]] += 12
        return logits

    model = SimpleNamespace(predict=answer)
    alone = calibrate(model, letters, inputs, SPEC, Recipe("m", "edge-s"))
    both = calibrate(
        model, letters, inputs, SPEC, Recipe("m", "edge-s", augmentation=Augmentation())
    )
    assert alone.temperature == 0.2
    assert both.temperature > 0.8


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_order_depends_on_seed_and_epoch_alone(
    augmentation: Augmentation | None, letters: Dataset
) -> None:
    recipe = Recipe("m", "edge-s", batch_size=32, augmentation=augmentation, seed=1)
    first, second = InkBatches(letters, SPEC, recipe), InkBatches(letters, SPEC, recipe)
    other = InkBatches(letters, SPEC, replace(recipe, seed=2))
    for batches in (first, second, other):
        batches.start_epoch(3)
    # Asked in another order, as by several workers.
    ahead = [first[index] for index in (0, 1, 2)]
    behind = [second[index] for index in (2, 1, 0)][::-1]
    for (x, y), (again_x, again_y) in zip(ahead, behind, strict=True):
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)
    assert (other[0][0] != ahead[0][0]).any()
    second.start_epoch(4)
    assert (second[0][0] != ahead[0][0]).any()


def test_batches_hold_every_image_once_as_a_device_sees_it(letters: Dataset) -> None:
    """There is one preprocessing: without augmentation, training tensors are the device's."""
    batches = InkBatches(letters, SPEC, Recipe("m", "edge-s", batch_size=25))
    assert len(batches) == 4
    rows = np.concatenate([batches[index][0] for index in range(4)])
    assert rows.shape == (100, 32, 32, 1)
    expected = {row.tobytes() for row in tensors(letters, SPEC)}
    assert {row.tobytes() for row in rows} == expected
    labels = np.concatenate([batches[index][1] for index in range(4)])
    assert labels.sum(axis=0).tolist() == np.bincount(letters.labels, minlength=28).tolist()


def test_images_of_a_small_set_come_several_times_an_epoch(letters: Dataset) -> None:
    recipe = Recipe("m", "edge-s", batch_size=50, augmentation=Augmentation())
    batches = InkBatches(letters, SPEC, recipe)
    assert len(batches) == LEAST_EPOCH // 50
    assert np.bincount(batches.order).tolist() == [LEAST_EPOCH // 100] * 100
    again = [tensor.tobytes() for index in range(4) for tensor in batches[index][0]]
    assert len(set(again)) == 200, "each time in another writing"
    assert len(InkBatches(letters, SPEC, replace(recipe, limit=100))) == 2, "a trial stays short"


def test_blank_images_are_left_out(letters: Dataset) -> None:
    blank = replace(letters, images=[np.zeros((32, 32), np.uint8), *letters.images[1:]])
    batches = InkBatches(blank, SPEC, Recipe("m", "edge-s", batch_size=1000))
    assert len(batches) == 1, "a batch is never larger than the set"
    assert batches[0][0].shape[0] == 99
