"""Motion JPEG over HTTP, as network cameras send it (``multipart/x-mixed-replace``).

A camera that gives one picture for each request, a snapshot, is asked again and again.

OpenCV reads such streams through FFmpeg, which first collects seconds of pictures, and cannot be
stopped while it waits. Pictures here come one by one, as they were sent.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
import time
import urllib.parse
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)

import numpy as np
from numpy.typing import NDArray

from hcr_runtime import recording
from hcr_runtime.address import shown
from hcr_runtime.errors import CameraError

# Seconds to connect, and for which a stream may send nothing.
SILENT_SECONDS = 10.0
# A snapshot is asked for so often (seconds from request to request): what lies still is read as
# well as in a stream, and cameras that take long for each are not busy with this alone.
SNAPSHOT_SECONDS = 0.2
# So many snapshots in a row that came without their end, and the camera is lost.
MOST_CUT = 5
# No picture is larger (bytes).
MOST_BYTES = 32_000_000
_CHUNK = 65_536
# The head of a part (bytes).
_MOST_HEAD = 4096
_LENGTH = re.compile(rb"(?i)content-length:[ \t]*(\d{1,9})[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n\Z")
_START, _END = b"\xff\xd8\xff", b"\xff\xd9"


class MjpegStream:
    """A stream that is open, or a snapshot that is fetched again.

    Args:
        url: Its address; a user and password in it are sent as basic authentication.

    Raises:
        CameraError: Nobody answers, or not with a stream.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self._cut = 0
        self._ask()

    def _ask(self) -> None:
        url = self._url
        self._rest, self._came, self._asked = b"", False, time.monotonic()
        try:
            self._connection = self._connect()
            self._response = _answer(self._connection, url)
        except (OSError, HTTPException, ValueError) as error:
            # The message of another error may hold the address as it is, with its password.
            reason = str(error) if isinstance(error, OSError) else type(error).__name__
            raise CameraError(
                f"{shown(url)} cannot be opened ({reason})", hint="does it answer in a browser?"
            ) from error
        kind = self._response.headers.get_content_type()
        if self._response.status != 200 or not kind.startswith(("multipart/", "image/")):
            self.close()
            status, hint = self._response.status, ""
            if 300 <= status < 400 and (place := self._response.headers.get("Location")):
                hint = f"it sends on to {shown(urllib.parse.urljoin(url, place))}: name that"
            elif status == 401:
                hint = "name a user and a password: http://USER:PASSWORD@..."
            raise CameraError(
                f"{shown(url)} answers {status} with {kind}",
                allowed="200 with multipart/x-mixed-replace or image/jpeg",
                hint=hint,
            )
        self._snapshot = kind.startswith("image/")

    def _connect(self) -> HTTPConnection:
        """Connect, step by step, so that `interrupt` finds the socket that is waited for."""
        parts = urllib.parse.urlsplit(self._url)
        host = parts.hostname or ""
        if parts.scheme != "https":
            connection = HTTPConnection(host, parts.port)
            connection.sock = self._reach(host, connection.port)
            return connection
        context = ssl.create_default_context()
        connection = HTTPSConnection(host, parts.port, context=context)
        plain = self._reach(host, connection.port)
        secured = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self._hold(secured)
        try:
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        connection.sock = secured
        return connection

    def _reach(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of a host that answers."""
        problem = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            attempt = socket.socket(family, kind, protocol)
            self._hold(attempt)
            attempt.settimeout(SILENT_SECONDS)
            try:
                attempt.connect(address)
            except OSError as error:
                attempt.close()
                problem = error
            else:
                self._hold(attempt)
                return attempt
        raise problem

    def _hold(self, opened: socket.socket) -> None:
        """Let `interrupt` shut this socket; one that comes after it is closed."""
        self._socket = opened
        if self._stopped.is_set():
            opened.close()
            raise CameraError(f"{shown(self._url)} was closed")

    def read(self) -> tuple[NDArray[np.uint8] | None, bytes]:
        """Wait for the next picture; see `camera.Capture`."""
        while True:
            data, self._rest = _next_picture(self._rest)
            if data:
                self._came, self._cut = True, 0
                return (recording.decode(data) if _is_whole(data) else None), data
            if len(self._rest) > MOST_BYTES:
                raise CameraError(f"{shown(self._url)} sends no pictures")
            try:
                chunk = self._response.read1(_CHUNK)
            except IncompleteRead:
                chunk = b""
            except (OSError, HTTPException, ValueError) as error:
                raise CameraError(f"{shown(self._url)} broke off ({error})") from error
            if chunk:
                self._rest += chunk
            elif not self._snapshot:
                raise CameraError(f"{shown(self._url)} ended")
            elif self._came:
                self._ask_again()
            else:
                return None, self._cut_off()

    def _cut_off(self) -> bytes:
        """Take what came of a snapshot without its end."""
        data, self._rest, self._came = self._rest, b"", True
        self._cut += 1
        begun = _START in data or _START.startswith(data)
        if self._cut >= MOST_CUT or not begun:
            kind = self._response.headers.get_content_type()
            raise CameraError(f"{shown(self._url)} answers with {kind}, and no whole JPEG in it")
        return data

    def _ask_again(self) -> None:
        """Fetch the next snapshot when it is due."""
        self.close()
        if self._stopped.wait(max(0.0, self._asked + SNAPSHOT_SECONDS - time.monotonic())):
            raise CameraError(f"{shown(self._url)} was closed")
        self._ask()

    def interrupt(self) -> None:
        """Make a `read` that waits in another thread end at once."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection."""
        self._response.close()
        self._connection.close()


def _answer(connection: HTTPConnection, url: str) -> HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": "multipart/x-mixed-replace, image/jpeg"}
    if parts.username is not None:
        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    try:
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        connection.request("GET", path, headers=headers)
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _next_picture(data: bytes) -> tuple[bytes, bytes]:
    """Cut the first whole JPEG out of `data`; (picture, rest).

    Its part's Content-Length says where it ends, else its own end does, else the next one's start.

    >>> _next_picture(b"--x\\r\\n" + _START + b"\\xda12" + _END + b"--x")
    (b'\\xff\\xd8\\xff\\xda12\\xff\\xd9', b'--x')
    """
    start = data.find(_START)
    if start < 0:
        return b"", data[-_MOST_HEAD:]
    head = _LENGTH.search(data, max(0, start - _MOST_HEAD), start)
    if head is not None and int(head[1]) <= MOST_BYTES:
        end = start + int(head[1])
        if len(data) < end:
            return b"", data
        if _is_whole(data[start:end]):
            return data[start:end], data[end:]
    pixels = _pixels(data, start)
    if pixels is None:
        return b"", data
    end = data.find(_END, pixels)
    following = data.find(_START, max(pixels, start + len(_START)))
    if pixels > start and end >= 0 and (following < 0 or end < following):
        return data[start : end + 2], data[end + 2 :]
    if following >= 0:
        return data[start:following], data[following:]
    return b"", data


def _pixels(data: bytes, start: int) -> int | None:
    """Where the first scan of the JPEG at `start` begins (ITU-T T.81, B.1.1.4).

    The segments before it may hold a thumbnail, a JPEG with an end of its own. `start` itself
    where they are damaged; None where more is needed.
    """
    place = start + 2
    while len(data) >= place + 4:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place] != 0xFF or marker in (0x00, 0xD8, 0xD9):
            return start
        if marker == 0xDA:
            return place
        place += 1 if marker == 0xFF else 2 + length
    return None


def _is_whole(picture: bytes) -> bool:
    return _END in picture[-64:]
