"""The parity gate: how far is each artifact from its Keras source, on the engine that runs it?

Every image goes the whole way, from its bytes to a label, as on a device.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export.advice import advice
from hcr_export.artifacts import Kind, Limits
from hcr_export.comparison import LostLetter, compare, judge
from hcr_export.conversion import artifact_bytes, open_artifact
from hcr_export.keras_file import KerasFile
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, ImageError, preprocess

# The picture of the images on which artifacts and Keras disagree, beside ``parity.md``.
SHEET = "disagreements.png"
# Inferences from which the latency is taken.
TIMED_RUNS = 300


@dataclass(frozen=True)
class LabelledImages:
    """Images to measure on.

    Attributes:
        description: Which images these are, for the report.
        images: The bytes of image files.
        labels: int64 of shape (N,): index of each image's class; -1 where nobody knows it.
        synthetic: True when no person wrote them.
        skipped: Classes that the model does not have, and how many images each holds.
        writers: int64 of shape (N,): who wrote each, -1 where unknown; or None.
    """

    description: str
    images: Sequence[bytes]
    labels: NDArray[np.int64]
    synthetic: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    writers: NDArray[np.int64] | None = None

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels >= 0).all())

    def expected(self, keras: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return what counts as right, int64 (N,): the labels, or else what Keras answers.

        Args:
            keras: float32 (N, classes), its scores.
        """
        return self.labels if self.labelled else keras.argmax(axis=1)

    def fair(self, limits: Limits) -> Limits:
        """Return the limits that these images can judge: without labels no accuracy is lost."""
        return limits if self.labelled else replace(limits, max_drop=100.0)

    def to_dict(self) -> dict[str, Any]:
        """Say as plain JSON types which images these are; ``sha256`` is of all and their labels."""
        digest = hashlib.sha256(self.labels.astype("<i8").tobytes())
        for image in self.images:
            digest.update(hashlib.sha256(image).digest())
        return {
            "description": self.description,
            "synthetic": self.synthetic,
            "labelled": self.labelled,
            "total": len(self.images),
            "sha256": digest.hexdigest(),
        }


