"""How much one image may cost a device."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hcr_runtime.arguments import check_whole


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before it costs memory or time.

    Decoding cannot be interrupted, so its time is bounded by what decides it: pixels times passes.

    Attributes:
        max_pixels: Width times height of an image, by its file's header; arrays are in memory
            already, and are not limited. Files beyond 64 million
            also need the environment variable ``OPENCV_IO_MAX_IMAGE_PIXELS``, set before the
            first import of OpenCV.
        max_bytes: Size of an image file.
        max_passes: Scans of a progressive JPEG; each costs the time of a whole decoding, and
            encoders write about ten.

    Raises:
        HcrError: A limit is no whole number of 1 or more.

    >>> Limits(max_pixels=2_000_000).max_passes
    32
    """

    max_pixels: int = 64_000_000
    max_bytes: int = 64 << 20
    max_passes: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            check_whole(f"Limits.{field.name}", getattr(self, field.name))


DEFAULT_LIMITS = Limits()
