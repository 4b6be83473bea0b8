"""The one rule that accepts answers, the reasons of refusals, and lists of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, HcrError, Label, ModelSpec, RejectionSpec, accepts
from hcr_runtime.image import to_gray
from hcr_runtime.ink import Extent
from hcr_runtime.prediction import predict
from hcr_runtime.preprocess import prepare

Image = NDArray[np.uint8]
Letter = Callable[..., Path]

SPEC = ModelSpec("four", tuple(Label(text, text) for text in "abcd"), rejection=RejectionSpec(0.9))
WHOLE = Extent(10, 10, 30, 30, 0)


@pytest.mark.parametrize(
    ("scores", "extent", "reason"),
    [
        ([0.95, 0.05, 0, 0], WHOLE, ""),
        ([0.90625, 0.09375, 0, 0], WHOLE, ""),
        ([0.95, 0.05, 0, 0], Extent(0, 0, 0, 0, 0), "blank"),
        # A handful of pixels is never answered, however sure the model is.
        ([0.99, 0.01, 0, 0], Extent(3, 3, 5, 5, 0), "too small"),
        ([0.99, 0.01, 0, 0], Extent(3, 3, 6, 2, 0), ""),
        # What explains a refusal, the surest explanation first.
        ([0.6, 0.4, 0, 0], Extent(3, 3, 9, 9, 0), "too small"),
        ([0.6, 0.4, 0, 0], Extent(0, 0, 64, 64, 3), "too large"),
        ([0.6, 0.4, 0, 0], Extent(0, 0, 64, 60, 2), "ambiguous"),
        ([0.6, 0.35, 0.05, 0], WHOLE, "ambiguous"),
        ([0.6, 0.15, 0.15, 0.1], WHOLE, "unsure"),
        ([0.89, 0.04, 0.04, 0.03], WHOLE, "unsure"),  # no one rival
    ],
)
def test_reason_of_a_refusal(scores: list[float], extent: Extent, reason: str) -> None:
    prediction = predict(extent, np.float32(scores), SPEC)
    assert prediction.reason == reason
    assert prediction.accepted == (not reason)
    assert prediction.between == (("a", "b") if reason == "ambiguous" else ())
    if reason != "blank":
        assert (prediction.label, prediction.confidence) == ("a", np.float32(scores[0]))


def test_even_answers_are_no_character() -> None:
    many = replace(SPEC, labels=tuple(Label(text, text) for text in "abcdefghij"))
    assert predict(WHOLE, np.full(10, 0.1, np.float32), many).reason == "not a character"


def test_prediction_cannot_be_changed() -> None:
    prediction = predict(WHOLE, np.float32([1, 0, 0, 0]), SPEC)
    with pytest.raises(FrozenInstanceError):
        prediction.label = "b"  # type: ignore[misc]
    assert hash(prediction) == hash(predict(WHOLE, np.float32([1, 0, 0, 0]), SPEC))


def test_drawings_that_are_none_are_told_apart(classifier: Classifier, tiles: list[Image]) -> None:
    rng = np.random.default_rng(4)
    reasons = []
    for _ in range(30):
        paper = np.full((96, 96), 240, np.uint8)
        points = rng.integers(8, 88, (12, 2)).astype(np.int32)
        cv2.polylines(paper, [points], False, 20, 3)
        reasons.append(classifier.classify(paper).reason)
    assert reasons.count("not a character") > 25
    assert "" not in reasons
    assert [classifier.classify(tile).reason for tile in tiles].count("not a character") == 0


def test_ambiguous_letters_are_one_of_the_two(classifier: Classifier, samples_dir: Path) -> None:
    texts = {label.codepoint: label.text for label in classifier.spec.labels}
    right = []
    for file in sorted((samples_dir / "arabic-letters" / "test").glob("*/*.png")):
        sharp = to_gray(file)
        # Out of focus more of them are ambiguous.
        for image in (sharp, cv2.GaussianBlur(sharp, (0, 0), 3)):
            answer = classifier.classify(image, top=1)
            if answer.reason == "ambiguous":
                assert len(answer.between) == 2
                assert answer.between[0] == answer.label
                right.append(texts[file.parent.name] in answer.between)
    assert len(right) >= 5
    assert np.mean(right) >= 0.8


def test_letters_of_a_few_pixels_are_too_small(classifier: Classifier, tiles: list[Image]) -> None:
    tiny = [cv2.resize(tile, (8, 8), interpolation=cv2.INTER_AREA) for tile in tiles]
    answers = [classifier.classify(image) for image in tiny]
    assert not any(answer.accepted for answer in answers if answer.reason == "too small")
    assert [answer.reason for answer in answers].count("too small") > 0.7 * len(answers)


def test_allowed_labels_share_the_confidence(classifier: Classifier, letter: Letter) -> None:
    free = classifier.classify(letter("dal"), top=28)
    some = classifier.classify(letter("dal"), top=28, allow=["د", "ذ", "ر"])
    assert {candidate.label for candidate in some.top} == {"د", "ذ", "ر"}
    assert sum(candidate.confidence for candidate in some.top) == pytest.approx(1, abs=1e-6)
    before = {candidate.label: candidate.confidence for candidate in free.top}
    total = sum(before[text] for text in "دذر")
    for candidate in some.top:
        assert candidate.confidence == pytest.approx(before[candidate.label] / total, abs=1e-6)
    without = classifier.classify(letter("dal"), top=28, deny=["ذ", "ر"])
    assert len(without.top) == 26
    (batched,) = classifier.classify_batch([letter("dal")], 28, deny=("ذ", "ر"))
    assert batched == without


def test_a_letter_that_is_not_allowed_is_refused(classifier: Classifier, letter: Letter) -> None:
    """Only renormalised, the least of all confidences would become a sure answer."""
    answer = classifier.classify(letter("seen"), allow=["د"])
    assert (answer.label, answer.accepted, answer.reason) == ("د", False, "not allowed")
    assert len(answer.top) == 1


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"allow": ["A"]}, "allow holds 'A', which is no label of arabic-letters"),
        ({"deny": ["A"]}, "deny holds 'A'"),
        ({"allow": []}, "leave no label"),
        ({"allow": ["د"], "deny": ["د"]}, "leave no label"),
    ],
)
def test_lists_that_cannot_be_meant(
    classifier: Classifier, tiles: list[Image], lists: dict[str, list[str]], says: str
) -> None:
    for call in (
        lambda: classifier.classify(tiles[0], **lists),
        lambda: classifier.classify_batch(tiles, **lists),
    ):
        with pytest.raises(HcrError, match=says):
            call()


def test_accepts_is_the_rule_of_classify(classifier: Classifier, tiles: list[Image]) -> None:
    images = [
        *tiles,
        *(cv2.resize(tile, (size, size)) for tile in tiles for size in (6, 10, 14)),
        np.full((40, 40), 9, np.uint8),
    ]
    answered = accepts(images, classifier.scores(images), classifier.spec)
    assert answered.dtype == bool
    assert answered.tolist() == [classifier.classify(image).accepted for image in images]
    assert len(set(answered.tolist())) == 2


def test_extent_is_of_the_ink(tiles: list[Image]) -> None:
    paper = np.full((64, 96), 250, np.uint8)
    paper[20:40, 30:34] = 0
    paper[60:64, 0:3] = 0
    spec = ModelSpec("two", (Label("a", "a"), Label("b", "b")))
    extent = prepare(paper, spec)[1]
    assert extent == Extent(0, 20, 34, 44, 2)
    assert prepare(np.full((9, 9), 7, np.uint8), spec)[1] == Extent(0, 0, 0, 0, 0)
