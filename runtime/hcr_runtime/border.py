"""The border of a model file: the type, layout and batch in which it takes its input.

`preprocess` gives every model the same: float32, height x width x channels. A file may take it
otherwise, as `InputSpec` says, to suit the program around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.spec import ModelSpec

Tensor = NDArray[np.float32]


def to_border(batch: Tensor, spec: ModelSpec) -> NDArray[Any]:
    """Give preprocessed tensors the type and the layout that the model's file takes.

    Args:
        batch: float32 (N, height, width, channels), as `preprocess` gives each.
        spec: The file's description. Where it takes uint8, the normalisation, which the file
            holds inside, is undone: exactly, because pixels have 256 levels.

    >>> from hcr_runtime.spec import InputSpec, Label
    >>> labels = (Label("a", "a"), Label("b", "b"))
    >>> spec = ModelSpec("demo", labels, InputSpec(8, 8, 1, "uint8", "NCHW"))
    >>> given = to_border(np.full((2, 8, 8, 1), 100 / 255, np.float32), spec)
    >>> given.shape, int(given.max())
    ((2, 1, 8, 8), 100)
    """
    given: NDArray[Any] = batch
    if spec.input.dtype == "uint8":
        std, mean = np.asarray(spec.preprocess.std), np.asarray(spec.preprocess.mean)
        given = np.rint((batch * std + mean) * 255).astype(np.uint8)
    return given.transpose(0, 3, 1, 2) if spec.input.layout == "NCHW" else given


def in_batches(infer: Callable[[NDArray[Any]], Tensor], tensor: NDArray[Any], size: int) -> Tensor:
    """Run a model that takes exactly `size` images; the last batch is filled up with zeros.

    >>> in_batches(lambda batch: batch.sum(axis=1), np.ones((5, 3), np.float32), 2).tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    missing = -len(tensor) % size
    full = np.concatenate([tensor, np.zeros((missing, *tensor.shape[1:]), tensor.dtype)])
    rows = [infer(full[first : first + size]) for first in range(0, len(full), size)]
    return np.concatenate(rows)[: len(tensor)]


def quantize(tensor: NDArray[Any], dtype: Any, scale: float, zero_point: int) -> NDArray[Any]:
    """Turn numbers into the integers of a quantized border; others stay as they are.

    >>> quantize(np.float32([-9, 0, 0.5, 9]), np.int8, 0.25, -3).tolist()
    [-39, -3, -1, 33]
    """
    if tensor.dtype == dtype or np.issubdtype(dtype, np.floating):
        return tensor
    limits = np.iinfo(dtype)
    steps = np.rint(tensor / scale) + zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype)


def dequantize(tensor: NDArray[Any], scale: float, zero_point: int) -> Tensor:
    """Turn the integers of a quantized border into float32; floats stay as they are.

    >>> dequantize(np.int8([-39, -3, -1, 33]), 0.25, -3).tolist()
    [-9.0, 0.0, 0.5, 9.0]
    """
    if np.issubdtype(tensor.dtype, np.floating):
        return np.asarray(tensor, np.float32)
    return np.asarray((tensor.astype(np.float32) - zero_point) * scale, np.float32)
