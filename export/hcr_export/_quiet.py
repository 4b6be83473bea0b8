"""Keeps native libraries' log lines, written past Python's logging, off the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(tell: bool = True) -> Iterator[list[str]]:
    """Keep what native code writes to the process's output streams, unless an error leaves.

    Args:
        tell: On an error the last lines go to standard error: they often hold the converter's
            reason. False where who calls says it.

    Yields:
        A list; once an error has left, it holds the lines that were written.
    """
    said: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        failed = True
        try:
            yield said
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            if failed and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                sink.seek(0)
                text = sink.read().decode(errors="replace")
                said += text.strip().splitlines()
                sys.stderr.write(text[-2000:] if tell else "")