@dataclass(frozen=True, slots=True)
class ArtifactParity:
    """One artifact, measured.

    Attributes:
        file: Name of the file.
        kind: E.g. ``int8.onnx``.
        engine: What ran it.
        bytes: Size of the file; of an array in C, what it takes in flash.
        correct: Right answers.
        total: Images.
        accuracy: `correct` / `total`.
        interval: 95 % Wilson interval of the accuracy.
        drop: Points of accuracy lost against Keras (negative: gained).
        agreement: Share of images with the same top-1 label as Keras.
        max_difference: Largest difference of any probability.
        lost: Letters that lost right answers, most first.
        latency_us: Microseconds for one inference, one thread: ``p50`` and ``p95``.
        failures: Limits that are exceeded, in words; empty when it passed.
    """

    file: str
    kind: str
    engine: str
    bytes: int
    correct: int
    total: int
    accuracy: float
    interval: tuple[float, float]
    drop: float
    agreement: float
    max_difference: float
    lost: tuple[LostLetter, ...]
    latency_us: Mapping[str, float]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An image that at least one artifact reads otherwise than Keras.

    Attributes:
        number: Its place among the images, from 0.
        sha256: Checksum of its bytes.
        image: Its bytes.
        label: What it shows; empty where nobody knows it.
        keras: What Keras reads.
        answers: By kind, what the artifacts that differ read.
    """

    number: int
    sha256: str
    image: bytes
    label: str
    keras: str
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ParityReport:
    """All artifacts of a bundle against Keras; `to_dict` and `to_markdown` write it down.

    Without labels, what Keras answers counts as right: accuracy is agreement.
    """

    model: str
    images: str
    synthetic: bool
    keras_correct: int
    total: int
    artifacts: tuple[ArtifactParity, ...]
    labelled: bool = True
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def advice(self) -> list[str]:
        """Which artifacts are slower than float32, and what to take instead."""
        return advice({item.kind: item.latency_us["p50"] for item in self.artifacts})

    @property
    def passed(self) -> bool:
        """Whether every artifact is within its limits."""
        return not any(artifact.failures for artifact in self.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        low, high = wilson_interval(self.keras_correct, self.total)
        return {
            "schema_version": 1,
            "model": self.model,
            "images": {
                "description": self.images,
                "synthetic": self.synthetic,
                "labelled": self.labelled,
                "total": self.total,
            },
            "keras": {
                "correct": self.keras_correct,
                "total": self.total,
                "accuracy": self.keras_correct / self.total,
                "interval": [low, high],
            },
            "passed": self.passed,
            "artifacts": [
                {
                    **asdict(artifact),
                    # JSON has no NaN.
                    "max_difference": artifact.max_difference
                    if math.isfinite(artifact.max_difference)
                    else None,
                    "passed": not artifact.failures,
                }
                for artifact in self.artifacts
            ],
            "advice": self.advice,
            "disagreements": [
                {
                    "number": item.number,
                    "sha256": item.sha256,
                    "label": item.label or None,
                    "keras": item.keras,
                    "answers": dict(item.answers),
                }
                for item in self.disagreements
            ],
        }

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        keras = self.to_dict()["keras"]
        lines = [
            f"# Parity of {self.model}",
            "",
            f"Images: {self.images}.",
            "",
        ]
        if self.synthetic:
            lines += [
                "**These images were drawn by a program, not written by people.** They prove that"
                " the files answer as Keras does; they say nothing about accuracy on handwriting.",
                "",
            ]
        if not self.labelled:
            lines += [
                "**These images carry no labels.** What Keras answers counts as right: accuracy"
                " here is agreement with Keras.",
                "",
            ]
        low, high = keras["interval"]
        lines += [
            f"Keras reads {self.keras_correct} of {self.total}: {keras['accuracy']:.2%}"
            f" (95 % interval {low:.2%} to {high:.2%}).",
            "",
            "| file | engine | KB | accuracy | 95 % interval | points lost | agreement |"
            " largest difference | p50 µs | p95 µs | verdict |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for item in self.artifacts:
            lines.append(
                f"| {item.file} | {item.engine} | {item.bytes / 1000:.0f} | {item.accuracy:.2%} |"
                f" {item.interval[0]:.2%} to {item.interval[1]:.2%} | {item.drop:+.2f} |"
                f" {item.agreement:.2%} | {item.max_difference:.1e} |"
                f" {item.latency_us['p50']:.0f} | {item.latency_us['p95']:.0f} |"
                f" {'FAILED' if item.failures else 'passed'} |"
            )
        for item in self.artifacts:
            if item.failures:
                lines += ["", f"**{item.file}** failed: {'; '.join(item.failures)}."]
            if item.lost:
                listing = ", ".join(
                    f"{letter.label} ({letter.name}) {letter.keras} → {letter.artifact}"
                    f" of {letter.total}"
                    for letter in item.lost[:8]
                )
                lines += ["", f"Letters that {item.file} reads worse than Keras: {listing}."]
        if self.advice:
            lines += ["", "## Slower than float32", "", *(f"- {line}" for line in self.advice)]
        if self.disagreements:
            lines += [
                "",
                "## Images that an artifact reads otherwise than Keras",
                "",
                f"![{len(self.disagreements)} images]({SHEET})",
            ]
        return "\n".join(lines) + "\n"


def measure(
    source: KerasFile,
    artifacts: Sequence[tuple[Kind, Path, Limits]],
    images: LabelledImages,
    progress: Callable[[str], None] = lambda _: None,
) -> ParityReport:
    """Run every artifact on its engine over all images and compare it with Keras.

    Args:
        source: The Keras classifier.
        artifacts: Kind, file and limits of each.
        images: What to measure on.
        progress: Is told what is being measured.

    Raises:
        ImageError: There are no images, or one cannot be read.
    """
    if not images.images:
        raise ImageError("there are no images to measure on")
    progress("Keras")
    tensors = np.stack([preprocess(image, source.spec) for image in images.images])
    reference = source.scores(tensors)
    labels = images.expected(reference)
    measured = []
    answers: dict[str, NDArray[np.int64]] = {}
    for kind, path, limits in artifacts:
        progress(path.name)
        with quiet():  # LiteRT tells of its delegate on the first run
            classifier = Classifier(open_artifact(path))
            classifier.engine.run(tensors[:1])
        scores = np.concatenate([classifier.scores([image]) for image in images.images])
        answers[kind.name] = scores.argmax(axis=1)
        latency = _latency(classifier, tensors)
        measured.append(
            _compare(
                source,
                kind,
                path,
                classifier,
                images.fair(limits),
                labels,
                reference,
                scores,
                latency,
            )
        )
    return ParityReport(
        model=source.spec.name,
        images=images.description,
        synthetic=images.synthetic,
        keras_correct=int((reference.argmax(axis=1) == labels).sum()),
        total=len(labels),
        artifacts=tuple(measured),
        labelled=images.labelled,
        disagreements=_disagreements(source, images, reference.argmax(axis=1), answers),
    )


def _disagreements(
    source: KerasFile,
    images: LabelledImages,
    expected: NDArray[np.int64],
    answers: Mapping[str, NDArray[np.int64]],
) -> tuple[Disagreement, ...]:
    texts = source.spec.texts
    found = []
    for number, image in enumerate(images.images):
        others = {
            kind: texts[int(rows[number])]
            for kind, rows in answers.items()
            if rows[number] != expected[number]
        }
        if others:
            label = int(images.labels[number])
            found.append(
                Disagreement(
                    number=number,
                    sha256=hashlib.sha256(image).hexdigest(),
                    image=image,
                    label=texts[label] if label >= 0 else "",
                    keras=texts[int(expected[number])],
                    answers=others,
                )
            )
    return tuple(found)


def _compare(
    source: KerasFile,
    kind: Kind,
    path: Path,
    classifier: Classifier,
    limits: Limits,
    labels: NDArray[np.int64],
    reference: NDArray[np.float32],
    scores: NDArray[np.float32],
    latency: Mapping[str, float],
) -> ArtifactParity:
    found = compare(reference, scores, labels, source.spec.labels)
    total = len(labels)
    return ArtifactParity(
        file=path.name,
        kind=kind.name,
        engine=classifier.engine.name,
        bytes=artifact_bytes(path),
        correct=found.correct,
        total=total,
        accuracy=found.correct / total,
        interval=wilson_interval(found.correct, total),
        drop=found.drop,
        agreement=found.agreement,
        max_difference=found.max_difference,
        lost=found.lost,
        latency_us=latency,
        failures=judge(limits, found.drop, found.agreement, found.max_difference),
    )


def _latency(classifier: Classifier, tensors: NDArray[np.float32]) -> dict[str, float]:
    durations = []
    for run in range(TIMED_RUNS):
        tensor = tensors[run % len(tensors)][None]
        start = time.perf_counter_ns()
        classifier.engine.run(tensor)
        durations.append((time.perf_counter_ns() - start) / 1000)
    p50, p95 = np.percentile(durations, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}
