"""`LiveSource`: cameras and streams, which go on by themselves, and fail."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.address import source_text, title
from hcr_runtime.arguments import is_number, received
from hcr_runtime.errors import CameraError
from hcr_runtime.frame import Frame

_log = logging.getLogger(__name__)

# A live source that gives nothing for so long has stalled (seconds), and is opened again.
STALL_SECONDS = 5.0
# Pauses before opening again grow from the first to the second (seconds).
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
# So many readers that never came back are left behind; then the source is waited for.
MOST_STUCK = 3
# How long a stopped source's thread is waited for (seconds).
STOP_SECONDS = 0.8

LiveState = Literal["opening", "live", "stalled", "reopening", "closed"]


class Capture(Protocol):
    """What gives the pictures of a live source."""

    def read(self) -> tuple[NDArray[np.uint8] | None, bytes]:
        """Wait for the next picture, and its file if it came as one; None for a damaged one.

        Raises:
            CameraError: The source has ended.
        """

    def interrupt(self) -> None:
        """Make a `read` in another thread end soon, where that can be done."""

    def close(self) -> None:
        """Let the source go."""


class LiveSource:
    """A camera or stream, read by a thread of its own; iterating gives the latest frame.

    Args:
        source: See `camera.frames`.
        stall_seconds: How long it may give nothing.
        open_capture: Opens the source; by default the one that `source` names.

    Attributes:
        title: The source as it may be shown, without a password.
        state: ``opening``, ``live``, ``stalled``, ``reopening`` or ``closed``.
        dropped: Frames that came while the reader was busy.
        damaged: Pictures that could not be decoded.
        reopened: How often the source was opened again.

    Raises:
        CameraError: An argument is none; on entering or iterating: it cannot be opened, or gives
            nothing at first.

    >>> class Still:
    ...     def read(self):
    ...         return np.zeros((480, 640, 3), np.uint8), b""
    ...     def interrupt(self):
    ...         pass
    ...     def close(self):
    ...         pass
    >>> with LiveSource("0", open_capture=Still) as live:
    ...     frame = live.next(timeout=5)
    >>> frame.image.shape, live.title, live.state
    ((480, 640, 3), 'camera 0', 'closed')
    """

    def __init__(
        self,
        source: str,
        *,
        stall_seconds: float = STALL_SECONDS,
        open_capture: Callable[[], Capture] | None = None,
    ) -> None:
        source = source_text(source)
        if not (is_number(stall_seconds) and stall_seconds > 0):
            raise CameraError(
                f"stall_seconds is {received(stall_seconds)}", allowed="more than 0 seconds"
            )
        if not (open_capture is None or callable(open_capture)):
            raise CameraError(f"open_capture is {received(open_capture)}", allowed="a function")
        self.title = title(source)
        self.state: LiveState = "opening"
        self.dropped = self.damaged = self.reopened = 0
        self._open = open_capture or (lambda: _open_capture(source))
        self._stall_seconds = stall_seconds
        self._news = threading.Condition()
        self._closed = threading.Event()
        self._latest: Frame | None = None
        self._count = 0
        self._start = 0.0
        self._problem: CameraError | None = None
        self._readers: list[threading.Thread] = []
        self._turn = 0
        self._alive = 0.0
        self._captures: dict[int, Capture] = {}

    def __enter__(self) -> LiveSource:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed.is_set():
            frame = self.next(timeout=0.25)
            if frame is not None:
                yield frame

    def next(self, timeout: float) -> Frame | None:
        """Wait for a frame that was not given before; None when none came in time.

        Args:
            timeout: How long to wait, in seconds; 0 does not wait.

        Raises:
            CameraError: The source could not be opened, or gave nothing at first; or `timeout`
                is no number of seconds.
        """
        if not (is_number(timeout) and 0 <= timeout <= threading.TIMEOUT_MAX):
            raise CameraError(f"timeout is {received(timeout)}", allowed="0 or more seconds")
        with self._news:
            self._news.wait_for(lambda: self._latest or self._problem, timeout)
            frame, self._latest = self._latest, None
            problem = self._problem
        if frame is None and problem is not None:
            raise problem
        if frame is None:
            self._look_after()
        return frame

    def close(self) -> None:
        """Stop reading, and let the source go."""
        with self._news:
            self._closed.set()
            self.state = "closed"
        self._interrupt()
        until = time.monotonic() + STOP_SECONDS
        for reader in self._readers:
            reader.join(max(0.0, until - time.monotonic()))

    def _begin(self) -> None:
        """Start a reader; the one before, if it still hangs, no longer counts."""
        self._turn += 1
        self._interrupt()
        self._alive = time.monotonic()
        reader = threading.Thread(
            target=self._run, args=(self._turn,), name=f"frames of {self.title}", daemon=True
        )
        self._readers = [thread for thread in self._readers if thread.is_alive()] + [reader]
        reader.start()

    def _interrupt(self) -> None:
        """Make all readers end that wait for a picture."""
        for capture in list(self._captures.values()):
            capture.interrupt()

    def _look_after(self) -> None:
        """Begin again where a reader hangs inside its driver, which no one can interrupt."""
        if time.monotonic() - self._alive < self._stall_seconds or self._closed.is_set():
            return
        if self._count == 0:
            raise CameraError(f"{self.title} gives no frames", hint="is it in use?")
        if self.state == "live":
            _log.warning("%s gives no frames: opening it again", self.title)
        self._tell("stalled")
        if sum(thread.is_alive() for thread in self._readers) < MOST_STUCK:
            self.reopened += 1
            self._begin()
        else:
            self._alive = time.monotonic()

    def _tell(self, state: LiveState) -> None:
        """Change the state, unless the source was closed meanwhile."""
        with self._news:
            if not self._closed.is_set():
                self.state = state

    def _current(self, turn: int) -> bool:
        return turn == self._turn and not self._closed.is_set()

    def _run(self, turn: int) -> None:
        pause = FIRST_PAUSE
        while self._current(turn):
            before = self._count
            try:
                self._read_all(turn)
            except Exception as error:  # noqa: BLE001 - the thread must not die unseen
                if not self._current(turn):
                    return
                if self._count == 0:
                    self._fail(error)
                    return
                self._reopening(error)
            if not self._current(turn):
                return
            pause = FIRST_PAUSE if self._count > before else min(2 * pause, LONGEST_PAUSE)
            self._alive = time.monotonic() + pause
            self._closed.wait(pause)
            self.reopened += self._current(turn)

    def _read_all(self, turn: int) -> None:
        capture = self._captures[turn] = self._open()
        try:
            self._read(capture, turn)
        finally:
            del self._captures[turn]
            capture.close()

    def _read(self, capture: Capture, turn: int) -> None:
        while self._current(turn):
            image, encoded = capture.read()
            if not self._current(turn):
                return
            if image is None or image.size == 0:
                self.damaged += 1
                continue
            now = time.monotonic()
            with self._news:
                if self._count == 0:
                    self._start = now
                self.dropped += self._latest is not None
                seconds = round(now - self._start, 6)
                self._latest = Frame(self._count, seconds, image, encoded, now)
                self._count += 1
                self._alive = now
                self._tell("live")
                self._news.notify()

    def _fail(self, error: Exception) -> None:
        problem = error if isinstance(error, CameraError) else unopened(self.title)
        if problem is not error:
            problem.__cause__ = error
        with self._news:
            self._problem = problem
            self._news.notify()

    def _reopening(self, error: Exception) -> None:
        if self.state == "live":
            # Other messages may hold the address as it is, with its password.
            known = isinstance(error, CameraError)
            reason = str(error) if known else f"{self.title}: {type(error).__name__}"
            _log.warning("%s; opening it again", " ".join(reason.split()))
        self._tell("reopening")


class _OpenCvCapture:
    """A camera or an RTSP stream, through OpenCV."""

    def __init__(self, source: str) -> None:
        self._title = title(source)
        if source.isdecimal() or source.startswith("/dev/"):
            number = source.removeprefix("/dev/video")
            self._capture = cv2.VideoCapture(int(number) if number.isdecimal() else source)
            # Old frames in a driver's queue are of no use.
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 5000]
            self._capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self._capture.release()
            raise unopened(self._title)

    def read(self) -> tuple[NDArray[np.uint8] | None, bytes]:
        read, image = self._capture.read()
        if not read:
            raise CameraError(f"{self._title} stopped")
        return (None if image is None else np.asarray(image, np.uint8)), b""

    def interrupt(self) -> None:
        """Nothing can be done: OpenCV returns when its own limit is over."""

    def close(self) -> None:
        self._capture.release()


def _open_capture(source: str) -> Capture:
    if source.startswith(("http://", "https://")):
        # HTTP and TLS take longer to import than all the rest.
        from hcr_runtime.mjpeg import MjpegStream

        return MjpegStream(source)
    try:
        return _OpenCvCapture(source)
    except (cv2.error, OverflowError) as error:  # a number beyond a C int
        raise unopened(title(source)) from error


def unopened(name: str) -> CameraError:
    """Return the error that says that a source, by its title, cannot be opened."""
    return CameraError(f"{name} cannot be opened", hint="is it there, and not in use?")
