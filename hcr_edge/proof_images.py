"""Images for the export: those that calibrate int8, and those on which parity is measured."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from hcr_edge.datasets import Dataset, load_dataset, load_samples, match_labels
from hcr_edge.datasets.naming import at_home
from hcr_edge.datasets.tree import is_image
from hcr_edge.drawn_images import draw_images
from hcr_edge.errors import DataError
from hcr_edge.labels import (
    ARABIC_LETTERS,
    DIGITS,
    LATIN_CAPITALS,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
)
from hcr_export.bundle import CalibrationImages
from hcr_export.labelled_images import LabelledImages
from hcr_runtime import ImageError, ModelSpec
from hcr_runtime.image import to_gray

log = logging.getLogger(__name__)

# Images that calibrate int8: more change nothing measurable.
CALIBRATION_IMAGES = 560
# Images on which quantization recipes are tried: one of a thousand is a tenth of a point.
TUNING_IMAGES = 2000
MIN_TUNING_IMAGES = 200
LEAST_CALIBRATION = 28

# In place of a data set's name: images drawn from a font, of whatever the model's classes are.
DRAWN = "drawn"
DRAWN_IMAGES = 560
GOLDEN_IMAGES = 28
_SEEDS = {"calibration": 1, "parity": 2, "golden": 3, "tuning": 4}

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


def calibration_images(
    name: str,
    data_dir: Path | None,
    spec: ModelSpec,
    skip_damaged: bool = False,
    spare: int = 0,
) -> CalibrationImages:
    """Read the images that calibrate a model, evenly from its classes and their writers.

    Args:
        name: A data set, `DRAWN`, or ``folder:PATH`` of images without class folders.
        data_dir: Where published data sets lie.
        spec: The model's description.
        skip_damaged: Leave damaged images out instead of refusing them.
        spare: How many images are left for `tuning_images`, at least.

    Raises:
        DataError: The data set is missing, damaged, too small, or has none of the model's classes.
    """
    if name == DRAWN:
        drawn = draw_images(spec, DRAWN_IMAGES, _SEEDS["calibration"])
        return CalibrationImages(f"synthetic: {drawn.description}", drawn.images, drawn.labels)
    data = _load(name, _learning_split(name), data_dir, spec)
    if spare and len(data) < spare + LEAST_CALIBRATION:
        raise DataError(
            f"{name} has {len(data)} images",
            allowed=f"{spare + LEAST_CALIBRATION} or more: {spare} to choose a quantization on,"
            " the others to calibrate",
            hint="give --calibration a larger set",
        )
    data = _whole(data.limit(min(CALIBRATION_IMAGES, len(data) - spare)), skip_damaged)
    synthetic = "synthetic: " if data.name == "samples" else ""
    images = [data.encoded(i) for i in range(len(data))]
    return CalibrationImages(synthetic + _describe(data), images, data.labels, data.writers)


def tuning_images(
    name: str,
    data_dir: Path | None,
    spec: ModelSpec,
    calibration: CalibrationImages,
    skip_damaged: bool = False,
) -> LabelledImages:
    """Read images on which quantization recipes are tried: of the same part as `calibration`.

    Neither those that calibrate are among them, nor those on which parity is measured.

    Raises:
        DataError: The data set is missing, damaged, or has too few images.
    """
    if name == DRAWN:
        return draw_images(spec, DRAWN_IMAGES, _SEEDS["tuning"])
    data = _load(name, _learning_split(name), data_dir, spec)
    data = _whole(data.limit(CALIBRATION_IMAGES + TUNING_IMAGES), skip_damaged)
    used = set(calibration.images)
    kept = [i for i in range(len(data)) if data.encoded(i) not in used]
    if len(kept) < MIN_TUNING_IMAGES:
        raise DataError(
            f"{name} has {len(kept)} images beside those that calibrate",
            allowed=f"{MIN_TUNING_IMAGES} or more, to choose a quantization on",
            hint="give --calibration a larger set",
        )
    return LabelledImages(
        description=f"{len(kept)} images of {data.title}, {data.split}",
        images=[data.encoded(i) for i in kept],
        labels=data.labels[kept],
    )


def _learning_split(name: str) -> str | None:
    """The part of a data set that a model may learn from."""
    own = name.startswith(("folder:", "csv:", "npz:"))
    return "calibration" if name == "samples" else None if own else "train"


def parity_images(
    name: str,
    split: str | None,
    data_dir: Path | None,
    spec: ModelSpec,
    limit: int | None = None,
    skip_damaged: bool = False,
) -> LabelledImages:
    """Read the images on which parity is measured; at most `limit`. See `calibration_images`.

    Raises:
        DataError: The data set is missing, damaged, or has none of the model's classes.
    """
    if name == DRAWN:
        return draw_images(spec, min(limit or DRAWN_IMAGES, DRAWN_IMAGES), _SEEDS["parity"])
    data = _load(name, split, data_dir, spec)
    if limit is not None:
        data = data.limit(limit)
    data = _whole(data, skip_damaged)
    return LabelledImages(
        description=_describe(data),
        images=[data.encoded(i) for i in range(len(data))],
        labels=data.labels,
        synthetic=data.name == "samples",
        skipped=data.skipped,
        writers=data.writers,
    )


def golden_images(spec: ModelSpec) -> list[bytes]:
    """Return the images of the golden vectors: the project's own, which may be given to others."""
    if can_draw(spec):
        samples = load_samples("test").limit(GOLDEN_IMAGES)
        return [samples.encoded(i) for i in range(len(samples))]
    return list(draw_images(spec, GOLDEN_IMAGES, _SEEDS["golden"]).images)


