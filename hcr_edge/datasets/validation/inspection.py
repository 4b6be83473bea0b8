"""Reads every part of a data set without stopping at what is wrong with it, for `validate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.base import Dataset
from hcr_edge.datasets.content import Content, Problem
from hcr_edge.datasets.images import Image, Images, PixelFile
from hcr_edge.datasets.library import load_published, open_finder
from hcr_edge.datasets.published import Finder, Layout, PublishedSet, Variant
from hcr_edge.errors import DataError
from hcr_edge.label_maps import LabelMap
from hcr_runtime import ImageError, Label
from hcr_runtime.image import to_gray
from hcr_runtime.ink import shrink

Progress = Callable[[str], None]
# Parts that are told of after the others.
_LAST = ("test", "remaining", "all")


@dataclass(frozen=True)
class Inspected:
    """One part of a data set, as far as it could be read.

    Attributes:
        origin: The set, as on the command line.
        split: The part of it.
        images: Grey; those larger than the runtime works with are shrunk as it shrinks them.
        shapes: int32 (N, 2): height and width as they came.
        labels: int64 (N,): index into `label_set`; -1 where the class is not known.
        label_set: The classes.
        names: What to call each image; empty where they are rows of a table.
        writers: int64 (N,), -1 where unknown; None where nothing is known.
        own: The user's own data, of which more is asked than of what others published.
        bright_ink: The polarity that its publisher declares, if any.
        problems: What was wrong with its files.
    """

    origin: str
    split: str
    images: Images
    shapes: NDArray[np.int32]
    labels: NDArray[np.int64]
    label_set: tuple[Label, ...]
    names: Sequence[str] = ()
    writers: NDArray[np.int64] | None = None
    own: bool = True
    bright_ink: bool | None = None
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def title(self) -> str:
        """What to call the part."""
        return f"{self.origin} {self.split}"

    def where(self, index: int) -> str:
        """Say which image `index` is."""
        return self.names[index] if self.names else f"{self.title}, image {index + 1}"

    def text(self, index: int) -> str:
        """The label of an image; a question mark where it has none."""
        label = int(self.labels[index])
        return self.label_set[label].text if label >= 0 else "?"

    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        numbers = np.bincount(self.labels[self.labels >= 0], minlength=len(self.label_set))
        texts = (label.text for label in self.label_set)
        return dict(zip(texts, numbers.tolist(), strict=True))

    def mapped(self, label_map: LabelMap) -> Inspected:
        """Give the images a label map's classes; those that it does not know are left out."""
        table = label_map.indices(self.label_set)
        labels = np.where(self.labels >= 0, table[self.labels], -1)
        keep = np.flatnonzero((labels >= 0) | (self.labels < 0))
        left = {text: n for i, (text, n) in enumerate(self.counts().items()) if n and table[i] < 0}
        return replace(
            self,
            images=self.images.take(keep),
            shapes=self.shapes[keep],
            labels=labels[keep],
            label_set=label_map.classes,
            names=[self.names[i] for i in keep.tolist()] if self.names else (),
            writers=None if self.writers is None else self.writers[keep],
            problems=(*self.problems, *unknown_classes(self.title, left)),
        )


class Decoder:
    """Decodes image files, and notes those that are none.

    Args:
        progress: Told what is being done.
        title: What is being decoded.
    """

    def __init__(self, progress: Progress, title: str) -> None:
        self._pixels = PixelFile(None)
        self._progress, self._title = progress, title
        self._shapes: list[tuple[int, int]] = []
        self.problems: list[Problem] = []

    def add(self, path: Path, where: str) -> bool:
        """Decode a file; False, and a problem, where that fails."""
        try:
            image = to_gray(path.read_bytes())
        except OSError as error:
            self.problems.append(Problem("missing", where, f"{error.strerror or error}"))
        except ImageError as error:
            self.problems.append(Problem("undecodable", where, str(error)))
        else:
            self.add_image(image)
            return True
        return False

    def add_image(self, image: Image) -> None:
        """Take an image."""
        if len(self._shapes) % 1000 == 0:
            self._progress(f"reading {self._title}: {len(self._shapes)}")
        height, width = image.shape
        self._shapes.append((height, width))
        self._pixels.append(shrink(image))

    def finish(self) -> tuple[Images, NDArray[np.int32]]:
        """Return the images, and the shapes that they had."""
        return self._pixels.finish(), np.array(self._shapes, np.int32).reshape(-1, 2)


def unknown_classes(where: str, counts: dict[str, int]) -> list[Problem]:
    """Report classes that are left out."""
    return [
        Problem("unknown-class", where, f"{text}: images left out: {count}", "warning")
        for text, count in sorted(counts.items())
    ]


