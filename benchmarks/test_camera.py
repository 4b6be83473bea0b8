"""What watching a camera costs: share of one core at 30 frames a second, and latency."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset, load_samples
from hcr_edge.synth import compose, write_script
from hcr_runtime import Classifier, Frame, LiveSource
from hcr_runtime.watching import Mode, Watcher

RATE = 30.0
# Pixels at each edge of a frame where the desk shows.
DESK = 30


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    cv2.setNumThreads(1)
    return Classifier.load("arabic-letters")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_samples("test")


def film(data: Dataset, mode: Mode, glyphs: int, seconds: float = 6.0) -> list[Frame]:
    """Frames in which a composed sheet of exactly so many glyphs rests, over and over.

    Raises:
        LookupError: No script has such a sheet.
    """
    size = {"width": 1280, "height": 720} if mode == "page" else {}
    for seed in range(200):
        script = write_script(data, mode=mode, count=40 if mode == "page" else 4, seed=seed, **size)
        sheet = script.shown[0]
        if sum(shown.appears == sheet.appears for shown in script.shown) == glyphs:
            break
    else:
        raise LookupError(f"no script of 200 shows a first sheet of {glyphs} glyphs")
    until_it_leaves = takewhile(lambda frame: frame.seconds < sheet.leaves, compose(script, data))
    at_rest = [frame.image for frame in until_it_leaves if frame.seconds >= sheet.rests]
    return [
        Frame(index, round(index / RATE, 6), at_rest[index % len(at_rest)])
        for index in range(round(seconds * RATE))
    ]


def on_a_desk(frame: Frame) -> Frame:
    """The same, with dark cloth around the sheet."""
    cloth = np.random.default_rng(0).normal(20, 2, frame.image.shape)
    image = cloth.clip(0, 255).astype(np.uint8)
    sheet = np.s_[DESK:-DESK, DESK:-DESK]
    image[sheet] = frame.image[sheet]
    return replace(frame, image=image)


@pytest.mark.parametrize(
    ("mode", "glyphs", "limit", "desk"),
    [("guide", 1, 0.2, False), ("page", 20, 0.6, False), ("page", 20, 0.6, True)],
    ids=["guide", "page", "page on a desk"],
)
def test_share_of_a_core(
    classifier: Classifier, data: Dataset, mode: Mode, glyphs: int, limit: float, desk: bool
) -> None:
    frames = film(data, mode, glyphs)
    if desk:
        frames = [on_a_desk(frame) for frame in frames]
    watcher = Watcher(classifier, mode)
    start = time.thread_time()
    for frame in frames:
        watcher.see(frame)
    share = (time.thread_time() - start) / (len(frames) / RATE)
    height, width = frames[0].image.shape[:2]
    print(
        f"\n{mode} {width}x{height}{', a dark desk' if desk else ''}, {glyphs} glyphs,"
        f" {len(watcher.glyphs)} of them followed: {share:.0%} of a core (at most {limit:.0%})"
    )


class _Paced:
    """Gives frames in memory at the camera's pace."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames: Iterator[Frame] = iter(frames)
        self._due = time.monotonic()
        self._over = threading.Event()

    def read(self) -> tuple[NDArray[np.uint8] | None, bytes]:
        frame = next(self._frames, None)
        if frame is None:
            self._over.wait(10)
            return None, b""
        self._due += 1 / RATE
        time.sleep(max(0.0, self._due - time.monotonic()))
        return frame.image, b""

    def interrupt(self) -> None:
        self._over.set()

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("mode", "glyphs"), [("guide", 1), ("page", 20)], ids=["guide", "page"])
def test_latency(classifier: Classifier, data: Dataset, mode: Mode, glyphs: int) -> None:
    frames = film(data, mode, glyphs)
    watcher = Watcher(classifier, mode)
    delays, own = [], []
    with LiveSource("0", open_capture=lambda: _Paced(frames)) as live:
        while (frame := live.next(1.0)) is not None:
            start = time.thread_time()
            watcher.see(frame)
            own.append(time.thread_time() - start)
            delays.append(time.monotonic() - frame.arrived)
        dropped = live.dropped
    (p95, most), (own_p95, own_most) = (
        (float(np.quantile(times, 0.95)) * RATE, max(times) * RATE) for times in (delays, own)
    )
    print(
        f"\n{mode}: from a frame's arrival to its events p95 {p95:.2f} frame times (at most 1.5),"
        f" maximum {most:.2f}; the processor's own time {own_p95:.2f}, maximum {own_most:.2f};"
        f" {dropped} of {len(frames)} frames dropped"
    )
