"""A letter that is small in a large photograph is read from nearby."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, Prediction, shipped_models
from hcr_runtime.close_up import close_up
from hcr_runtime.explain import explain
from hcr_runtime.ink import extract_ink
from hcr_runtime.paper import has_bright_ink

Image = NDArray[np.uint8]
HEIGHT, WIDTH, PAPER = 1200, 900, 235


def photograph(tile: Image, share: float, *, beside: str = "", noise: float = 3) -> Image:
    """Photograph a letter's tile that takes twice `share` of the height, and what lies beside."""
    rng = np.random.default_rng(0)
    side = round(2 * share * HEIGHT)
    ink = cv2.resize(extract_ink(tile), (side, side), interpolation=cv2.INTER_CUBIC)
    ink = cv2.GaussianBlur(ink, (0, 0), side / 60)
    picture = np.full((HEIGHT, WIDTH), PAPER, np.float32)
    top, left = (HEIGHT - side) // 2 + 40, (WIDTH - side) // 2 - 30
    picture[top : top + side, left : left + side] *= 1 - 0.8 * ink / 255
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    if beside == "shadow":
        dark = (x + 0.3 * y > 0.8 * WIDTH).astype(np.float32)
        picture *= 1 - 0.4 * cv2.GaussianBlur(dark, (0, 0), 60)
    elif beside in ("sharp shadow", "sharp shadow across"):
        picture *= np.where(x + 0.3 * y > (0.6 if "across" in beside else 0.8) * WIDTH, 0.55, 1)
    elif beside == "desk":
        picture[:, : WIDTH // 8] = 55
    elif beside == "ruled":
        picture[(y % 70) < 3] -= 60
    elif beside == "ends":
        for place in (150, 420, 700):
            cv2.line(picture, (place, 0), (place + 30, 90), 60, 7)
    elif beside == "light":
        picture *= np.linspace(0.8, 1, HEIGHT, dtype=np.float32)[:, None]
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def right(told: list[Prediction], labels: list[str], accepted: bool = False) -> int:
    """How many are read as they should be, and accepted where that is asked."""
    pairs = zip(told, labels, strict=True)
    return sum(p.label == label and (p.accepted or not accepted) for p, label in pairs)


@pytest.mark.parametrize("share", [0.04, 0.06, 0.1, 0.16])
@pytest.mark.parametrize(
    "beside",
    ["", "light", "ends", "desk", "ruled", "shadow", "sharp shadow", "sharp shadow across"],
)
def test_a_small_letter_is_read_from_nearby(
    beside: str, share: float, tiles: list[Image], classifier: Classifier
) -> None:
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    shown = [photograph(tile, share, beside=beside) for tile in tiles]
    told = classifier.classify_batch(shown)
    assert right(told, labels) >= 0.9 * len(labels)
    assert sum(close_up(image) is not None for image in shown) >= 0.9 * len(labels)
    if beside in ("ends", "desk", "shadow"):  # without a close-up the images are not read
        first = classifier.classify_glyphs(shown)
        assert right(first, labels, accepted=True) < 0.5 * len(labels)
    assert right(told, labels, accepted=True) >= 0.7 * len(labels)
    wrong = [p for p, label in zip(told, labels, strict=True) if p.accepted and p.label != label]
    assert len(wrong) <= 1
    assert told[:3] == [classifier.classify(image) for image in shown[:3]]


@pytest.mark.parametrize("model", list(shipped_models()))
@pytest.mark.parametrize("size", [1, 8, 24])
def test_a_speck_is_no_small_letter(model: str, size: int) -> None:
    paper = np.full((HEIGHT, WIDTH), PAPER, np.uint8)
    cv2.circle(paper, (400, 500), size, 40, -1)
    assert close_up(paper) is None
    told = Classifier.load(model).classify(paper)
    assert (told.accepted, told.reason) in ((False, "blank"), (False, "too small"))


def test_a_shadow_does_not_make_ink_bright(tiles: list[Image]) -> None:
    shown = [photograph(tile, 0.06, beside="sharp shadow across") for tile in tiles]
    assert not any(map(has_bright_ink, shown))
    assert all(has_bright_ink(255 - image) for image in shown)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("depth", [0.45, 0.6])
def test_a_letter_half_in_a_shadow_near_a_corner(
    depth: float, scale: int, tiles: list[Image], classifier: Classifier
) -> None:
    """The light that is left in the corner is no letter, and does not tell the polarity."""
    y, x = np.mgrid[: 480 * scale, : 640 * scale]
    shown, side = [], 60 * scale
    for edge in (78, 96):
        dark = x + 0.3 * y > edge * scale
        for tile in tiles:
            ink = cv2.resize(extract_ink(tile), (side, side), interpolation=cv2.INTER_AREA)
            picture = np.full(dark.shape, PAPER, np.float32)
            picture[24 * scale :, 32 * scale :][:side, :side] *= 1 - 0.8 * ink / 255
            picture = cv2.GaussianBlur(picture * np.where(dark, 1 - depth, 1), (0, 0), 0.7)
            shown.append(np.clip(picture, 0, 255).astype(np.uint8))
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)] * 2
    first, told = classifier.classify_glyphs(shown), classifier.classify_batch(shown)
    assert right(first, labels) <= 0.1 * len(labels)
    assert right(told, labels) >= 0.7 * len(labels)
    wrong = [p for p, label in zip(told, labels, strict=True) if p.accepted and p.label != label]
    assert len(wrong) <= 2


def test_several_letters_have_no_close_up(tiles: list[Image]) -> None:
    both = np.hstack([photograph(tile, 0.08)[:, 200:700] for tile in tiles[2:4]])
    assert close_up(both) is None
    both[:, :60] = 50  # on a desk
    assert close_up(both) is None


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (129, 129), (200, 3), (640, 5000)])
def test_any_shape_is_taken(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    close_up(rng.integers(0, 256, shape, np.uint8))
    blank = np.full(shape, 255, np.uint8)
    assert close_up(blank) is None
    blank[shape[0] // 2 :, shape[1] // 3 :] = 0
    close_up(blank)


def test_tight_and_small_images_are_left_alone(tiles: list[Image]) -> None:
    for tile in tiles:
        large = cv2.resize(tile, (640, 640), interpolation=cv2.INTER_CUBIC)
        ink = cv2.boundingRect(cv2.threshold(large, 128, 255, cv2.THRESH_BINARY_INV)[1])
        assert close_up(tile) is None
        if max(ink[2:]) > 300:
            assert close_up(large) is None


def test_the_close_up_is_explained(tiles: list[Image], classifier: Classifier) -> None:
    near, whole = (explain(classifier, photograph(tiles[5], share)) for share in (0.1, 0.35))
    assert near.shape[1] > whole.shape[1]  # one panel more
