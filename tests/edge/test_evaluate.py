from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.checkpoints import find_checkpoint, model_file
from hcr_edge.datasets import Dataset, load_dataset, load_samples, match_labels
from hcr_edge.errors import DataError
from hcr_edge.evaluate import CHUNK, Evaluation, evaluate, open_model
from hcr_edge.labels import ARABIC_LETTERS
from hcr_edge.rejection import Refusal
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, HcrError, Label, ModelError, ModelSpec, RejectionSpec

NAME = "arabic-letters"


@pytest.fixture(scope="module")
def samples() -> Dataset:
    return load_samples("test").limit(100)


def _counted_again(data: Dataset) -> np.ndarray:
    """Confusion of the shipped model, image by image, through the public door."""
    classifier = Classifier.load(NAME)
    texts = classifier.spec.texts
    confusion = np.zeros((28, 28), np.int64)
    for index, label in enumerate(data.labels):
        confusion[label, texts.index(classifier.classify(data.encoded(index)).label)] += 1
    return confusion


def test_counts_are_those_of_the_classifier(samples: Dataset) -> None:
    told: list[int] = []
    result = evaluate(open_model(NAME), samples, told.append)
    np.testing.assert_array_equal(result.confusion, _counted_again(samples))
    assert (result.engine, result.dataset, result.split) == ("onnxruntime", "samples", "test")
    assert (result.total, result.model) == (100, f"{NAME}.onnx")
    assert told == [*range(CHUNK, 100, CHUNK), 100]


def test_every_kind_of_model_reads_the_same(samples: Dataset, tmp_path: Path) -> None:
    """A name, a file, a checkpoint, and a run folder."""
    shutil.copyfile(find_checkpoint(NAME), tmp_path / "model.keras")
    by_onnx = evaluate(open_model(model_file(NAME)), samples)
    np.testing.assert_array_equal(by_onnx.confusion, evaluate(open_model(NAME), samples).confusion)
    by_folder = evaluate(open_model(tmp_path), samples)
    by_keras = evaluate(open_model(find_checkpoint(NAME)), samples)
    np.testing.assert_array_equal(by_folder.confusion, by_keras.confusion)
    assert by_folder.engine == by_keras.engine == "keras"
    assert abs(by_keras.correct - by_onnx.correct) <= 2


def test_a_run_is_as_good_as_it_said(base_run, ahcd: Callable[[str], Dataset]) -> None:
    """The figure in result.json, by the other way: image bytes to label."""
    result = evaluate(open_model(base_run.path), ahcd("test"))
    assert (result.correct, result.total) == (base_run.result["test"]["correct"], 3360)


def test_what_is_refused_is_counted_from_image_bytes(ahcd: Callable[[str], Dataset]) -> None:
    """The drawings too go the way of a device; a blank sheet is refused whatever the model says."""
    model = open_model("arabic-letters")
    strict = replace(model, spec=replace(model.spec, rejection=RejectionSpec(0.9)))
    lax = replace(model, spec=replace(model.spec, rejection=RejectionSpec(0.0)))
    letters = ahcd("test").limit(840)
    refused, answered = evaluate(strict, letters), evaluate(lax, letters)
    assert answered.refusal.accepted == 1
    assert answered.refusal.error == pytest.approx(1 - answered.accuracy)
    assert 0.5 < refused.refusal.accepted < 1
    assert refused.refusal.error < answered.refusal.error
    assert answered.false_acceptance["face"] == 1
    assert answered.false_acceptance["empty"] < 0.5
    assert refused.false_acceptance["face"] < 1
    assert answered.crossed_out["strike"] == 1
    assert refused.crossed_out["strike"] < 1


