"""OpenCV, from whichever of its two packages the device has."""

from __future__ import annotations

try:
    import cv2
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be imported ({error}); on a device without a screen install "
        "'hcr-edge-runtime[headless]', with one 'hcr-edge-runtime[gui]' (never both)"
    ) from error

__all__ = ["cv2"]
