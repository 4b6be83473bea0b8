"""Ranges of an int8 TFLite file's activations: what nearly all values need, not the extremes.

The converter lets the 256 steps of an activation reach from its least to its largest value on the
calibration images. Without the outermost of 100,000 they are finer, and hardly a value is cut off.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hcr_export.compensation import LEAST_IMAGES, Array

# Of so many values the outermost one, on each side, is cut off.
OUT_OF = 100_000
# Values of all activations, for all images, that are looked at: some ten seconds.
MAX_VALUES = 10**9


def clip_ranges(calibrated: bytes, calibration: Array) -> bytes:
    """Narrow the ranges that calibration found.

    Args:
        calibrated: The network in float32, with the extremes of its activations noted.
        calibration: Input tensors, float32 (N, height, width, channels).

    Returns:
        The file with other ranges, but of its input; as it was, where there are fewer than 16
        images, or so large a network that fewer would be looked at.
    """
    file = bytearray(calibrated)
    graph = schema.Model.GetRootAs(file, 0).Subgraphs(0)
    given = {int(graph.Inputs(place)) for place in range(graph.InputsLength())}
    places = [
        place
        for place in range(graph.TensorsLength())
        if place not in given and _has_range(graph.Tensors(place))
    ]
    values = sum(int(np.prod(graph.Tensors(place).ShapeAsNumpy())) for place in places)
    count = min(len(calibration), MAX_VALUES // max(values, 1))
    if not places or count < LEAST_IMAGES:
        return calibrated
    images = calibration[np.linspace(0, len(calibration) - 1, count).astype(int)]
    for place, (low, high) in _ranges(calibrated, places, images).items():
        known = graph.Tensors(place).Quantization()
        # 0 is among them: padding is, and the integers need one that stands for it.
        known.MinAsNumpy()[0] = max(min(low, 0.0), float(known.Min(0)))
        known.MaxAsNumpy()[0] = min(max(high, 0.0), float(known.Max(0)))
    return bytes(file)


def _has_range(tensor: schema.Tensor) -> bool:
    known = tensor.Quantization()
    return known is not None and known.MinLength() == known.MaxLength() == 1


def _ranges(model: bytes, places: list[int], images: Array) -> dict[int, tuple[float, float]]:
    """The range of each tensor without the outermost values."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    lowest = {place: np.zeros(0, np.float32) for place in places}
    highest = dict(lowest)
    for given in images:
        interpreter.set_tensor(image["index"], given[None])
        interpreter.invoke()
        for place in places:
            values = interpreter.get_tensor(place).reshape(-1)
            kept = values.size * len(images) // OUT_OF + 1
            lowest[place] = _least(np.concatenate([lowest[place], values]), kept)
            highest[place] = -_least(-np.concatenate([highest[place], values]), kept)
    return {place: (float(lowest[place].max()), float(highest[place].min())) for place in places}


def _least(values: Array, count: int) -> Array:
    """The `count` least of some values, in no order."""
    return values if len(values) <= count else np.partition(values, count - 1)[:count]
