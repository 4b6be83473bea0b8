"""Accuracy of a model or artifact on a data set, from image bytes to label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset
from hcr_edge.errors import DataError
from hcr_export.statistics import wilson_interval
from hcr_runtime import Classifier, Label, ModelSpec, preprocess
from hcr_runtime.models import find_model

Scorer = Callable[[list[bytes]], NDArray[np.float32]]
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
    """

    model: str
    engine: str
    dataset: str
    split: str
    label_set: tuple[Label, ...]
    confusion: NDArray[np.int64]
    skipped: Mapping[str, int]

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
            "skipped_classes": dict(self.skipped),
        }


def evaluate(
    model: Path | str, data: Dataset, progress: Callable[[int], None] = lambda _: None
) -> Evaluation:
    """Read every image of `data` with a model.

    Args:
        model: A shipped name, an ``.onnx``, ``.tflite`` or ``.keras`` file, or a run folder.
        data: The images; its labels must be the model's (see `match_labels`).
        progress: Is told how many images are done.

    Raises:
        HcrError: The model or an image cannot be read.
    """
    file, engine, spec, scorer = open_scorer(model)
    data = match_labels(data, spec)
    classes = len(spec.labels)
    confusion = np.zeros((classes, classes), np.int64)
    for start in range(0, len(data), CHUNK):
        stop = min(start + CHUNK, len(data))
        scores = scorer([data.encoded(i) for i in range(start, stop)])
        np.add.at(confusion, (data.labels[start:stop], scores.argmax(axis=1)), 1)
        progress(stop)
    return Evaluation(file, engine, data.name, data.split, spec.labels, confusion, data.skipped)


def model_file(model: Path | str) -> Path:
    """Return the file to run for a shipped name, a run folder, or a file."""
    path = Path(model)
    if path.is_dir() and (path / "model.keras").is_file():
        return path / "model.keras"
    if path.suffix == ".keras":
        return path
    return find_model(model)


def open_scorer(model: Path | str) -> tuple[str, str, ModelSpec, Scorer]:
    """Load a model; return its file's name, its engine's name, its spec, and how it scores."""
    path = model_file(model)
    if path.suffix != ".keras":
        classifier = Classifier.load(path)
        return path.name, classifier.engine.name, classifier.spec, classifier.scores
    from hcr_export.keras_file import load_keras

    source = load_keras(path)

    def score(images: list[bytes]) -> NDArray[np.float32]:
        return source.scores(np.stack([preprocess(image, source.spec) for image in images]))

    return path.name, "keras", source.spec, score


def match_labels(data: Dataset, spec: ModelSpec) -> Dataset:
    """Number a data set's labels as the model does; classes that it lacks are set aside.

    Raises:
        DataError: The model has none of the classes.
    """
    if tuple(label.text for label in data.label_set) == spec.texts:
        return data
    position = {text: i for i, text in enumerate(spec.texts)}
    table = np.array([position.get(label.text, -1) for label in data.label_set], np.int64)
    labels = table[data.labels]
    known = labels >= 0
    if not known.any():
        raise DataError(f"{spec.name} has none of the classes of {data.name}")
    skipped = dict(data.skipped)
    for index in np.unique(data.labels[~known]):
        skipped[data.label_set[index].text] = int((data.labels == index).sum())
    kept = replace(data, labels=labels).select(known, data.split)
    return replace(kept, label_set=spec.labels, skipped=skipped)
