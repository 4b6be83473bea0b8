"""Drawings that are no character: a recogniser shall refuse them.

Training mixes `TRAINED` kinds into its batches (Hendrycks, Mazeika, Dietterich 2019: "Deep Anomaly
Detection with Outlier Exposure"). The rate of false acceptance is measured on `KINDS`, which holds
kinds that no training saw.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hcr_edge.errors import RecipeError

Gray = NDArray[np.uint8]
Draw = Callable[[int, np.random.Generator], Gray]


def draw_outlier(kind: str, rng: np.random.Generator) -> Gray:
    """Draw something that is no character.

    Args:
        kind: One of `KINDS`.
        rng: Decides everything else.

    Returns:
        Dark on bright: uint8 of shape (side, side), side 48 to 96.

    >>> draw_outlier("scribble", np.random.default_rng(0)).dtype
    dtype('uint8')
    """
    if kind not in KINDS:
        raise RecipeError(f"there is no kind of outlier {kind!r}", allowed=", ".join(KINDS))
    return KINDS[kind](int(rng.integers(48, 97)), rng)


def draw_outliers(kinds: tuple[str, ...], count: int, seed: int) -> list[Gray]:
    """Draw `count` of each kind."""
    return [
        draw_outlier(kind, np.random.default_rng((seed, number, index)))
        for number, kind in enumerate(kinds)
        for index in range(count)
    ]


def _paper(side: int, rng: np.random.Generator) -> Gray:
    level = rng.integers(200, 256)
    grain = rng.normal(0, rng.uniform(0, 3), (side, side))
    return np.clip(level + grain, 0, 255).astype(np.uint8)


def _ink(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 110))


def _empty(side: int, rng: np.random.Generator) -> Gray:
    """Paper with a shadow over it."""
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    angle = rng.uniform(0, 2 * np.pi)
    shadow = rng.uniform(0, 40) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.clip(_paper(side, rng) - 20 + shadow, 0, 255).astype(np.uint8)


def _smudge(side: int, rng: np.random.Generator) -> Gray:
    field = rng.normal(0, 1, (side, side)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), side * rng.uniform(0.06, 0.15))
    field -= np.quantile(field, rng.uniform(0.55, 0.9))
    wet = np.clip(field / max(float(field.max()), 1e-6), 0, 1) ** rng.uniform(0.5, 1.5)
    paper = _paper(side, rng)
    return np.asarray(paper - wet * (paper - float(_ink(rng))), np.uint8)


def _scribble(side: int, rng: np.random.Generator) -> Gray:
    paper = _paper(side, rng)
    points = rng.uniform(0.1, 0.9, (int(rng.integers(10, 30)), 2)) * side
    curve = np.stack([_spline(points[:, i]) for i in range(2)], axis=1)
    width = int(rng.integers(1, max(2, side // 24) + 1))
    cv2.polylines(paper, [curve.astype(np.int32)], False, _ink(rng), width, cv2.LINE_AA)
    return paper


def _spline(values: NDArray[np.float64]) -> NDArray[np.float32]:
    line = values.astype(np.float32)[None]
    return cv2.resize(line, (12 * line.shape[1], 1), interpolation=cv2.INTER_CUBIC)[0]


def _lines(side: int, rng: np.random.Generator) -> Gray:
    """Ruled or squared paper, at any angle."""
    paper = _paper(side, rng)
    gap, width, ink = int(rng.integers(5, side // 4)), int(rng.integers(1, 4)), _ink(rng)
    squared = rng.random() < 0.5
    for place in range(-side, 2 * side, gap):
        cv2.line(paper, (-side, place), (2 * side, place), ink, width)
        if squared:
            cv2.line(paper, (place, -side), (place, 2 * side), ink, width)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.normal(0, 20), 1)
    return np.asarray(cv2.warpAffine(paper, turn, (side, side), borderValue=255), np.uint8)


def _texture(side: int, rng: np.random.Generator) -> Gray:
    field = rng.normal(0, 1, (side, side)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), rng.uniform(0.4, 4))
    field = (field - field.min()) / max(float(np.ptp(field)), 1e-6)
    if rng.random() < 0.5:
        field = (field > np.quantile(field, rng.uniform(0.3, 0.8))).astype(np.float32)
    return np.asarray(255 - field * rng.uniform(60, 255), np.uint8)


def _shape(side: int, rng: np.random.Generator) -> Gray:
    """Filled polygons."""
    paper = _paper(side, rng)
    for _ in range(int(rng.integers(1, 4))):
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(0.15, 0.45, corners) * side
        middle = rng.uniform(0.35, 0.65, 2) * side
        points = middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(paper, [points.astype(np.int32)], _ink(rng), cv2.LINE_AA)
    return paper


def _word(side: int, rng: np.random.Generator) -> Gray:
    """Printed Latin letters and digits, one to three lines."""
    alphabet = list(string.ascii_letters + string.digits)
    lines = [
        "".join(rng.choice(alphabet, int(rng.integers(4, 10))))
        for _ in range(int(rng.integers(1, 4)))
    ]
    large = 4 * side
    page = Image.new("L", (large, large), 255)
    font = ImageFont.load_default(size=large // 8)
    pen = ImageDraw.Draw(page)
    text = "\n".join(lines)
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font)
    pen.multiline_text((-left, -top), text, font=font, fill=_ink(rng))
    crop = np.asarray(page)[: max(int(bottom - top), 8), : max(int(right - left), 8)]
    scale = side * rng.uniform(0.7, 0.95) / max(crop.shape)
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    printed = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    paper = np.full((side, side), 255, np.uint8)
    y, x = (side - size[1]) // 2, (side - size[0]) // 2
    paper[y : y + size[1], x : x + size[0]] = printed
    return paper


def _face(side: int, rng: np.random.Generator) -> Gray:
    paper, ink = _paper(side, rng), _ink(rng)
    width = int(rng.integers(1, max(2, side // 20) + 1))

    def at(x: float, y: float) -> tuple[int, int]:
        jitter = rng.normal(0, 0.02, 2)
        return round((x + jitter[0]) * side), round((y + jitter[1]) * side)

    head = round(rng.uniform(0.28, 0.42) * side), round(rng.uniform(0.32, 0.44) * side)
    cv2.ellipse(paper, at(0.5, 0.5), head, 0, 0, 360, ink, width, cv2.LINE_AA)
    for x in (0.38, 0.62):
        cv2.circle(paper, at(x, 0.4), max(1, side // 24), ink, -1, cv2.LINE_AA)
    cv2.line(paper, at(0.5, 0.45), at(0.5, 0.58), ink, width, cv2.LINE_AA)
    smile = (0, 180) if rng.random() < 0.7 else (180, 360)
    mouth = round(0.15 * side), round(rng.uniform(0.04, 0.1) * side)
    cv2.ellipse(paper, at(0.5, 0.68), mouth, 0, *smile, ink, width, cv2.LINE_AA)
    if rng.random() < 0.5:
        for x in np.linspace(0.3, 0.7, 6):
            cv2.line(paper, at(x, 0.14), at(x + 0.03, 0.04), ink, width, cv2.LINE_AA)
    return paper


def _photograph(side: int, rng: np.random.Generator) -> Gray:
    """A piece of one of the two photographs in scikit-learn."""
    pictures = _pictures()
    picture = pictures[int(rng.integers(len(pictures)))]
    piece = int(rng.integers(60, 300))
    y = int(rng.integers(picture.shape[0] - piece))
    x = int(rng.integers(picture.shape[1] - piece))
    crop = picture[y : y + piece, x : x + piece]
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


@cache
def _pictures() -> tuple[Gray, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(
        np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) for image in load_sample_images().images
    )


KINDS: dict[str, Draw] = {
    "smudge": _smudge,
    "scribble": _scribble,
    "lines": _lines,
    "texture": _texture,
    "shape": _shape,
    "word": _word,
    "empty": _empty,
    "face": _face,
    "photograph": _photograph,
}
TRAINED = ("smudge", "scribble", "lines", "texture", "shape", "word")
"""What training may see; the other kinds only measure."""