def _load(name: str, split: str | None, data_dir: Path | None, spec: ModelSpec) -> Dataset:
    if (paths := _loose_images(name)) and not split:
        # No class folders: the labels are not known.
        labels = np.full(len(paths), -1, np.int64)
        return Dataset(name, "all", paths, labels, spec.labels, licence="the user's own")
    data = load_dataset(name, split, data_dir=data_dir, label_set=spec.labels)
    return match_labels(data, spec)


def _loose_images(name: str) -> list[Path]:
    """The image files of ``folder:PATH`` where they lie in it without class folders."""
    root = at_home(Path(name.removeprefix("folder:")))
    if not name.startswith("folder:") or not root.is_dir():
        return []
    items = sorted(item for item in root.iterdir() if not item.name.startswith("."))
    if any(item.is_dir() for item in items):
        return []
    return [item for item in items if is_image(item.name)]


def _whole(data: Dataset, skip_damaged: bool) -> Dataset:
    """Return a data set whose images can all be read: refuse the others, or leave them out.

    Raises:
        DataError: It names the damaged images.
    """
    damaged: dict[int, str] = {}
    for index in range(len(data)):
        try:
            to_gray(data.encoded(index))
        except ImageError as error:
            damaged[index] = f"{data.where(index)} ({error.message})"
    if not damaged:
        return data
    keep = np.ones(len(data), bool)
    keep[list(damaged)] = False
    listing = ", ".join(list(damaged.values())[:5]) + (" and others" if len(damaged) > 5 else "")
    if not skip_damaged or not keep.any():
        raise DataError(
            f"{len(damaged)} of {len(data)} images are damaged: {listing}",
            hint="mend or remove them, or leave them out with --skip-damaged",
        )
    log.warning("%d of %d images are damaged and left out: %s", len(damaged), len(data), listing)
    return data.select(keep, data.split)


def _describe(data: Dataset) -> str:
    """Which images these are, for a report."""
    if data.name == "samples":
        return f"{len(data)} images that the project drew itself (samples, {data.split})"
    return f"{len(data)} images of {data.title}, {data.split}"
