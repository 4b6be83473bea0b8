"""The engine matrix: every artifact of a bundle on every engine that can be found.

The images become tensors once, by `preprocess`; each engine answers the same tensors in a process
of its own (`hcr_export.engines`), and is compared with Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export.artifacts import EXACT, KINDS, Kind, Limits
from hcr_export.comparison import Comparison, compare, judge
from hcr_export.contents import Artifact, read_contents
from hcr_export.engines import Engine, Measurement, keras_engine, measure
from hcr_export.keras_file import file_sha256
from hcr_export.labelled_images import LabelledImages
from hcr_export.machine import Machine, this_machine
from hcr_export.manifest import BundleError
from hcr_runtime import EngineError, ImageError, ModelSpec, preprocess, probabilities

# Single images that are timed on each engine.
TIMED_CALLS = 300


@dataclass(frozen=True, slots=True)
class Native:
    """An emulated engine's raw outputs beside those of the same engine on this processor.

    Attributes:
        version: Of the engine on this processor.
        changed: Images of whose outputs any bit is another.
        max_difference: Largest difference of any raw output.
        differing: Images with another top-1 label.
    """

    version: str
    changed: int
    max_difference: float
    differing: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one engine made of one artifact.

    Attributes:
        version: Of the engine.
        correct: Right answers.
        accuracy: Share of them.
        drop: Points of accuracy lost against Keras (negative: gained).
        agreement: Share of images with the same top-1 label as Keras.
        max_difference: Largest difference of any probability.
        latency_us: Microseconds for one image: ``p50`` and ``p95``; None on an emulated engine,
            whose times mean nothing.
        load_ms: Milliseconds from the file to a model that can run.
        memory_bytes: By which the process grew from NumPy and OpenCV alone, or None.
        native: For an emulated engine beside the same one on this processor.
        failures: Limits that are exceeded, in words.
    """

    version: str
    correct: int
    accuracy: float
    drop: float
    agreement: float
    max_difference: float
    latency_us: Mapping[str, float] | None
    load_ms: float
    memory_bytes: int | None
    native: Native | None
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One artifact on one engine: an answer, or the words with which it was refused."""

    engine: str
    emulated: bool
    kind: str
    file: str
    sha256: str
    answer: Answer | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class EngineMatrix:
    """All cells; `to_dict` writes them down, `hcr_export.matrix_report` for people.

    Attributes:
        model: Its name.
        images: Which images were read: `LabelledImages.to_dict`.
        machine: Where.
        threads: For one inference.
        cells: The first is Keras, the reference.
    """

    model: str
    images: Mapping[str, Any]
    machine: Machine
    threads: int
    cells: tuple[Cell, ...]

    @property
    def passed(self) -> bool:
        """Whether every artifact is within its limits wherever it runs."""
        return not any(cell.answer.failures for cell in self.cells if cell.answer is not None)

    def to_dict(self) -> dict[str, Any]:
        """Return the matrix as plain JSON types."""
        return {
            "schema_version": 1,
            "model": self.model,
            "images": dict(self.images),
            "machine": self.machine.to_dict(),
            "threads": self.threads,
            "passed": self.passed,
            "cells": [_cell_to_dict(cell) for cell in self.cells],
        }


def measure_matrix(
    path: Path,
    images: LabelledImages,
    engines: Sequence[Engine],
    *,
    kinds: Sequence[Kind] = KINDS,
    limits: Limits | None = None,
    threads: int = 1,
    allow_unsafe: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> EngineMatrix:
    """Run every artifact of the bundle `path` on every engine.

    Args:
        path: The bundle.
        images: What to measure on.
        engines: Which; Keras runs in any case, as the reference.
        kinds: Which artifacts, of those that the bundle holds.
        limits: For all artifacts but the float32 ones; the defaults of `Limits` if None.
        threads: For one inference.
        allow_unsafe: Execute code that the Keras source carries.
        progress: Is told what is being measured.

    Raises:
        BundleError: `path` is no bundle, or not whole; or Keras cannot be run.
        ImageError: There are no images, or one cannot be read.
    """
    if not images.images:
        raise ImageError("there are no images to measure on")
    bundle = read_contents(path)
    spec = bundle.spec
    artifacts = [artifact for artifact in bundle.artifacts if artifact.kind in kinds]
    tensors = np.stack([preprocess(image, spec) for image in images.images])
    run = _Runner(spec, tensors, images, limits or Limits(), threads)
    progress("Keras")
    try:
        cells = [run.reference(keras_engine(allow_unsafe), bundle.source)]
    except EngineError as error:
        raise BundleError(f"Keras cannot run {bundle.source.name}: {error}") from error
    for engine in engines:
        for artifact in artifacts:
            progress(f"{artifact.path.name} on {engine.name}")
            cells.append(run.cell(engine, artifact))
    return EngineMatrix(
        model=spec.name,
        images=images.to_dict(),
        machine=this_machine(),
        threads=threads,
        cells=tuple(cells),
    )


class _Runner:
    """Measures cells one after another, and remembers answers that later ones are held against."""

    def __init__(
        self,
        spec: ModelSpec,
        tensors: NDArray[np.float32],
        images: LabelledImages,
        limits: Limits,
        threads: int,
    ) -> None:
        self.spec, self.tensors, self.images, self.labels = spec, tensors, images, images.labels
        self.limits, self.threads = limits, threads
        self.keras: NDArray[np.float32] | None = None
        self.native: dict[tuple[str, str], Measurement] = {}

    def reference(self, engine: Engine, source: Path) -> Cell:
        measured = self._measure(engine, source)
        self.keras = probabilities(measured.outputs, self.spec)
        self.labels = self.images.expected(self.keras)
        name = (engine.name, False, "keras", source.name, file_sha256(source))
        return Cell(*name, self._answer(measured, EXACT, None))

    def cell(self, engine: Engine, artifact: Artifact) -> Cell:
        kind, path = artifact.kind, artifact.path
        name = (engine.name, engine.emulated, kind.name, path.name, artifact.sha256)
        if path.suffix not in engine.suffixes:
            return Cell(*name, None, f"reads no {path.suffix}")
        try:
            measured = self._measure(engine, path, artifact.batch)
        except EngineError as error:
            return Cell(*name, None, str(error))
        native = None
        if engine.emulated:
            native = self.native.get((engine.module, path.name))
        else:
            self.native[engine.name, path.name] = measured
        limits = EXACT if kind.quantization == "float32" else self.limits
        return Cell(*name, self._answer(measured, limits, native))

    def _measure(self, engine: Engine, path: Path, batch: int | None = None) -> Measurement:
        timed = {} if engine.emulated else {1: TIMED_CALLS}
        return measure(engine, path, self.tensors, timed=timed, threads=self.threads, batch=batch)

    def _answer(self, measured: Measurement, limits: Limits, native: Measurement | None) -> Answer:
        scores = probabilities(measured.outputs, self.spec)
        found: Comparison = compare(
            scores if self.keras is None else self.keras, scores, self.labels, self.spec.labels
        )
        return Answer(
            version=measured.version,
            correct=found.correct,
            accuracy=found.correct / len(self.labels),
            drop=found.drop,
            agreement=found.agreement,
            max_difference=found.max_difference,
            latency_us=_latency(measured),
            load_ms=round(measured.load_ms, 1),
            memory_bytes=measured.memory_bytes,
            native=None if native is None else _beside(native, measured),
            failures=judge(
                self.images.fair(limits),
                found.drop,
                found.agreement,
                found.max_difference,
                len(self.labels),
            ),
        )


def _latency(measured: Measurement) -> dict[str, float] | None:
    if not measured.durations_us:
        return None
    p50, p95 = np.percentile(measured.durations_us[1], [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _beside(native: Measurement, emulated: Measurement) -> Native:
    first, second = native.outputs, emulated.outputs
    return Native(
        version=native.version,
        changed=int((first.view(np.uint32) != second.view(np.uint32)).any(axis=1).sum()),
        max_difference=float(np.abs(first - second).max()),
        differing=int((first.argmax(axis=1) != second.argmax(axis=1)).sum()),
    )


def _cell_to_dict(cell: Cell) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "engine": cell.engine,
        "emulated": cell.emulated,
        "kind": cell.kind,
        "file": cell.file,
        "sha256": cell.sha256,
        "runs": cell.answer is not None,
        "words": cell.words,
    }
    if cell.answer is None:
        return entry
    answer = asdict(cell.answer)
    # JSON has no NaN.
    if not math.isfinite(cell.answer.max_difference):
        answer["max_difference"] = None
    return {**entry, **answer, "passed": not cell.answer.failures}
