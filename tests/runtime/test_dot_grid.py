"""Dot-grid paper: its dots are no glyphs, and no dots of letters; those of letters stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import find_glyphs
from hcr_runtime.components import Components
from hcr_runtime.dot_grid import erase_dot_grid
from tests.composed_pages import BLACK, CREAM, PENCIL, Look, Score, compose

Image = NDArray[np.uint8]
Letter = Callable[..., Path]

DOTS = (165, 165, 165)
LOOKS = {
    "as scanned": Look(lines="dot grid"),
    "dark dots": Look(lines="dot grid", line=(150, 150, 150), thick=1.3, ink=BLACK),
    "turned": Look(lines="dot grid", line=DOTS, skew=4),
    "turned -12": Look(lines="dot grid", line=DOTS, skew=-12, paper=CREAM),
    "aslant": Look(lines="dot grid", line=DOTS, tilt=25, desk="wood"),
    "curled": Look(lines="dot grid", curl=0.03, skew=1),
    "small letters": Look(lines="dot grid", line=DOTS, height=44, thick=1.5),
    "pencil": Look(lines="dot grid", ink=PENCIL, line=(195, 195, 195)),
    "shadow": Look(lines="dot grid", line=DOTS, shadow=0.5, edge=True, quality=40),
    "little light": Look(lines="dot grid", line=DOTS, noise=15, blur=1.0),
}
DOTTED = ("beh", "teh", "theh", "jeem", "khah", "thal", "zain", "sheen", "noon", "yeh")


@pytest.mark.parametrize("name", LOOKS)
def test_letters_with_dots_are_read_among_the_papers(
    name: str, read_look: Callable[..., Score]
) -> None:
    score = read_look(LOOKS[name], DOTTED, each=6, seed=2)
    assert score.found >= 0.95 * score.letters
    assert score.read >= 0.85 * score.letters
    assert score.false <= 1


def test_an_empty_sheet_has_no_glyphs() -> None:
    assert find_glyphs(compose([], Look(lines="dot grid", skew=3)).image) == ()


@pytest.mark.parametrize("astray", [1, 2, 4])
@pytest.mark.parametrize("pitch", [30, 60])
def test_dots_that_a_hand_set_in_rows_and_columns_stay(pitch: int, astray: int) -> None:
    """Persian zeros in the cells of a table, say: no hand is as even as print."""
    rng = np.random.default_rng(0)
    mask = np.zeros((900, 1200), np.uint8)
    for y in range(pitch, 870, pitch):
        for x in range(pitch, 1170, pitch):
            at = np.array((x, y)) + rng.normal(0, astray * pitch / 30, 2)
            cv2.circle(mask, np.rint(at).astype(int).tolist(), 3, 255, -1)
    darkness = mask // 4
    components = Components(mask, darkness, np.zeros_like(mask))
    assert not erase_dot_grid(darkness, mask, components)


@pytest.mark.parametrize("ink", [60, 200])
def test_dots_of_the_writings_own_ink_stay(ink: int) -> None:
    mask = np.zeros((900, 1200), np.uint8)
    for y in range(30, 870, 30):
        for x in range(30, 1170, 30):
            cv2.circle(mask, (x, y), 2, 255, -1)
    cv2.line(mask, (100, 100), (160, 220), 255, 4)
    darkness = np.asarray(mask > 0, np.uint8) * np.uint8(ink)
    components = Components(mask, darkness, np.zeros_like(mask))
    assert not erase_dot_grid(darkness, mask, components)
