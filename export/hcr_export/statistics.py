"""Statistics of a count of right answers."""

from __future__ import annotations

import math


def wilson_interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson 1927); 95 % by default.

    Args:
        correct: Right answers, 0 to `total`.
        total: Answers.
        z: Quantile of the normal distribution.

    >>> [round(edge, 4) for edge in wilson_interval(98, 100)]
    [0.93, 0.9945]
    """
    if total == 0:
        return 0.0, 1.0
    share = correct / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
