"""Proves which way up a data set's images are, and whether their ink is bright or dark.

A fingerprint is the mean distribution of ink over an 8×8 grid for one character, measured on data
that a person has looked at (`fingerprints`). What is left of it after subtracting its mean over the
eight turns and mirrorings tells those apart. A single image says little; a few hundred are sure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import Label

GRID = 8
FINGERPRINTS = Path(__file__).with_name("fingerprints.json")
# Images of a class beyond these add nothing to the proof.
_EACH = 80
# Classes, and images of a class, from which labels can be told to be off by one.
_FEW = 4
# Standard errors by which another orientation must be the better one before a set is refused,
# and the share of the full effect that it must reach: noise has neither.
_SURE = 6.0
_EFFECT = 0.25

Grid = NDArray[np.float32]

# How an upright image was changed, and what that does to an array.
ORIENTATIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "upright": lambda a: a,
    "mirrored": lambda a: a[..., :, ::-1],
    "flipped upside down": lambda a: a[..., ::-1, :],
    "rotated by 180°": lambda a: a[..., ::-1, ::-1],
    "transposed": lambda a: np.swapaxes(a, -1, -2),
    "rotated by 90° anticlockwise": lambda a: np.swapaxes(a, -1, -2)[..., ::-1, :],
    "rotated by 90° clockwise": lambda a: np.swapaxes(a, -1, -2)[..., :, ::-1],
    "transposed and rotated by 180°": lambda a: np.swapaxes(a, -1, -2)[..., ::-1, ::-1],
}
_INVERSE = {
    **{name: name for name in ORIENTATIONS},
    "rotated by 90° anticlockwise": "rotated by 90° clockwise",
    "rotated by 90° clockwise": "rotated by 90° anticlockwise",
}


@dataclass(frozen=True, slots=True)
class Orientation:
    """What the images of a set say of their orientation.

    Attributes:
        found: The orientation that explains them best.
        effect: How much of the fingerprints' effect they show in it; about 1 for clean letters.
        margin: Standard errors between it and ``upright``, or the next best where it is upright.
        bright_ink: Share of the images whose ink is brighter than their ground.
        images: How many had a fingerprint.
        shift: 1 or -1 where images have the shape of the next or the last label; otherwise 0.
    """

    found: str
    effect: float
    margin: float
    bright_ink: float
    images: int
    shift: int = 0

    @property
    def proven(self) -> bool:
        """Whether the images leave no doubt."""
        return self.margin >= _SURE and self.effect >= _EFFECT


def turned_back(images: NDArray[np.uint8], orientation: str) -> NDArray[np.uint8]:
    """Undo an orientation: images (..., H, W) that are so become upright."""
    return ORIENTATIONS[_INVERSE[orientation]](images)


def ink_grid(image: NDArray[np.uint8]) -> Grid | None:
    """Return how an image's ink is distributed: float32 (8, 8), sum 1; None where it is blank.

    The glyph is cut out and centred in a square, so that neither its size nor its place matter.
    """
    ink = cv2.bitwise_not(image) if has_bright_ground(image) else image
    low, high = int(ink.min()), int(ink.max())
    if high - low < 16:
        return None
    ink = cv2.subtract(ink, low + (high - low) // 4)
    left, top, width, height = cv2.boundingRect(ink)
    side = max(width, height)
    square = np.zeros((side, side), np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = ink[top : top + height, left : left + width]
    grid = cv2.resize(square.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(grid / grid.sum(), np.float32)


def has_bright_ground(image: NDArray[np.uint8]) -> bool:
    """Whether the image's ground is brighter than its ink.

    Ink covers less of an image than its ground does; a rim that ink touches does not matter.
    """
    middle = (int(image.min()) + int(image.max())) // 2
    return 2 * int(np.count_nonzero(image > middle)) > image.size


@cache
def fingerprints() -> dict[str, Grid]:
    """Return the recorded grid of each character."""
    data = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    return {
        text: np.asarray(values, np.float32).reshape(GRID, GRID) / sum(values)
        for text, values in data["grids"].items()
    }


def measure(
    images: Sequence[NDArray[np.uint8]], labels: NDArray[np.int64], label_set: Sequence[Label]
) -> Orientation:
    """Find out which way up images are.

    Args:
        images: Grey, uint8 (H, W).
        labels: int64 (N,), index into `label_set`.
        label_set: The classes; those without a fingerprint are not used.
    """
    known = fingerprints()
    rows: list[NDArray[np.float32]] = []
    means: dict[int, Grid] = {}
    weight = 0.0
    bright = 0
    for index, label in enumerate(label_set):
        if label.text not in known:
            continue
        probes = _probes(known[label.text])
        grids: list[Grid] = []
        members = np.flatnonzero(labels == index)
        step = max(len(members) // _EACH, 1)
        for i in members[::step][:_EACH].tolist():
            grid = ink_grid(images[i])
            if grid is None:
                continue
            bright += not has_bright_ground(images[i])
            weight += float((probes[0] ** 2).sum())
            rows.append(probes @ grid.ravel())
            grids.append(grid)
        if len(grids) >= _FEW:
            means[index] = np.asarray(np.mean(grids, axis=0), np.float32)
    if len(rows) < 2:
        return Orientation("upright", 0.0, 0.0, bright / max(len(rows), 1), len(rows))
    # A matched filter: symmetric letters have little left of their fingerprint and little say.
    table = np.asarray(rows, np.float64)
    names = list(ORIENTATIONS)
    effects = table.sum(axis=0) / weight
    order = np.argsort(-effects)
    best, other = int(order[0]), int(order[1]) if order[0] == 0 else 0
    difference = table[:, best] - table[:, other]
    error = float(difference.std(ddof=1)) / np.sqrt(len(rows))
    margin = float(difference.mean()) / max(error, 1e-9)
    return Orientation(
        names[best],
        float(effects[best]),
        margin,
        bright / len(rows),
        len(rows),
        _label_shift(means, label_set),
    )


def _label_shift(means: dict[int, Grid], label_set: Sequence[Label]) -> int:
    """Find out whether labels are off by one: as their neighbours, images fit far better.

    Args:
        means: Mean grid of the images of each label.
        label_set: The labels.

    Returns:
        1 or -1 where an image labelled i is i + 1 or i - 1, counted round; else 0.
    """
    known = fingerprints()
    for shift in (1, -1):
        own, other = [], []
        for index, mean in means.items():
            neighbour = known.get(label_set[(index + shift) % len(label_set)].text)
            if neighbour is not None:
                own.append(_likeness(mean, known[label_set[index].text]))
                other.append(_likeness(mean, neighbour))
        if len(own) >= _FEW and np.mean(other) > max(float(np.mean(own)) + 0.15, 0.6):
            return shift
    return 0


def _likeness(one: Grid, two: Grid) -> float:
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def _probes(fingerprint: Grid) -> NDArray[np.float32]:
    """Return (8, 64): what distinguishes the fingerprint in each orientation."""
    turned = np.stack([turn(fingerprint) for turn in ORIENTATIONS.values()])
    return np.asarray((turned - turned.mean(axis=0)).reshape(len(turned), -1), np.float32)
