"""Cost of the runtime around the bare engine, as ratios in one process: ``make bench``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_runtime import Classifier, preprocess
from hcr_runtime.image import to_gray

SAMPLES = Path(__file__).parents[1] / "samples" / "arabic-letters" / "test"
ROUNDS = 4000


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    cv2.setNumThreads(1)
    return Classifier.load("arabic-letters")


def _median_us(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median of each call, interleaved, so that a change of the machine's speed meets all."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter_ns()
            call()
            times[name].append(time.perf_counter_ns() - start)
    return {name: float(np.median(values)) / 1000 for name, values in times.items()}


@pytest.mark.parametrize("side", [32, 64, 128])
def test_classify_against_bare_session(classifier: Classifier, side: int) -> None:
    image = to_gray(next((SAMPLES / "U+0634").glob("*.png")))
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    tensor = preprocess(image, classifier.spec)[None]
    session = classifier.engine.session
    feed = {session.get_inputs()[0].name: tensor}
    medians = _median_us(
        {
            "session": lambda: session.run(None, feed),
            "preprocess": lambda: preprocess(image, classifier.spec),
            "classify": lambda: classifier.classify(image),
        }
    )
    ratio = medians["classify"] / medians["session"]
    print(
        f"\n{side}x{side}: session {medians['session']:.0f} µs,"
        f" preprocess {medians['preprocess']:.0f} µs, classify {medians['classify']:.0f} µs,"
        f" ratio {ratio:.2f} (at most 3)"
    )
