"""Rounding of a layer's weights in which those still to be rounded make up for what is lost.

Each column is rounded, and the columns to come take over its error, weighted by how the layer's
inputs go together (GPTQ: Frantar and others, 2022, arXiv 2210.17323). `onnx_compensation` and
`tflite_compensation` walk through the layers of a file, and correct biases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The work grows with the square of the layers: deeper networks are rounded to the nearest.
MAX_LAYERS = 32
# A layer with more inputs to each output, or more values in the patches of one image, keeps its
# weights, and a larger model all of its integers: time and memory grow with each.
MAX_FAN_IN = 1024
MAX_PATCH_VALUES = 2**24
MAX_BYTES = 2**25
MAX_IMAGES = 128
# Fewer than so many say nothing.
LEAST_IMAGES = 16
# Of an image's patches so many, evenly, tell how inputs go together.
MAX_PLACES = 1024
_DAMPING = 0.01  # share of the mean of the diagonal: inputs that never vary


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution's kernel moves over its input; a dense layer has a kernel without sides.

    Attributes:
        kernel: Height and width; empty for a dense layer.
        pads: Zeros above, at the left, below, and at the right.
        strides: Down, and across.
        groups: Of input channels that do not meet each other.
    """

    kernel: tuple[int, ...] = ()
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    strides: tuple[int, int] = (1, 1)
    groups: int = 1


def spread(calibration: Array, multiple: int = 1) -> Array:
    """Take at most `MAX_IMAGES` evenly: they may be in the order of writers or classes."""
    return np.asarray(calibration[spread_places(calibration, multiple)])


def spread_places(calibration: Array, multiple: int = 1) -> NDArray[np.intp]:
    """Say which images `spread` takes."""
    count = max(min(len(calibration), MAX_IMAGES) // multiple, 1) * multiple
    return np.linspace(0, len(calibration) - 1, count).astype(int)


def patches(values: Array, window: Window, fan_in: int) -> Array | None:
    """What meets each weight, in order: float (groups, places, fan-in); None where it is too much.

    Args:
        values: A layer's inputs for one image, (1, channels, height, width); or (..., inputs).
        window: How its kernel moves.
        fan_in: Weights of one output.
    """
    if not window.kernel:
        return values.reshape(1, -1, fan_in)
    if values.shape[1] * math.prod((*values.shape[2:], *window.kernel)) > MAX_PATCH_VALUES:
        return None
    top, left, bottom, right = window.pads
    down, across = window.strides
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, (2, 3))
    seen = seen[:, :, ::down, ::across].transpose(1, 0, 2, 3, 4, 5)
    size = len(seen) // window.groups, math.prod(window.kernel)
    apart = seen.reshape(window.groups, size[0], -1, size[1]).transpose(0, 2, 1, 3)
    return apart.reshape(window.groups, -1, math.prod(size))


class Moments(NamedTuple):
    """What meets each weight of a layer.

    Attributes:
        mean: Of each, float64 (groups, fan-in).
        products: Sums of products of each two, (groups, fan-in, fan-in); None for too many.
    """

    mean: Array
    products: Array | None


def moments(images: Iterable[Array], window: Window, fan_in: int) -> Moments | None:
    """Measure what meets each weight of a layer; None where an image has too many patches.

    Args:
        images: As `values` of `patches`, one after another.
        window: How the kernel moves.
        fan_in: Weights of one output.
    """
    total: Array = np.zeros((window.groups, fan_in))
    squares: Array | None = None
    if fan_in <= MAX_FAN_IN:
        squares = np.zeros((window.groups, fan_in, fan_in))
    places = 0
    for image in images:
        met = patches(image, window, fan_in)
        if met is None:
            return None
        total += met.sum(axis=1, dtype=np.float64)
        places += met.shape[1]
        if squares is not None:
            some = met[:, :: -(-met.shape[1] // MAX_PLACES)]
            squares += some.transpose(0, 2, 1) @ some
    return Moments(total / max(places, 1), squares)


def round_rows(rows: Array, step: Array, products: Array, limit: int) -> Array:
    """Round weights to whole steps: float64 of the same shape, whole numbers.

    Args:
        rows: Weights, (outputs, fan-in); outputs in the order of their groups.
        step: Between two whole numbers: (outputs,) or (1,).
        products: See `Moments`.
        limit: Of the whole numbers, on both sides of 0.
    """
    # A filter of zeros may have a step of 0.
    step = np.where(step > 0, step, 1.0)
    steps = np.split(np.broadcast_to(step, len(rows)), len(products))
    parts = zip(np.split(rows, len(products)), steps, products, strict=True)
    return np.concatenate([_rounded(some, part, each, limit) for some, part, each in parts])


def _rounded(rows: Array, step: Array, products: Array, limit: int) -> Array:
    """Round columns one after another; those to come take over the error: (outputs, fan-in)."""
    products = products.copy()
    diagonal = np.diag_indices(len(products))
    products[diagonal] += _DAMPING * products[diagonal].mean() + np.finfo(np.float64).tiny
    # The loudest inputs are rounded first, while there is much that can make up for them.
    order = np.argsort(-products[diagonal], kind="stable")
    rows, products = rows[:, order].astype(np.float64), products[np.ix_(order, order)]
    try:
        shares = np.linalg.cholesky(np.linalg.inv(products)).T
    except np.linalg.LinAlgError:  # nothing ever comes in
        shares = np.eye(len(products))
    integers = np.empty_like(rows)
    for column in range(rows.shape[1]):
        rounded = np.clip(np.round(rows[:, column] / step), -limit, limit)
        error = (rows[:, column] - rounded * step) / shares[column, column]
        rows[:, column:] -= np.outer(error, shares[column, column:])
        integers[:, order[column]] = rounded
    return integers
