"""Lines of writing, and the order in which their glyphs are read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.spec import Direction

# Neighbours on a line differ in height by at most this share of a letter, for each letter between.
STEP = 0.45
# And their line slopes by at most this much (rise over run).
SLOPE = 0.1
# Neighbours are at most so many letters apart.
REACH = 8.0


def reading_order(
    centres: NDArray[np.float64], size: float, direction: Direction
) -> list[tuple[int, int]]:
    """Say on which line each glyph stands, and which it is on it.

    Glyphs that are each other's nearest neighbours sideways form a chain; chains at the same
    height, the page's slope taken off, are one line.

    Args:
        centres: Middle of each glyph (x, y); float64 of shape (N, 2).
        size: Usual size of a letter, in the same unit.
        direction: ``ltr`` or ``rtl``.

    Returns:
        Line, from the top, and place on it, both from 0, for each glyph.

    >>> centres = np.array([[10.0, 10], [60, 14], [12, 60], [60, 64]])
    >>> reading_order(centres, 20.0, "rtl")
    [(0, 1), (0, 0), (1, 1), (1, 0)]
    """
    count = len(centres)
    if count == 0:
        return []
    chain, slope = _chains(centres, size)
    level = centres[:, 1] - slope * centres[:, 0]
    heights = np.array([level[chain == i].mean() for i in range(int(chain.max()) + 1)])
    line_of_chain = np.zeros(len(heights), np.int64)
    line, last, members = -1, -np.inf, 0
    for i in np.argsort(heights, kind="stable").tolist():
        weight = int((chain == i).sum())
        if heights[i] - last > 0.6 * size:
            line, last, members = line + 1, heights[i], weight
        else:
            last += (heights[i] - last) * weight / (members + weight)
            members += weight
        line_of_chain[i] = line
    lines = line_of_chain[chain]
    along = centres[:, 0] if direction == "ltr" else -centres[:, 0]
    order = np.lexsort((along, lines))
    places: list[tuple[int, int]] = [(0, 0)] * count
    for number in range(line + 1):
        for place, i in enumerate(order[lines[order] == number].tolist()):
            places[i] = (number, place)
    return places


def _chains(centres: NDArray[np.float64], size: float) -> tuple[NDArray[np.int64], float]:
    """Number of the chain that each glyph belongs to, and the chains' median slope."""
    x, y = centres.T
    across, down = x[None] - x[:, None], y[None] - y[:, None]
    near = (across > 0.25 * size) & (across < REACH * size)
    near &= np.abs(down) < STEP * size + SLOPE * across
    cost = np.where(near, across + 2 * np.abs(down), np.inf)
    after, before = cost.argmin(axis=1), cost.argmin(axis=0)
    chain = np.arange(len(centres))
    slopes = []
    for i in np.argsort(x, kind="stable").tolist():
        j = int(after[i])
        if np.isfinite(cost[i, j]) and before[j] == i:
            chain[j] = chain[i]
            slopes.append(down[i, j] / across[i, j])
    _, chain = np.unique(chain, return_inverse=True)
    return chain, float(np.median(slopes)) if len(slopes) > 2 else 0.0
