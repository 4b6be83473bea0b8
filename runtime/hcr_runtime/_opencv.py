"""OpenCV, from whichever of its two packages the device has."""

from __future__ import annotations

import os

# OpenCV reads this once, on import: a small file cannot then unpack into gigabytes.
MAX_PIXELS = 64_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))

try:
    import cv2
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be imported ({error}); on a device without a screen install "
        "'hcr-edge-runtime[headless]', with one 'hcr-edge-runtime[gui]' (never both)"
    ) from error

__all__ = ["MAX_PIXELS", "cv2"]
