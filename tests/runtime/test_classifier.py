"""`Classifier`: what it answers, for every form of image and for none."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_runtime import (
    Classifier,
    ImageError,
    Label,
    ModelSpec,
    Prediction,
    RejectionSpec,
    probabilities,
)
from hcr_runtime.image import to_gray

Image = NDArray[np.uint8]
Letter = Callable[..., Path]

sides = st.integers(1, 9) | st.sampled_from([16, 33, 96, 127, 128, 129, 300])
channels = st.sampled_from([(), (1,), (3,), (4,)])
palettes = st.lists(st.integers(0, 255), min_size=1, max_size=4)


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Any allowed shape; pixels of a few levels each, from blank paper to noise."""
    shape = (draw(sides), draw(sides), *draw(channels))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    return random.choice(np.uint8(draw(palettes)), shape)


def check(prediction: Prediction, spec: ModelSpec, top: int = 3) -> None:
    """Everything that holds of every prediction."""
    confidences = [candidate.confidence for candidate in prediction.top]
    assert all(0.0 <= value <= 1.0 for value in confidences)  # also refuses NaN
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1.0 + 1e-5
    if prediction.reason == "blank":
        assert prediction == Prediction("", "", "", 0.0, (), False, "blank")
        return
    assert len(prediction.top) == min(max(top, 1), len(spec.labels))
    assert len({candidate.label for candidate in prediction.top}) == len(prediction.top)
    assert prediction.label == prediction.top[0].label
    assert prediction.confidence == confidences[0]
    label = spec.labels[spec.texts.index(prediction.label)]
    assert (prediction.name, prediction.codepoint) == (label.name, label.codepoint)


def test_sample_letters_are_read(classifier: Classifier, samples_dir: Path) -> None:
    files = sorted((samples_dir / "arabic-letters" / "test").glob("*/*.png"))
    assert len(files) == 28 * 24
    read = [classifier.classify(file).codepoint == file.parent.name for file in files]
    assert np.mean(read) > 0.97


def test_photos_are_read(classifier: Classifier, samples_dir: Path) -> None:
    files = sorted((samples_dir / "photos").glob("*.jpg"))
    assert len(files) == 8
    for file in files:
        assert classifier.classify(file).name == file.name.split("-")[0]


def test_path_text_bytes_and_arrays_give_the_same_answer(
    classifier: Classifier, letter: Letter
) -> None:
    path = letter("jeem")
    gray = to_gray(path)
    colour = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
    opaque = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGRA)
    expected = classifier.classify(path)
    assert expected.label == "ج"
    for form in (str(path), path.read_bytes(), gray, gray[:, :, None], colour, opaque):
        assert classifier.classify(form) == expected


def test_letter_drawn_on_a_transparent_canvas(classifier: Classifier, letter: Letter) -> None:
    # Drawing programs store black everywhere, and the letter in the alpha channel alone.
    gray = to_gray(letter("waw"))
    canvas = np.zeros((*gray.shape, 4), np.uint8)
    canvas[:, :, 3] = 255 - gray
    assert classifier.classify(canvas) == classifier.classify(gray)


def test_white_on_black_reads_like_black_on_white(
    classifier: Classifier, tiles: list[Image]
) -> None:
    for image in tiles:
        assert classifier.classify(255 - image).label == classifier.classify(image).label


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_image_has_no_label(classifier: Classifier, level: int) -> None:
    prediction = classifier.classify(np.full((64, 48), level, np.uint8))
    assert (prediction.label, prediction.accepted, prediction.reason) == ("", False, "blank")
    assert prediction.top == ()


@given(images())
def test_any_array_is_answered(classifier: Classifier, image: Image) -> None:
    check(classifier.classify(image), classifier.spec)


@given(
    st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail)
)
def test_any_bytes_are_no_image(classifier: Classifier, data: bytes) -> None:
    with pytest.raises(ImageError):
        classifier.classify(data)


@pytest.mark.parametrize("top", [1, 2, 3, 28, 1000])
def test_candidates_are_the_best_of_all_scores(
    classifier: Classifier, tiles: list[Image], top: int
) -> None:
    scores = classifier.scores(tiles)
    for image, row in zip(tiles, scores, strict=True):
        prediction = classifier.classify(image, top=top)
        check(prediction, classifier.spec, top)
        best = np.sort(row)[::-1][: len(prediction.top)]
        got = [candidate.confidence for candidate in prediction.top]
        np.testing.assert_allclose(got, best, atol=1e-6)


