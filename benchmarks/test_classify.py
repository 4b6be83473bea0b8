"""Cost of the runtime around the bare engine, as ratios in one run: ``make bench``.

What is compared takes turns, so that a change of the machine's speed meets all; the ratio is that
of the medians.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_runtime import Classifier, preprocess, shipped_models
from hcr_runtime.image import to_gray

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples" / "arabic-letters" / "test"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    cv2.setNumThreads(1)
    return Classifier.load("arabic-letters")


def _median_us(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median of each call, interleaved."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
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
        },
        rounds=4000,
    )
    print(
        f"\n{side}x{side}: session {medians['session']:.0f} µs,"
        f" preprocess {medians['preprocess']:.0f} µs, classify {medians['classify']:.0f} µs,"
        f" ratio {medians['classify'] / medians['session']:.2f} (at most 2)"
    )


@pytest.mark.parametrize("side", [32, 64, 128])
def test_batch_against_bare_batched_session(classifier: Classifier, side: int) -> None:
    files = [file for folder in sorted(SAMPLES.iterdir()) for file in sorted(folder.glob("0*.png"))]
    images = [cv2.resize(to_gray(file), (side, side)) for file in files[:64]]
    tensors = np.stack([preprocess(image, classifier.spec) for image in images])
    session = classifier.engine.session
    feed = {session.get_inputs()[0].name: tensors}
    medians = _median_us(
        {
            "session": lambda: session.run(None, feed),
            "classify_batch": lambda: classifier.classify_batch(images),
        },
        rounds=150,
    )
    print(
        f"\nbatch of 64, {side}x{side}: session {medians['session'] / 64:.0f} µs,"
        f" classify_batch {medians['classify_batch'] / 64:.0f} µs each,"
        f" ratio {medians['classify_batch'] / medians['session']:.2f} (at most 1.3)"
    )


# The bare process shows what any program on these libraries pays: it imports them, makes the
# session and runs it once on the ready tensor.
_BARE = """
import numpy, cv2, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession({model!r}, options, ["CPUExecutionProvider"])
session.run(None, {{"image": numpy.zeros((1, 32, 32, 1), numpy.float32)}})
"""
_OURS = """
from hcr_runtime import Classifier
classifier = Classifier.load("arabic-letters")
classifier.classify({image!r})
"""


def test_cold_start_against_bare_imports() -> None:
    # An installed package is compiled, as the three libraries are: by the first round here.
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = {
        "bare": _BARE.format(model=str(shipped_models()["arabic-letters"])),
        "ours": _OURS.format(image=str(SAMPLES / "U+0634" / "00.png")),
    }
    medians = _median_us(
        {
            name: lambda text=text: subprocess.run(
                [sys.executable, "-c", text], check=True, env=environment
            )
            for name, text in code.items()
        },
        rounds=15,
    )
    print(
        f"\ncold start: bare {medians['bare'] / 1000:.0f} ms, first prediction"
        f" {medians['ours'] / 1000:.0f} ms, ratio {medians['ours'] / medians['bare']:.2f}"
        " (at most 1.3)"
    )


_RESIDENT = """
import os
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
"""
_MANY = """
import cv2, numpy as np
cv2.setNumThreads(1)
image = cv2.imread({image!r}, cv2.IMREAD_GRAYSCALE)
rng = np.random.default_rng(0)
sizes = rng.integers(16, 200, (400, 2)).tolist()
images = [cv2.resize(image, size) for size in sizes]
for number in range({count}):
    classifier.classify(images[number % 400])
    if number == 999:
        early = resident()
print(early, resident())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_resident_memory() -> None:
    image = str(SAMPLES / "U+0634" / "00.png")

    def output(code: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "-c", _RESIDENT + code], check=True, capture_output=True, text=True
        )
        return [float(word) for word in done.stdout.split()]

    (bare,) = output(
        _BARE.format(model=str(shipped_models()["arabic-letters"])) + "print(resident())"
    )
    (ours,) = output(_OURS.format(image=image) + "print(resident())")
    early, late = output(_OURS.format(image=image) + _MANY.format(image=image, count=100_000))
    print(
        f"\nresident memory: bare {bare:.1f} MB, with the runtime {ours:.1f} MB, ratio"
        f" {ours / bare:.2f} (at most 1.15); after 1,000 classifications {early:.1f} MB, after"
        f" 100,000 {late:.1f} MB, {late - early:+.1f} MB (at most 2)"
    )


def test_size_of_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT / "runtime")], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    print(f"\nwheel: {wheel.stat().st_size / 1e6:.2f} MB (at most 1.5)")


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_against_tesseract(classifier: Classifier) -> None:
    """Two of each letter, of those that the project drew itself."""
    files = [SAMPLES / folder.name / f"0{i}.png" for folder in SAMPLES.iterdir() for i in (0, 1)]
    seconds = {"tesseract": 0.0, "classify": 0.0}
    right = dict.fromkeys(seconds, 0)
    for file in files:
        letter = chr(int(file.parent.name[2:], 16))
        start = time.perf_counter()
        command = ["tesseract", str(file), "-", "-l", "ara", "--psm", "10"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip("tesseract has no Arabic (tesseract-ocr-ara)")
        seconds["tesseract"] += time.perf_counter() - start
        right["tesseract"] += done.stdout.strip() == letter
        start = time.perf_counter()
        found = classifier.classify(file)
        seconds["classify"] += time.perf_counter() - start
        right["classify"] += found.label == letter
    print(
        f"\n{len(files)} letters: tesseract --psm 10 reads {right['tesseract']} at"
        f" {seconds['tesseract'] / len(files) * 1000:.0f} ms each (a process for each, as its"
        f" command line is used), classify {right['classify']} at"
        f" {seconds['classify'] / len(files) * 1000:.2f} ms from the file:"
        f" {seconds['tesseract'] / seconds['classify']:.0f} times as fast (at least 50),"
        f" {right['classify'] / max(right['tesseract'], 1):.1f} times as many (at least 3)"
    )
