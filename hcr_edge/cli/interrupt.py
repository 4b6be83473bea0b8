"""Ctrl-C, SIGTERM and the end of a terminal, also where a library swallows what they raise."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_received = False
_deferred = False


def listen() -> None:
    """Turn these signals into `KeyboardInterrupt`; what nohup lets pass stays so."""
    # When all is told TensorFlow takes a second to end, in which nothing is left to interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        atexit.register(signal.signal, number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        signal.signal(hangup, _interrupt)


def check() -> None:
    """Raise again what came while a converter or a finalizer was running, and got lost there."""
    if _received:
        raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Do not interrupt what is done inside, which asks the value whether to stop.

    A second signal does interrupt it.
    """
    global _deferred, _received
    _deferred, _received = True, False
    try:
        yield lambda: _received
    finally:
        _deferred = False


def _interrupt(signum: int, frame: FrameType | None) -> None:
    global _received
    again, _received = _received, True
    if again or not _deferred:
        raise KeyboardInterrupt
