"""How fast each artifact is, beside what its user would otherwise run, in one go.

Every subject is timed in several rounds, one after another, so that a change of the machine's
speed meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export import tesseract
from hcr_export.advice import advice
from hcr_export.contents import Contents, read_contents
from hcr_export.conversion import artifact_bytes
from hcr_export.engines import Engine, Measurement, engines, keras_engine, measure
from hcr_export.keras_file import file_sha256
from hcr_export.labelled_images import LabelledImages
from hcr_export.machine import Machine, this_machine
from hcr_runtime import EngineError, ImageError, preprocess

# Batch size: calls that are timed in one round.
BATCHES = {1: 200, 8: 60, 32: 30, 128: 15}
ROUNDS = 3
# At most so long is one batch size timed in one round.
SECONDS = 1.0
RIVALS = ("keras", "tesseract")


@dataclass(frozen=True, slots=True)
class Speed:
    """One subject.

    Attributes:
        name: An artifact's kind, or ``keras``, or ``tesseract``.
        engine: What ran it, with its version.
        bytes: Size of its file; None for Tesseract.
        accuracy: Share of right answers.
        latency_us: By batch size, microseconds of a call: ``p50``, ``p95``, ``p99``.
        throughput: Images a second, at the best batch size.
        load_ms: Milliseconds from the file to a model that can run; None for Tesseract.
        memory_bytes: By which a process grows from NumPy and OpenCV alone, or None.
        times_as_fast: By another subject's name: its median of one image over this one's, both
            of the same run.
        sha256: Checksum of its file; None for Tesseract.
    """

    name: str
    engine: str
    bytes: int | None
    accuracy: float
    latency_us: Mapping[int, Mapping[str, float]]
    throughput: float
    load_ms: float | None
    memory_bytes: int | None
    times_as_fast: Mapping[str, float]
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All subjects; `to_dict` writes them down.

    Attributes:
        model: Its name.
        images: Which images were read: `LabelledImages.to_dict`.
        machine: Where.
        threads: For one inference.
        speeds: The subjects, artifacts first.
        skipped: Those that do not run here, and why.
    """

    model: str
    images: Mapping[str, Any]
    machine: Machine
    threads: int
    speeds: tuple[Speed, ...]
    skipped: Mapping[str, str]

    @property
    def advice(self) -> list[str]:
        """Which artifacts are slower than float32, and what to take instead."""
        return advice({speed.name: speed.latency_us[1]["p50"] for speed in self.speeds})

    def to_dict(self) -> dict[str, Any]:
        """Return the benchmark as plain JSON types."""
        return {
            "schema_version": 2,
            "model": self.model,
            "images": dict(self.images),
            "machine": self.machine.to_dict(),
            "threads": self.threads,
            "subjects": [asdict(speed) for speed in self.speeds],
            "skipped": dict(self.skipped),
            "advice": self.advice,
        }


