"""What many readings of one glyph say together, weighed by time, not by the number of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hcr_runtime.prediction import Prediction

# Evidence fades with this time constant (seconds): what is written now counts.
FADE_SECONDS = 0.8
# One reading stands for no more time than this, however slow the camera.
LONGEST_READING = 0.1
# Nor does the time between two readings fade the evidence by more than this.
LONGEST_FADE = 0.25
# Frames of one glyph are nearly the same picture: looking on for so long (seconds) is worth one
# more independent view, up to so many in all. More tell more letters, and more wrong ones.
VIEW_SECONDS = 0.4
MOST_VIEWS = 1.5
# What the model refused all the time is no event, however long it is shown: so much of the time in
# which a glyph was read the model itself must have accepted its answer.
ACCEPTED_SHARE = 0.3
# A label is settled after so long (seconds), and so many readings, if no more than this share of
# the time showed nothing, or no character.
SETTLE_SECONDS = 0.2
SETTLE_READINGS = 3
UNREAD_SHARE = 0.4
UNREAD = ("blank", "too small", "not a character")
# No class is ruled out by one reading.
LEAST = 1e-6


@dataclass(slots=True)
class Evidence:
    """What was read of one glyph: the mean of its log probabilities over time.

    Attributes:
        threshold: The calibrated confidence from which on the model's answers are accepted, 0-1.
        logs: For each label its log probability, times seconds, faded.
        seconds: For which it was read, faded.
        accepted: Seconds of these in which the model accepted its answer, faded.
        unread: Seconds in which there was nothing to read, or no character, faded.
        readings: How often it was read.
    """

    threshold: float
    logs: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    accepted: float = 0.0
    unread: float = 0.0
    readings: int = 0

    def add(self, prediction: Prediction, elapsed: float) -> None:
        """Count a reading, all labels in its `top`, `elapsed` seconds after the one before.

        >>> from hcr_runtime.prediction import BLANK
        >>> evidence = Evidence(0.9)
        >>> evidence.add(BLANK, 0.03)
        >>> evidence.seconds, evidence.unread
        (0.0, 0.03)
        """
        self._fade(math.exp(-min(elapsed, LONGEST_FADE) / FADE_SECONDS))
        span = min(elapsed, LONGEST_READING)
        if prediction.reason in UNREAD:
            self.unread += span
            return
        self.seconds += span
        self.readings += 1
        self.accepted += span * prediction.accepted
        for label, confidence in ((item.label, item.confidence) for item in prediction.top):
            log = math.log(max(confidence, LEAST))
            self.logs[label] = self.logs.get(label, 0.0) + span * log

    @property
    def best(self) -> str:
        """The most likely label; empty while the evidence is not enough to accept one."""
        if self.accepted < ACCEPTED_SHARE * self.seconds:
            return ""
        best = self.likeliest
        return best if best and self.confidence(best) >= self.threshold else ""

    @property
    def likeliest(self) -> str:
        """The most likely label, sure or not; empty when nothing was read."""
        return max(self.logs, key=self.logs.__getitem__, default="")

    @property
    def settled(self) -> bool:
        """Whether `best` rests on readings for long enough."""
        return (
            self.readings >= SETTLE_READINGS
            and self.seconds >= SETTLE_SECONDS
            and self.unread <= UNREAD_SHARE * (self.seconds + self.unread)
            and bool(self.best)
        )

    def confidence(self, label: str) -> float:
        """Return the probability of `label` by all readings together, 0-1."""
        if label not in self.logs or self.seconds == 0:
            return 0.0
        views = min(1 + self.seconds / VIEW_SECONDS, MOST_VIEWS)
        own = self.logs[label]
        return 1 / sum(
            math.exp(min(views * (log - own) / self.seconds, 700.0)) for log in self.logs.values()
        )

    def _fade(self, factor: float) -> None:
        self.seconds *= factor
        self.accepted *= factor
        self.unread *= factor
        for label in self.logs:
            self.logs[label] *= factor
