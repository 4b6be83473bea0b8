"""`reading_order`: lines of glyphs on pages that are turned, uneven, and right to left."""

from __future__ import annotations

import numpy as np
import pytest

from hcr_runtime.reading_order import reading_order
from hcr_runtime.spec import Direction


def grid(rows: int, columns: int, pitch: float = 60.0) -> np.ndarray:
    """Middles of letters, line by line from left to right; a third of them missing at the end."""
    return np.array(
        [(pitch * c, 1.4 * pitch * r) for r in range(rows) for c in range(columns - r % 3)]
    )


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("degrees", [-5, 0, 5])
def test_turned_page(degrees: float, direction: Direction) -> None:
    flat = grid(8, 14)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    jitter = np.random.default_rng(0).normal(0, 5, flat.shape)
    found = reading_order(flat @ turn.T + jitter, 40.0, direction)
    assert [line for line, _ in found] == (flat[:, 1] / 84).round().astype(int).tolist()
    for line in range(8):
        places = [place for number, place in found if number == line]
        assert places == sorted(places, reverse=direction == "rtl")
        assert sorted(places) == list(range(len(places)))


def test_words_far_apart_stand_on_one_line() -> None:
    centres = np.array([(0.0, 0), (50, 3), (900, 6), (950, 2), (10, 100), (920, 104)])
    assert [line for line, _ in reading_order(centres, 40.0, "ltr")] == [0, 0, 0, 0, 1, 1]


def test_nothing_and_one() -> None:
    assert reading_order(np.zeros((0, 2)), 10.0, "ltr") == []
    assert reading_order(np.array([(5.0, 5.0)]), 10.0, "rtl") == [(0, 0)]
