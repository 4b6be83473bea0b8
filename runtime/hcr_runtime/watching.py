"""Characters in front of a camera, as events: one for each that is written, not one a frame.

A glyph goes from nothing to ``looking`` (something that the model accepts lies still), to
``stable`` (all that was read of it, for long enough, is evidence enough), to ``gone``. What the
model refuses never becomes an event. Times are the frames' own: the same frames give the same
events, however fast they come.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.address import ALLOWED
from hcr_runtime.arguments import check_choice, check_type, is_number, received
from hcr_runtime.camera import frames
from hcr_runtime.classifier import Classifier
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.errors import CameraError, HcrError
from hcr_runtime.followed import Followed
from hcr_runtime.frame import Frame
from hcr_runtime.glance import LEAST_SIDE, is_noisy, may_hold_letters
from hcr_runtime.image import GrayImage, Pixels, read_pixels
from hcr_runtime.reading_order import reading_order
from hcr_runtime.segment import Box, Glyph, find_glyphs
from hcr_runtime.single_glyph import crop_glyph, largest_glyph
from hcr_runtime.tracking import centre, longer_side, match

Mode = Literal["guide", "page"]
MODES: tuple[Mode, ...] = ("guide", "page")

# Pages of a noisy sensor are smoothed by this (pixels).
SMOOTH = 1.2
# The guide's box, in shares of the frame's shorter side.
GUIDE_SHARE = 0.7
# A page is searched at these intervals: while something happens, and while all is settled.
PAGE_SECONDS, CALM_SECONDS = 0.05, 0.12
# A glyph is gone that was not seen for so long; in page mode a hand may pass over it.
GONE_SECONDS = {"guide": 0.5, "page": 1.0}
# One that gave no event is forgotten after this time.
UNTOLD_SECONDS = 0.2
# No hole in time is shorter than this, nor than so many of the longest of the last intervals: slow
# cameras lose pictures too.
HOLE_SECONDS, SLOW = 3.0, 2.5


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one glyph.

    Attributes:
        event: ``looking``, ``stable`` or ``gone``.
        glyph: The glyph's number, from 1: the same in all its events.
        label: The character; what was read so far for ``looking``.
        name: Its short name, e.g. ``beh``.
        confidence: Its probability by all readings of the glyph together, 0-1; see `Evidence`.
        box: Where it is, or was last, in pixels of the frame.
        t: Time of the frame, in seconds since the source's first.
        first: When the glyph was first seen.
        last: When it was last seen.
        line: Of the page's writing, from 0 at the top, on which it stood then; 0 in guide mode.

    >>> event = Event("stable", 1, "ب", "beh", 0.98, Box(10, 20, 30, 40), 0.5, 0.1, 0.5)
    >>> event.to_dict()["box"], event.to_dict()["t"]
    ([10, 20, 30, 40], 0.5)
    """

    event: Literal["looking", "stable", "gone"]
    glyph: int
    label: str
    name: str
    confidence: float
    box: Box
    t: float
    first: float
    last: float
    line: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the event as plain JSON types; the box as left, top, width, height."""
        box = self.box
        return {
            **asdict(self),
            "confidence": round(self.confidence, 4),
            "box": [box.left, box.top, box.width, box.height],
            "t": round(self.t, 3),
            "first": round(self.first, 3),
            "last": round(self.last, 3),
        }


class Watcher:
    """Turns frames, one after another, into events.

    Args:
        classifier: What reads the glyphs; it may be exchanged between two frames.
        mode: ``guide``: the one glyph inside the box in the middle of the frame; ``page``: every
            glyph in the frame.

    Attributes:
        glyphs: The glyphs that are followed now, in reading order.

    Raises:
        HcrError: There is no such mode, or `classifier` is none.

    >>> watcher = Watcher(Classifier.load("arabic-letters"), "page")
    >>> watcher.see(Frame(0, 0.0, np.full((72, 128, 3), 255, np.uint8)))
    []
    """

    def __init__(self, classifier: Classifier, mode: Mode = "guide") -> None:
        check_type("classifier", classifier, Classifier, hint="Classifier.load makes one")
        check_choice("mode", mode, MODES)
        self.classifier = classifier
        self.mode = mode
        self.glyphs: list[Followed] = []
        self._told = 0
        self._now = -math.inf
        self._steps: deque[float] = deque(maxlen=8)  # seconds from look to look, lately
        self._size = (0, 0)
        self._noisy = False

    def see(self, frame: Frame) -> list[Event]:
        """Look at the next frame; returns what happened, in reading order.

        Frames that are not later than the one before are left out.

        Raises:
            ImageError: The frame's picture is none.
            HcrError: `frame` is none, or its time no number of seconds.
        """
        check_type("frame", frame, Frame)
        if not is_number(frame.seconds):
            raise HcrError(f"Frame.seconds is {received(frame.seconds)}", allowed="seconds")
        if frame.seconds <= self._now:
            return []
        # A page is searched often enough to follow it, not in every frame: that is dear.
        if self.mode == "page" and frame.seconds - self._now < self._interval():
            return []
        pixels = read_pixels(frame.image)
        self._follow_size(pixels.shape[1], pixels.shape[0])
        before, self._now = self._now, frame.seconds
        found = self._find(pixels)
        gone = self._overdue() + self._place([box for box, _ in found])
        if math.isfinite(before):
            self._steps.append(self._now - before)
        self._read(dict(found))
        return [self._event("gone", glyph) for glyph in gone if glyph.number] + self._happened()

    def close(self) -> list[Event]:
        """Return what remains to be told when no more frames come: everything is gone."""
        events = [self._event("gone", glyph) for glyph in self.glyphs if glyph.number]
        self.glyphs = []
        return events

    def _find(self, pixels: Pixels) -> list[tuple[Box, GrayImage]]:
        """What may be a character, with its writing box."""
        height, width = pixels.shape[:2]
        least = LEAST_SIDE * min(height, width)
        if self.mode == "page":
            return [
                (glyph.box, glyph.crop)
                for glyph in self._page_glyphs(gray_of_ink(pixels))
                if not glyph.touching and longer_side(glyph.box) >= least
            ]
        # One character is asked for; it may be large, where a page's letters are small.
        guide = guide_box(width, height)
        inside = gray_of_ink(
            pixels[guide.top : guide.top + guide.height, guide.left : guide.left + guide.width]
        )
        box = largest_glyph(inside)
        if box is None or longer_side(box) < least:
            return []
        there = Box(box.left + guide.left, box.top + guide.top, box.width, box.height)
        return [(there, crop_glyph(inside, box))]

    def _page_glyphs(self, gray: GrayImage) -> tuple[Glyph, ...]:
        if not may_hold_letters(gray):
            return ()
        # Noise is the sensor's own, whatever lies before it. Smoothing costs faint dots.
        self._noisy = self._noisy or is_noisy(gray)
        return find_glyphs(cv2.GaussianBlur(gray, (5, 5), SMOOTH) if self._noisy else gray)

    def _interval(self) -> float:
        """Seconds until a page is to be searched again."""
        calm = all(g.state == "stable" and g.path.resting_since for g in self.glyphs)
        return CALM_SECONDS if calm and self.glyphs else PAGE_SECONDS

    def _follow_size(self, width: int, height: int) -> None:
        old, self._size = self._size, (width, height)
        if old != (0, 0) and old != self._size:
            for glyph in self.glyphs:
                glyph.path.scale(width / old[0], height / old[1])

    def _overdue(self) -> list[Followed]:
        """Give up what was last seen before a hole in time: who knows what happened in it."""
        late = max(HOLE_SECONDS, SLOW * max(self._steps, default=math.inf))
        gone = [
            glyph
            for glyph in self.glyphs
            if self._now - glyph.path.last > max(self._patience(glyph), late)
        ]
        self.glyphs = [glyph for glyph in self.glyphs if glyph not in gone]
        return gone

    def _place(self, boxes: list[Box]) -> list[Followed]:
        """Continue the glyphs' paths, and begin new ones; returns those that have gone."""
        before = list(self.glyphs)
        for box, index in zip(
            boxes, match([glyph.path for glyph in before], boxes, self._now), strict=True
        ):
            if index is None:
                threshold = self.classifier.spec.rejection.min_confidence
                self.glyphs.append(Followed(box, self._now, threshold))
            else:
                before[index].path.move(box, self._now)
        gone = [g for g in self.glyphs if self._now - g.path.last > self._patience(g)]
        self.glyphs = self._ordered([g for g in self.glyphs if g not in gone])
        return gone

    def _patience(self, glyph: Followed) -> float:
        return GONE_SECONDS[self.mode] if glyph.number else UNTOLD_SECONDS

    def _ordered(self, glyphs: list[Followed]) -> list[Followed]:
        if len(glyphs) < 2:
            for glyph in glyphs:
                glyph.line = 0
            return glyphs
        boxes = [glyph.path.box for glyph in glyphs]
        size = float(np.median([longer_side(box) for box in boxes]))
        direction = self.classifier.spec.direction
        places = reading_order(np.array([centre(box) for box in boxes]), size, direction)
        for glyph, (line, _) in zip(glyphs, places, strict=True):
            glyph.line = line
        return [glyph for _, glyph in sorted(zip(places, glyphs, strict=True), key=lambda x: x[0])]

    def _read(self, crops: dict[Box, GrayImage]) -> None:
        due = [g for g in self.glyphs if g.path.last == self._now and g.due(self._now)]
        readings = self.classifier.classify_glyphs(
            [crops[glyph.path.box] for glyph in due], top=len(self.classifier.spec.labels)
        )
        for glyph, reading in zip(due, readings, strict=True):
            glyph.read(reading, crops[glyph.path.box], self._now)

    def _happened(self) -> list[Event]:
        events: list[Event] = []
        for position, glyph in enumerate(self.glyphs):
            if glyph.successor is not None and glyph.succeeded:
                events.append(self._event("gone", glyph))
                glyph.successor.line = glyph.line
                self.glyphs[position] = glyph = glyph.successor
            if glyph.state == "seen" and glyph.evidence.best:
                self._told += 1
                glyph.number, glyph.state = self._told, "looking"
                events.append(self._event("looking", glyph))
            if glyph.state == "looking" and glyph.evidence.settled:
                glyph.settle()
                events.append(self._event("stable", glyph))
        return events

    def _event(self, kind: Literal["looking", "stable", "gone"], glyph: Followed) -> Event:
        label = glyph.label or glyph.evidence.likeliest
        box, last = glyph.place
        name = next((item.name for item in self.classifier.spec.labels if item.text == label), "")
        return Event(
            event=kind,
            glyph=glyph.number,
            label=label,
            name=name,
            confidence=glyph.evidence.confidence(label),
            box=box,
            t=self._now,
            first=glyph.first,
            last=last,
            line=glyph.line if self.mode == "page" else 0,
        )