def inspect_dataset(data: Dataset, progress: Progress, *, own: bool) -> Inspected:
    """Look at a data set that can be loaded as it is."""
    decoder = Decoder(progress, f"{data.name} {data.split}")
    kept = []
    for i, image in enumerate(data.images):
        if isinstance(image, Path):
            if decoder.add(image, str(image)):
                kept.append(i)
        else:
            decoder.add_image(image)
            kept.append(i)
    images, shapes = decoder.finish()
    positions = np.array(kept, np.int64)
    return Inspected(
        origin=data.name,
        split=data.split,
        images=images,
        shapes=shapes,
        labels=data.labels[positions],
        label_set=data.label_set,
        names=[data.where(i) for i in kept] if data.names or own else (),
        writers=None if data.writers is None else data.writers[positions],
        own=own,
        problems=(
            *decoder.problems,
            *unknown_classes(f"{data.name} {data.split}", dict(data.skipped)),
        ),
    )


def inspect_published(
    known: PublishedSet, words: str, split: str | None, data_dir: Path | None, progress: Progress
) -> tuple[list[Inspected], list[Problem]]:
    """Read each part of a published set, in the layout from which it would be loaded.

    Returns:
        The parts, and what is missing or cannot be read. A part that is not published as such
        (``test``, of a set that is not divided) is cut from the whole.

    Raises:
        DataError: None of it is there, or it has no such variant or part.
    """
    variants = known.chosen(words)
    finder = open_finder(known, data_dir)
    name = f"{known.name}:{words}" if words else known.name
    try:
        present = finder.present()
    except DataError as error:
        return [], [Problem("damaged", name, str(error))]
    parts = sorted({part for _, part in present}, key=lambda part: (part in _LAST, part != "train"))
    if not parts or split not in (None, "all", *parts):
        data = load_published(known, words, split or "all", data_dir)
        part = inspect_dataset(data, progress, own=False)
        return [replace(part, bright_ink=known.bright_ink)], []
    layouts = _able(known, variants, {layout.name for layout, _ in present})
    found: list[Inspected] = []
    problems: list[Problem] = []
    for part_name in parts if split in (None, "all") else [split]:
        progress(f"reading {name} {part_name}")
        try:
            read = _read(finder, layouts, str(part_name), name, variants)
            if read is not None:  # it may be empty, and all the more wrong
                found.append(read)
        except DataError as error:
            problems.append(Problem("damaged", f"{name} {part_name}", str(error)))
    problems += [
        Problem("damaged", path.name, str(error)) for path, error in finder.damaged.items()
    ]
    if split in (None, "all") and "all" not in parts:
        used = {layout.name for layout, _ in present}
        needed = dict.fromkeys(
            part
            for layout in layouts
            if layout.name in used and layout.parts != ("all",)
            for part in layout.parts
            if part not in layout.optional
        )
        problems += [
            Problem("missing", f"{name} {part}", f"none of its files is in {finder.data_dir}")
            for part in needed
            if part not in parts
        ]
    return found, problems


def _able(known: PublishedSet, variants: list[Variant], present: set[str]) -> list[Layout]:
    """Leave out layouts that cannot tell a variant, where the one that can is there."""
    telling = {variant.layout for variant in variants if variant.layout} & present
    return [layout for layout in known.layouts if not telling or layout.name in telling]


def _read(
    finder: Finder, layouts: list[Layout], part: str, name: str, variants: list[Variant]
) -> Inspected | None:
    for layout in layouts:
        if part in layout.parts and (found := finder.read(layout, part, strict=False)):
            return _as_inspected(finder.known, found.content, name, part, variants)
    return None


def _as_inspected(
    known: PublishedSet, content: Content, name: str, part: str, variants: list[Variant]
) -> Inspected:
    keep = np.ones(len(content.labels), bool)
    classes = len(known.label_set)
    for variant in variants:
        if variant.keep is not None:
            keep &= variant.keep(content)
        classes = min(classes, variant.classes or classes)
    chosen = np.flatnonzero(keep)
    images = content.images.take(chosen)
    names = content.names
    return Inspected(
        origin=name,
        split=part,
        images=images,
        shapes=images.shapes,
        labels=content.labels[chosen],
        label_set=known.label_set[:classes],
        names=[names[i] for i in chosen.tolist()] if names else (),
        writers=None if content.writers is None else content.writers[chosen],
        own=False,
        bright_ink=known.bright_ink,
        problems=(*content.problems, *unknown_classes(f"{name} {part}", dict(content.skipped))),
    )
