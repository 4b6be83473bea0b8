"""Ticks between the cells of a comb are no alefs; alefs on a ruled line are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_runtime import Classifier
from hcr_runtime.comb_ticks import erase_ticks
from hcr_runtime.components import Components
from hcr_runtime.image import to_gray
from tests.composed_pages import BLACK, BLACK_LINE, BLUE_LINE, Look, Score, compose, judge

LOOKS = {
    "black": Look(lines="ticks", line=BLACK_LINE),
    "grey": Look(lines="ticks"),
    "turned": Look(lines="ticks", line=BLACK_LINE, skew=3),
    "pale": Look(lines="ticks", line=BLUE_LINE, skew=-3, ink=BLACK),
}


@pytest.mark.parametrize("name", LOOKS)
def test_ticks_of_combs_are_no_letters(name: str, read_look: Callable[..., Score]) -> None:
    score = read_look(LOOKS[name])
    assert score.found >= 0.95 * score.letters
    assert score.false <= 1


@pytest.mark.parametrize("lines", ["ruled", "comb", "table"])
def test_alefs_stay_where_they_are_written(
    lines: str, letter: Callable[..., Path], classifier: Classifier
) -> None:
    alefs = [to_gray(letter("alef", n)) for n in range(10)]
    look = Look(lines=lines, line=BLUE_LINE, ink=BLACK)
    page = compose([*alefs, *alefs[::-1], *alefs], look, seed=1)
    score = judge(page, ["ا"] * len(page.boxes), classifier.read(page.image))
    assert score.found >= 0.95 * score.letters


@pytest.mark.parametrize("how", ["few", "of any height", "anywhere", "not on a line"])
def test_strokes_that_are_not_as_even_as_print_stay(how: str) -> None:
    rng = np.random.default_rng(1)
    mask, lines = np.zeros((2, 200, 900), np.uint8)
    for number in range(4 if how == "few" else 12):
        x = 40 + 70 * number + (how == "anywhere") * int(rng.integers(-8, 9))
        top = 116 - (how == "of any height") * int(rng.integers(0, 12))
        cv2.line(mask, (x, top), (x, 139), 255, 3)
    lines[140:143] = 0 if how == "not on a line" else 255
    darkness = mask // 2
    assert not erase_ticks(darkness, mask, Components(mask, darkness, lines), lines)
