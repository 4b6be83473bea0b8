"""The shadow of a pencil, a finger or blinds across a letter is none of its strokes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, shipped_models
from hcr_runtime.ink import extract_ink
from hcr_runtime.narrow_shadow import band_depth, erase_bands

Image = NDArray[np.uint8]
Light = Callable[[int], NDArray[np.float32]]


def photograph(tile: Image, side: int, left: NDArray[np.float32]) -> Image:
    """Photograph a letter in so much light, 0-1."""
    rng = np.random.default_rng(0)
    ink = cv2.resize(extract_ink(tile), (side, side), interpolation=cv2.INTER_CUBIC)
    ink = cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), side / 160)
    picture = 235 * (1 - 0.8 * np.clip(ink, 0, 1)) * left + rng.normal(0, 3, ink.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def bands(angle: float, width: float, depth: float, soft: float, apart: float = 2.0) -> Light:
    """Throw bands of a width and distance, in shares of the side, that take so much of the light.

    The middle one lies a tenth beside the middle.
    """

    def light(side: int) -> NDArray[np.float32]:
        y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
        across = np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y - 0.1
        across = (across + apart / 2) % apart - apart / 2
        dark = (np.abs(across) < width / 2).astype(np.float32)
        return 1 - np.float32(depth) * cv2.GaussianBlur(dark, (0, 0), soft * side)

    return light


LIGHTS = {
    "pencil": bands(35, 0.05, 0.35, 0.012),
    "pencil, sharp": bands(70, 0.06, 0.45, 0.004),
    "finger": bands(110, 0.15, 0.45, 0.012),
    "blinds": bands(25, 0.1, 0.4, 0.01, apart=0.22),
}


@pytest.mark.parametrize("side", [128, 320, 640])
@pytest.mark.parametrize("name", list(LIGHTS))
def test_a_narrow_shadow_is_no_stroke(
    name: str, side: int, tiles: list[Image], classifier: Classifier
) -> None:
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    shown = [photograph(tile, side, LIGHTS[name](side)) for tile in tiles]
    told = classifier.classify_batch(shown)
    right = [p.accepted and p.label == label for p, label in zip(told, labels, strict=True)]
    assert sum(right) >= 0.7 * len(tiles)
    assert sum(p.accepted for p in told) - sum(right) <= 1
    first = classifier.classify_glyphs(shown)
    assert sum(p.accepted and p.label == x for p, x in zip(first, labels, strict=True)) < sum(right)


@pytest.mark.parametrize("model", list(shipped_models()))
@pytest.mark.parametrize("name", ["pencil", "finger", "blinds"])
def test_a_shadow_alone_is_not_answered(name: str, model: str) -> None:
    paper = np.full((64, 64), 255, np.uint8)
    assert not Classifier.load(model).classify(photograph(paper, 128, LIGHTS[name](128))).accepted


def test_what_is_no_band() -> None:
    paper = np.full((128, 128), 230, np.uint8)
    paper[50:80, 60:68] = 40
    cases = {"plain": paper}
    for name, where in {
        "thin line": np.s_[90:93],
        "edge of a frame": np.s_[:, :3],
        "corner in a shadow": np.s_[90:, :60],
    }.items():
        cases[name] = paper.copy()
        cases[name][where] = np.minimum(cases[name][where], 130)
    cases["stroke to the side"] = paper.copy()
    cases["stroke to the side"][60:70, 60:] = 40
    assert {name: band_depth(image) for name, image in cases.items()} == dict.fromkeys(cases, 0.0)


def test_ink_in_a_band_stays() -> None:
    darkness = np.zeros((64, 64), np.uint8)
    darkness[20:30] = 100
    darkness[10:50, 30:34] = 220
    mask = np.where(darkness > 0, 255, 0).astype(np.uint8)
    left, seen = erase_bands(darkness, mask, 0.4)
    assert cv2.boundingRect(seen) == (30, 10, 4, 40)
    assert cv2.boundingRect(left) == (30, 10, 4, 40)
