"""What a camera's characters make: a text that grows in a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from hcr_runtime import Event
from hcr_runtime.followed import Followed


class GrowingText:
    """Appends stable characters to a file, at once, in the order in which they are told.

    In guide mode characters follow one another as they are shown. A page's lines are lines of the
    text too, whatever their direction, and another page begins another line.

    Args:
        file: Open for appending.
        lines: Whether the text has lines: those of a page.

    >>> import io
    >>> from hcr_runtime import Box
    >>> text = GrowingText(io.StringIO(), lines=True)
    >>> event = Event("stable", 1, "ب", "beh", 0.98, Box(10, 20, 30, 40), 0.5, 0.1, 0.5)
    >>> text.tell([event], [])
    >>> text.file.getvalue()
    'ب'
    """

    def __init__(self, file: TextIO, lines: bool) -> None:
        self.file = file
        self._lines = lines
        self._begun = file.seekable() and file.tell() > 0
        self._there: set[int] = set()  # numbers of the glyphs that were written and are not gone
        self._last = 0

    def tell(self, events: Iterable[Event], glyphs: Iterable[Followed]) -> None:
        """Write what became stable.

        Args:
            events: What happened.
            glyphs: What is followed now; see `Watcher.glyphs`.

        Raises:
            OSError: It cannot be written.
        """
        line = {glyph.number: glyph.line for glyph in glyphs}
        for event in events:
            if event.event == "gone":
                self._there.discard(event.glyph)
            if event.event != "stable":
                continue
            # Of one that was rubbed out it is not known on which line it stood.
            other = self._last in line and line[self._last] != line.get(event.glyph)
            if self._lines and self._begun and (not self._there or other):
                self.file.write("\n")
            self.file.write(event.label)
            self._there.add(event.glyph)
            self._begun, self._last = True, event.glyph
        self.file.flush()
