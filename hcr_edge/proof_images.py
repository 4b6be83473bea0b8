"""Images for the export: those that calibrate int8, and those on which parity is measured."""

from __future__ import annotations

from pathlib import Path

from hcr_edge.datasets import Dataset, load_dataset, match_labels
from hcr_edge.labels import (
    ARABIC_LETTERS,
    DIGITS,
    LATIN_CAPITALS,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
)
from hcr_export.bundle import CalibrationImages
from hcr_export.parity import LabelledImages
from hcr_runtime import ModelSpec

# Images that calibrate int8, drawn evenly from the letters: more change nothing measurable.
CALIBRATION_IMAGES = 560

# By script, the published set whose images prove a model; the project drew Arabic letters alone.
STANDARDS = {
    "ahcd": ARABIC_LETTERS,
    "hoda": PERSIAN_DIGITS,
    "comnist-cyrillic": RUSSIAN_CAPITALS,
    "sd19@latin-letters": LATIN_CAPITALS,
    "mnist": DIGITS,
}


def standard_set(spec: ModelSpec) -> str:
    """Return the published set that has most of a model's classes; AHCD where none has any."""
    texts = set(spec.texts)
    return max(STANDARDS, key=lambda name: len(texts & {label.text for label in STANDARDS[name]}))


def can_draw(spec: ModelSpec) -> bool:
    """Whether the images that the project drew itself show any of a model's classes."""
    return not set(spec.texts).isdisjoint(label.text for label in ARABIC_LETTERS)


def calibration_images(name: str, data_dir: Path | None, spec: ModelSpec) -> CalibrationImages:
    """Read the images of data set `name` that calibrate a model, evenly from its classes.

    Raises:
        DataError: The data set is missing, or has none of the model's classes.
    """
    own = name.startswith(("folder:", "csv:", "npz:"))
    split = "calibration" if name == "samples" else None if own else "train"
    data = _load(name, split, data_dir, spec).limit(CALIBRATION_IMAGES)
    data.blame(range(len(data)))
    return CalibrationImages(_describe(data), [data.encoded(i) for i in range(len(data))])


def parity_images(
    name: str, split: str | None, data_dir: Path | None, spec: ModelSpec, limit: int | None = None
) -> LabelledImages:
    """Read the images of data set `name` on which parity is measured; at most `limit`.

    Raises:
        DataError: The data set is missing, or has none of the model's classes.
    """
    data = _load(name, split, data_dir, spec)
    if limit is not None:
        data = data.limit(limit)
    data.blame(range(len(data)))
    return LabelledImages(
        description=_describe(data),
        images=[data.encoded(i) for i in range(len(data))],
        labels=data.labels,
        synthetic=data.name == "samples",
        skipped=data.skipped,
    )


def _load(name: str, split: str | None, data_dir: Path | None, spec: ModelSpec) -> Dataset:
    data = load_dataset(name, split, data_dir=data_dir, label_set=spec.labels)
    return match_labels(data, spec)


def _describe(data: Dataset) -> str:
    """Which images these are, for a report."""
    if data.name == "samples":
        return f"{len(data)} images that the project drew itself (samples, {data.split})"
    return f"{len(data)} images of {data.title}, {data.split}"
