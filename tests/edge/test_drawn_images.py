from __future__ import annotations

import numpy as np
import pytest

from hcr_edge.drawn_images import draw_images
from hcr_edge.labels import PERSIAN_DIGITS, RUSSIAN_CAPITALS
from hcr_runtime import Classifier, InputSpec, Label, ModelSpec, PreprocessSpec
from hcr_runtime.image import to_bgr, to_gray


def test_the_same_arguments_draw_the_same_images() -> None:
    spec = ModelSpec("m", PERSIAN_DIGITS)
    first, second, other = (draw_images(spec, 40, seed) for seed in (1, 1, 2))
    assert first.images == second.images != other.images
    assert np.bincount(first.labels).tolist() == [4] * 10
    assert first.synthetic


@pytest.mark.parametrize(
    ("model", "labels"), [("persian-digits", PERSIAN_DIGITS), ("russian-letters", RUSSIAN_CAPITALS)]
)
def test_they_show_what_they_are_said_to_show(model: str, labels: tuple[Label, ...]) -> None:
    """The models that ship read most of them, though they learnt handwriting."""
    classifier = Classifier.load(model)
    drawn = draw_images(classifier.spec, 4 * len(labels), 3)
    read = classifier.scores(drawn.images).argmax(axis=1)
    assert (read == drawn.labels).mean() > 0.5


def test_where_polarity_is_left_alone_both_are_shown() -> None:
    params = PreprocessSpec(fit="stretch", polarity="as-is")
    spec = ModelSpec("m", PERSIAN_DIGITS, InputSpec(28, 28, 1), params)
    paper = [np.median(to_gray(image)) for image in draw_images(spec, 40, 1).images]
    assert sum(level > 128 for level in paper) == sum(level < 128 for level in paper) == 20


def test_coloured_and_unknown_to_the_font() -> None:
    labels = (Label("あ", "hiragana a"), Label("い", "hiragana i"))
    drawn = draw_images(ModelSpec("m", labels, InputSpec(32, 32, 3)), 4, 1)
    pixels = [to_bgr(image) for image in drawn.images]
    assert all(np.ptp(image, axis=2).max() > 5 for image in pixels)
    assert np.abs(pixels[0].astype(int) - pixels[1]).max() > 100, "each label has its own"
