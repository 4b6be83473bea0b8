"""Images of a model's classes, drawn from a font: for want of real ones, and never as good.

They make activations move as glyphs do, so that int8 can be calibrated and the engines compared.
How well a model reads handwriting they cannot tell.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_export.labelled_images import LabelledImages
from hcr_runtime import ModelSpec

SIDE = 64
# Faces that come with matplotlib; together they know Latin, Cyrillic, Greek and Arabic.
_FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Oblique.ttf")
_FONT_SIZE = 44


def draw_images(spec: ModelSpec, count: int, seed: int) -> LabelledImages:
    """Draw images evenly of a model's classes: the same ones for the same arguments.

    Characters are dark on bright paper; every other image is the reverse where the model is shown
    images as they are. A label that the font does not know is drawn as a scribble of its own.

    Args:
        spec: The model's description.
        count: How many; at least one a class is drawn.
        seed: Another one gives other images.
    """
    rng = np.random.default_rng(seed)
    each = max(1, count // len(spec.labels))
    images, labels = [], []
    for number in range(each):
        for index, text in enumerate(spec.texts):
            ink = _distort(_write(text, _FACES[number % len(_FACES)]), rng)
            reverse = spec.preprocess.polarity == "as-is" and number % 2 == 1
            pixels = _lay_on_paper(ink, rng, spec.input.channels == 3, reverse)
            images.append(bytes(cv2.imencode(".png", pixels)[1]))
            labels.append(index)
    return LabelledImages(
        description=f"{len(images)} images drawn from a font",
        images=images,
        labels=np.asarray(labels, np.int64),
        synthetic=True,
    )


@cache
def _font(face: str) -> tuple[Any, frozenset[int]]:
    """A face of the font, and the code points that it knows."""
    import matplotlib
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", face)
    font = ImageFont.truetype(str(path), _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    return font, frozenset(FT2Font(str(path)).get_charmap())


def _write(text: str, face: str) -> NDArray[np.uint8]:
    """The text as bright ink on 0: uint8 (SIDE, SIDE)."""
    from PIL import Image, ImageDraw

    font, known = _font(face)
    if not {ord(character) for character in text} <= known:
        return _scribble(text)
    canvas = Image.new("L", (SIDE * max(1, len(text)), SIDE))
    draw = ImageDraw.Draw(canvas)
    draw.text((canvas.width // 2, SIDE // 2), text, 255, font, anchor="mm")
    return np.asarray(canvas.resize((SIDE, SIDE)), np.uint8)


def _scribble(text: str) -> NDArray[np.uint8]:
    rng = np.random.default_rng(list(text.encode()))
    ink = np.zeros((SIDE, SIDE), np.uint8)
    points = rng.integers(SIDE // 5, SIDE * 4 // 5, (5, 1, 2)).astype(np.int32)
    cv2.polylines(ink, [points], False, 255, 4, cv2.LINE_AA)
    return ink


def _distort(ink: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, scale, shear and shift, and make strokes thinner or thicker."""
    angle, scale = rng.uniform(-12, 12), rng.uniform(0.7, 1.1)
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, scale)
    turn[0, 1] += rng.uniform(-0.2, 0.2)
    turn[:, 2] += rng.uniform(-4, 4, 2)
    ink = np.asarray(cv2.warpAffine(ink, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.5:
        ink = np.asarray(cv2.dilate(ink, np.ones((2, 2), np.uint8)), np.uint8)
    return np.asarray(cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, 1.0)), np.uint8)


def _lay_on_paper(
    ink: NDArray[np.uint8], rng: np.random.Generator, colour: bool, reverse: bool
) -> NDArray[np.uint8]:
    """Mix the colours of ink and paper; uint8 (SIDE, SIDE), or (SIDE, SIDE, 3) in colour."""
    channels = 3 if colour else 1
    paper = rng.uniform(200, 255) + rng.uniform(-15, 15, channels)
    pen = rng.uniform(0, 80) + rng.uniform(0, 60, channels)
    cover = (ink / 255.0)[:, :, None]
    pixels = paper * (1 - cover) + pen * cover + rng.normal(0, 2, (SIDE, SIDE, channels))
    pixels = 255 - pixels if reverse else pixels
    result = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return result if colour else np.ascontiguousarray(result[:, :, 0])
