"""Images that commands are given."""

from __future__ import annotations

import sys
from pathlib import Path

from hcr_runtime.limits import DEFAULT_LIMITS

STANDARD_INPUT = Path("-")


def image_of(name: Path) -> Path | bytes:
    """What an image's name stands for: ``-`` for the bytes on standard input, else a file."""
    if name != STANDARD_INPUT:
        return name
    # A byte beyond the limit, so that what is too large is refused as a file is.
    return sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1) if sys.stdin else b""
