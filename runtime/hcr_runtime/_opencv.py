"""OpenCV, from whichever of its two packages the device has."""

from __future__ import annotations

import os

# The second line of defence behind `Limits`, should a decoder see more pixels than the header
# claims. OpenCV reads this once, on import.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "64000000")

try:
    import cv2
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be imported ({error}); on a device without a screen install "
        "'hcr-edge-runtime[headless]', with one 'hcr-edge-runtime[gui]' (never both)"
    ) from error

__all__ = ["cv2"]
