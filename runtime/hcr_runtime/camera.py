"""Frames from cameras, streams, videos, folders of images and recordings."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hcr_runtime import recording
from hcr_runtime._opencv import cv2
from hcr_runtime.address import ALLOWED, is_live, source_text, title
from hcr_runtime.errors import CameraError
from hcr_runtime.frame import Frame
from hcr_runtime.live import LiveSource

_log = logging.getLogger(__name__)

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# A video of fewer frames than this share of what its head promises is cut short, or damaged.
WHOLE = 0.9
# Images in a folder are this long apart, and frames of a video that tells no times (seconds).
USUAL_STEP = 1 / 30


def frames(source: str | os.PathLike[str]) -> Iterator[Frame]:
    """Read frames until the source ends.

    Videos, recordings and folders give every frame, by their own clock. Live sources give the
    latest one, and are opened again when they stall or vanish: they end when the reader stops.

    Args:
        source: A camera's number as text (``0``) or device (``/dev/video0``), the path of a video
            file, of a recording (`recording.Recorder`) or of a folder of images, or the address of
            a stream (``rtsp:``, ``http:``, ``https:``).

    Raises:
        CameraError: The source cannot be opened, or gives no frame at all.

    >>> clip = frames("samples/photos/clip.avi")
    >>> [(frame.index, frame.image.shape) for frame, _ in zip(clip, range(2))]
    [(0, (240, 320, 3)), (1, (240, 320, 3))]
    """
    source = source_text(source)
    if is_live(source):
        return _live_frames(source)
    path = Path(source)
    if source and _is(path.is_dir):
        return _folder_frames(path)
    if _is(path.is_file):
        return recording.read(path) if recording.is_recording(path) else _video_frames(source)
    raise CameraError(f"there is no video {source}", allowed=ALLOWED)


def _live_frames(source: str) -> Iterator[Frame]:
    with LiveSource(source) as live:
        yield from live


def _video_frames(source: str) -> Iterator[Frame]:
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise CameraError(f"{title(source)} cannot be opened", hint="is it a video, and whole?")
        rate = capture.get(cv2.CAP_PROP_FPS)
        step = 1 / rate if rate > 0 else USUAL_STEP
        index, first, seconds = 0, 0.0, 0.0
        while True:
            read, image = capture.read()
            if not read:
                break
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if index == 0:
                first = stamp
            else:
                # Phones vary their rate: the file's own times count, as far as they go on.
                told = stamp - first
                seconds = told if seconds < told < math.inf else seconds + step
            arrived = time.monotonic()
            yield Frame(index, round(seconds, 6), np.asarray(image, np.uint8), arrived=arrived)
            index += 1
        if index == 0:
            raise CameraError(f"{source} gives no frames", hint="is it a video?")
        promised = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if index < WHOLE * promised:
            _log.warning("%s ends after %d of %d frames: is it whole?", source, index, promised)
    finally:
        capture.release()


def _folder_frames(folder: Path) -> Iterator[Frame]:
    """The images of a folder by name; those that are damaged are left out, with a warning.

    Numbers in names count as such: ``f_2`` comes before ``f_10``.
    """
    index = 0
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.is_file()]
    for position, path in enumerate(sorted(files, key=_natural)):
        try:
            data = path.read_bytes()
        except OSError as error:
            _log.warning("%s cannot be read (%s): left out", path, error.strerror or error)
            continue
        image = recording.decode(data)
        if image is None:
            _log.warning("%s is no image, damaged or too large: left out", path)
            continue
        seconds = round(position * USUAL_STEP, 6)
        yield Frame(index, seconds, image, data, time.monotonic())
        index += 1
    if index == 0:
        raise CameraError(f"{folder} holds no images", allowed=", ".join(IMAGES))


def _natural(path: Path) -> list[str | int]:
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _is(question: Callable[[], bool]) -> bool:
    """Ask the file system, which may refuse the name itself."""
    with contextlib.suppress(OSError, ValueError):  # a name too long, or with a zero byte
        return question()
    return False
