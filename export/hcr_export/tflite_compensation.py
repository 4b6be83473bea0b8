"""Rounds a TFLite file's weights and biases so that they make up for each other, layer by layer.

Weights: see `compensation`. Biases: set so that the mean of each channel is what it is in float32
(Nagel and others, 2019, arXiv 1906.04721). The file keeps its scales, and its layout: integers are
put in the place of others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hcr_export.compensation import (
    LEAST_IMAGES,
    MAX_BYTES,
    MAX_IMAGES,
    MAX_LAYERS,
    Array,
    moments,
    patches,
    round_rows,
    spread,
    spread_places,
)
from hcr_export.tflite_file import Layer, TFLiteFile

# The specification keeps -128 out of weights.
_LIMIT = 127
# Multiplications that all layers' passes over the images may take together: about 20 s.
MAX_WORK = 2**38


def compensate(quantized: bytes, plain: bytes, calibration: Array) -> bytes:
    """Round an int8 file's weights and biases anew.

    Args:
        quantized: The file; its scales stay.
        plain: The same network in float32.
        calibration: Input tensors, float32 (N, height, width, channels). Where there are enough,
            some are kept to judge by.

    Returns:
        The file with other integers; as it was, where that answers nearer to `plain`, the layers
        are not those of `plain`, or it would take too long.
    """
    file, source = TFLiteFile(quantized), TFLiteFile(plain)
    count = len(file.layers)
    alike = count == len(source.layers) and all(
        _are_alike(file, layer, source, before)
        for layer, before in zip(file.layers, source.layers, strict=True)
    )
    if not alike or count > MAX_LAYERS or len(plain) > MAX_BYTES:
        return quantized
    affordable = MAX_WORK // max(count * file.work(), 1)
    images = spread(calibration)[:: -(-MAX_IMAGES // max(affordable, 1))]
    if len(images) < LEAST_IMAGES:
        return quantized
    wanted = _mean_inputs(source, images)
    for layer, before, mean in zip(file.layers, source.layers, wanted, strict=True):
        if layer.window is None or mean is None:
            continue
        rows = before.rows(source.numbers(before.weight))
        inputs = (values for (values,) in file.inputs([layer], images))
        met = moments(inputs, layer.window, layer.fan_in)
        if met is None:
            continue
        if met.products is not None and file.is_own(layer.weight):
            rounded = round_rows(rows, file.scale(layer.weight), met.products, _LIMIT)
            file.put(layer.weight, layer.weights(rounded))
        if layer.bias >= 0 and file.is_own(layer.bias):
            present = layer.rows(file.numbers(layer.weight))
            bias = source.numbers(before.bias) if before.bias >= 0 else 0.0
            bias = bias + _outputs(rows, mean) - _outputs(present, met.mean)
            with np.errstate(divide="ignore", invalid="ignore"):  # of a filter of zeros
                file.put(layer.bias, np.round(bias / file.scale(layer.bias)))
    made = bytes(file.data)
    return made if _is_nearer(made, quantized, plain, calibration) else quantized


def _are_alike(file: TFLiteFile, layer: Layer, source: TFLiteFile, before: Layer) -> bool:
    """Whether a layer's integers were made of another's numbers."""
    if (layer.shape, layer.is_depthwise) != (before.shape, before.is_depthwise):
        return False
    off = layer.rows(np.abs(file.numbers(layer.weight) - source.numbers(before.weight)))
    return bool((off <= 0.51 * np.broadcast_to(file.scale(layer.weight), len(off))[:, None]).all())


def _mean_inputs(file: TFLiteFile, images: Array) -> list[Array | None]:
    """What meets each weight of each layer, on average: (groups, fan-in); None where unknown."""
    totals: list[Any] = [0.0] * len(file.layers)
    for inputs in file.inputs(file.layers, images):
        totals = [total + values for total, values in zip(totals, inputs, strict=True)]
    means: list[Array | None] = []
    for layer, total in zip(file.layers, totals, strict=True):
        met = None
        if layer.window is not None:
            met = patches(total / len(images), layer.window, layer.fan_in)
        means.append(None if met is None else met.mean(axis=1, dtype=np.float64))
    return means


def _outputs(rows: Array, means: Array) -> Array:
    """What a layer gives on average, without its bias: (outputs,)."""
    apart = zip(np.split(rows, len(means)), means, strict=True)
    return np.concatenate([some @ mean for some, mean in apart])


def _is_nearer(made: bytes, before: bytes, plain: bytes, calibration: Array) -> bool:
    """Whether `made` answers nearer to `plain` than `before`, on average.

    Judged by calibration images that `spread` does not take, where there are enough.
    """
    others = np.delete(calibration, spread_places(calibration), axis=0)
    images = spread(others if len(others) >= LEAST_IMAGES else calibration)
    exact = np.stack([*TFLiteFile(plain).answers(images)])
    now, then = (
        np.abs(np.stack([*TFLiteFile(model).answers(images)]) - exact).mean()
        for model in (made, before)
    )
    return bool(now < then)
