"""When an answer is refused: thresholds, calibration error, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_edge.outliers import KINDS, draw_outliers
from hcr_export.statistics import wilson_interval

Scores = NDArray[np.float32]

# The promise is an error of 1 % among what is answered: on validation its upper bound, at 95 % one
# way (Wilson 1927), must keep it. So must its mean on the same letters written by other pens:
# validation writers chose the epoch, and are kinder than strangers. Of drawings of kinds that it
# trained on, a fifth of the promised 5 % may be answered: other kinds are refused less surely.
MAX_ERROR = 0.01
ONE_SIDED = 1.645
FALSE_AIM = 0.01
OUTLIERS = 100
"""Drawings of each kind on which false acceptance is measured."""
REWRITTEN = 3
"""Times that each validation image is written again."""
BINS = 15
# Even in confidence, then even in doubt: a model that reads nearly all has its mistakes close to 1.
_THRESHOLDS = (*(i / 200 for i in range(199)), 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
# Where no threshold does it: a confidence that few answers reach.
STRICTEST = _THRESHOLDS[-1]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a threshold does to labelled images.

    Attributes:
        accepted: Share of the images that is answered.
        error: Share of wrong answers among those.
        calibration_error: Expected difference between confidence and accuracy, all images.
    """

    accepted: float
    error: float
    calibration_error: float


def measure_refusal(scores: Scores, labels: NDArray[np.int64], min_confidence: float) -> Refusal:
    """Apply a threshold to calibrated probabilities, (N, classes), of images of classes (N,)."""
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    taken = confidence >= min_confidence
    return Refusal(
        accepted=float(taken.mean()),
        error=float(1 - right[taken].mean()) if taken.any() else 0.0,
        calibration_error=calibration_error(scores, labels),
    )


def calibration_error(scores: Scores, labels: NDArray[np.int64]) -> float:
    """Expected calibration error of the first answer, 15 equal bins (Guo et al. 2017).

    >>> sure = np.array([[0.9, 0.1]] * 10, np.float32)
    >>> round(calibration_error(sure, np.array([0] * 9 + [1])), 6)
    0.0
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(right[bins == b].mean()) - float(confidence[bins == b].mean()))
        * float((bins == b).mean())
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def fit_min_confidence(
    scores: Scores, labels: NDArray[np.int64], outliers: Scores, rewritten: Scores | None = None
) -> float:
    """Find the least threshold that keeps wrong answers and false acceptance rare.

    Args:
        scores: Calibrated probabilities of validation images, (N, classes).
        labels: Their classes, (N,).
        outliers: Probabilities of drawings that are no character, (M, classes).
        rewritten: Probabilities of the same images, augmented several times, (several * N,
            classes); none by default.

    Returns:
        A confidence; `STRICTEST` where none does it.
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    strange = outliers.max(axis=1)
    again = scores if rewritten is None else rewritten
    other, other_right = again.max(axis=1), again.argmax(axis=1) == np.resize(labels, len(again))
    for threshold in _THRESHOLDS:
        taken = confidence >= threshold
        wrong, answered = int((~right[taken]).sum()), int(taken.sum())
        rare = wrong == 0 or wilson_interval(wrong, answered, ONE_SIDED)[1] <= MAX_ERROR
        others = other >= threshold
        rare &= int((~other_right[others]).sum()) <= MAX_ERROR * int(others.sum())
        if rare and (strange >= threshold).sum() <= FALSE_AIM * len(strange):
            return threshold
    return STRICTEST


def false_acceptance(
    accepts: Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.bool_]], seed: int = 1
) -> dict[str, float]:
    """Share of drawings that are no character, yet answered, by kind of drawing.

    Args:
        accepts: Tells of uint8 images (H, W) which are answered, bool (N,).
        seed: Of the drawings.
    """
    return {kind: float(accepts(draw_outliers((kind,), OUTLIERS, seed)).mean()) for kind in KINDS}
