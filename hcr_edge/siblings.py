"""Letters that differ in their dots alone lend each other their strokes.

ذ is د with a dot: whoever writes د as an angle writes ذ so too. Training sees too few hands for a
network to find that out; here a letter is written with a stroke of its family, its own class
among them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hcr_edge.parts import Ink, Parts, put_together, take_apart
from hcr_edge.pen import DOTS

FAMILIES = ("بتث", "جحخ", "دذ", "رز", "سش", "صض", "طظ", "عغ", "ЕЁ", "ИЙ", "её", "ий")
"""Letters of one stroke, written alone."""

_DOTLESS = "حدرسصطعЕИеи"
_LEAST = 7  # pixels of a stroke
_LARGEST = 0.6  # of a stroke: what is larger is no dot
_SCALE = 0.75, 1.33  # of dots, as far as they follow a stroke that is larger or smaller
_RATIO = 0.4, 2.5  # a stroke beyond it is of another scanner: its dots would not fit
_TRIES = 4  # strokes, until the dots run into none
_JITTER = 0.07  # of a stroke: standard deviation of where the dots go


class Siblings:
    """Writes letters of a training set with each other's strokes.

    Args:
        inks: Uint8 (H, W), bright on 0.
        texts: The character of each.
    """

    def __init__(self, inks: Sequence[Ink], texts: Sequence[str]) -> None:
        self._inks, self._texts = inks, texts
        known = set(texts)
        family = {
            text: letters
            for letters in FAMILIES
            for text in letters
            if len(known & set(letters)) > 1
        }
        self._parts: dict[int, Parts] = {}
        strokes: dict[str, list[int]] = {}
        dots: dict[str, list[int]] = {}
        for i, (ink, text) in enumerate(zip(inks, texts, strict=True)):
            if text in family and _fits(parts := take_apart(ink), text):
                self._parts[i] = parts
                dots.setdefault(text, []).append(i)
                # Where a dot is missing, it may have run into the stroke.
                if parts.count == (0 if text in _DOTLESS else DOTS.get(text, 1)):
                    strokes.setdefault(family[text], []).append(i)
        self._dots = {text: np.array(lenders) for text, lenders in dots.items()}
        self._strokes = {
            text: np.array(strokes[family[text]]) for text in dots if family[text] in strokes
        }

    @property
    def letters(self) -> tuple[str, ...]:
        """What can be written so."""
        return tuple(self._strokes)

    def write(self, i: int, rng: np.random.Generator) -> Ink:
        """Write letter `i` with a stroke of its family.

        Its dots are its own, or another's where its own run into the stroke.

        Returns:
            Uint8 (H, W), bright on 0; the letter's ink itself where it has no family, or no stroke
            was found that its dots do not run into.
        """
        text = self._texts[i]
        if text not in self._strokes:
            return self._inks[i]
        for _ in range(_TRIES):
            lent = self._parts[int(rng.choice(self._strokes[text]))]
            own = self._parts.get(i) or self._parts[int(rng.choice(self._dots[text]))]
            if own.dots is None:
                return lent.stroke
            if not _RATIO[0] <= max(lent.box[2:]) / max(own.box[2:]) <= _RATIO[1]:
                continue
            written = _set_dots(own, own.dots, lent, rng)
            if take_apart(written).count == own.count:
                return written
        return self._inks[i]


def _set_dots(own: Parts, dots: Ink, lent: Parts, rng: np.random.Generator) -> Ink:
    """Set dots on another stroke, where they were on their own, more or less."""
    (x, y, width, height), (left, top, wide, high) = own.box, lent.box
    longer = max(wide, high)
    scale = np.clip(longer / max(width, height), *_SCALE) * rng.uniform(0.9, 1.1)
    size = tuple(max(1, round(side * scale)) for side in dots.shape[::-1])
    dots = np.asarray(cv2.resize(dots, size, interpolation=cv2.INTER_AREA), np.uint8)
    across, down = rng.normal(0, _JITTER * longer, 2)
    middle = (
        left + (own.middle[0] - x) / width * wide + across,
        top + (own.middle[1] - y) / height * high + down,
    )
    return put_together(lent.stroke, dots, middle)


def _fits(parts: Parts, text: str) -> bool:
    """Whether stroke and dots came apart as the letter has them."""
    longer = max(parts.box[2:])
    if longer < _LEAST:
        return False
    if text in _DOTLESS:
        return parts.count == 0
    apart = parts.dots is not None and max(parts.dots.shape) <= _LARGEST * longer
    return apart and 1 <= parts.count <= DOTS.get(text, 1)
