"""Tesseract, which a user would otherwise run on one character: ``--psm 10``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import EngineError, ModelSpec

# Language models by the script of a model's labels (ISO 15924), and Debian's package of each.
_LANGUAGES = {"Arab": "ara", "Cyrl": "rus", "Latn": "eng"}
_EASTERN_DIGITS = set("۰۱۲۳۴۵۶۷۸۹")
# Of the enlargements 2 to 6, twice is where it reads most of AHCD's letters.
_SCALE, _BORDER = 2, 30
# Images read one process each, as a program that calls it would.
CALLS = 30


@dataclass(frozen=True, slots=True)
class Reading:
    """What it read, and how fast.

    Attributes:
        version: Of Tesseract, with the language.
        texts: Its answer to each image; empty where it saw nothing.
        durations_us: Microseconds of each of the first images, one process each.
        seconds: For all images in one process.
    """

    version: str
    texts: tuple[str, ...]
    durations_us: NDArray[np.float64]
    seconds: float


def language(spec: ModelSpec) -> str:
    """Name Tesseract's language for a model's labels.

    Raises:
        EngineError: There is none.
    """
    if _EASTERN_DIGITS & set(spec.texts):
        return "fas"
    scripts = [label.script for label in spec.labels]
    script = max(set(scripts), key=scripts.count)
    if script not in _LANGUAGES:
        raise EngineError(f"no language of Tesseract is known for {script or 'no script'!r}")
    return _LANGUAGES[script]


def read(spec: ModelSpec, tensors: NDArray[np.float32]) -> Reading:
    """Read images with Tesseract.

    Args:
        spec: Names the language, and how a tensor becomes a picture again.
        tensors: float32 (N, height, width, channels): what the model sees too.

    Raises:
        EngineError: It is not installed, or lacks the language.
    """
    program = shutil.which("tesseract")
    if program is None:
        raise EngineError("Tesseract is not installed", hint="Debian: apt install tesseract-ocr")
    code = language(spec)
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name:
        folder = Path(name)
        files = [folder / f"{number}.png" for number in range(len(tensors))]
        for file, tensor in zip(files, tensors, strict=True):
            cv2.imwrite(str(file), picture(tensor, spec))
        durations = []
        for file in files[:CALLS]:
            start = time.perf_counter_ns()
            _run(program, file, code)
            durations.append((time.perf_counter_ns() - start) / 1000)
        listing = folder / "all.txt"
        listing.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        start_all = time.perf_counter()
        # A form feed ends each page.
        pages = _run(program, listing, code).split("\f")
        seconds = time.perf_counter() - start_all
    version = _call([program, "--version"]).split()[1]
    # A page on which it saw nothing at the very end may be missing.
    texts = tuple(page.strip() for page in [*pages, *[""] * len(files)][: len(files)])
    return Reading(f"{version} ({code})", texts, np.asarray(durations, np.float64), seconds)


def picture(tensor: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.uint8]:
    """Turn an input tensor (H, W, C) into dark ink on bright paper, enlarged, with a border."""
    ink = tensor[..., 0] * spec.preprocess.std + spec.preprocess.mean
    gray = np.asarray(np.clip(255 * (1 - ink), 0, 255), np.uint8)
    large = cv2.resize(gray, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
    border = (_BORDER,) * 4
    return np.asarray(cv2.copyMakeBorder(large, *border, cv2.BORDER_CONSTANT, value=255), np.uint8)


def _run(program: str, file: Path, code: str) -> str:
    return _call([program, str(file), "stdout", "--psm", "10", "-l", code])


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
        raise EngineError(f"Tesseract ended with code {done.returncode}: {said[0]}")
    return done.stdout.decode(errors="replace")
