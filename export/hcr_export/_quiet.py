"""Keeps native libraries' log lines, written past Python's logging, off the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what native code writes to the process's output streams, unless an error leaves.

    On an error the last lines go to standard error: they often hold the converter's reason.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            if failed and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
                sink.seek(0)
                sys.stderr.write(sink.read().decode(errors="replace")[-2000:])
