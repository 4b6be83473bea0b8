"""How well the events of a composed video tell what it showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hcr_edge.datasets import Dataset
from hcr_edge.synth.compose import KINDS, Script, Shown
from hcr_runtime import Box, Classifier
from hcr_runtime.watching import Event

# An event is of the character whose box, grown by this share on each side, holds its centre.
REACH = 0.3
# Seconds after a sheet has gone in which what was on it may still be told.
LATE = 0.3


@dataclass(frozen=True)
class Score:
    """What became of the characters that were shown.

    Attributes:
        shown: How many of the model's classes were shown.
        right: Those that gave one stable event, with the right label.
        wrong: Those that gave one, with another label.
        missed: Those that gave none.
        repeated: Those that gave several.
        clean: Those that the model reads right, and accepts, from the image itself.
        clean_right: Those of them that gave one stable event, with the right label.
        delays: Seconds from rest to the stable event, of those that are right.
        false_events: Stable events where nothing was shown; by kind of distraction, and ``other``.
        minutes: Of each kind of distraction.
    """

    shown: int
    right: int
    wrong: int
    missed: int
    repeated: int
    clean: int
    clean_right: int
    delays: tuple[float, ...]
    false_events: Mapping[str, int]
    minutes: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types; delays as quantiles, in seconds."""
        delays = self.delays or (float("nan"),)
        return {
            "shown": self.shown,
            "right": self.right,
            "wrong": self.wrong,
            "missed": self.missed,
            "repeated": self.repeated,
            "clean": self.clean,
            "clean_right": self.clean_right,
            "delay": {
                "p50": round(float(np.quantile(delays, 0.5)), 3),
                "p95": round(float(np.quantile(delays, 0.95)), 3),
                "within_400_ms": round(float(np.mean(np.array(delays) <= 0.4)), 4),
            },
            "false_events": dict(self.false_events),
            "minutes": {kind: round(value, 3) for kind, value in self.minutes.items()},
        }


def score(script: Script, events: Iterable[Event], data: Dataset, classifier: Classifier) -> Score:
    """Hold the stable events of a video against its script.

    Args:
        script: What was shown.
        events: What `watch` told.
        data: The data set of the characters, for what the model makes of the clean images.
        classifier: The model; characters that are none of its classes count as distractions.
    """
    known = set(classifier.spec.texts)
    shown = [item for item in script.shown if item.label in known]
    answers: list[list[Event]] = [[] for _ in shown]
    false_events = dict.fromkeys((*KINDS, "other"), 0)
    for event in events:
        if event.event != "stable":
            continue
        index = next((i for i, item in enumerate(shown) if _is_of(event, item)), None)
        if index is not None:
            answers[index].append(event)
        else:
            false_events[_kind(script, event.t)] += 1
    images = [data.encoded(item.image) for item in shown]
    readings = classifier.classify_glyphs(images)
    clean = [r.accepted and r.label == s.label for r, s in zip(readings, shown, strict=True)]
    once = [len(found) == 1 for found in answers]
    right = [
        one and found[0].label == item.label
        for one, found, item in zip(once, answers, shown, strict=True)
    ]
    return Score(
        shown=len(shown),
        right=sum(right),
        wrong=sum(once) - sum(right),
        missed=sum(not found for found in answers),
        repeated=sum(len(found) > 1 for found in answers),
        clean=sum(clean),
        clean_right=sum(a and b for a, b in zip(clean, right, strict=True)),
        delays=tuple(
            found[0].t - item.rests
            for found, item, good in zip(answers, shown, right, strict=True)
            if good
        ),
        false_events=false_events,
        minutes={
            kind: sum(d.end - d.start for d in script.distractions if d.kind == kind) / 60
            for kind in KINDS
        },
    )


def _is_of(event: Event, shown: Shown) -> bool:
    if not shown.appears <= event.t <= shown.gone + LATE:
        return False
    x = event.box.left + event.box.width / 2
    y = event.box.top + event.box.height / 2
    return _grown(shown.box, x, y)


def _grown(box: Box, x: float, y: float) -> bool:
    reach = REACH * box.width
    return (
        box.left - reach <= x <= box.left + box.width + reach
        and box.top - reach <= y <= box.top + box.height + reach
    )


def _kind(script: Script, seconds: float) -> str:
    for item in script.distractions:
        if item.start <= seconds < item.end:
            return item.kind
    return "other"
