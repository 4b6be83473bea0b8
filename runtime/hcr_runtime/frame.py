"""`Frame`: one picture of a source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture.

    Attributes:
        index: 0 for the first.
        seconds: Time since the first, in whole microseconds: the video's own clock for a file,
            the wall clock for a live source.
        image: BGR, uint8, shape (H, W, 3).
        encoded: The image file as which it came; empty where it came otherwise.
        arrived: When it was there, by `time.monotonic`, in seconds.

    >>> Frame(0, 0.0, np.full((480, 640, 3), 255, np.uint8)).image.shape
    (480, 640, 3)
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]
    encoded: bytes = b""
    arrived: float = 0.0
