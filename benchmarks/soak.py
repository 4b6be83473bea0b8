"""An hour of frames as fast as they go: ``make soak`` (``--frames N`` for fewer).

Memory is compared after a tenth, when all is loaded, and at the end.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import CameraError, Classifier, LiveSource, frames
from hcr_runtime.watching import Watcher

CLIP = Path(__file__).parents[1] / "samples" / "photos" / "clip.avi"
HOUR = 30 * 3600
LIMIT_MB = 5.0


class Looping:
    """A camera that shows the clip over and over, waits for its reader, and dies at times."""

    def __init__(self, pictures: list[NDArray[np.uint8]], taken: threading.Semaphore) -> None:
        self.pictures, self.taken = pictures, taken
        self.shown = 0

    def read(self) -> tuple[NDArray[np.uint8] | None, bytes]:
        self.taken.acquire(timeout=1.0)
        self.shown += 1
        if self.shown % 5000 == 0:
            raise CameraError("unplugged")
        return self.pictures[self.shown % len(self.pictures)].copy(), b""

    def interrupt(self) -> None:
        self.taken.release()

    def close(self) -> None:
        pass


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def soak(count: int) -> tuple[float, int, int]:
    """Watch so many frames; (MB grown, events, threads left over)."""
    cv2.setNumThreads(1)
    pictures = [frame.image for frame in frames(str(CLIP))]
    watcher = Watcher(Classifier.load("arabic-letters"))
    before = threading.active_count()
    taken = threading.Semaphore(1)
    events, seen, base = 0, 0, 0.0
    with LiveSource("0", open_capture=lambda: Looping(pictures, taken)) as live:
        while seen < count:
            frame = live.next(2.0)
            taken.release()
            if frame is None:
                continue
            # As the camera's clock would have it, however fast they come.
            events += len(watcher.see(type(frame)(seen, round(seen / 30, 6), frame.image)))
            seen += 1
            if seen == count // 10:
                base = resident_mb()
    grown = resident_mb() - base
    return grown, events, threading.active_count() - before


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=HOUR)
    wanted = parser.parse_args().frames
    start = time.monotonic()
    grown, events, left = soak(wanted)
    print(
        f"{wanted} frames in {time.monotonic() - start:.0f} s: {events} events, resident memory"
        f" {grown:+.1f} MB (at most {LIMIT_MB:g}), {left} threads left over"
    )
    raise SystemExit(grown > LIMIT_MB or left > 0)
