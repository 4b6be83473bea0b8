"""`erase_show_through`: the other side's writing goes, thin and faint strokes stay."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_runtime import find_glyphs
from hcr_runtime.components import Components
from hcr_runtime.image import to_gray
from hcr_runtime.paper import lift_page
from hcr_runtime.show_through import erase_show_through
from tests.composed_pages import BLACK, BLUE, PENCIL, Look, compose


def sheet(samples_dir: Path, look: Look) -> np.ndarray:
    files = sorted((samples_dir / "arabic-letters" / "test").glob("*/*.png"))[::17]
    return compose([to_gray(file) for file in files], look, seed=3).image


@pytest.mark.parametrize("ink", [BLUE, BLACK])
def test_only_the_writing_of_this_side_is_found(
    samples_dir: Path, ink: tuple[int, int, int]
) -> None:
    clean = find_glyphs(sheet(samples_dir, Look(ink=ink)))
    thin_paper = find_glyphs(sheet(samples_dir, Look(ink=ink, things=("other side",))))
    assert len(clean) > 30
    # Where ink lies on ink the rim of a stroke may move by a pixel or two.
    before, after = (np.array([astuple(g.box) for g in each]) for each in (clean, thin_paper))
    moved = np.abs(before[:, None] - after).max(axis=2).min(axis=1)
    assert (moved <= 3).mean() >= 0.95
    assert len(thin_paper) <= len(clean) + 1


@pytest.mark.parametrize(
    "look",
    [Look(), Look(ink=PENCIL), Look(height=36, blur=0.4), Look(blur=2.2), Look(quality=12)],
    ids=["pen", "pencil", "tiny", "out of focus", "coarse JPEG"],
)
def test_nothing_is_erased_where_nothing_shows_through(samples_dir: Path, look: Look) -> None:
    darkness, mask = lift_page(to_gray(sheet(samples_dir, look)))
    before = mask.copy()
    assert not erase_show_through(
        darkness, mask, Components(mask, darkness, 0 * mask), 0 * mask, darkness
    )
    np.testing.assert_array_equal(mask, before)


def test_what_the_edge_cuts_is_left() -> None:
    darkness = np.zeros((600, 800), np.uint8)
    darkness[:, :300] = 30  # a desk
    darkness[:, 100:104] = 200
    darkness[100:160, 500:506] = 200
    mask = cv2.compare(darkness, 16, cv2.CMP_GT)
    assert not erase_show_through(
        darkness, mask, Components(mask, darkness, 0 * mask), 0 * mask, darkness
    )
