"""Sources by their names: what is live, and what may be shown of an address with a password."""

from __future__ import annotations

import os
import re

from hcr_runtime.errors import CameraError

ALLOWED = (
    "a camera's number, /dev/video* or /dev/v4l/*, a video file, a recording, a folder of images,"
    " or an rtsp://, http:// or https:// address"
)


def shown(address: str) -> str:
    """Return an address without its user, password and query; never raises.

    Where it is not clear what is a password, only the scheme is left.

    >>> shown("http://me:secret@camera.local:8080/video?pwd=1234")
    'http://camera.local:8080/video'
    >>> shown("rtsp://me:a/b@camera.local/1")
    'rtsp://...'
    """
    scheme, mark, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "@" in tail:  # a password with a slash, or a name in the query
        return f"{scheme}{mark}..."
    # Some cameras want the password in the path: /user=me&password=1234
    return scheme + mark + authority.rpartition("@")[2] + re.split("[?#;&=]", tail)[0]


def source_text(source: str | os.PathLike[str]) -> str:
    """Return a source as text; OpenCV's numbers are none: text is what a command line gives.

    Raises:
        CameraError: It is neither text nor a path.

    >>> source_text(0)
    Traceback (most recent call last):
    hcr_runtime.errors.CameraError: a source cannot be of type int...
    """
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    hint = "a camera's number is given as text: '0'" if isinstance(source, int) else ""
    kind = type(source).__name__
    raise CameraError(f"a source cannot be of type {kind}", allowed=ALLOWED, hint=hint)


def is_live(source: str) -> bool:
    """Whether a source goes on by itself: a camera, or a stream.

    >>> [is_live(source) for source in ("0", "/dev/v4l/by-id/usb-cam", "rtsp://cam/1", "clip.avi")]
    [True, True, True, False]
    """
    return bool(re.match(r"\d+$|/dev/(video|v4l/)|(rtsps?|https?)://", source))


def title(source: str) -> str:
    """Return a source's name as it may be shown.

    >>> title("0"), title("clip.avi")
    ('camera 0', 'video clip.avi')
    """
    if source.isdecimal():
        return f"camera {source}"
    return shown(source) if is_live(source) else f"video {source}"
