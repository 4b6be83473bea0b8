"""Which images calibrated a bundle's artifacts, and which judged them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_runtime import ModelSpec


def apart(calibration: Sequence[bytes], judging: Sequence[bytes]) -> list[int]:
    """Return the places of the calibration images that do not judge too.

    >>> apart([b"a", b"b", b"c"], [b"b", b"d"])
    [0, 2]
    """
    used = set(judging)
    return [place for place, image in enumerate(calibration) if image not in used]


def describe_images(
    description: str,
    images: Sequence[bytes],
    spec: ModelSpec,
    labels: NDArray[np.int64] | None,
    writers: NDArray[np.int64] | None,
) -> dict[str, Any]:
    """List images as plain JSON types.

    Args:
        description: Which these are.
        images: Their bytes.
        spec: Names the labels.
        labels: int64 (N,), -1 where unknown; or None.
        writers: int64 (N,), -1 where unknown; or None.
    """
    count = len(images)
    known = np.full(count, -1, np.int64)
    classes = [spec.texts[i] if i >= 0 else None for i in (known if labels is None else labels)]
    hands = (known if writers is None else writers).tolist()
    return {
        "description": description,
        "total": count,
        "by_label": dict(Counter(text for text in classes if text is not None)),
        "writers": len({hand for hand in hands if hand >= 0}),
        "by_writer": {str(hand): n for hand, n in sorted(Counter(hands).items()) if hand >= 0},
        "images": [
            {
                "sha256": hashlib.sha256(image).hexdigest(),
                "label": text,
                "writer": hand if hand >= 0 else None,
            }
            for image, text, hand in zip(images, classes, hands, strict=True)
        ],
    }
