"""`Followed`: one glyph before the camera, from its first frame to its last."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.evidence import Evidence
from hcr_runtime.image import GrayImage
from hcr_runtime.prediction import Prediction
from hcr_runtime.segment import Box
from hcr_runtime.tracking import Path

State = Literal["seen", "looking", "stable"]

# What is settled, and what was refused for so long, is read again at this interval only.
SETTLED_SECONDS = 0.25
REFUSED_SECONDS = 1.0
# Two crops show the same writing whose pictures, at this side, correlate by so much.
LOOK_SIDE = 24
SAME_LOOK = 0.85
# Letters may differ by a dot alone: one that looks like the one before it is believed only when
# it was read alike, without a break, for so long.
ALIKE_SECONDS = 0.8


class Followed:
    """One glyph that is followed: where it is, what was read, what was told of it.

    Args:
        box: Where it was seen first.
        seconds: When.
        threshold: See `Evidence`.

    Attributes:
        number: From 1 once it has given an event, else 0.
        first: When it was first seen.
        path: Where it was seen.
        line: Of the page's writing, from 0 at the top, on which it stands.
        evidence: What was read of it at rest.
        state: ``seen``, ``looking`` or ``stable``.
        prediction: What the model said of it last, or None.
        crop: How it looked then: grey, uint8, square; or None.
        label: What its last event said it is.
        successor: Another character that seems to have come in the place of a stable one.
    """

    def __init__(self, box: Box, seconds: float, threshold: float) -> None:
        self.number = 0
        self.first = seconds
        self.path = Path(box, seconds)
        self.line = 0
        self.evidence = Evidence(threshold)
        self.state: State = "seen"
        self.prediction: Prediction | None = None
        self.crop: GrayImage | None = None
        self.label = ""
        self.successor: Followed | None = None
        self._read_at = seconds
        self._agreed = box, seconds
        self._look: NDArray[np.float32] | None = None

    def due(self, seconds: float) -> bool:
        """Whether it should be read in this frame: it rests, and is not settled."""
        since = self.path.resting_since
        if since is None:
            return False
        refused = not self.evidence.best and seconds - since > REFUSED_SECONDS
        return not (refused or self._as_told) or seconds - self._read_at >= SETTLED_SECONDS

    @property
    def _as_told(self) -> bool:
        """Whether it is stable, and was read alike since."""
        if self.state != "stable" or self.prediction is None:
            return False
        return self.prediction.label == self.label or not self.prediction.accepted

    def read(self, prediction: Prediction, crop: GrayImage, seconds: float) -> None:
        """Take note of what the model said of it."""
        elapsed = seconds - self._read_at
        self.prediction, self.crop, self._read_at = prediction, crop, seconds
        if self.state == "stable" and prediction.accepted and prediction.label != self.label:
            self._doubt(prediction, crop, seconds)
            return
        self._agreed = self.path.box, seconds
        self.successor = None
        if self.state != "stable":
            self.evidence.add(prediction, elapsed)

    @property
    def place(self) -> tuple[Box, float]:
        """Where and when it was last: before another character came in its place, if one did."""
        return (self.path.box, self.path.last) if self.successor is None else self._agreed

    @property
    def succeeded(self) -> bool:
        """Whether its successor has been read for long enough to take its place."""
        after = self.successor
        if after is None or not after.evidence.settled:
            return False
        return not self._looks_alike() or after._read_at - after.first >= ALIKE_SECONDS

    def _doubt(self, prediction: Prediction, crop: GrayImage, seconds: float) -> None:
        """Take note that it was read as another character than was told."""
        after = self.successor
        if after is None or (self._looks_alike() and prediction.label != after.evidence.likeliest):
            after = self.successor = Followed(self.path.box, seconds, self.evidence.threshold)
            after.path = self.path
        after.read(prediction, crop, seconds)

    def settle(self) -> None:
        """Take the settled label for its own, and keep how it looks."""
        self.state, self.label = "stable", self.evidence.best
        self._look = None if self.crop is None else _look(self.crop)

    def _looks_alike(self) -> bool:
        if self.crop is None or self._look is None:
            return False
        return float((_look(self.crop) * self._look).sum()) >= SAME_LOOK


def _look(crop: GrayImage) -> NDArray[np.float32]:
    """How a crop looks, as a vector of unit length that does not depend on light or contrast."""
    small = cv2.resize(crop, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA)
    vector = small.astype(np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), np.float32)
