"""Votes for a glyph's label, weighted by confidence and by time, not by the number of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hcr_runtime.prediction import Prediction

# Votes fade with this time constant (seconds): what is written now counts.
FADE_SECONDS = 0.8
# One reading stands for no more time than this, however slow the camera.
LONGEST_VOTE = 0.1
# Nor does the time between two readings fade the votes by more than this.
LONGEST_FADE = 0.25
# A label is settled that has been read for so long (seconds), in so many readings, with this
# share of all accepted votes and this share of all time in which the glyph was read.
SETTLE_SECONDS = 0.2
SETTLE_READINGS = 3
SETTLE_SHARE = 0.8
ACCEPTED_SHARE = 0.5


@dataclass(slots=True)
class Votes:
    """What was read of one glyph.

    Attributes:
        labels: For each label the seconds that it was read, weighted by confidence, faded.
        seconds: The same without the weight.
        readings: How often each was read.
        refused: Seconds for which the model refused to answer, faded.
    """

    labels: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    readings: dict[str, int] = field(default_factory=dict)
    refused: float = 0.0

    def add(self, prediction: Prediction, elapsed: float) -> None:
        """Count a reading that comes `elapsed` seconds after the one before.

        >>> from hcr_runtime.prediction import BLANK
        >>> votes = Votes()
        >>> votes.add(BLANK, 0.03)
        >>> votes.labels, votes.refused
        ({}, 0.03)
        """
        self._fade(math.exp(-min(elapsed, LONGEST_FADE) / FADE_SECONDS))
        span = min(elapsed, LONGEST_VOTE)
        if not prediction.accepted:
            self.refused += span
            return
        label = prediction.label
        self.labels[label] = self.labels.get(label, 0.0) + span * prediction.confidence
        self.seconds[label] = self.seconds.get(label, 0.0) + span
        self.readings[label] = self.readings.get(label, 0) + 1

    @property
    def best(self) -> str:
        """The label with the most votes; empty when nothing was accepted."""
        return max(self.labels, key=self.labels.__getitem__, default="")

    @property
    def settled(self) -> bool:
        """Whether `best` has been read for long enough, and little else."""
        best = self.best
        if not best or self.readings[best] < SETTLE_READINGS:
            return False
        accepted = sum(self.labels.values())
        share = self.seconds[best] / (sum(self.seconds.values()) + self.refused)
        return (
            self.labels[best] >= SETTLE_SECONDS
            and self.labels[best] >= SETTLE_SHARE * accepted
            and share >= ACCEPTED_SHARE
        )

    def confidence(self, label: str) -> float:
        """Return the mean confidence of the votes for `label`, 0-1."""
        return self.labels[label] / self.seconds[label] if label in self.labels else 0.0

    def _fade(self, factor: float) -> None:
        self.refused *= factor
        for label in self.labels:
            self.labels[label] *= factor
            self.seconds[label] *= factor
