"""Spends the 256 steps of an int8 TFLite file's logits on those that can matter.

The converter lets them reach from the least logit of all to the largest. Most of that are logits
of classes that nobody would take for the answer; where they are cut off, the steps between the
others are finer.
"""

from __future__ import annotations

from hcr_export.compensation import LEAST_IMAGES, MAX_BYTES, Array, spread
from hcr_export.tflite_file import TFLiteFile

# So far below the best logit, divided by the temperature, a class is 6e-6 times as probable.
REACH = 12.0


def sharpen(quantized: bytes, plain: bytes, calibration: Array, temperature: float) -> bytes:
    """Cut off logits that are `REACH` below the best one of every calibration image.

    Args:
        quantized: The int8 file; its weights and biases stay.
        plain: The same network in float32.
        calibration: Input tensors, float32 (N, height, width, channels).
        temperature: By which logits are divided before softmax.

    Returns:
        The file with another scale of its logits; as it was, where no dense layer gives them, it
        is large, or fewer than 16 images could tell their range.
    """
    file, source = TFLiteFile(quantized), TFLiteFile(plain)
    place, exact = file.logits, source.logits
    if place is None or exact is None or len(plain) > MAX_BYTES:
        return quantized
    if len(calibration) < LEAST_IMAGES:
        return quantized
    best = min(float(logits.max()) for logits in source.values(exact, spread(calibration)))
    low, high = file.range(place)
    # Clear images may calibrate alone; of a doubtful one the best logit is about 0.
    wanted = min(best, 0.0) - REACH * temperature
    if low < wanted < high:
        file.set_range(place, wanted, high)
    return bytes(file.data)
