"""Finds images that come twice: equal pixel by pixel, or nearly so.

Near duplicates are copies that were shifted, inverted, saved as JPEG, or made lighter. Their glyphs
are moved and scaled to one place and size by the moments of their ink, and compared as pictures:
first all with all, small and by their principal components, then those found, large. Two people's
letters are not that alike, except where they are a plain stroke or a dot: those are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.images import Image
from hcr_edge.datasets.validation.traits import LARGE, Glyph, Traits

# Chosen on pairs of AHCD, Hijja, CoMNIST, Hoda and NIST SD19, where writers are known: these keep
# 99 in 100 copies that were shifted or saved as JPEG of quality 75, and find none, or a handful,
# of pairs of different writers in 50,000 images.
_ALIKE = 0.985  # correlation of the large pictures
_FOUND = 0.98  # of the small ones
_SCALE = 0.05  # logarithm of the ratio of sizes
_DIFFERENCE = 0.2  # mean of the ten largest differences of brightness, of the full range
_COMPONENTS = 48
_SAMPLE = 4096
_BLOCK = 2048
# Pairs kept of one block: more are found only where a set holds thousands of copies of an image.
_MANY = 200_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images, by their positions; `first` comes before `second`.

    Attributes:
        alike: Correlation of the two glyphs; 1 for equal images.
    """

    first: int
    second: int
    alike: float = 1.0


def equal_groups(traits: Traits) -> list[list[int]]:
    """Return the positions of images that are equal, two or more to a group, blank ones aside."""
    members = np.flatnonzero(~traits.blank)
    keys = traits.digests[members]
    order = np.lexsort((members, keys[:, 1], keys[:, 0]))
    keys, members = keys[order], members[order]
    begins = 1 + np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1))
    groups = np.split(members, begins)
    return sorted(group.tolist() for group in groups if len(group) > 1)


def near_pairs(
    traits: Traits,
    image: Callable[[int], Image],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Pair]:
    """Find images that are nearly the same.

    Args:
        traits: Of all images.
        image: Gives an image by its position.
        progress: Told how many are compared.

    Returns:
        Pairs, by position. Of equal images only the first is compared with others.
    """
    once = ~traits.blank & traits.telling
    for group in equal_groups(traits):
        once[group[1:]] = False
    members = np.flatnonzero(once)
    if len(members) < 2:
        return []
    found = []
    for a, b in _candidates(traits.pictures[members], progress):
        first, second = sorted((int(members[a]), int(members[b])))
        size = float(traits.scale[first] / traits.scale[second])
        if abs(np.log(size)) <= _SCALE and (alike := likeness(image(first), image(second))):
            found.append(Pair(first, second, alike))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def likeness(first: Image, second: Image) -> float:
    """Return the correlation of two images' glyphs, or 0 where they are not nearly the same."""
    glyphs = Glyph.of(first), Glyph.of(second)
    if glyphs[0] is None or glyphs[1] is None:
        return 0.0
    a, b = (glyph.picture(LARGE).astype(np.float32).ravel() for glyph in glyphs if glyph)
    alike = float(np.corrcoef(a, b)[0, 1])
    apart = np.partition(np.abs(a / a.max() - b / b.max()), -10)[-10:].mean()
    return alike if alike >= _ALIKE and apart <= _DIFFERENCE else 0.0


def _candidates(
    pictures: NDArray[np.uint8], progress: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of pictures that correlate by `_FOUND` or more.

    A projection brings unit vectors closer, never apart: of what differs in it too much nothing
    is lost. Sorted by the first component, each block meets only the blocks within reach.
    """
    points = _components(pictures)
    reach = float(np.sqrt(2 * (1 - _FOUND)))
    order = np.argsort(points[:, 0], kind="stable")
    points = points[order]
    line = points[:, 0].copy()
    # -|a - b|² / 2 = ab - |a|² / 2 - |b|² / 2, as one product: a further pass would cost as much.
    half, one = (points**2).sum(axis=1, keepdims=True) / 2, np.ones((len(points), 1), np.float32)
    left, right = np.hstack([points, half, one]), np.hstack([points, -one, -half])
    for start in range(0, len(points), _BLOCK):
        progress(start)
        block = left[start : start + _BLOCK]
        stop = int(np.searchsorted(line, line[start + len(block) - 1] + reach, side="right"))
        for other in range(start, stop, _BLOCK):
            near = block @ right[other : min(other + _BLOCK, stop)].T
            hits = np.flatnonzero(near >= _FOUND - 1)
            rows, columns = np.divmod(hits, near.shape[1])
            keep = other + columns > start + rows
            rows, columns = rows[keep], columns[keep]
            if len(rows) > _MANY:
                best = np.lexsort((-near[rows, columns], rows))
                best = best[np.r_[True, np.diff(rows[best]) > 0]]
                rows, columns = rows[best], columns[best]
            pairs = zip(order[start + rows].tolist(), order[other + columns].tolist(), strict=True)
            yield from pairs


def _components(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32 (N, components): where the pictures lie along their principal axes."""
    if len(pictures) <= _BLOCK:
        return _unit(pictures)  # one block: axes would cost more than they save
    step = max(len(pictures) // _SAMPLE, 1)
    sample = _unit(pictures[::step])
    middle = sample.mean(axis=0)
    _, vectors = np.linalg.eigh((sample - middle).T @ (sample - middle))
    axes = np.ascontiguousarray(vectors[:, : -_COMPONENTS - 1 : -1])
    blocks = range(0, len(pictures), _BLOCK)
    return np.concatenate(
        [(_unit(pictures[start : start + _BLOCK]) - middle) @ axes for start in blocks]
    )


def _unit(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = pictures.astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows
