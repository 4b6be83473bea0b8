"""A composed video as a file, and its truth as another beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

import cv2

from hcr_edge.errors import DataError
from hcr_edge.synth.compose import Script
from hcr_edge.whole_file import write_whole
from hcr_runtime import Frame


def truth_file(video: Path) -> Path:
    """Return the name of the truth beside a video.

    >>> truth_file(Path("clip.avi")).name
    'clip.json'
    """
    return video.with_suffix(".json")


def write_video(path: Path, script: Script, frames: Iterable[Frame]) -> int:
    """Write an AVI file (Motion JPEG), and the script beside it; returns how many frames.

    Raises:
        DataError: The file cannot be written here.
    """
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.avi")
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    size = (script.width, script.height)
    writer = cv2.VideoWriter(str(unfinished), fourcc, script.rate, size)
    count = 0
    try:
        if not writer.isOpened():
            raise DataError(f"{path} cannot be written", hint="is there such a folder?")
        for frame in frames:
            writer.write(frame.image)
            count += 1
        writer.release()
        text = json.dumps(script.to_dict(), ensure_ascii=False, indent=1)
        write_whole(truth_file(path), (text + "\n").encode())
        unfinished.replace(path)
    finally:
        writer.release()
        unfinished.unlink(missing_ok=True)
    return count


def read_truth(video: Path) -> Script:
    """Read the script beside a composed video.

    Raises:
        DataError: There is none, or it is something else.
    """
    path = truth_file(video)
    if not video.is_file():
        raise DataError(f"there is no video {video}", hint="'hcr-edge synth video' makes one")
    try:
        return Script.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no truth of a composed video ({error!r})") from error
