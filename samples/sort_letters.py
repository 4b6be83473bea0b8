"""A sorter: parts marked with a letter pass a camera, and each is sent to its bin, once.

It acts on results that stay: the same letter accepted in `STEADY` frames in a row. A part is gone
when nothing has been found for `GONE` frames; then the next may come, with the same letter even.

Needs the runtime wheel alone: ``python samples/sort_letters.py samples/photos/clip.avi``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from hcr_runtime import Classifier, HcrError, Prediction, crop_glyph, frames, largest_glyph

STEADY = 3
GONE = 5
# Letters by bin; what no bin takes goes to the last.
BINS = {"left": frozenset("ابت"), "right": frozenset("دذر")}
OTHER = "other"


class Sorter:
    """Turns a prediction for each frame into one action for each part."""

    def __init__(self, act: Callable[[str, str], None]) -> None:
        self.act = act
        self.seen = ""
        self.times = 0
        self.missing = 0
        self.done = False

    def see(self, prediction: Prediction | None) -> None:
        """Take in one frame: what was read, or None where there is no glyph."""
        label = prediction.label if prediction is not None and prediction.accepted else ""
        self.missing = 0 if prediction is not None else self.missing + 1
        if self.missing >= GONE:
            self.done = False
        self.times = self.times + 1 if label and label == self.seen else int(bool(label))
        self.seen = label
        if self.times >= STEADY and not self.done:
            self.done = True
            self.act(label, bin_of(label))


def bin_of(label: str) -> str:
    """Return the bin that takes a letter."""
    return next((name for name, letters in BINS.items() if label in letters), OTHER)


def main(source: str) -> int:
    """Sort what a camera or a video shows."""
    sorter = Sorter(lambda label, name: print(f"{label} -> {name}", flush=True))
    try:
        classifier = Classifier.load("arabic-letters")
        for frame in frames(source):
            box = largest_glyph(frame.image)
            crop = None if box is None else crop_glyph(frame.image, box)
            sorter.see(None if crop is None else classifier.classify(crop))
    except HcrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # a camera has no other end
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "0"))