def run_benchmark(
    folder: Path,
    images: LabelledImages,
    *,
    threads: int = 1,
    against: Sequence[str] = ("keras",),
    allow_unsafe: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Benchmark:
    """Time every artifact of the bundle `folder` on its engine.

    Args:
        folder: The bundle.
        images: What is read.
        threads: For one inference.
        against: What else is timed: of `RIVALS`.
        allow_unsafe: Execute code that the Keras source carries.
        progress: Is told what is being timed.

    Raises:
        BundleError: `folder` is no bundle, or not whole.
        ImageError: There are no images, or one cannot be read.
    """
    if not images.images:
        raise ImageError("there are no images to read")
    contents = read_contents(folder)
    tensors = np.stack([preprocess(image, contents.spec) for image in images.images])
    keras = keras_engine(allow_unsafe)
    labels = _expected(contents, images, tensors, keras)
    subjects = {subject.name: subject for subject in _subjects(contents, against, keras)}
    rounds, skipped = _rounds(subjects, tensors, threads, progress)
    speeds = [_speed(subjects[name], found, labels) for name, found in rounds.items()]
    if "tesseract" in against:
        progress("Tesseract")
        try:
            speeds.append(_tesseract(contents, tensors, labels))
        except EngineError as error:
            skipped["tesseract"] = str(error)
    return Benchmark(
        model=contents.spec.name,
        images=images.to_dict(),
        machine=this_machine(),
        threads=threads,
        speeds=tuple(_with_ratios(speeds)),
        skipped=skipped,
    )


@dataclass(frozen=True, slots=True)
class _Subject:
    """A file that is timed on its engine."""

    name: str
    engine: Engine
    path: Path
    sha256: str
    batch: int | None = None


def _expected(
    contents: Contents, images: LabelledImages, tensors: NDArray[np.float32], keras: Engine
) -> NDArray[np.int64]:
    """What counts as right; Keras is asked only where nobody knows."""
    if images.labelled:
        return images.labels
    return images.expected(measure(keras, contents.source, tensors, timed={}).outputs)


def _rounds(
    subjects: Mapping[str, _Subject],
    tensors: NDArray[np.float32],
    threads: int,
    progress: Callable[[str], None],
) -> tuple[dict[str, list[Measurement]], dict[str, str]]:
    """Time each subject in every round; and why some were not."""
    skipped: dict[str, str] = {}
    rounds: dict[str, list[Measurement]] = {}
    for number in range(ROUNDS):
        for name, subject in subjects.items():
            if name in skipped:
                continue
            progress(f"{name}, round {number + 1} of {ROUNDS}")
            try:
                measured = measure(
                    subject.engine,
                    subject.path,
                    tensors,
                    timed=BATCHES,
                    threads=threads,
                    batch=subject.batch,
                    seconds=SECONDS,
                )
            except EngineError as error:
                skipped[name] = str(error)
                rounds.pop(name, None)
                continue
            rounds.setdefault(name, []).append(measured)
    return rounds, skipped


def _subjects(contents: Contents, against: Sequence[str], keras: Engine) -> Iterator[_Subject]:
    by_name = {engine.name: engine for engine in engines()}
    for item in contents.artifacts:
        if engine := by_name.get(item.kind.engine):
            yield _Subject(item.kind.name, engine, item.path, item.sha256, item.batch)
    if "keras" in against:
        yield _Subject("keras", keras, contents.source, file_sha256(contents.source))


def _speed(subject: _Subject, rounds: Sequence[Measurement], labels: NDArray[np.int64]) -> Speed:
    engine, path = subject.engine, subject.path
    pooled = {
        size: np.concatenate([measured.durations_us[size] for measured in rounds])
        for size in BATCHES
    }
    memory = [m.memory_bytes for m in rounds if m.memory_bytes is not None]
    return Speed(
        name=subject.name,
        engine=f"{engine.name} {rounds[0].version}",
        bytes=path.stat().st_size if engine.name == "keras" else artifact_bytes(path),
        accuracy=float((rounds[0].outputs.argmax(axis=1) == labels).mean()),
        latency_us={size: _percentiles(values) for size, values in pooled.items()},
        throughput=max(1e6 * size / float(np.median(v)) for size, v in pooled.items()),
        load_ms=float(np.median([measured.load_ms for measured in rounds])),
        memory_bytes=max(memory, default=None),
        times_as_fast={},
        sha256=subject.sha256,
    )


def _tesseract(
    contents: Contents, tensors: NDArray[np.float32], labels: NDArray[np.int64]
) -> Speed:
    found = tesseract.read(contents.spec, tensors)
    texts = contents.spec.texts
    right = [text == texts[label] for text, label in zip(found.texts, labels, strict=True)]
    return Speed(
        name="tesseract",
        engine=f"tesseract {found.version} --psm 10",
        bytes=None,
        accuracy=float(np.mean(right)),
        latency_us={1: _percentiles(found.durations_us)},
        throughput=len(tensors) / found.seconds,
        load_ms=None,
        memory_bytes=None,
        times_as_fast={},
    )


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    shares = np.percentile(values, [50, 95, 99])
    return {
        name: round(float(share), 1)
        for name, share in zip(("p50", "p95", "p99"), shares, strict=True)
    }


def _with_ratios(speeds: Sequence[Speed]) -> Iterator[Speed]:
    """Hold every subject against float32 of its format and against the rivals."""
    medians = {speed.name: speed.latency_us[1]["p50"] for speed in speeds}
    for speed in speeds:
        others = (f"float32.{speed.name.rpartition('.')[2]}", *RIVALS)
        ratios = {
            other: round(medians[other] / medians[speed.name], 2)
            for other in others
            if other in medians and other != speed.name
        }
        yield replace(speed, times_as_fast=ratios)
