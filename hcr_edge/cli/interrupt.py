"""Ctrl-C and SIGTERM, also where a library swallows the exception that they raise."""

from __future__ import annotations

import signal
from types import FrameType

_received = False


def listen() -> None:
    """Turn both signals into `KeyboardInterrupt`."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)


def check() -> None:
    """Raise again what came while a converter or a finalizer was running, and got lost there."""
    if _received:
        raise KeyboardInterrupt


def _interrupt(signum: int, frame: FrameType | None) -> None:
    global _received
    _received = True
    raise KeyboardInterrupt
