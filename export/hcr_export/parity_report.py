"""What the parity gate found: as JSON and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hcr_export.advice import advice
from hcr_export.comparison import LostLetter
from hcr_export.statistics import wilson_interval

# The picture of the images on which artifacts and Keras disagree, beside ``parity.md``.
SHEET = "disagreements.png"


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

    Without labels, what Keras answers counts as right: accuracy is agreement. `doubts` say why the
    agreement may prove little; see `hcr_export.doubts`.
    """

    model: str
    images: str
    synthetic: bool
    keras_correct: int
    total: int
    artifacts: tuple[ArtifactParity, ...]
    labelled: bool = True
    doubts: tuple[str, ...] = ()
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
            "doubts": list(self.doubts),
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
            *(f"**{doubt}.**\n" for doubt in self.doubts),
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