def watch(
    source: str | os.PathLike[str] | Iterable[Frame], classifier: Classifier, mode: Mode = "guide"
) -> Iterator[Event]:
    """Watch a source until it ends.

    Args:
        source: See `frames`; or frames from elsewhere.
        classifier: What reads the glyphs.
        mode: ``guide`` or ``page``; see `Watcher`.

    Returns:
        The events as they happen, without end where the source has none.

    Raises:
        CameraError: The source cannot be opened.
        HcrError: There is no such mode, `classifier` is none, or `source` gives no frames.

    >>> paper = np.full((480, 640, 3), 255, np.uint8)
    >>> paper[160:320, 314:328] = 0  # alef, for a second
    >>> clip = [Frame(i, i / 30, paper) for i in range(30)]
    >>> classifier = Classifier.load("arabic-letters")
    >>> [(event.event, event.label) for event in watch(clip, classifier)]
    [('looking', 'ا'), ('stable', 'ا'), ('gone', 'ا')]
    """
    watcher = Watcher(classifier, mode)
    if isinstance(source, str | os.PathLike):
        source = frames(source)
    if not isinstance(source, Iterable) or isinstance(source, bytes | np.ndarray):
        raise CameraError(f"a source cannot be of type {type(source).__name__}", allowed=ALLOWED)
    return _events(watcher, source)


def _events(watcher: Watcher, source: Iterable[Frame]) -> Iterator[Event]:
    for frame in source:
        yield from watcher.see(frame)
    yield from watcher.close()


def guide_box(width: int, height: int) -> Box:
    """Return the box in the middle of a frame of this size in which guide mode looks.

    >>> guide_box(640, 480)
    Box(left=152, top=72, width=336, height=336)
    """
    side = round(GUIDE_SHARE * min(width, height))
    return Box((width - side) // 2, (height - side) // 2, side, side)
