"""What many readings of one glyph say together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hcr_runtime import Prediction
from hcr_runtime.evidence import Evidence
from hcr_runtime.prediction import BLANK, Candidate

THRESHOLD = 0.955


def reading(**confidences: float) -> Prediction:
    """What a model says that knows reh, zain and beh, and answers from `THRESHOLD` on."""
    top = tuple(Candidate(label, confidence) for label, confidence in confidences.items())
    best = max(top, key=lambda candidate: candidate.confidence)
    accepted = best.confidence >= THRESHOLD
    reason = "" if accepted else "unsure"
    return Prediction(best.label, best.label, "", best.confidence, top, accepted, reason)


SURE = reading(reh=0.99, zain=0.006, beh=0.004)
NEARLY = reading(reh=0.94, zain=0.04, beh=0.02)
NOTHING = replace(reading(reh=0.34, zain=0.33, beh=0.33), reason="not a character")
OTHER = reading(reh=0.006, zain=0.99, beh=0.004)


def collect(*readings: Prediction, seconds: float = 2.0) -> Evidence:
    """Read these over and over, 30 times a second."""
    evidence = Evidence(THRESHOLD)
    for index in range(round(30 * seconds)):
        evidence.add(readings[index % len(readings)], 1 / 30)
    return evidence


@pytest.mark.parametrize(
    ("readings", "best"),
    [
        ((SURE,), "reh"),
        ((SURE, NEARLY), "reh"),
        ((NEARLY, SURE, NEARLY), "reh"),  # the mean alone would not do: several views
        ((NEARLY,), ""),  # what is refused in every view is no event
        ((replace(SURE, accepted=False, reason="too large"),), ""),
        ((SURE, SURE, BLANK), "reh"),
        ((NOTHING,), ""),
        ((SURE, OTHER), ""),
        ((reading(reh=0.8, zain=0.15, beh=0.05),), ""),
    ],
)
def test_what_is_accepted(readings: tuple[Prediction, ...], best: str) -> None:
    evidence = collect(*readings)
    assert (evidence.best, evidence.settled) == (best, bool(best))
    assert not best or evidence.confidence(best) >= THRESHOLD


def test_one_view_that_is_not_sure_enough_is_not_accepted() -> None:
    assert collect(NEARLY, seconds=1 / 30).best == ""
    assert collect(SURE, seconds=1 / 30).best == "reh"


def test_time_and_readings_settle() -> None:
    assert not collect(SURE, seconds=0.15).settled
    slow = Evidence(THRESHOLD)
    for _ in range(2):
        slow.add(SURE, 1.0)
    assert not slow.settled
    slow.add(SURE, 1.0)
    assert slow.settled


@pytest.mark.parametrize("other", [BLANK, NOTHING], ids=["blank", "not a character"])
def test_what_is_no_letter_half_of_the_time_is_not_settled(other: Prediction) -> None:
    # As a hand that moves: something like a letter in every other frame.
    assert not collect(SURE, other).settled


def test_confidences_are_probabilities() -> None:
    evidence = collect(NEARLY)
    labels = ("reh", "zain", "beh")
    assert sum(evidence.confidence(label) for label in labels) == pytest.approx(1)
    assert evidence.confidence("reh") > 0.94
    assert evidence.confidence("absent") == 0
    assert Evidence(THRESHOLD).confidence("reh") == 0


def test_what_is_written_now_counts() -> None:
    evidence = collect(SURE)
    for _ in range(90):
        evidence.add(OTHER, 1 / 30)
    assert evidence.best == "zain"
