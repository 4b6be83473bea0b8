"""`draw_overlay`: boxes and letters over a page."""

from __future__ import annotations

import numpy as np
import pytest

from hcr_edge.drawing import COLOURS, Kind, Mark, _font, draw_overlay
from hcr_runtime import Box, Classifier, shipped_models

PAPER = np.full((240, 320, 3), 255, np.uint8)


@pytest.mark.parametrize("kind", ["accepted", "refused", "touching"])
def test_box_and_letter_are_drawn_in_their_colour(kind: Kind) -> None:
    drawn = draw_overlay(PAPER, [Mark(Box(100, 120, 60, 50), "ب", kind)])
    assert (drawn[120, 100:160] == COLOURS[kind]).all()
    chip = drawn[90:120, 100:130]
    assert (chip == COLOURS[kind]).all(axis=2).any()
    # White ink inside the chip, which stands over the box.
    rows, columns = np.nonzero((chip == COLOURS[kind]).all(axis=2))
    inside = chip[rows.min() : rows.max(), columns.min() : columns.max()]
    assert (inside > 200).all(axis=2).sum() > 8


def test_letters_differ() -> None:
    drawn = [draw_overlay(PAPER, [Mark(Box(100, 120, 60, 50), text)]) for text in "بتجЖR۳"]
    assert len({image.tobytes() for image in drawn}) == 6


def test_note_stands_beside_the_text_on_white() -> None:
    gray = np.full((240, 320, 3), 128, np.uint8)
    box = Box(100, 120, 60, 50)
    plain, noted = (draw_overlay(gray, [Mark(box, "ا", note=note)]) for note in ("", "100%"))
    _, columns = np.nonzero((plain[:118] != 128).any(axis=2))
    beside = noted[:118, columns.max() + 1 :]
    assert (beside == 255).all(axis=2).any()
    assert (beside == COLOURS["accepted"]).all(axis=2).any()


def test_font_has_every_label_that_ships() -> None:
    font = _font(20)
    missing = bytes(font.getmask("\U0010fffd"))
    for name in shipped_models():
        for text in Classifier.load(name).spec.texts:
            assert bytes(font.getmask(text)) != missing, text


@pytest.mark.parametrize(
    "box",
    [
        Box(-20, -20, 40, 40),
        Box(310, 230, 60, 60),
        Box(0, 0, 320, 240),  # no room above or below
        Box(500, 500, 10, 10),
        Box(5, 5, 0, 0),
    ],
)
def test_boxes_at_and_beyond_the_edge(box: Box) -> None:
    assert draw_overlay(PAPER, [Mark(box, "شش")]).shape == PAPER.shape


def test_image_smaller_than_a_letter() -> None:
    assert draw_overlay(np.zeros((3, 4, 3), np.uint8), [Mark(Box(0, 0, 3, 3), "A")]).shape == (
        3,
        4,
        3,
    )


def test_text_that_cannot_be_shown_is_no_error() -> None:
    draw_overlay(PAPER, [Mark(Box(100, 120, 60, 50), "\n\x00\u4e00")])
