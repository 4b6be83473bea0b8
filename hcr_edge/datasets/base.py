"""`Dataset`: labelled images of one split, whatever files they came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import UNKNOWN_WRITER
from hcr_edge.datasets.images import Images
from hcr_edge.datasets.writers import by_turns, writer_or_block_of_each
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
        writers: int64 of shape (N,): who wrote each image, -1 where unknown; None where nothing is
            known. Writers of different origins are different people.
        licence: What the publisher says of the images' use.
        skipped: Classes that `label_set` does not have, and how many images each holds.
        split_rule: How the split was made: ``published``; ``writers`` or ``blocks`` (of consecutive
            images, where writers are unknown) held out by us; or the file that records it.
        names: Each image's file in the source; empty where images are rows of a table.
        origins: The sets that were joined, or this one alone.
        origin: int64 of shape (N,): index into `origins`; None where there is one.
    """

    name: str
    split: str
    images: Sequence[NDArray[np.uint8] | Path]
    labels: NDArray[np.int64]
    label_set: tuple[Label, ...]
    writers: NDArray[np.int64] | None = None
    licence: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)
    split_rule: str = "published"
    names: Sequence[str] = ()
    origins: tuple[str, ...] = ()
    origin: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def title(self) -> str:
        """The name without paths of this machine, for what is passed on.

        >>> label = Label("ا", "alef")
        >>> Dataset("ahcd+folder:/home/me/my+own", "all", [], np.empty(0, int), (label,)).title
        'ahcd+folder my+own'
        >>> Dataset("folder:/me/a+csv:/you/b.csv", "all", [], np.empty(0, int), (label,)).title
        'folder a+csv b.csv'
        """
        parts = re.split(r"\+(?=(?:folder|csv|npz):)", self.name)
        own = re.compile(r"^(folder|csv|npz):(?:[^/\\]*[/\\])*")
        return "+".join(own.sub(r"\1 ", part) for part in parts)

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

    def where(self, index: int) -> str:
        """Say which image `index` is: its file, or its row counted from 1."""
        image = self.images[index]
        if isinstance(image, Path):
            return str(image)
        if self.names:
            return self.names[index]
        origin = self.name if self.origin is None else self.origins[int(self.origin[index])]
        return f"{origin} {self.split}, image {index + 1}"

    def blame(self, indices: Iterable[int]) -> None:
        """Raise an error that names the first three of the images that cannot be decoded.

        Raises:
            DataError: One of them is damaged.
        """
        damaged: list[str] = []
        for index in indices:
            try:
                to_gray(self.encoded(index))
            except ImageError as error:
                damaged.append(f"{self.where(index)}: {error}")
        if damaged:
            more = f"; and {len(damaged) - 3} more" if len(damaged) > 3 else ""
            raise DataError(
                "; ".join(damaged[:3]) + more,
                hint="'hcr-edge data validate' names everything that is wrong with a set",
            )

    def select(self, keep: NDArray[np.bool_], split: str) -> Dataset:
        """Return the images where `keep`, bool of shape (N,), holds, as split `split`."""
        return self.take(np.flatnonzero(keep), split)

    def take(self, positions: NDArray[np.int64], split: str) -> Dataset:
        """Return the images at `positions`, as split `split`."""
        images, places = self.images, positions.tolist()
        return replace(
            self,
            split=split,
            images=images.take(positions)
            if isinstance(images, Images)
            else [images[i] for i in places],
            labels=self.labels[positions],
            writers=None if self.writers is None else self.writers[positions],
            names=[self.names[i] for i in places] if self.names else (),
            origin=None if self.origin is None else self.origin[positions],
        )

    def limit(self, count: int, seed: int = 0) -> Dataset:
        """Return at most `count` images, drawn evenly from the classes, and in each from writers.

        Where no writer is known, blocks of consecutive images stand for them.
        """
        if count >= len(self):
            return self
        shuffled = np.random.default_rng(seed).permutation(len(self))
        writers = writer_or_block_of_each(self)
        rank = np.empty(len(self), np.int64)
        classes = np.unique(self.labels).tolist()
        for number, label in enumerate(classes):
            members = shuffled[self.labels[shuffled] == label]
            # Each class begins with the writers at which the one before it ends.
            begin = number * count // len(classes)
            rank[members[by_turns(writers[members], begin)]] = np.arange(len(members))
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
    skipped = dict(first.skipped)
    for text, count in second.skipped.items():
        skipped[text] = skipped.get(text, 0) + count
    return replace(
        first,
        split=split,
        images=[*first.images, *second.images],
        labels=np.concatenate([first.labels, second.labels]),
        writers=writers,
        skipped=skipped,
        names=[*first.names, *second.names] if first.names and second.names else (),
    )


def join_sets(parts: Sequence[Dataset]) -> Dataset:
    """Put several data sets together under one label set: the first one's, then what others add.

    Where each image comes from is kept in `Dataset.origin`.
    """
    labels = tuple({label.text: label for part in parts for label in part.label_set}.values())
    position = {label.text: i for i, label in enumerate(labels)}
    writers: list[NDArray[np.int64]] = []
    following = 0
    for part in parts:
        own = part.writers
        if own is None:
            own = np.full(len(part), UNKNOWN_WRITER, np.int64)
        numbers = np.where(own >= 0, own + following, UNKNOWN_WRITER)
        following = max(following, int(numbers.max(initial=-1)) + 1)
        writers.append(numbers)
    skipped: dict[str, int] = {}
    for part in parts:
        for text, count in part.skipped.items():
            skipped[text] = skipped.get(text, 0) + count
    return Dataset(
        name="+".join(part.name for part in parts),
        split=parts[0].split,
        images=[image for part in parts for image in part.images],
        labels=np.concatenate(
            [
                np.array([position[label.text] for label in part.label_set], np.int64)[part.labels]
                for part in parts
            ]
        ),
        label_set=labels,
        writers=np.concatenate(writers),
        licence="; ".join(f"{part.title}: {part.licence}" for part in parts),
        skipped=skipped,
        split_rule=", ".join(f"{part.title}: {part.split_rule}" for part in parts),
        names=[part.where(i) for part in parts for i in range(len(part))],
        origins=tuple(part.name for part in parts),
        origin=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
    )


def match_labels(data: Dataset, spec: ModelSpec) -> Dataset:
    """Number a data set's labels as the model does; classes that it lacks are set aside.

    Raises:
        DataError: The model has none of the classes.
    """
    if tuple(label.text for label in data.label_set) == spec.texts:
        return data
    position = {text: i for i, text in enumerate(spec.texts)}
    table = np.array([position.get(label.text, -1) for label in data.label_set], np.int64)
    return renumber(data, table, spec.labels, spec.name)


def renumber(
    data: Dataset, table: NDArray[np.int64], label_set: tuple[Label, ...], whose: str
) -> Dataset:
    """Give a data set other classes; images that have none of them are set aside.

    Args:
        data: The data set.
        table: int64 (labels,): the new class of each label of `data`, or -1.
        label_set: The new classes.
        whose: Who has them, for the error.

    Raises:
        DataError: Nothing is left.
    """
    labels = table[data.labels]
    known = labels >= 0
    if not known.any():
        raise DataError(f"{whose} has none of the classes of {data.name}")
    skipped = dict(data.skipped)
    for index in np.unique(data.labels[~known]):
        text = data.label_set[index].text
        skipped[text] = skipped.get(text, 0) + int((data.labels == index).sum())
    renumbered = replace(data, labels=labels, label_set=label_set, skipped=skipped)
    return renumbered if known.all() else renumbered.select(known, data.split)
