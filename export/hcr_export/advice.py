"""Which artifact to take where time counts: int8 is not faster on every processor."""

from __future__ import annotations

from collections.abc import Mapping

# An artifact this much slower than another is called slower; less is noise.
MARGIN = 1.1


def advice(medians: Mapping[str, float]) -> list[str]:
    """Say which artifacts are slower than float32 of their format, and what to take instead.

    Args:
        medians: By kind (``int8.onnx``), the median of one image.

    >>> advice({"float32.onnx": 60.0, "int8.onnx": 90.0, "int8.tflite": 40.0})
    ['int8.onnx is slower than float32.onnx here (90 µs against 60 µs): where time counts more \
than size, take float32.onnx']
    """
    lines = []
    for kind, median in medians.items():
        plain = f"float32.{kind.rpartition('.')[2]}"
        if plain in medians and median > MARGIN * medians[plain]:
            lines.append(
                f"{kind} is slower than {plain} here ({median:.0f} µs against"
                f" {medians[plain]:.0f} µs): where time counts more than size, take {plain}"
            )
    return lines
