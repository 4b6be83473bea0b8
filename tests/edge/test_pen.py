"""Dots in one stroke, and blots: the letter stays what it was."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hcr_edge.augment import Augmentation
from hcr_edge.datasets import Dataset
from hcr_edge.pen import DOTS, blot, join_dots
from hcr_runtime.image import to_gray
from hcr_runtime.ink import lift_ink

Ink = np.ndarray


@pytest.fixture(scope="module")
def letters(ahcd: Callable[[str], Dataset]) -> dict[str, list[Ink]]:
    data = ahcd("test")
    found: dict[str, list[Ink]] = {}
    for image, label in zip(data.images, data.labels, strict=True):
        some = found.setdefault(data.label_set[label].text, [])
        if len(some) < 80:
            some.append(lift_ink(to_gray(image)))
    return found


def _parts(ink: Ink) -> np.ndarray:
    """Of each component: left, top, width, height, area; the largest first."""
    mask = (ink > ink.max() // 5).astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(mask)[2][1:]
    return np.asarray(stats[np.argsort(-stats[:, cv2.CC_STAT_AREA])])


@pytest.mark.parametrize("letter", ["ت", "ث", "ش", "ق", "ي"])
def test_dots_become_one_line_where_they_were(letter: str, letters: dict[str, list[Ink]]) -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for ink in letters[letter]:
        stroke, *dots = _parts(ink)
        if len(dots) != DOTS[letter] or min(dot[4] for dot in dots) < max(2, 0.03 * stroke[4]):
            continue  # dots that touch, or dust
        joined = join_dots(ink, DOTS[letter], rng)
        if joined is ink:
            continue
        changed += 1
        # An angle may have more ink than a thin stroke.
        parts = sorted(_parts(joined), key=lambda part: list(part[2:]) != list(stroke[2:]))
        assert len(parts) == 2, "a stroke, and a line that does not touch it"
        np.testing.assert_array_equal(parts[0][2:], stroke[2:], "the stroke is as it was")
        where = parts[1][1] + parts[1][3] / 2 < parts[0][1] + parts[0][3] / 2
        before = np.mean([dot[1] + dot[3] / 2 for dot in dots]) < stroke[1] + stroke[3] / 2
        assert where == before
    assert changed >= 10


def test_without_dots_apart_nothing_is_changed(letters: dict[str, list[Ink]]) -> None:
    rng = np.random.default_rng(0)
    bare = [ink for ink in letters["ا"] if len(_parts(ink)) == 1]
    assert bare
    for ink in [*bare, np.zeros((32, 32), np.uint8)]:
        assert join_dots(ink, 2, rng) is ink


@pytest.mark.parametrize("letter", ["ز", "ذ", "ن", "خ", "ر"])
def test_a_blot_joins_no_dot_to_its_stroke(letter: str, letters: dict[str, list[Ink]]) -> None:
    rng = np.random.default_rng(0)
    for ink in letters[letter]:
        blotted = blot(ink, rng)
        (stroke, *dots), (_, *others) = _parts(ink), _parts(blotted)
        assert len(others) == len(dots)
        if dots and dots[0][4] < 0.5 * stroke[4]:  # else either may be the largest
            gained = [part[4] - dot[4] for part, dot in zip(others, dots, strict=True)]
            assert gained == [0] * len(dots), "dots stay as they are"


def test_a_blot_adds_a_little_ink_to_one_stroke(letters: dict[str, list[Ink]]) -> None:
    rng = np.random.default_rng(0)
    inks = letters["ر"]
    blotted = [blot(ink, rng) for ink in inks]
    for before, after in zip(inks, blotted, strict=True):
        assert after.max() == before.max()
        assert after.astype(int).sum() < 1.8 * before.astype(int).sum()
        pen = 4 * cv2.distanceTransform((before > 50).astype(np.uint8), cv2.DIST_L2, 3).max()
        fell = np.argwhere(after.astype(int) < before.astype(int) - 25)
        if len(fell):
            assert np.ptp(fell, axis=0).max() <= 2 * pen, "near the blot alone"
    changes = [
        after.astype(int) - before.astype(int) for before, after in zip(inks, blotted, strict=True)
    ]
    assert np.mean([(change > 50).any() for change in changes]) > 0.7
    faint = np.mean([(change < -50).any() for change in changes])
    assert 0.2 < faint < 0.6, "about half run dry for a moment"
    blank = np.zeros((32, 32), np.uint8)
    assert blot(blank, rng) is blank


def test_only_letters_with_several_dots_are_joined_and_only_if_asked(
    letters: dict[str, list[Ink]],
) -> None:
    rng = np.random.default_rng(0)
    always = Augmentation(joined=1.0)
    for text, inks in letters.items():
        changed = [always.join(ink, text, rng) is not ink for ink in inks]
        assert any(changed) == (text in DOTS), text
    ink = letters["ث"][0]
    assert Augmentation().join(ink, "ث", rng) is ink


def test_what_is_not_asked_for_draws_no_numbers(letters: dict[str, list[Ink]]) -> None:
    """Recipes of before give the images that they gave."""
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    plain = Augmentation(coarse=0.2, broken=0.2)
    plain.join(letters["ث"][0], "ث", first)
    assert first.bit_generator.state == second.bit_generator.state


@pytest.mark.parametrize("level", [1, 4, 255])
def test_an_image_that_is_all_ink_stays_usable(level: int) -> None:
    """A dark scan may leave no paper."""
    rng = np.random.default_rng(0)
    full = np.full((40, 40), level, np.uint8)
    for _ in range(20):
        blotted = blot(full, rng)
        assert blotted.shape == full.shape
        assert blotted.max() == level
