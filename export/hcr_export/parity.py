"""The parity gate: how far is each artifact from its Keras source, on the engine that runs it?

Every image goes the whole way, from its bytes to a label, as on a device.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export.artifacts import Kind, Limits
from hcr_export.comparison import compare, judge
from hcr_export.conversion import artifact_bytes, open_artifact
from hcr_export.doubts import doubts
from hcr_export.keras_file import KerasFile
from hcr_export.labelled_images import LabelledImages
from hcr_export.parity_report import ArtifactParity, Disagreement, ParityReport
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, ImageError, preprocess

# Inferences from which the latency is taken.
TIMED_RUNS = 300


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
        doubts=doubts(images, reference, source.spec),
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
        failures=judge(limits, found.drop, found.agreement, found.max_difference, total),
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
