"""Reading every character on a page or in a frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hcr_runtime.arguments import check_type, check_whole
from hcr_runtime.classifier import Classifier
from hcr_runtime.image import ImageLike
from hcr_runtime.segment import Box, find_glyphs

if TYPE_CHECKING:
    from hcr_runtime.prediction import Prediction

# What is so many times as wide as usual letters are long, and as it is high, and unreadable, is two
# that touch; the usual letter is known where there are so many.
WIDE, MANY = 1.6, 5


@dataclass(frozen=True, slots=True)
class ReadGlyph:
    """One character of a page, read.

    Attributes:
        box: Where it is, in pixels of the page.
        line: The line it stands on, from the top, from 0.
        order: Its place on that line in reading order, from 0.
        touching: Several characters run into one another; the prediction is then not accepted,
            for the reason ``touching``.
        prediction: What the model says of it.

    >>> from hcr_runtime.prediction import BLANK
    >>> ReadGlyph(Box(1, 2, 3, 4), 0, 0, False, BLANK).to_dict()["box"]
    [1, 2, 3, 4]
    """

    box: Box
    line: int
    order: int
    touching: bool
    prediction: Prediction

    def to_dict(self) -> dict[str, Any]:
        """Return the glyph as plain JSON types; the box as left, top, width, height."""
        return {
            "box": list(asdict(self.box).values()),
            "line": self.line,
            "order": self.order,
            "touching": self.touching,
            **self.prediction.to_dict(),
        }


def read_page(page: ImageLike, classifier: Classifier, top: int = 3) -> tuple[ReadGlyph, ...]:
    """Find the characters on a page and read them, in one batch.

    Args:
        page: A path, the bytes of an image file, or a uint8 array; see `find_glyphs`.
        classifier: Its labels decide the reading order: left-to-right or right-to-left.
        top: How many candidates to return for each, 1 or more.

    Returns:
        The characters, line by line in reading order; none where nothing is written.

    Raises:
        ImageError: `page` is no image, or beyond the classifier's limits.
        HcrError: `classifier` is none, or `top` no whole number of 1 or more.
        EngineError: The engine cannot run the model.

    >>> import numpy as np
    >>> from hcr_runtime import Classifier
    >>> paper = np.full((240, 320), 255, np.uint8)
    >>> paper[80:160, 148:154] = 0  # alef
    >>> glyphs = read_page(paper, Classifier.load("arabic-letters"))
    >>> [(glyph.prediction.label, glyph.line, glyph.order) for glyph in glyphs]
    [('ا', 0, 0)]
    """
    check_type("classifier", classifier, Classifier, hint="Classifier.load makes one")
    top = check_whole("top", top)
    glyphs = find_glyphs(page, direction=classifier.spec.direction, limits=classifier.limits)
    if not glyphs:
        return ()
    predictions = classifier.classify_glyphs([glyph.crop for glyph in glyphs], top)
    lengths = [max(glyph.box.width, glyph.box.height) for glyph in glyphs]
    usual = float(np.median(lengths)) if len(glyphs) >= MANY else float("inf")
    read = []
    for glyph, prediction in zip(glyphs, predictions, strict=True):
        wide = glyph.box.width > WIDE * max(usual, glyph.box.height)
        touching = glyph.touching or (wide and not prediction.accepted)
        if touching:
            prediction = replace(prediction, accepted=False, reason="touching", between=())
        read.append(ReadGlyph(glyph.box, glyph.line, glyph.order, touching, prediction))
    return tuple(read)
