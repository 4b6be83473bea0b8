"""Composed videos: the same for the same seed, true to their script, and read by `watch`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_samples
from hcr_edge.synth import Script, compose, score, write_script
from hcr_edge.synth.paper import write
from hcr_runtime import Box, Classifier, Event, watch
from hcr_runtime.image import to_gray
from hcr_runtime.watching import guide_box


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_samples("test")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load("arabic-letters")


def test_script_holds_what_was_asked_for(data: Dataset) -> None:
    script = write_script(data, count=28, distract=2, seed=3)
    # Drawn evenly: each letter once.
    assert {shown.label for shown in script.shown} == {label.text for label in data.label_set}
    assert len(script.shown) == 28
    assert [item.kind for item in script.distractions] == ["blank", "hand", "print"]
    guide = guide_box(640, 480)
    for shown in script.shown:
        assert shown.appears < shown.rests < shown.leaves < shown.gone
        assert guide.left < shown.box.left
        assert shown.box.left + shown.box.width < guide.left + guide.width
    assert Script.from_dict(json.loads(json.dumps(script.to_dict()))) == script


def test_same_seed_same_frames(data: Dataset) -> None:
    def read(seed: int) -> list[bytes]:
        script = write_script(data, count=1, seed=seed, width=160, height=120)
        return [frame.image.tobytes() for frame in compose(script, data)]

    assert read(1) == read(1)
    assert read(1)[40:45] != read(2)[40:45]


def test_letters_are_where_the_script_says(data: Dataset) -> None:
    script = write_script(data, mode="page", count=12, seed=4, width=1280, height=720)
    appears = script.shown[0].appears
    first = [shown for shown in script.shown if shown.appears == appears]
    at = first[0].rests + 0.5
    script = replace(script, rate=5.0)  # what comes before need not be smooth
    frame = next(frame for frame in compose(script, data) if frame.seconds >= at)
    gray = cv2.GaussianBlur(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), (0, 0), 2)
    for shown in first:
        box = shown.box
        around = gray[box.top - 30 : box.top + box.width + 30, box.left : box.left + box.width]
        inside = gray[box.top : box.top + box.width, box.left : box.left + box.width]
        # There is ink in it, and paper around it.
        assert inside.min() < np.median(around) - 30, shown


@pytest.mark.parametrize(("width", "height"), [(240, 640), (64, 1024), (64, 64)])
def test_pages_of_any_form_hold_their_letters(data: Dataset, width: int, height: int) -> None:
    script = write_script(data, mode="page", count=20, width=width, height=height, rate=2)
    for shown in script.shown:
        box = shown.box
        assert min(box.left, box.top, width - box.left - box.width) >= 0
        assert box.top + box.height <= height
    assert {frame.image.shape for frame in compose(script, data)} == {(height, width, 3)}


def test_writing_is_cut_at_the_edges_of_a_sheet(data: Dataset) -> None:
    letter = to_gray(data.encoded(0))
    for centre in ((0, 0), (59, 39), (-500, 20), (30, 900)):
        sheet = np.full((40, 60, 3), 240, np.uint8)
        write(np.random.default_rng(0), sheet, letter, centre, 50)
        assert (sheet < 200).any() == (centre[0] > -50 and centre[1] < 90), centre


def test_watching_finds_what_was_shown(data: Dataset, classifier: Classifier) -> None:
    script = write_script(data, count=4, distract=1, seed=5, width=320, height=240)
    events = list(watch(compose(script, data), classifier))
    found = score(script, events, data, classifier)
    assert (found.right, found.shown, found.repeated) == (4, 4, 0)
    assert max(found.delays) <= 0.4
    assert sum(found.false_events.values()) == 0


def test_score_counts_every_kind_of_mistake(data: Dataset, classifier: Classifier) -> None:
    script = write_script(data, count=4, distract=5, seed=6)
    right, wrong, twice, missed = script.shown

    def stable(label: str, box: Box, t: float) -> Event:
        return Event("stable", 1, label, "", 0.99, box, t, t, t)

    events = [
        stable(right.label, right.box, right.rests + 0.3),
        stable(missed.label, wrong.box, wrong.rests + 0.3),
        stable(twice.label, twice.box, twice.rests + 0.3),
        stable(twice.label, twice.box, twice.rests + 0.9),
        stable("ا", missed.box, script.distractions[1].start + 1),
        stable("ا", missed.box, 0.01),
    ]
    found = score(script, events, data, classifier)
    assert (found.right, found.wrong, found.repeated, found.missed) == (1, 1, 1, 1)
    assert found.delays == pytest.approx((0.3,))
    assert found.false_events == {"blank": 0, "hand": 1, "print": 0, "other": 1}
    assert found.minutes["hand"] == pytest.approx(5 / 60)


def test_command_makes_and_measures(cli, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    options = ("--count", 2, "--distract", 0.5, "--seed", 7, "--size", "320x240")
    assert cli("synth", "video", "--out", clip, *options).code == 0
    truth = json.loads((tmp_path / "clip.json").read_text(encoding="utf-8"))
    assert (truth["schema_version"], len(truth["shown"])) == (1, 2)
    found = cli("synth", "measure", clip, "--json").json
    assert found["shown"] == 2
    assert sum(found[kind] for kind in ("right", "wrong", "missed", "repeated")) == 2
    assert found["right"] >= 1
    again = cli("synth", "video", "--out", clip, *options)
    assert (again.code, "exists" in again.errors[0]) == (2, True)
    clip.rename(tmp_path / "other.avi")
    again = cli("synth", "video", "--out", clip, *options)
    assert (again.code, "clip.json exists" in again.errors[0]) == (2, True)
    (tmp_path / "other.avi").rename(clip)
    other = cli("synth", "measure", clip, "--split", "calibration")
    assert (other.code, "shows samples test" in other.errors[0]) == (2, True)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--out", "clip.mp4"), "no .avi file"),
        (("--out", "clip.avi", "--size", "640"), "no size"),
        (("--out", "clip.avi", "--mode", "line"), "no mode"),
    ],
)
def test_mistakes_are_named(cli, options: tuple[str, ...], problem: str) -> None:
    answer = cli("synth", "video", *options)
    assert (answer.code, problem in answer.errors[0]) == (2, True)


def test_how_far_it_is_is_told(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    @contextmanager
    def working(message: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(update=told.append)

    monkeypatch.setattr("hcr_edge.cli.synth.working", working)
    brief = ("--count", "1", "--distract", "0", "--size", "160x120")
    answer = cli("synth", "video", "--out", tmp_path / "clip.avi", *brief)
    assert answer.code == 0, answer.err
    assert told[0].startswith("drawing 0 of ")
    assert told[1].startswith("drawing 1 of ")
