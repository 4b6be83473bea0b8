"""Frames from a camera or a video file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.errors import CameraError


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes:
        index: 0 for the first.
        seconds: Time since the first: the video's own clock for a file, the wall clock for a
            camera.
        image: BGR, uint8, shape (H, W, 3).
    """

    index: int
    seconds: float
    image: NDArray[np.uint8]


def frames(source: str) -> Iterator[Frame]:
    """Read frames until the source ends.

    Args:
        source: A camera's number (``0``), or a path of a video file.

    Raises:
        CameraError: The source cannot be opened or gives no frame at all, or a camera stops.
    """
    is_camera = source.isdecimal()
    if not is_camera and not _is_file(source):
        raise CameraError(
            f"there is no video {source}", allowed="a camera's number, or a video file"
        )
    unopened = CameraError(
        f"{'camera' if is_camera else 'video'} {source} cannot be opened",
        hint="is it there, and not in use?",
    )
    try:
        capture = cv2.VideoCapture(int(source) if is_camera else source)
    except cv2.error as error:  # a number beyond a C int
        raise unopened from error
    try:
        if not capture.isOpened():
            raise unopened
        rate = capture.get(cv2.CAP_PROP_FPS)
        start = time.monotonic()
        index = 0
        while True:
            read, image = capture.read()
            if not read and is_camera and index:
                raise CameraError(f"camera {source} stopped after {index} frames")
            if not read:
                break
            seconds = time.monotonic() - start if is_camera or rate <= 0 else index / rate
            yield Frame(index, seconds, np.asarray(image, np.uint8))
            index += 1
        if index == 0:
            raise CameraError(f"{source} gives no frames", hint="is it a video?")
    finally:
        capture.release()


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except OSError:  # a name too long for the file system
        return False
