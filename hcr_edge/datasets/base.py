"""`Dataset`: labelled images of one split, whatever files they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.errors import DataError
from hcr_runtime import ImageError, Label, ModelSpec
from hcr_runtime.image import to_gray


@dataclass(frozen=True)
class Dataset:
    """Labelled images.

    Attributes:
        name: As on the command line, e.g. ``ahcd``.
        split: Which part of it, e.g. ``test``.
        images: Grey uint8 arrays of shape (H, W), or paths of image files.
        labels: int64 of shape (N,): index into `label_set`.
        label_set: The classes.
        writers: int64 of shape (N,): who wrote each image, as far as known; None if unknown.
        licence: What the publisher says of the images' use.
        skipped: Classes that `label_set` does not have, and how many images each holds.
    """

    name: str
    split: str
    images: Sequence[NDArray[np.uint8] | Path]
    labels: NDArray[np.int64]
    label_set: tuple[Label, ...]
    writers: NDArray[np.int64] | None = None
    licence: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def encoded(self, index: int) -> bytes:
        """Return image `index` as the bytes of an image file (PNG where it was an array).

        Raises:
            DataError: The file cannot be read.
        """
        image = self.images[index]
        if isinstance(image, Path):
            try:
                return image.read_bytes()
            except OSError as error:
                raise DataError(f"cannot read {image}: {error.strerror or error}") from error
        return bytes(cv2.imencode(".png", image)[1])

    def blame(self, indices: Iterable[int]) -> None:
        """Raise an error that names the first of the images that cannot be decoded.

        Raises:
            DataError: One of them is damaged.
        """
        for index in indices:
            try:
                to_gray(self.encoded(index))
            except ImageError as error:
                image = self.images[index]
                where = str(image) if isinstance(image, Path) else f"{self.name}, image {index}"
                raise DataError(f"{where}: {error}") from error

    def select(self, keep: NDArray[np.bool_], split: str) -> Dataset:
        """Return the images where `keep`, bool of shape (N,), holds, as split `split`."""
        positions = np.flatnonzero(keep).tolist()
        return replace(
            self,
            split=split,
            images=[self.images[i] for i in positions],
            labels=self.labels[positions],
            writers=None if self.writers is None else self.writers[positions],
        )

    def limit(self, count: int, seed: int = 0) -> Dataset:
        """Return at most `count` images, drawn evenly from the classes."""
        if count >= len(self):
            return self
        shuffled = np.random.default_rng(seed).permutation(len(self))
        rank = np.empty(len(self), np.int64)
        for label in range(len(self.label_set)):
            members = shuffled[self.labels[shuffled] == label]
            rank[members] = np.arange(len(members))
        keep = np.zeros(len(self), bool)
        keep[np.lexsort((shuffled.argsort(), rank))[:count]] = True
        return self.select(keep, self.split)


def join(first: Dataset, second: Dataset, split: str) -> Dataset:
    """Put two parts of one data set together, as split `split`."""
    writers = (
        np.concatenate([first.writers, second.writers])
        if first.writers is not None and second.writers is not None
        else None
    )
    return replace(
        first,
        split=split,
        images=[*first.images, *second.images],
        labels=np.concatenate([first.labels, second.labels]),
        writers=writers,
    )


def hold_out_writers(data: Dataset, share: int, fold: int) -> NDArray[np.bool_]:
    """Choose every `share`-th writer, beginning with writer `fold`.

    Returns:
        bool of shape (N,): True for images of the chosen writers. Where writers are unknown,
        consecutive images of a class are kept together instead, in blocks of a twentieth.

    Raises:
        DataError: There are fewer writers than `share`.
    """
    if data.writers is None:
        writers = np.empty(len(data), np.int64)
        for label in range(len(data.label_set)):
            members = np.flatnonzero(data.labels == label)
            writers[members] = np.arange(len(members)) * 20 // max(len(members), 1)
    else:
        writers = data.writers
    names, numbers = np.unique(writers, return_inverse=True)
    if len(names) < share:
        raise DataError(
            f"{data.name} has {len(names)} groups of writers", allowed=f"{share} or more"
        )
    return np.asarray(numbers % share == fold % share)


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
