"""What a model says of an image, and which of two looks at it is told."""

from __future__ import annotations

from typing import NamedTuple

from hcr_runtime.image import GrayImage
from hcr_runtime.ink import Extent
from hcr_runtime.prediction import SMALL_GLYPH, Scores, refusal
from hcr_runtime.spec import ModelSpec


class Reading(NamedTuple):
    """What the model says of an image, and of which: see `Classifier.look`.

    Attributes:
        extent: Of the ink of the image that was read.
        scores: Calibrated probabilities, float32, (classes,).
        again: The image of a second look, where it is that which was read.
        disputed: The first look's label where the second, surely another, calls it in question.
        doubted: Whether the second look's answer is not sure enough to stand against the first.
    """

    extent: Extent
    scores: Scores
    again: GrayImage | None = None
    disputed: str = ""
    doubted: bool = False

    @property
    def best(self) -> float:
        """The highest confidence."""
        return float(self.scores.max())

    def is_sure(self, spec: ModelSpec) -> bool:
        """Whether it would be accepted by itself."""
        return not refusal(self.extent, self.best, 0.0, 1.0, spec)


def choose(
    first: Reading, second: Reading, lined: bool, uneven: bool, longer: float, spec: ModelSpec
) -> Reading:
    """Choose what is told of an image that was looked at twice.

    Args:
        first: Of the image as it is.
        second: Of it without what is beside its glyph.
        lined: Whether lines were erased; see `SecondLook`.
        uneven: Whether its light was.
        longer: The longer side of the second's glyph, in pixels of the image.
        spec: The model's description.
    """
    if lined and longer == 0:
        return second  # an empty cell
    # Without lines two looks are two chances to be wrong: half the doubt must be left.
    clear = second.best >= (1 + spec.rejection.min_confidence) / 2
    readable = longer >= SMALL_GLYPH
    if first.is_sure(spec):
        if uneven and clear and readable and not second.extent.crowded:
            return second  # the first may have taken the edge of a shadow for a stroke
        calls = lined or (uneven and second.best >= spec.rejection.min_confidence)
        labels = [spec.texts[int(each.scores.argmax())] for each in (first, second)]
        return second._replace(disputed=labels[0]) if calls and labels[0] != labels[1] else first
    if readable and (lined or second.best > first.best):
        return second._replace(doubted=not (lined or (uneven and clear)))
    return first
