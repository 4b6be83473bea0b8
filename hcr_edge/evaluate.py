"""Accuracy of a model or artifact on a data set, from image bytes to label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge.checkpoints import model_file
from hcr_edge.crossed import cross_out_some
from hcr_edge.datasets import Dataset, match_labels
from hcr_edge.rejection import OUTLIERS, Refusal, false_acceptance, measure_refusal
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, ImageError, Label, ModelSpec, accepts, preprocess
from hcr_runtime.image import ImageLike

Scorer = Callable[[Sequence[ImageLike]], NDArray[np.float32]]
CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """Right answers of one model on one data set.

    Attributes:
        model: The file that was run.
        engine: What ran it.
        dataset: Name of the data set.
        split: Which part of it.
        label_set: The classes.
        confusion: int64 of shape (classes, classes): true by predicted.
        skipped: Classes that the model does not have, and how many images each holds.
        refusal: What the model's threshold does to these images.
        false_acceptance: Share of drawings that are no character, yet answered, by kind
            (`outliers.KINDS`).
        crossed_out: The same of these images' letters that are crossed out, by kind
            (`crossed.KINDS`); empty where no such letter can be.
        origins: Right answers and images of each of several joined sets, by name.
    """

    model: str
    engine: str
    dataset: str
    split: str
    label_set: tuple[Label, ...]
    confusion: NDArray[np.int64]
    skipped: Mapping[str, int]
    refusal: Refusal
    false_acceptance: Mapping[str, float]
    crossed_out: Mapping[str, float] = field(default_factory=dict)
    origins: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def correct(self) -> int:
        """Images whose first answer is right."""
        return int(np.trace(self.confusion))

    @property
    def total(self) -> int:
        """Images of the model's classes."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """`correct` / `total`."""
        return self.correct / self.total

    def confused(self, most: int = 8) -> list[tuple[str, str, int]]:
        """Return the commonest mistakes: true text, predicted text, how often."""
        matrix = self.confusion.copy()
        np.fill_diagonal(matrix, 0)
        order = np.argsort(-matrix, axis=None, kind="stable")[:most]
        pairs = [tuple(int(i) for i in np.unravel_index(place, matrix.shape)) for place in order]
        texts = [label.text for label in self.label_set]
        return [(texts[t], texts[p], int(matrix[t, p])) for t, p in pairs if matrix[t, p]]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON types."""
        totals = self.confusion.sum(axis=1)
        return {
            "schema_version": 1,
            "model": self.model,
            "engine": self.engine,
            "dataset": self.dataset,
            "split": self.split,
            "accuracy": self.accuracy,
            "interval": list(wilson_interval(self.correct, self.total)),
            "correct": self.correct,
            "total": self.total,
            "per_class": {
                label.text: {
                    "name": label.name,
                    "codepoint": label.codepoint,
                    "correct": int(self.confusion[i, i]),
                    "total": int(totals[i]),
                    "accuracy": float(self.confusion[i, i] / totals[i]) if totals[i] else None,
                }
                for i, label in enumerate(self.label_set)
            },
            "confused": [
                {"true": true, "predicted": predicted, "count": count}
                for true, predicted, count in self.confused()
            ],
            "refusal": {
                **asdict(self.refusal),
                "false_acceptance": dict(self.false_acceptance),
                "crossed_out": dict(self.crossed_out),
            },
            "skipped_classes": dict(self.skipped),
            "origins": {
                name: {"correct": correct, "total": total, "accuracy": correct / total}
                for name, (correct, total) in self.origins.items()
                if total
            },
        }


@dataclass(frozen=True)
class OpenModel:
    """A loaded model: its file, what runs it, its description, and how it scores images."""

    path: Path
    engine: str
    spec: ModelSpec
    scores: Scorer

    def accepts(self, images: Sequence[ImageLike]) -> NDArray[np.bool_]:
        """Tell which images are answered, as on a device."""
        return accepts(images, self.scores(images), self.spec)


def open_model(model: Path | str) -> OpenModel:
    """Load a shipped name, an ``.onnx``, ``.tflite`` or ``.keras`` file, or a run folder.

    Raises:
        HcrError: There is no such model, or it cannot be read.
    """
    path = model_file(model)
    if path.suffix != ".keras":
        classifier = Classifier.load(path)
        return OpenModel(path, classifier.engine.name, classifier.spec, classifier.scores)
    from hcr_export.keras_file import load_keras

    source = load_keras(path)

    def score(images: Sequence[ImageLike]) -> NDArray[np.float32]:
        return source.scores(np.stack([preprocess(image, source.spec) for image in images]))

    return OpenModel(path, "keras", source.spec, score)


def evaluate(
    model: OpenModel, data: Dataset, progress: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """Read every image of `data` with a model.

    Args:
        model: What `open_model` gave.
        data: The images; classes that the model does not have are left out and reported.
        progress: Is told how many images are done.

    Raises:
        DataError: The model has none of the classes, or an image cannot be read.
    """
    data = match_labels(data, model.spec)
    classes = len(model.spec.labels)
    confusion = np.zeros((classes, classes), np.int64)
    found = np.zeros((len(data), classes), np.float32)
    for start in range(0, len(data), CHUNK):
        stop = min(start + CHUNK, len(data))
        images = [data.encoded(i) for i in range(start, stop)]
        try:
            scores = model.scores(images)
        except ImageError:
            data.blame(range(start, stop))
            raise
        found[start:stop] = scores
        np.add.at(confusion, (data.labels[start:stop], scores.argmax(axis=1)), 1)
        progress(stop)
    right = found.argmax(axis=1) == data.labels
    least = model.spec.rejection.min_confidence
    return Evaluation(
        model=model.path.name,
        engine=model.engine,
        dataset=data.name,
        split=data.split,
        label_set=model.spec.labels,
        confusion=confusion,
        skipped=data.skipped,
        refusal=measure_refusal(found, data.labels, least),
        false_acceptance=false_acceptance(model.accepts),
        crossed_out={
            kind: float(model.accepts(drawn).mean())
            for kind, drawn in cross_out_some(data, OUTLIERS).items()
        },
        origins={}
        if data.origin is None
        else {
            replace(data, name=name).title: (
                int(right[data.origin == i].sum()),
                int((data.origin == i).sum()),
            )
            for i, name in enumerate(data.origins)
        },
    )
