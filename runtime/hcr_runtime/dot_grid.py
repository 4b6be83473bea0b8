"""Dot-grid paper: printed dots on a lattice, which may be turned, seen aslant, or curled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage

# Fewer dots are no lattice, and more are noise; so many pixels long at most, so many times as long
# as wide, and so much of their rectangle is ink.
FEWEST, MOST, LONGEST, ROUND, FILLED = 100, 8000, 14, 1.5, 0.45
# Dots are alike: in shares of their usual number of pixels, and of their usual darkness; this is
# less than such a share of the writing's, or, where nothing else is written, of a pen's (0-255).
AREAS, LEVELS, PALER, PEN = (0.3, 2.5), (0.5, 1.5), 0.7, 100
# So many dots are looked at for those whose neighbours are even, within this share of a step, and
# make a cell of this share of a rectangle at least; a lattice is tried from so many of these.
SAMPLES, UNEVEN, SQUARE, SEEDS = 200, 0.12, 0.5, 4
# A lattice grows from within so many steps of one dot, by this factor; what it grows over lies on
# it within this share of a step.
FIRST, GROWTH, ASIDE = 3.5, 1.5, 0.25
# Paper that is seen aslant or curled is a polynomial of this degree.
DEGREE = 4
# Printed dots lie on their lattice within these shares of a step, usually and at most, or so many
# times what is usual; no hand writes so evenly.
USUAL, WITHIN, TIMES = 0.03, 0.05, 4.0
# So many of all such dots lie on the lattice, and so many of the places next to one hold another:
# letters hide some.
SHARE, OCCUPIED = 0.5, 0.65

Array = NDArray[np.float64]


def erase_dot_grid(darkness: GrayImage, mask: GrayImage, components: Components) -> bool:
    """Erase the dots of dot-grid paper, in place; those of letters lie off the lattice.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.
        components: Of the ink.

    Returns:
        Whether there are any.

    >>> mask = np.zeros((400, 400), np.uint8)
    >>> mask[10::30, 10::30] = mask[11::30, 10::30] = 255
    >>> mask[200:202, 110:112] = 255  # a letter's
    >>> darkness = mask // 4
    >>> erase_dot_grid(darkness, mask, Components(mask, darkness, np.zeros_like(mask)))
    True
    >>> int(np.count_nonzero(mask))
    4
    """
    dots = _dots(components)
    if not FEWEST <= len(dots) <= MOST:
        return False
    places = _places(components, darkness)[dots]
    for seed in _seeds(places):
        on = _on_lattice(places, *seed)
        if on is not None:
            return _erase(dots, on, darkness, mask, components)
    return False


def _erase(
    dots: NDArray[np.intp],
    on: NDArray[np.bool_],
    darkness: GrayImage,
    mask: GrayImage,
    components: Components,
) -> bool:
    """Erase those dots that lie on a lattice, in place; False where they are as dark as writing."""
    usual = np.median(components.level[dots[on]])
    written = components.level[(components.length > LONGEST) & ~components.is_cut]
    if usual > PALER * (np.median(written) if written.size else PEN):
        return False
    level = components.level[dots] / usual
    components.erase(dots[on & (level > LEVELS[0]) & (level < LEVELS[1])], darkness, mask)
    return True


def _dots(components: Components) -> NDArray[np.intp]:
    """Numbers of the components that are small, round, and of one size."""
    extent = components.high - components.low
    short, long = extent.min(axis=1), components.length
    dots = (long <= LONGEST) & (long <= ROUND * short + 1) & ~components.is_cut
    dots &= components.area > np.maximum(FILLED * extent.prod(axis=1), 1)  # no grain of a pixel
    numbers = np.flatnonzero(dots)
    if len(numbers) < FEWEST:
        return numbers
    area = components.area[numbers]
    size = area / np.median(area)
    return np.asarray(numbers[(size > AREAS[0]) & (size < AREAS[1])], np.intp)


def _places(components: Components, darkness: GrayImage) -> Array:
    """Middle (x, y) of each component, by its darkness; (N, 2)."""
    rows, columns = np.divmod(components.ink, darkness.shape[1])
    weight = darkness.ravel()[components.ink]
    total, across, down = (
        np.bincount(components.owner, values, minlength=len(components.area))
        for values in (weight, weight * columns, weight * rows)
    )
    return np.stack([across, down], axis=1) / np.maximum(total, 1)[:, None]


def _seeds(places: Array) -> Iterator[tuple[Array, Array]]:
    """Dots amid four others that lie evenly around them, and the steps to these.

    Args:
        places: Of the dots (x, y), (N, 2).

    Yields:
        A dot, (2,), and two steps from it: one right, one down, (2, 2).
    """
    samples = places[:: -(-len(places) // SAMPLES)]
    away = places - samples[:, None]
    nearest = np.argpartition((away**2).sum(axis=2), 4, axis=1)[:, :5]
    around = np.take_along_axis(away, nearest[..., None], axis=1)
    which = np.stack([around.argmax(axis=1), around.argmin(axis=1)], axis=1)
    ahead, back = (np.take_along_axis(around, which[:, i, :, None], axis=1) for i in (0, 1))
    steps = (ahead - back) / 2
    length = np.hypot(*steps.transpose(2, 0, 1))
    size = np.abs(np.linalg.det(steps))
    even = (np.hypot(*(ahead + back).transpose(2, 0, 1)) < UNEVEN * length).all(axis=1)
    even &= size > SQUARE * length.prod(axis=1)
    some = np.flatnonzero(even)
    for seed in some[size[some].argsort()][len(some) // 2 :][:SEEDS]:
        yield samples[seed], steps[seed]


def _on_lattice(places: Array, seed: Array, steps: Array) -> NDArray[np.bool_] | None:
    """Which dots lie on the lattice that begins with one dot and its neighbours, (N,).

    Args:
        places: Of the dots (x, y), (N, 2).
        seed: One of them, (2,).
        steps: From it to the next right and down, (2, 2).

    Returns:
        None where most do not.
    """
    away = places - seed
    far, reach = np.hypot(*away.T), FIRST * float(np.hypot(*steps.T).max())
    # Places counted in steps: whole numbers on the lattice.
    counted = away @ np.linalg.inv(steps)
    for degree in itertools.count(1):
        near = far < reach
        on = near & (_aside(counted) < ASIDE)
        if np.count_nonzero(on) < SHARE * np.count_nonzero(near):
            return None
        terms = _terms(away / far.max(), min(degree, DEGREE))
        counted = terms @ np.linalg.lstsq(terms[on], np.rint(counted[on]), rcond=None)[0]
        if near.all():
            break
        reach *= GROWTH
    aside = _aside(counted)
    usual = float(np.median(aside[on]))
    on = aside < max(WITHIN, TIMES * usual)
    if usual > USUAL or on.mean() < SHARE or _occupied(counted[on]) < OCCUPIED:
        return None
    return np.asarray(on, np.bool_)


def _aside(counted: Array) -> Array:
    """How far places lie from the nearest of a lattice, in steps, (N,)."""
    return np.asarray(np.abs(counted - np.rint(counted)).max(axis=1), np.float64)


def _terms(places: Array, degree: int) -> Array:
    """Powers of places and their products up to a degree, (N, terms)."""
    x, y = places.T
    return np.stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)


def _occupied(counted: Array) -> float:
    """Share of the places next to one with a dot, on a lattice, that hold another."""
    places = np.rint(counted).astype(np.intp)
    places -= places.min(axis=0) - 1
    full = np.zeros(places.max(axis=0) + 2, np.bool_)
    full[tuple(places.T)] = True
    pairs = [np.count_nonzero(full & np.roll(full, 1, axis=axis)) for axis in (0, 1)]
    return sum(pairs) / (2 * np.count_nonzero(full))
