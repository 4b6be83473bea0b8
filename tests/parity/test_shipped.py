"""What ships: the int8 ONNX inside the runtime, against the Keras checkpoint that it came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.checkpoints import find_checkpoint, shipped_checkpoints
from hcr_edge.datasets import Dataset, load_dataset, load_samples
from hcr_edge.labels import ARABIC_LETTERS
from hcr_export.keras_file import KerasFile, load_keras
from hcr_runtime import Classifier, Provenance, preprocess, shipped_models

NAME = "arabic-letters"
Scores = NDArray[np.float32]


@pytest.fixture(scope="module")
def checkpoint() -> KerasFile:
    return load_keras(find_checkpoint(NAME))


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load(NAME)


def _answers(data: Dataset, checkpoint: KerasFile, shipped: Classifier) -> tuple[Scores, Scores]:
    """Probabilities of both, from the bytes of each image."""
    images = [data.encoded(index) for index in range(len(data))]
    tensors = np.stack([preprocess(image, checkpoint.spec) for image in images])
    return checkpoint.scores(tensors), shipped.scores(images)


@pytest.fixture(scope="module")
def letters(data_dir: Path) -> Dataset:
    return load_dataset("ahcd", "test", data_dir=data_dir)


@pytest.fixture(scope="module")
def on_ahcd(letters: Dataset, checkpoint: KerasFile, shipped: Classifier) -> tuple[Scores, Scores]:
    return _answers(letters, checkpoint, shipped)


def test_every_shipped_model_has_its_checkpoint() -> None:
    assert shipped_models().keys() == shipped_checkpoints().keys()


def test_model_was_exported_from_this_checkpoint(
    checkpoint: KerasFile, shipped: Classifier
) -> None:
    assert shipped.spec.provenance.source_sha256 == checkpoint.sha256
    nothing = Provenance()
    assert replace(shipped.spec, provenance=nothing) == replace(checkpoint.spec, provenance=nothing)
    assert shipped.spec.labels == ARABIC_LETTERS
    assert shipped.spec.provenance.figures == checkpoint.spec.provenance.figures
    assert shipped.spec.provenance.quantization.startswith("int8: QDQ")
    assert "ahcd" in shipped.spec.provenance.calibration


def test_model_is_small() -> None:
    assert shipped_models()[NAME].stat().st_size <= 220_000


def test_int8_reads_real_letters_as_well_as_keras(
    on_ahcd: tuple[Scores, Scores], letters: Dataset
) -> None:
    keras, int8 = (scores.argmax(axis=1) for scores in on_ahcd)
    right_before, right = (int((answers == letters.labels).sum()) for answers in (keras, int8))
    total = len(letters)
    assert total == 3360
    assert right / total >= 0.98
    assert 100 * (right_before - right) / total <= 0.1
    assert (keras == int8).mean() >= 0.995


def test_no_letter_is_left_behind(on_ahcd: tuple[Scores, Scores], letters: Dataset) -> None:
    """An average may hide one letter that is hardly read."""
    right = on_ahcd[1].argmax(axis=1) == letters.labels
    recall = np.bincount(letters.labels, weights=right) / np.bincount(letters.labels)
    assert recall.min() >= 0.85


def test_confidence_means_what_it_says(on_ahcd: tuple[Scores, Scores], letters: Dataset) -> None:
    """Expected calibration error (Guo et al. 2017), of the int8 model, in ten bins."""
    confidence = on_ahcd[1].max(axis=1)
    right = on_ahcd[1].argmax(axis=1) == letters.labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [
        abs(float(right[bins == b].mean()) - float(confidence[bins == b].mean()))
        * (bins == b).sum()
        for b in np.unique(bins)
    ]
    assert sum(gaps) / len(right) <= 0.03


def test_published_figures_are_measured_ones(
    on_ahcd: tuple[Scores, Scores], letters: Dataset, checkpoint: KerasFile
) -> None:
    """Beside the official figure stands that on unseen writers, which is lower."""
    figures = checkpoint.spec.provenance.figures
    (official,) = [value for what, value in figures.items() if "official split" in what]
    (unseen,) = [value for what, value in figures.items() if "unseen writers" in what]
    measured = float((on_ahcd[0].argmax(axis=1) == letters.labels).mean())
    assert official == pytest.approx(measured, abs=1.5 / 3360)  # another processor, another bit
    assert 0.95 < unseen <= official


def test_int8_agrees_on_the_drawn_letters(checkpoint: KerasFile, shipped: Classifier) -> None:
    """Without any data set."""
    data = load_samples("test")
    before, after = _answers(data, checkpoint, shipped)
    agreement = (before.argmax(axis=1) == after.argmax(axis=1)).mean()
    assert agreement >= 0.99
    assert np.abs(before - after).mean() < 0.01
    assert (after.argmax(axis=1) == data.labels).mean() > 0.9


def test_photos_are_read(shipped: Classifier, samples_dir: Path) -> None:
    """Each is named after its letter."""
    photos = sorted((samples_dir / "photos").glob("*.jpg"))
    assert len(photos) >= 8
    for photo in photos:
        assert shipped.classify(photo).name == photo.name.partition("-")[0]


def test_bright_on_dark_reads_the_same(shipped: Classifier, samples_dir: Path) -> None:
    for path in sorted((samples_dir / "arabic-letters" / "test").glob("*/00.png")):
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert shipped.classify(gray).label == shipped.classify(255 - gray).label
