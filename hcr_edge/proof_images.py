"""Images for the export: those that calibrate int8, and those on which parity is measured."""

from __future__ import annotations

from pathlib import Path

from hcr_edge.datasets import Dataset, load_dataset, match_labels
from hcr_export.bundle import CalibrationImages
from hcr_export.parity import LabelledImages
from hcr_runtime import ModelSpec

# Images that calibrate int8, drawn evenly from the letters: more change nothing measurable.
CALIBRATION_IMAGES = 560


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