@pytest.fixture
def made() -> Evaluation:
    """Three letters, of which the last has no image."""
    confusion = np.array([[7, 2, 1], [0, 5, 0], [0, 0, 0]])
    refusal = Refusal(accepted=0.9, error=0.01, calibration_error=0.02)
    return Evaluation(
        *("m.onnx", "e", "d", "test", ARABIC_LETTERS[:3], confusion, {"پ": 4}),
        refusal,
        {"face": 0.25},
        {"slash": 0.5},
    )


def test_document_says_what_was_counted(made: Evaluation) -> None:
    document = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert document["accuracy"] == 12 / 15
    assert (document["correct"], document["total"]) == (12, 15)
    assert document["interval"] == list(wilson_interval(12, 15))
    assert document["per_class"]["ا"] == {
        "name": "alef",
        "codepoint": "U+0627",
        "correct": 7,
        "total": 10,
        "accuracy": 0.7,
    }
    assert document["per_class"]["ت"]["accuracy"] is None, "not 0: nothing was shown"
    assert document["confused"] == [
        {"true": "ا", "predicted": "ب", "count": 2},
        {"true": "ا", "predicted": "ت", "count": 1},
    ]
    assert document["skipped_classes"] == {"پ": 4}
    assert document["refusal"] == {
        "accepted": 0.9,
        "error": 0.01,
        "calibration_error": 0.02,
        "false_acceptance": {"face": 0.25},
        "crossed_out": {"slash": 0.5},
    }


def test_commonest_mistakes_come_first_and_only_mistakes(made: Evaluation) -> None:
    assert made.confused(1) == [("ا", "ب", 2)]
    assert len(made.confused(99)) == 2


def _few(labels: tuple[Label, ...], numbers: list[int]) -> Dataset:
    images = [np.full((8, 8), number, np.uint8) for number in numbers]
    return Dataset("few", "all", images, np.array(numbers), labels, skipped={"x": 1})


def test_labels_are_matched_by_their_text() -> None:
    """A set numbers its classes as it likes; one that the model lacks is set aside, not guessed."""
    labels = (Label("ب", "b"), Label("پ", "peh"), Label("ا", "a"))
    spec = ModelSpec("m", ARABIC_LETTERS)
    matched = match_labels(_few(labels, [0, 1, 2, 1, 0]), spec)
    assert [spec.texts[index] for index in matched.labels] == ["ب", "ا", "ب"]
    assert [int(image[0, 0]) for image in matched.images] == [0, 2, 0]
    assert matched.label_set == spec.labels
    assert matched.skipped == {"x": 1, "پ": 2}


def test_same_labels_are_left_alone() -> None:
    data = _few(ARABIC_LETTERS, [0, 5])
    assert match_labels(data, ModelSpec("m", ARABIC_LETTERS)) is data


def test_no_class_in_common() -> None:
    data = _few((Label("a", "a"), Label("b", "b")), [0, 1])
    with pytest.raises(DataError, match="none of the classes"):
        match_labels(data, ModelSpec("m", ARABIC_LETTERS))


def test_an_image_that_cannot_be_read_stops_it(samples: Dataset, tmp_path: Path) -> None:
    """A count over fewer images than there are would be another figure."""
    path = tmp_path / "broken.png"
    path.write_text("no image", encoding="utf-8")
    with pytest.raises(DataError, match=path.name):
        evaluate(open_model(NAME), replace(samples, images=[path, *samples.images[1:]]))


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    """Among thousands, which one?"""
    (tmp_path / "beh").mkdir()
    (tmp_path / "beh" / "broken.png").write_text("no image", encoding="utf-8")
    with pytest.raises(HcrError, match=r"broken\.png"):
        evaluate(open_model(NAME), load_dataset(f"folder:{tmp_path}"))


@pytest.mark.parametrize(
    "model", ["arabic-leters", "absent.onnx", "absent.keras", "absent.tflite", "."]
)
def test_no_model(model: str, samples: Dataset) -> None:
    with pytest.raises(ModelError):
        evaluate(open_model(model), samples)


def test_folder_with_no_model_in_it(samples: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        evaluate(open_model(tmp_path), samples)
