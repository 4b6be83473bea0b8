"""What a model says of an image, and which of two looks at it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hcr_runtime.image import GrayImage
from hcr_runtime.ink import Extent
from hcr_runtime.prediction import SMALL_GLYPH, Scores, refusal
from hcr_runtime.spec import ModelSpec

if TYPE_CHECKING:
    from hcr_runtime.second_look import SecondLook

# A shadow is seen through where it is so much fainter than the ink, as a share of the light.
SHADE = 0.75
# What the first look takes for so likely calls in question what a ring that is touched may have
# hidden a stroke of: a five is a one in a ring.
LIKELY = 0.5


class Reading(NamedTuple):
    """What the model says of an image, and of which: see `Classifier.look`.

    Attributes:
        extent: Of the ink of the image that was read.
        scores: Calibrated probabilities, float32, (classes,).
        again: The image that was read, where it is not the one that was given: a close-up, or that
            of a second look.
        disputed: The first look's label where the second, another, calls it in question.
        doubted: Whether the second look leaves the answer too unsure to stand.
        version: Of the preprocessing that `again` was read with, where it is not the model's.
    """

    extent: Extent
    scores: Scores
    again: GrayImage | None = None
    disputed: str = ""
    doubted: bool = False
    version: int | None = None

    @property
    def best(self) -> float:
        """The highest confidence, 0-1."""
        return float(self.scores.max())

    def label(self, spec: ModelSpec) -> str:
        """The character that is read."""
        return spec.texts[int(self.scores.argmax())]

    def is_sure(self, spec: ModelSpec) -> bool:
        """Whether it would be accepted by itself."""
        return not refusal(self.extent, self.best, 0.0, 1.0, spec)


def choose(
    first: Reading, second: Reading, look: SecondLook, longer: float, cut: bool, spec: ModelSpec
) -> Reading:
    """Choose what is told of an image that was looked at twice.

    Args:
        first: Of the image as it is.
        second: Of it without what is beside its glyph.
        look: What was found beside it.
        longer: The longer side of the second's glyph, in pixels of the image that was given, 0 or
            more.
        cut: Whether the second is of a sheet that was cut out of a dark ground.
        spec: The model's description.

    >>> import numpy as np
    >>> from hcr_runtime import Label
    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")))
    >>> bar = Reading(Extent(0, 0, 9, 64, 2), np.float32([0.99, 0.01]))
    >>> letter = Reading(Extent(12, 12, 40, 40, 0), np.float32([0.1, 0.9]), np.uint8([[255, 40]]))
    >>> from hcr_runtime.second_look import SecondLook
    >>> shaded = SecondLook(letter.again, lined=False, shadow=0.4)
    >>> choose(bar, letter, shaded, 40, cut=False, spec=spec).label(spec)
    'b'
    >>> lined = SecondLook(letter.again, lined=True, shadow=0.0)
    >>> choose(bar, letter, lined, 40, cut=False, spec=spec).disputed
    'a'
    """
    known, shadow = look.lined or cut, look.shadow
    if known and longer == 0:
        return second  # an empty cell, or sheet
    readable = longer >= SMALL_GLYPH
    # Two looks are two chances to be wrong: for a shadow alone half the doubt must be left.
    clear = shadow > 0 and second.best >= (1 + spec.rejection.min_confidence) / 2
    if clear and second.again is not None:
        clear = shadow <= SHADE * (1 - int(second.again.min()) / 255)
    if first.extent.ringed and not look.ringed and not known:
        return first._replace(doubted=True)
    if (
        first.extent.ringed
        and look.ringed
        and readable
        and second.best >= (1 + spec.rejection.min_confidence) / 2
    ):
        # The first took the ring for a stroke; where the glyph touches it, it may be one.
        if look.doubtful and first.best >= LIKELY and first.label(spec) != second.label(spec):
            return first._replace(disputed=second.label(spec))
        return second
    if first.is_sure(spec):
        # A foot that is apart: what is left of its letter is none.
        unsupported = look.doubtful and not look.ringed and not second.is_sure(spec)
        if first.label(spec) == second.label(spec) or unsupported or not (known or shadow):
            # What a shadow leaves of the light in a corner is a stroke to the first alone.
            speck = not readable and first.extent.longer >= SMALL_GLYPH
            return first._replace(doubted=shadow > 0 and speck)
        if clear and readable and not second.extent.crowded:
            return second  # the first took the edge of the shadow for a stroke
        return second._replace(disputed=first.label(spec))
    if readable and (known or second.best > first.best):
        # What runs off a sheet, and does not fill it, may be half a letter.
        whole = not cut or second.extent.sides == 0 or second.extent.fills
        seen = clear or (known and not look.doubtful)
        return second._replace(doubted=not (whole and seen))
    return first