def test_scores_are_a_distribution(classifier: Classifier, tiles: list[Image]) -> None:
    scores = classifier.scores([*tiles, np.full((9, 9), 255, np.uint8)])
    assert (scores.shape, scores.dtype) == ((29, 28), np.float32)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_batch_answers_like_single_images(classifier: Classifier, tiles: list[Image]) -> None:
    mixed = [*tiles, np.full((30, 30), 255, np.uint8)]
    batch = classifier.classify_batch(mixed, top=2)
    for prediction, image in zip(batch, mixed, strict=True):
        single = classifier.classify(image, top=2)
        assert (prediction.label, prediction.reason) == (single.label, single.reason)
        assert prediction.confidence == pytest.approx(single.confidence, abs=1e-5)
        check(prediction, classifier.spec, 2)


def test_empty_batch(classifier: Classifier) -> None:
    assert classifier.classify_batch([]) == []
    assert classifier.scores([]).shape == (0, 28)


def test_bad_image_in_a_batch_is_named(classifier: Classifier, letter: Letter) -> None:
    with pytest.raises(ImageError, match="absent"):
        classifier.classify_batch([letter("beh"), "absent.png"])


@pytest.mark.parametrize("form", ["tiny_onnx", "tiny_tflite"])
def test_other_files_and_engines(
    form: str, tiles: list[Image], two: ModelSpec, request: pytest.FixtureRequest
) -> None:
    small = Classifier.load(request.getfixturevalue(form)())
    assert small.spec == two
    for prediction in small.classify_batch(tiles):
        check(prediction, two)
    # The tiny model weighs ink above against ink below the middle.
    wedge = np.full((64, 64), 255, np.uint8)
    cv2.fillPoly(wedge, [np.int32([[12, 12], [52, 12], [32, 52]])], 0)
    assert small.classify(wedge).label == "ا"
    assert small.classify(wedge[::-1]).label == "ب"


def test_unsure_prediction_is_refused_but_told(
    classifier: Classifier, respecced: Callable[..., Path], tiles: list[Image]
) -> None:
    limit = float(np.median([classifier.classify(image).confidence for image in tiles]))
    spec = replace(classifier.spec, rejection=RejectionSpec(limit))
    strict = Classifier.load(respecced(spec.to_json()))
    answers = [strict.classify(image) for image in tiles]
    assert {answer.accepted for answer in answers} == {True, False}
    for answer, image in zip(answers, tiles, strict=True):
        assert answer.accepted == (answer.confidence >= limit)
        assert answer.accepted == (not answer.reason)
        assert answer.top == classifier.classify(image).top


def test_temperature_calms_without_changing_the_label(
    classifier: Classifier, respecced: Callable[..., Path], tiles: list[Image]
) -> None:
    spec = replace(classifier.spec, temperature=2 * classifier.spec.temperature)
    calm = Classifier.load(respecced(spec.to_json()))
    for image in tiles:
        before, after = classifier.classify(image), calm.classify(image)
        assert after.label == before.label
        assert after.confidence < before.confidence


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0, 100.0])
def test_probabilities_agree_between_logits_and_softmax(temperature: float) -> None:
    # A model that ends in softmax calibrates like the same model without it.
    labels = (Label("a", "a"), Label("b", "b"), Label("c", "c"))
    logits = np.float32([[2.0, 1.0, -3.0], [0.0, 0.0, 0.0], [9.0, -9.0, 0.5]])
    spec = ModelSpec("m", labels, output="logits", temperature=temperature)
    got = probabilities(logits.copy(), spec)
    exact = np.exp(logits.astype(float) / temperature - (logits / temperature).max(1)[:, None])
    np.testing.assert_allclose(got, exact / exact.sum(1)[:, None], atol=1e-5)
    softmax = probabilities(logits, replace(spec, temperature=1.0))
    np.testing.assert_allclose(
        probabilities(softmax, replace(spec, output="softmax")), got, atol=2e-4
    )


@pytest.mark.parametrize("output", ["logits", "softmax"])
def test_extreme_outputs_stay_finite(output: str) -> None:
    spec = ModelSpec("m", (Label("a", "a"), Label("b", "b")), output=output, temperature=0.01)
    extreme = np.float32([[1.0, 0.0], [0.0, 1.0]]) * (1 if output == "softmax" else 1e6)
    np.testing.assert_allclose(probabilities(extreme, spec), [[1, 0], [0, 1]], atol=1e-6)


def test_prediction_as_json(classifier: Classifier, letter: Letter) -> None:
    prediction = classifier.classify(letter("lam"))
    data = json.loads(json.dumps(prediction.to_dict()))
    assert set(data) == {
        *("label", "name", "codepoint", "confidence", "top", "accepted", "reason", "between")
    }
    assert (data["label"], data["name"], data["codepoint"]) == ("ل", "lam", "U+0644")
    assert data["top"][0] == {"label": "ل", "confidence": prediction.confidence}


def test_threads_share_one_classifier(classifier: Classifier, tiles: list[Image]) -> None:
    expected = [classifier.classify(image) for image in tiles]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classifier.classify, tiles * 3)) == expected * 3
