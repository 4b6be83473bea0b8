"""Recordings: what a source gave, exactly, to be watched again.

A recording is a tar archive of image files, named by number and time
(``00000042-1.400000.png``). JPEG pictures that came from a stream are kept as they came; all
others become PNG, which loses nothing. One that was cut short is good up to the cut.
"""

from __future__ import annotations

import logging
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.errors import CameraError
from hcr_runtime.frame import Frame
from hcr_runtime.image_header import read_header
from hcr_runtime.limits import DEFAULT_LIMITS

_log = logging.getLogger(__name__)

_NAME = re.compile(r"\d{8,}-(\d+\.\d{6})\.(png|jpg)")
_BLOCK = tarfile.BLOCKSIZE
# No picture is larger.
MAX_BYTES = 256_000_000
_JPEG = b"\xff\xd8"
# Fast: a frame must not take longer to keep than to read.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class Recorder:
    """Writes frames to a recording.

    Args:
        path: The file, which must not exist; one that would hold no frame is removed again.

    Raises:
        CameraError: The file exists, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("xb")
        except FileExistsError as error:
            raise CameraError(f"{path} exists", hint="choose another name") from error
        except OSError as error:
            raise CameraError(f"{path} cannot be written: {error.strerror or error}") from error
        self.count = 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, frame: Frame) -> None:
        """Keep one more frame."""
        is_jpeg = frame.encoded.startswith(_JPEG)
        data = frame.encoded if is_jpeg else bytes(cv2.imencode(".png", frame.image, _PNG)[1])
        ending = "jpg" if is_jpeg else "png"
        entry = tarfile.TarInfo(f"{self.count:08d}-{frame.seconds:.6f}.{ending}")
        entry.size = len(data)
        # `TarFile` would remember every entry; a recording may go on for a year.
        self._file.write(entry.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % _BLOCK))
        self.count += 1

    def close(self) -> None:
        """Finish the file."""
        if self._file.closed:
            return
        if self.count:
            self._file.write(bytes(2 * _BLOCK))  # the archive's end
        self._file.close()
        if not self.count:
            self._path.unlink(missing_ok=True)


def read(path: Path) -> Iterator[Frame]:
    """Read a recording's frames, with their own times.

    Raises:
        CameraError: It holds no frames, or one that is damaged.
    """
    index = 0
    with path.open("rb") as file:
        while (head := _entry(file, path)) is not None:
            name = _NAME.fullmatch(head.name)
            if name is None or head.size > MAX_BYTES:
                raise CameraError(f"{path} is no recording: it holds {head.name}")
            data = file.read(head.size)
            file.seek(-head.size % _BLOCK, 1)
            if len(data) < head.size:  # by a battery that ran out
                _log.warning("%s is cut short after %d frames", path, index)
                break
            if (image := decode(data)) is None:
                raise CameraError(f"{path}: {head.name} is damaged")
            yield Frame(index, float(name[1]), image, data, time.monotonic())
            index += 1
    if index == 0:
        raise CameraError(f"{path} gives no frames", hint="is it a recording?")


def _entry(file: BinaryIO, path: Path) -> tarfile.TarInfo | None:
    """Read the head of the next entry; None at the archive's end, or where it is cut."""
    place = file.tell()
    block = file.read(_BLOCK)
    if len(block) < _BLOCK or not any(block):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise CameraError(f"{path} is damaged at byte {place}") from error


def is_recording(path: Path) -> bool:
    """Whether a file begins as a recording does."""
    with path.open("rb") as file:
        try:
            head = _entry(file, path)
        except CameraError:
            return False
    return head is not None and _NAME.fullmatch(head.name) is not None


def decode(data: bytes) -> NDArray[np.uint8] | None:
    """Return the picture in an image file, BGR, shape (H, W, 3).

    None where it is damaged, or beyond `limits.DEFAULT_LIMITS`. Phones append films to a JPEG:
    its end may be anywhere.
    """
    header = read_header(data)
    if header is None or (data.startswith(_JPEG) and b"\xff\xd9" not in data):
        return None
    if header.width * header.height > DEFAULT_LIMITS.max_pixels:
        return None
    if header.passes > DEFAULT_LIMITS.max_passes:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
