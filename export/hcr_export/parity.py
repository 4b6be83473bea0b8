"""The parity gate: how far is each artifact from its Keras source, on the engine that runs it?

Every image goes the whole way, from its bytes to a label, as on a device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export.artifacts import Kind, Limits
from hcr_export.keras_file import KerasFile
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, ImageError, preprocess

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
    """

    description: str
    images: Sequence[bytes]
    labels: NDArray[np.int64]
    synthetic: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels >= 0).all())


@dataclass(frozen=True, slots=True)
class LostLetter:
    """A letter that the artifact reads worse than Keras; counts of right answers."""

    label: str
    name: str
    keras: int
    artifact: int
    total: int


@dataclass(frozen=True, slots=True)
class ArtifactParity:
    """One artifact, measured.

    Attributes:
        file: Name of the file.
        kind: E.g. ``int8.onnx``.
        engine: What ran it.
        bytes: Size of the file.
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
    labels = images.labels if images.labelled else reference.argmax(axis=1)
    measured = []
    for kind, path, limits in artifacts:
        if not images.labelled:
            limits = replace(limits, max_drop=100.0)
        progress(path.name)
        with quiet():  # LiteRT tells of its delegate on the first run
            classifier = Classifier.load(path)
            classifier.engine.run(tensors[:1])
        scores = np.concatenate([classifier.scores([image]) for image in images.images])
        latency = _latency(classifier, tensors)
        measured.append(_compare(source, kind, path, limits, labels, reference, scores, latency))
    return ParityReport(
        model=source.spec.name,
        images=images.description,
        synthetic=images.synthetic,
        keras_correct=int((reference.argmax(axis=1) == labels).sum()),
        total=len(labels),
        artifacts=tuple(measured),
        labelled=images.labelled,
    )


def _compare(
    source: KerasFile,
    kind: Kind,
    path: Path,
    limits: Limits,
    labels: NDArray[np.int64],
    reference: NDArray[np.float32],
    scores: NDArray[np.float32],
    latency: Mapping[str, float],
) -> ArtifactParity:
    expected, answered = reference.argmax(axis=1), scores.argmax(axis=1)
    right_before, right = expected == labels, answered == labels
    total, correct = len(labels), int(right.sum())
    drop = 100 * (int(right_before.sum()) - correct) / total
    agreement = float((expected == answered).mean())
    difference = float(np.abs(reference - scores).max())
    return ArtifactParity(
        file=path.name,
        kind=kind.name,
        engine=kind.engine,
        bytes=path.stat().st_size,
        correct=correct,
        total=total,
        accuracy=correct / total,
        interval=wilson_interval(correct, total),
        drop=drop,
        agreement=agreement,
        max_difference=difference,
        lost=_lost_letters(source, labels, right_before, right),
        latency_us=latency,
        failures=judge(limits, drop, agreement, difference),
    )


def judge(limits: Limits, drop: float, agreement: float, difference: float) -> tuple[str, ...]:
    """Say which limits are exceeded.

    >>> judge(Limits(), drop=0.1, agreement=0.999, difference=0.2)
    ()
    >>> judge(Limits(), drop=0.5, agreement=0.999, difference=0.2)
    ('0.50 points of accuracy lost (at most 0.30)',)
    """
    failures = []
    # Compared with a small tolerance: 1 of 1000 images is 0.1 points, not 0.10000000000000009.
    if drop > limits.max_drop + 1e-9:
        failures.append(f"{drop:.2f} points of accuracy lost (at most {limits.max_drop:.2f})")
    if agreement < limits.min_agreement - 1e-9:
        failures.append(f"{agreement:.2%} agreement (at least {limits.min_agreement:.2%})")
    # "not <=" rather than ">": a NaN fails.
    if limits.max_difference is not None and not difference <= limits.max_difference:
        failures.append(
            f"probabilities differ by {difference:.1e} (at most {limits.max_difference:.0e})"
        )
    elif not difference <= 1 + 1e-6:
        failures.append("the answers are no probabilities")
    return tuple(failures)


def _lost_letters(
    source: KerasFile,
    labels: NDArray[np.int64],
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
) -> tuple[LostLetter, ...]:
    lost = []
    for index, label in enumerate(source.spec.labels):
        members = labels == index
        keras, artifact = int(before[members].sum()), int(after[members].sum())
        if artifact < keras:
            lost.append(LostLetter(label.text, label.name, keras, artifact, int(members.sum())))
    return tuple(sorted(lost, key=lambda letter: letter.artifact - letter.keras))


def _latency(classifier: Classifier, tensors: NDArray[np.float32]) -> dict[str, float]:
    durations = []
    for run in range(TIMED_RUNS):
        tensor = tensors[run % len(tensors)][None]
        start = time.perf_counter_ns()
        classifier.engine.run(tensor)
        durations.append((time.perf_counter_ns() - start) / 1000)
    p50, p95 = np.percentile(durations, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}
