"""`validate`: everything that is wrong with a data set, found before anything is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hcr_edge.datasets import load_dataset, load_samples, parse_spec
from hcr_edge.datasets.content import Problem
from hcr_edge.datasets.orientation import Orientation
from hcr_edge.datasets.sets import SETS
from hcr_edge.datasets.splits import SplitFile
from hcr_edge.datasets.validation.findings import CHECKS, judge
from hcr_edge.datasets.validation.inspection import (
    Inspected,
    Progress,
    inspect_dataset,
    inspect_published,
)
from hcr_edge.datasets.validation.own_data import inspect_arrays, inspect_folder, inspect_manifest
from hcr_edge.label_maps import LabelMap, find_label_map

SCHEMA_VERSION = 1
_OWN: dict[str, Callable[..., tuple[list[Inspected], list[Problem]]]] = {
    "folder": inspect_folder,
    "csv": inspect_manifest,
    "npz": inspect_arrays,
}
_SAMPLES = ("calibration", "test")


@dataclass(frozen=True)
class PartSummary:
    """What one part of a data set holds.

    Attributes:
        dataset: The set.
        split: The part.
        images: How many could be read.
        counts: Images of each class.
        writers: How many are known; None where nothing is.
        sizes: ``HxW`` of the smallest, commonest and largest image, and how many sizes there are.
        bright_ink: Share of the images whose ink is brighter than their ground, of those that
            leave no doubt; None where none does.
        orientation: What the images say of which way up they are.
    """

    dataset: str
    split: str
    images: int
    counts: dict[str, int]
    writers: int | None
    sizes: dict[str, Any]
    bright_ink: float | None
    orientation: Orientation

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "classes": sum(count > 0 for count in self.counts.values()),
            "writers": self.writers,
            "sizes": self.sizes,
            "bright_ink": None if self.bright_ink is None else round(self.bright_ink, 4),
            "orientation": {
                "found": self.orientation.found,
                "proven": bool(self.orientation.proven),
                "effect": round(self.orientation.effect, 3),
                "images": self.orientation.images,
            },
            "counts": self.counts,
        }


@dataclass(frozen=True)
class Report:
    """What was found in a data set.

    Attributes:
        dataset: The spec.
        split: The part that was asked for; None means all.
        parts: What there is.
        problems: What is wrong with it, by check.
    """

    dataset: str
    split: str | None
    parts: tuple[PartSummary, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What keeps the set from being used."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a user should know."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether there are no errors; there may be warnings."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; ``docs/json.md`` says what they mean."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": self.dataset,
            "split": self.split,
            "ok": self.ok,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "parts": [part.to_dict() for part in self.parts],
            "problems": [
                {
                    "check": problem.check,
                    "severity": problem.severity,
                    "where": problem.where,
                    "message": problem.message,
                }
                for problem in self.problems
            ],
        }


def validate(
    spec: str,
    *,
    data_dir: Path | None = None,
    split: str | None = None,
    progress: Progress = lambda message: None,
) -> Report:
    """Look at every image of a data set and collect what is wrong.

    Args:
        spec: As `load_dataset` takes it.
        data_dir: Where published data sets lie.
        split: Only this part; by default all parts, which are also compared with each other.
        progress: Told what is being done.

    Raises:
        DataError: There is no such data set or split: nothing can be said of it.
    """
    names, map_name = parse_spec(spec)
    label_map = None if map_name is None else find_label_map(map_name)
    parts: list[Inspected] = []
    problems: list[Problem] = []
    if split is not None and SplitFile.parse(split):
        data = load_dataset(spec, split, data_dir=data_dir)
        own = any(name.partition(":")[0] not in SETS for name in names)
        parts = [inspect_dataset(data, progress, own=own)]
    else:
        for name in names:
            found, more = _inspect(name, split, label_map, data_dir, progress)
            if label_map is not None:
                found = [part.mapped(label_map) for part in found]
            parts += found
            problems += more
    complete = split in (None, "all") and label_map is None and not problems
    problems += [problem for part in parts for problem in part.problems]
    judgement = judge(parts, progress, complete=complete)
    order = list(CHECKS)
    problems = sorted([*problems, *judgement.problems], key=lambda p: order.index(p.check))
    summaries = [
        _summary(part, bright, seen)
        for part, bright, seen in zip(
            parts, judgement.bright_ink, judgement.orientations, strict=True
        )
    ]
    return Report(spec, split, tuple(summaries), tuple(problems))


def _inspect(
    name: str,
    split: str | None,
    label_map: LabelMap | None,
    data_dir: Path | None,
    progress: Progress,
) -> tuple[list[Inspected], list[Problem]]:
    kind, _, argument = name.partition(":")
    if kind in _OWN and argument:
        return _OWN[kind](Path(argument), split, label_map, progress)
    if kind in SETS:
        return inspect_published(SETS[kind], argument, split, data_dir, progress)
    if name == "samples":
        chosen = _SAMPLES if split in (None, "all") else (str(split),)
        parts = [inspect_dataset(load_samples(part), progress, own=True) for part in chosen]
        return parts, []
    load_dataset(name, split, data_dir=data_dir)  # says which names there are
    return [], []


def _summary(part: Inspected, bright_ink: float | None, seen: Orientation) -> PartSummary:
    writers = part.writers
    known = None if writers is None else np.unique(writers[writers >= 0])
    return PartSummary(
        dataset=part.origin,
        split=part.split,
        images=len(part),
        counts=part.counts(),
        writers=None if known is None or not len(known) else len(known),
        sizes=_sizes(part),
        bright_ink=bright_ink,
        orientation=seen,
    )


def _sizes(part: Inspected) -> dict[str, Any]:
    if not len(part):
        return {"distinct": 0, "smallest": None, "commonest": None, "largest": None}
    shapes, counts = np.unique(part.shapes, axis=0, return_counts=True)
    area = shapes.astype(np.int64).prod(axis=1)

    def say(index: int) -> str:
        height, width = shapes[index].tolist()
        return f"{height}x{width}"

    return {
        "distinct": len(shapes),
        "smallest": say(int(area.argmin())),
        "commonest": say(int(counts.argmax())),
        "largest": say(int(area.argmax())),
    }
