"""What can be said against the images of a data set, apart from their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.catalogue import load_catalogue
from hcr_edge.datasets.content import Problem
from hcr_edge.datasets.orientation import Orientation, measure
from hcr_edge.datasets.published import check_orientation
from hcr_edge.datasets.validation.duplicates import equal_groups, near_pairs
from hcr_edge.datasets.validation.inspection import Inspected, Progress
from hcr_edge.datasets.validation.traits import Traits, read_traits
from hcr_edge.errors import DataError

# Every check, in the order of a report, and what it is about.
CHECKS = {
    "missing": "parts or files that are not there",
    "damaged": "files that cannot be read, or are not what they should be",
    "undecodable": "image files that are cut short, empty, or no images",
    "shape": "images of a wrong shape",
    "name": "files whose names are not the set's",
    "label": "labels that are missing, out of range, or cannot be told",
    "split": "rows without a split, where others have one",
    "orientation": "images that are mirrored, turned or transposed",
    "inverted": "images that are inverted as a whole",
    "duplicate-label": "equal images with different labels",
    "duplicate-between": "equal images in different parts",
    "duplicate": "equal images in one part",
    "near-duplicate-between": "nearly equal images in different parts",
    "near-duplicate": "nearly equal images in one part",
    "blank": "images without ink",
    "polarity": "images inverted beside the others",
    "size": "images of another size than the others",
    "unknown-class": "classes that are left out",
    "empty-class": "classes without images",
    "balance": "classes of very different size",
    "count": "another number of images than was published",
    "writers": "writers in more than one part",
    "stray": "files that are not read",
}
_IMBALANCE = 10
# Where at least this share has one size, or one polarity, the others are odd.
_NEARLY_ALL, _MOST = 0.9, 0.8
# Ink on so little of the rim leaves no doubt which is ink and which is ground. Of a glyph that is
# cut out tightly one cannot tell; where half of a set is, its images are not judged one by one.
_CLEAR_RIM, _CLEAR_SHARE = 0.1, 0.5


@dataclass(frozen=True)
class Judgement:
    """What was found in all parts.

    Attributes:
        problems: In no order.
        bright_ink: Of each part, see `PartSummary`.
        orientations: Of each part.
    """

    problems: list[Problem]
    bright_ink: list[float | None]
    orientations: list[Orientation]


def judge(parts: Sequence[Inspected], progress: Progress, *, complete: bool) -> Judgement:
    """Check images and labels.

    Args:
        parts: What could be read.
        progress: Told what is being done.
        complete: All of a published set is there, so that it may be counted.
    """
    problems: list[Problem] = []
    bright: list[float | None] = []
    orientations: list[Orientation] = []
    traits: list[Traits] = []
    for part in parts:
        found = _read(part, progress)
        traits.append(found)
        seen = measure(part.images, part.labels, part.label_set)
        orientations.append(seen)
        wrong = _orientation(part, seen)
        problems += wrong
        problems += _blank(part, found)
        problems += _sizes(part)
        share = _bright_share(found)
        bright.append(share)
        if not any(problem.check == "inverted" for problem in wrong):
            problems += _polarity(part, found, share)
    for name in dict.fromkeys(part.origin for part in parts):
        if not any(len(part) for part in parts if part.origin == name):
            problems.append(Problem("missing", name, "there are no images to look at"))
    for pool in pools(parts):
        members = [parts[i] for i in pool]
        problems += _duplicates(members, [traits[i] for i in pool], progress)
        problems += _classes(members)
        problems += _writers(members)
        if complete:
            problems += _published_count(members)
    return Judgement(problems, bright, orientations)


def pools(parts: Sequence[Inspected]) -> list[list[int]]:
    """Group parts that may be compared: a whole that also comes in parts holds them once more."""
    divided = {part.origin for part in parts if part.split != "all"}
    again = [i for i, part in enumerate(parts) if part.split == "all" and part.origin in divided]
    main = [i for i in range(len(parts)) if i not in again]
    return [pool for pool in (main, *([i] for i in again)) if pool]


def _read(part: Inspected, progress: Progress) -> Traits:
    total = len(part)
    return read_traits(
        part.images, lambda done: progress(f"looking at {part.title}: {done} of {total}")
    )


def _orientation(part: Inspected, seen: Orientation) -> list[Problem]:
    try:
        check_orientation(part.title, seen, part.bright_ink)
    except DataError as error:
        turned = seen.found != "upright" and seen.proven
        check = "label" if seen.shift else "orientation" if turned else "inverted"
        return [Problem(check, part.title, str(error))]
    return []


def _blank(part: Inspected, traits: Traits) -> list[Problem]:
    return [
        Problem("blank", part.where(i), f"no ink is found; its label is {part.text(i)}", "warning")
        for i in np.flatnonzero(traits.blank).tolist()
    ]


def _sizes(part: Inspected) -> list[Problem]:
    if not len(part):
        return []
    shapes, inverse, counts = np.unique(
        part.shapes, axis=0, return_inverse=True, return_counts=True
    )
    if not _NEARLY_ALL <= counts.max() / len(part) < 1:
        return []
    height, width = shapes[counts.argmax()].tolist()
    return [
        Problem(
            "size",
            part.where(i),
            f"{part.shapes[i][0]} x {part.shapes[i][1]}; the others are {height} x {width}",
            "warning",
        )
        for i in np.flatnonzero(inverse.ravel() != counts.argmax()).tolist()
    ]


def _clear(traits: Traits) -> NDArray[np.bool_]:
    return ~traits.blank & (traits.rim <= _CLEAR_RIM)


def _bright_share(traits: Traits) -> float | None:
    clear = _clear(traits)
    return float(traits.bright_ink[clear].mean()) if clear.any() else None


def _polarity(part: Inspected, traits: Traits, share: float | None) -> list[Problem]:
    if share is None:
        return []
    expected = share > 0.5 if part.bright_ink is None else part.bright_ink
    odd = np.flatnonzero(_clear(traits) & (traits.bright_ink != expected)).tolist()
    ink, others = ("dark", "bright") if expected else ("bright", "dark")
    agreeing = share if expected else 1 - share
    if odd and agreeing < _MOST:
        message = f"{1 - agreeing:.0%} of the images have {ink} ink, the others {others} ink"
        return [Problem("polarity", part.title, message, "warning")]
    if _clear(traits).mean() < _CLEAR_SHARE:
        return []
    return [
        Problem("polarity", part.where(i), f"{ink} ink; the others have {others} ink", "warning")
        for i in odd
    ]


def _classes(parts: Sequence[Inspected]) -> Iterator[Problem]:
    totals: dict[str, int] = {}
    of_origin: dict[tuple[str, str], int] = {}
    for part in parts:
        for text, count in part.counts().items():
            totals[text] = totals.get(text, 0) + count
            key = (part.origin, text)
            of_origin[key] = of_origin.get(key, 0) + count
    whole = "+".join(dict.fromkeys(part.origin for part in parts))
    for text, count in totals.items():
        if not count and any(totals.values()):
            yield Problem("empty-class", whole, f"{text} has no images", "warning")
    for part in parts:
        for text, count in part.counts().items():
            if not count and of_origin[part.origin, text]:
                message = f"{text} has no images here"
                yield Problem("empty-class", part.title, message, "warning")
    present = {text: count for text, count in totals.items() if count}
    if present:
        most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        if present[most] > _IMBALANCE * present[least]:
            ratio = present[most] / present[least]
            message = (
                f"{most} has {present[most]} images, {least} has {present[least]}:"
                f" {ratio:.0f} times as many"
            )
            yield Problem("balance", whole, message, "warning")


def _published_count(parts: Sequence[Inspected]) -> Iterator[Problem]:
    for name in dict.fromkeys(part.origin for part in parts):
        entry = load_catalogue().get(name)
        here = sum(len(part) for part in parts if part.origin == name)
        if entry is not None and entry.images is not None and here != entry.images:
            message = f"{here} images are here; {entry.images} were published"
            yield Problem("count", name, message, "warning")


def _writers(parts: Sequence[Inspected]) -> Iterator[Problem]:
    for first, second in combinations(parts, 2):
        if first.origin != second.origin or first.writers is None or second.writers is None:
            continue
        shared = np.intersect1d(first.writers, second.writers)
        shared = shared[shared >= 0]
        if len(shared):
            message = f"{len(shared)} writers are in {first.split} and in {second.split}"
            yield Problem("writers", first.origin, message, "warning")


class _Pool:
    """Images of several parts, numbered through."""

    def __init__(self, parts: Sequence[Inspected]) -> None:
        self.parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def find(self, position: int) -> tuple[Inspected, int]:
        """The part that an image is in, and its number there."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        part = self.parts[number]
        return part, position - int(self._ends[number]) + len(part)

    def image(self, position: int) -> NDArray[np.uint8]:
        """An image."""
        part, index = self.find(position)
        return part.images[index]

    def problem(self, check: str, first: int, second: int, how: str) -> Problem:
        """Say that two images are alike."""
        (part, i), (other, j) = self.find(second), self.find(first)
        severity: Literal["error", "warning"] = "warning"
        if check in ("duplicate-label", "duplicate-between") and (part.own or other.own):
            severity = "error"
        # A row's name says its set and part; a file's name says its part.
        place = f", in {other.title}" if other.names and part.origin != other.origin else ""
        labels = ""
        if part.text(i) != other.text(j):
            labels = f"; it is labelled {part.text(i)}, the other {other.text(j)}"
        return Problem(check, part.where(i), f"{how} {other.where(j)}{place}{labels}", severity)

    def divided(self, first: int, second: int) -> bool:
        """Whether two images are in parts that are to be kept apart."""
        splits = {self.find(first)[0].split, self.find(second)[0].split}
        return len(splits) > 1 and "all" not in splits


def _duplicates(
    parts: Sequence[Inspected], traits: Sequence[Traits], progress: Progress
) -> Iterator[Problem]:
    pool = _Pool(parts)
    every = Traits.join(traits)
    for group in equal_groups(every):
        texts = [part.text(i) for part, i in map(pool.find, group)]
        for place, second in enumerate(group[1:], 1):
            earlier = group[:place]
            other = [
                i
                for i, text in zip(earlier, texts, strict=False)
                if text != texts[place] and "?" not in (text, texts[place])
            ]
            apart = [i for i in earlier if pool.divided(i, second)]
            if other:
                yield pool.problem("duplicate-label", other[0], second, "equals")
            if apart:
                yield pool.problem("duplicate-between", apart[0], second, "equals")
            if not other and not apart:
                yield pool.problem("duplicate", earlier[0], second, "equals")
    total = len(every)
    pairs = near_pairs(
        every, pool.image, lambda done: progress(f"comparing images: {done} of {total}")
    )
    for pair in pairs:
        check = "near-duplicate"
        if pool.divided(pair.first, pair.second):
            check = "near-duplicate-between"
        yield pool.problem(check, pair.first, pair.second, f"resembles by {pair.alike:.3f}")
