"""What composed pages show beside the writing: a pen, a thumb, holes, folds, their other side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Thing = Literal["pen", "thumb", "holes", "folds", "flash", "other side"]
Colour = tuple[float, float, float]

SKIN, BARREL, DESK = (120, 155, 200), (90, 45, 25), (60, 85, 110)


def _pen(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """A pen of two thirds of a writing box, and its shadow, that lies across a corner."""
    height, width = owner.shape
    middle = np.array([width * rng.uniform(0.15, 0.85), height * rng.uniform(0.8, 0.95)])
    about = rng.uniform(-0.6, 0.6)
    ends = [middle + way * 4.5 * side * np.array([np.cos(about), np.sin(about)]) for way in (-1, 1)]
    thick = max(3, round(0.6 * side))
    shadow = _line(owner.shape, [end + 0.25 * side for end in ends], thick)
    page *= 1 - 0.4 * cv2.GaussianBlur(shadow, (0, 0), 0.15 * side)[..., None]
    _cover(page, owner, _line(owner.shape, ends, thick), BARREL)
    shine = _line(owner.shape, [end - 0.12 * side for end in ends], max(1, thick // 6))
    page += (200 - page) * 0.6 * shine[..., None]


def _thumb(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """A thumb of two writing boxes that holds the sheet at its side."""
    height, width = owner.shape
    y = height * rng.uniform(0.3, 0.9)
    end = np.array([width - 1.2 * side, y])
    _cover(page, owner, _line(owner.shape, [end, np.array([width + 3 * side, y])], 2 * side), SKIN)


def _holes(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """Four punched holes, as wide as half a writing box, through which the desk is seen."""
    height, _ = owner.shape
    for y in np.linspace(0.12, 0.88, 4) * height:
        mask = np.zeros(owner.shape, np.float32)
        cv2.circle(mask, (round(0.45 * side), round(y)), round(0.28 * side), 1.0, -1, cv2.LINE_AA)
        _cover(page, owner, mask, DESK)


def _folds(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """Folded in four: each quarter has its light, and a crease its shadow."""
    height, width = owner.shape
    for down in (slice(None, height // 2), slice(height // 2, None)):
        for across in (slice(None, width // 2), slice(width // 2, None)):
            page[down, across] *= rng.uniform(0.85, 1.0)
    creases = np.zeros(owner.shape, np.float32)
    creases[height // 2 - 1 : height // 2 + 1] = creases[:, width // 2 - 1 : width // 2 + 1] = 1
    creases = cv2.GaussianBlur(creases, (0, 0), max(1.0, side / 40))
    page *= 1 - 0.35 * creases[..., None] / creases.max()


def _flash(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """Glossy paper under a lamp: a bright spot that takes half of the ink's contrast."""
    height, width = owner.shape
    x0, y0 = width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.8)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    spot = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (0.18 * width) ** 2).astype(np.float32)
    page += 0.6 * spot[..., None] * (255 - page)
    page *= 0.8 + 0.2 * spot[..., None]


def _other_side(
    page: NDArray[np.float32], owner: NDArray[np.uint16], side: int, rng: np.random.Generator
) -> None:
    """Thin paper: the writing of its other side, mirrored, in a seventh of its darkness."""
    ink = cv2.GaussianBlur((owner > 0).astype(np.float32), (0, 0), max(0.8, side / 50))
    shown = np.roll(ink[:, ::-1], (round(0.45 * side), round(0.3 * side)), axis=(0, 1))
    page *= 1 - 0.14 * shown[..., None]


def _line(
    shape: tuple[int, ...], ends: list[NDArray[np.float64]], thick: int
) -> NDArray[np.float32]:
    mask = np.zeros(shape, np.float32)
    first, last = ((round(float(x)), round(float(y))) for x, y in ends)
    cv2.line(mask, first, last, 1.0, thick, cv2.LINE_AA)
    return mask


def _cover(
    page: NDArray[np.float32],
    owner: NDArray[np.uint16],
    mask: NDArray[np.float32],
    colour: Colour,
) -> None:
    page += (np.float32(colour) - page) * mask[..., None]
    owner[mask > 0.3] = 0


THINGS: dict[
    Thing,
    Callable[[NDArray[np.float32], NDArray[np.uint16], int, np.random.Generator], None],
] = {
    "pen": _pen,
    "thumb": _thumb,
    "holes": _holes,
    "folds": _folds,
    "flash": _flash,
    "other side": _other_side,
}
