"""Cost of reading a frame: ``make bench``."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from hcr_runtime import Classifier
from hcr_runtime.image import to_gray
from tests.composed_pages import Look, compose

SAMPLES = Path(__file__).parents[1] / "samples" / "arabic-letters" / "test"


@pytest.mark.parametrize("lines", ["none", "ruled", "table"])
def test_read_a_frame_of_50_letters(benchmark, lines) -> None:
    """At most 16 ms on one core, on a page without lines."""
    cv2.setNumThreads(1)
    classifier = Classifier.load("arabic-letters")
    letters = [to_gray(path) for path in sorted(SAMPLES.glob("*/*.png"))[::4]][:50]
    page = compose(letters, Look(height=90, lines=lines), size=(1280, 720), seed=1)
    glyphs = benchmark.pedantic(classifier.read, (page.image,), rounds=40, warmup_rounds=3)
    assert len(glyphs) >= 48
