"""What one model's answers lost against another's, and whether that is within its limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_export.artifacts import Limits
from hcr_runtime import Label


@dataclass(frozen=True, slots=True)
class LostLetter:
    """A letter that the artifact reads worse than Keras; counts of right answers."""

    label: str
    name: str
    keras: int
    artifact: int
    total: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers to the same images, compared.

    Attributes:
        correct: Right answers.
        drop: Points of accuracy lost against the reference (negative: gained).
        agreement: Share of images with the same top-1 label.
        max_difference: Largest difference of any probability.
        lost: Letters that lost right answers, most first.
        differing: int64 (M,): images with another top-1 label.
    """

    correct: int
    drop: float
    agreement: float
    max_difference: float
    lost: tuple[LostLetter, ...]
    differing: NDArray[np.int64]


def compare(
    reference: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    label_set: tuple[Label, ...],
) -> Comparison:
    """Compare `scores` with `reference`, both probabilities of shape (N, classes).

    Args:
        reference: What Keras answered.
        scores: What the artifact answered.
        labels: int64 (N,), the true classes.
        label_set: The classes.
    """
    expected, answered = reference.argmax(axis=1), scores.argmax(axis=1)
    before, after = expected == labels, answered == labels
    return Comparison(
        correct=int(after.sum()),
        drop=100 * (int(before.sum()) - int(after.sum())) / len(labels),
        agreement=float((expected == answered).mean()),
        max_difference=float(np.abs(reference - scores).max()),
        lost=_lost_letters(label_set, labels, before, after),
        differing=np.flatnonzero(expected != answered),
    )


def judge(
    limits: Limits, drop: float, agreement: float, difference: float, total: int
) -> tuple[str, ...]:
    """Say which limits are exceeded, on `total` images.

    >>> judge(Limits(), drop=0.1, agreement=0.999, difference=0.2, total=1000)
    ()
    >>> judge(Limits(), drop=0.5, agreement=0.999, difference=0.2, total=1000)
    ('0.50 points of accuracy lost (at most 0.30)',)
    >>> judge(Limits(), drop=0.5, agreement=0.995, difference=0.2, total=200)
    ('0.50 points of accuracy lost (at most 0.30; one of 200 images is 0.50)',)
    """
    failures = []
    # Compared with a small tolerance: 1 of 1000 images is 0.1 points, not 0.10000000000000009.
    if drop > limits.max_drop + 1e-9:
        one = 100 / total
        coarse = f"; one of {total} images is {one:.2f}" if one > limits.max_drop > 0 else ""
        failures.append(
            f"{drop:.2f} points of accuracy lost (at most {limits.max_drop:.2f}{coarse})"
        )
    if agreement < limits.min_agreement - 1e-9:
        failures.append(f"{agreement:.2%} agreement (at least {limits.min_agreement:.2%})")
    # "not <=" rather than ">": a NaN fails.
    if limits.max_difference is not None and not difference <= limits.max_difference:
        failures.append(
            f"probabilities differ by {difference:.1e} (at most {limits.max_difference:.0e})"
        )
    elif not difference <= 1 + 1e-6:
        failures.append("the answers are no probabilities")
    return tuple(failures)


def _lost_letters(
    label_set: tuple[Label, ...],
    labels: NDArray[np.int64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
) -> tuple[LostLetter, ...]:
    lost = []
    for index, label in enumerate(label_set):
        members = labels == index
        keras, artifact = int(before[members].sum()), int(after[members].sum())
        if artifact < keras:
            lost.append(LostLetter(label.text, label.name, keras, artifact, int(members.sum())))
    return tuple(sorted(lost, key=lambda letter: letter.artifact - letter.keras))
