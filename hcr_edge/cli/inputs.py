"""Images that commands are given."""

from __future__ import annotations

import sys
from pathlib import Path

from hcr_runtime.limits import DEFAULT_LIMITS


def image_of(name: str) -> Path | bytes:
    """What an image's name stands for: ``-`` for the bytes on standard input, else a file.

    It is a text: a path forgets that ``./-`` is another name.
    """
    if name != "-":
        return Path(name)
    # A byte beyond the limit, so that what is too large is refused as a file is.
    return sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1) if sys.stdin else b""
