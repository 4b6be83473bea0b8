"""Events: one stable event for each character written, whatever the camera does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, Event, Frame, HcrError, ModelSpec, watch
from hcr_runtime.segment import Box, Glyph, find_glyphs
from hcr_runtime.tracking import Path, match
from hcr_runtime.watching import MODES, Mode, Watcher

Image = NDArray[np.uint8]
Tile = Callable[..., Image]
Colour = tuple[int, int, int]


@pytest.fixture(scope="session")
def tile(letter: Callable[..., object]) -> Tile:
    """Return a function from a letter's name to a picture of it: dark on white."""

    def read(name: str, number: int = 3) -> Image:
        image = cv2.imread(str(letter(name, number)), cv2.IMREAD_GRAYSCALE)
        return cv2.bitwise_not(image) if np.median(image) < 100 else image

    return read


def paper(*places: tuple[Image, int, int, int], width: int = 640, height: int = 480) -> Image:
    """Return a frame with pictures of letters on it: each with its left, top and side."""
    frame = np.full((height, width, 3), 235, np.uint8)
    for image, left, top, side in places:
        letter = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        part = frame[top : top + side, left : left + side]
        part[:] = np.minimum(part, letter[:, :, None])
    return frame


def film(*scenes: tuple[Image, float], rate: float = 30.0) -> Iterator[Frame]:
    """Give frames: each picture for so many seconds."""
    start, index = 0.0, 0
    for image, seconds in scenes:
        while index / rate < start + seconds - 1e-9:
            yield Frame(index, round(index / rate, 6), image)
            index += 1
        start += seconds


def told(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.event, event.name) for event in events]


def test_a_letter_is_told_once(classifier: Classifier, tile: Tile) -> None:
    shown = paper((tile("beh"), 240, 160, 160))
    events = list(watch(film((paper(), 0.5), (shown, 3.0), (paper(), 1.0)), classifier))
    assert told(events) == [("looking", "beh"), ("stable", "beh"), ("gone", "beh")]
    looking, stable, gone = events
    assert looking.first == pytest.approx(0.5, abs=1e-3)
    assert 0.15 <= stable.t - 0.5 <= 0.4
    assert stable.label == "ب"
    assert classifier.spec.rejection.min_confidence <= stable.confidence <= 1
    # The box holds the letter; it was there until the paper was bare.
    assert 240 <= stable.box.left < stable.box.left + stable.box.width <= 400
    assert gone.last == pytest.approx(3.5, abs=0.05)
    assert gone.t == pytest.approx(4.0, abs=0.1)
    assert {event.glyph for event in events} == {1}
    assert stable.to_dict()["box"] == [
        *(stable.box.left, stable.box.top, stable.box.width, stable.box.height)
    ]


@pytest.mark.parametrize(
    ("ink", "ground", "mark"),
    [
        ((45, 42, 40), (236, 240, 240), (180, 112, 235)),  # a pink mark below a letter
        ((30, 48, 220), (80, 125, 50), None),  # red ink on a green sheet, as bright as it is
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_colours_are_seen_through(
    classifier: Classifier, tile: Tile, mode: Mode, ink: Colour, ground: Colour, mark: Colour | None
) -> None:
    bare = np.full((480, 640, 3), ground, np.uint8)
    if mark is not None:
        bare[150:280, 210:430] = mark
    cover = paper((tile("seen"), 240, 160, 160))[:, :, :1] / np.float32(235)
    shown = (bare * cover + np.float32(ink) * (1 - cover)).astype(np.uint8)
    events = list(watch(film((bare, 0.5), (shown, 1.5)), classifier, mode))
    assert told(events) == [("looking", "seen"), ("stable", "seen"), ("gone", "seen")]


@pytest.mark.parametrize("rate", [1.0, 5.0, 15.0, 100.0])
def test_time_counts_and_not_frames(classifier: Classifier, tile: Tile, rate: float) -> None:
    shown = paper((tile("seen"), 240, 160, 160))
    events = list(watch(film((shown, max(3.0, 5 / rate)), rate=rate), classifier))
    assert told(events) == [("looking", "seen"), ("stable", "seen"), ("gone", "seen")]
    # Slow cameras need three readings; fast ones are not believed sooner.
    assert 0.2 <= events[1].t <= max(0.4, 4 / rate)


def test_the_same_letter_shown_twice_is_told_twice(classifier: Classifier, tile: Tile) -> None:
    shown = paper((tile("waw"), 240, 160, 160))
    scenes = [(shown, 1.0), (paper(), 1.0)] * 2
    stable = [e for e in watch(film(*scenes), classifier) if e.event == "stable"]
    assert [(event.name, event.glyph) for event in stable] == [("waw", 1), ("waw", 2)]


def test_a_flicker_is_no_new_letter(classifier: Classifier, tile: Tile) -> None:
    shown = paper((tile("waw"), 240, 160, 160))
    scenes = [(shown, 0.8), (paper(), 0.2)] * 4
    stable = [e for e in watch(film(*scenes), classifier) if e.event == "stable"]
    assert [event.name for event in stable] == ["waw"]


# Hah and jeem differ by a dot: these two samples correlate by 0.93.
@pytest.mark.parametrize(
    ("before", "after", "within"),
    [
        (("beh", 3), ("seen", 3), 0.4),
        (("hah", 3), ("jeem", 15), 1.2),
        (("jeem", 15), ("hah", 3), 1.2),
        (("lam", 0), ("kaf", 13), 1.2),
    ],
)
def test_a_letter_that_takes_anothers_place_is_told(
    classifier: Classifier,
    tile: Tile,
    before: tuple[str, int],
    after: tuple[str, int],
    within: float,
) -> None:
    first, second = (paper((tile(*sample), 240, 160, 160)) for sample in (before, after))
    events = list(watch(film((first, 1.0), (second, 2.0)), classifier))
    assert told(events) == [
        (kind, name) for name, _ in (before, after) for kind in ("looking", "stable", "gone")
    ]
    assert events[4].t - 1.0 <= within


def test_what_is_gone_keeps_its_own_place_and_time(classifier: Classifier, tile: Tile) -> None:
    """Not those of the letter that took its place."""
    small, large = paper((tile("alef"), 300, 180, 120)), paper((tile("heh"), 220, 140, 200))
    events = list(watch(film((small, 1.0), (large, 1.0)), classifier))
    stables = [event for event in events if event.event == "stable"]
    gones = [event for event in events if event.event == "gone"]
    assert [event.name for event in stables] == [event.name for event in gones] == ["alef", "heh"]
    for stable, gone in zip(stables, gones, strict=True):
        assert abs(gone.box.left - stable.box.left) <= 4
        assert abs(gone.box.width - stable.box.width) <= 4
    assert gones[0].last <= 1.0 <= stables[1].first


class _Always:
    """An engine that gives the same probabilities for every image."""

    name = "always"

    def __init__(self, spec: ModelSpec, **confidences: float) -> None:
        self.spec = spec
        scores = np.array([confidences.get(label.name, 1e-6) for label in spec.labels], np.float32)
        self._logits = np.log(scores) * spec.temperature

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tile(self._logits, (len(batch), 1))


def test_what_is_ambiguous_in_every_view_is_no_event(classifier: Classifier, tile: Tile) -> None:
    divided = Classifier(_Always(classifier.spec, dal=0.92, thal=0.08))
    shown = paper((tile("dal"), 240, 160, 160))
    assert divided.classify(shown[100:380, 180:460]).reason == "ambiguous"
    assert list(watch(film((shown, 3.0)), divided)) == []
    sure = Classifier(_Always(classifier.spec, dal=0.999))
    assert told(list(watch(film((shown, 3.0)), sure)))[1] == ("stable", "dal")


def test_a_letter_alike_is_not_believed_at_a_glance(classifier: Classifier, tile: Tile) -> None:
    hah = paper((tile("hah"), 240, 160, 160))
    jeem = paper((tile("jeem", 15), 240, 160, 160))
    events = list(watch(film((hah, 1.0), *[(jeem, 0.5), (hah, 0.5)] * 3), classifier))
    assert told(events) == [("looking", "hah"), ("stable", "hah"), ("gone", "hah")]


def test_a_letter_that_moves_is_told_when_it_rests(classifier: Classifier, tile: Tile) -> None:
    letter = tile("seen")
    scenes = [(paper((letter, 170 + 6 * i, 160, 120)), 1 / 30) for i in range(28)]
    rest = paper((letter, 340, 160, 120))
    events = list(watch(film(*scenes, (rest, 1.0)), classifier))
    assert told(events) == [("looking", "seen"), ("stable", "seen"), ("gone", "seen")]
    assert 0 <= events[1].t - 28 / 30 <= 0.4


def test_what_is_refused_is_no_event(classifier: Classifier) -> None:
    rng = np.random.default_rng(3)
    scribble = paper()
    points = rng.integers(200, 440, (40, 1, 2)) - [0, 60]
    cv2.polylines(scribble, [points.astype(np.int32)], False, (40, 40, 40), 3)
    blob = paper()
    cv2.circle(blob, (320, 240), 70, (60, 50, 50), -1)
    assert list(watch(film((paper(), 1.0), (scribble, 2.0), (blob, 2.0)), classifier)) == []


def test_what_moves_is_no_event(classifier: Classifier, tile: Tile) -> None:
    # As a pen in a hand does: it looks like a letter, and moves by a tenth of its size in 0.1 s.
    letter = tile("seen")
    scenes = [(paper((letter, 160 + 4 * i, 160, 160)), 1 / 30) for i in range(40)]
    assert list(watch(film(*scenes), classifier)) == []


def with_hand(frame: Image, left: float, top: float) -> Image:
    """A hand at this place, whose arm comes from below."""
    shown = frame.copy()
    tip, height = np.array([left, top]), frame.shape[0]
    corners = np.array([(0, 0), (80, -10), (350, height), (120, height)]) + tip
    cv2.fillPoly(shown, [corners.astype(np.int32)], (120, 150, 200), cv2.LINE_AA)
    return shown


def test_a_hand_on_the_page_takes_no_letters_with_it(classifier: Classifier, tile: Tile) -> None:
    names = ["beh", "seen", "waw", "kaf"]
    page = paper(
        *((tile(name), 1080 - 220 * i, 100, 110) for i, name in enumerate(names)),
        width=1280,
        height=720,
    )
    for left in (60, 150, 260):
        shown = with_hand(page, left, 160)
        found = sorted(glyph.box.left for glyph in find_glyphs(shown) if glyph.box.top < 210)
        expected = sorted(glyph.box.left for glyph in find_glyphs(page))
        near = [place for place in expected if any(abs(place - other) <= 3 for other in found)]
        assert near == expected


@pytest.mark.parametrize("gap", [4, 12, 24])
def test_a_letter_at_the_edge_is_no_arm(tile: Tile, gap: int) -> None:
    """A card with three letters of a marker, two of them close to its edges."""
    card = np.full((480, 640), 235, np.uint8)
    for name, left in (("lam", gap), ("waw", 240), ("kaf", 636 - gap - 180)):
        thick = cv2.erode(tile(name), np.ones((3, 3), np.uint8))
        x, y, width, height = cv2.boundingRect((thick < 128).astype(np.uint8))
        ink = cv2.resize(thick[y : y + height, x : x + width], (180, 240))
        card[120:360, left : left + 180] = np.minimum(card[120:360, left : left + 180], ink)
    assert len(find_glyphs(card)) == 3


def test_page_is_told_in_reading_order(classifier: Classifier, tile: Tile) -> None:
    names = ["beh", "seen", "waw", "kaf", "hah", "lam"]
    places = [
        (tile(name), 880 - 300 * (i % 3), 150 + 240 * (i // 3), 150) for i, name in enumerate(names)
    ]
    shown = paper(*places, width=1280, height=720)
    bare = paper(width=1280, height=720)
    watcher = Watcher(classifier, "page")
    events: list[Event] = []
    for frame in film((shown, 1.0)):
        events += watcher.see(frame)
    assert [glyph.label for glyph in watcher.glyphs] == [
        event.label for event in events if event.event == "stable"
    ]
    # From right to left, then the next line.
    assert [event.name for event in events if event.event == "stable"] == names
    assert [event.line for event in events if event.event == "stable"] == [0, 0, 0, 1, 1, 1]
    for frame in film((shown, 1.0), (bare, 2.0)):
        events += watcher.see(replace(frame, seconds=frame.seconds + 1))
    assert [event.name for event in events if event.event == "gone"] == names
    assert len(events) == 3 * len(names)


def test_noise_stays_known_over_bare_paper(
    classifier: Classifier, tile: Tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    places = [(tile(name), 850 - 220 * i, 300, 130) for i, name in enumerate(("beh", "seen"))]

    def noisy(image: Image) -> Image:
        return np.clip(image + rng.normal(0, 8, image.shape[:2])[:, :, None], 0, 255).astype(
            np.uint8
        )

    shown = noisy(paper(*places, width=1280, height=720))
    bare = noisy(paper(width=1280, height=720))
    found: list[int] = []

    def count(page: Image) -> tuple[Glyph, ...]:
        glyphs = find_glyphs(page)
        found.append(len(glyphs))
        return glyphs

    monkeypatch.setattr("hcr_runtime.watching.find_glyphs", count)
    scenes = [(shown, 1.0), (bare, 1.5)] * 2
    events = list(watch(film(*scenes, rate=10), classifier, "page"))
    assert [e.name for e in events if e.event == "stable"] == ["beh", "seen"] * 2
    # The noise itself was never searched: that takes a second.
    assert found
    assert max(found) <= 4


def test_page_that_is_pushed_keeps_its_glyphs(classifier: Classifier, tile: Tile) -> None:
    names = ["beh", "seen", "waw"]
    letters = [tile(name) for name in names]

    def at(shift: int) -> Image:
        places = [(image, 850 - 220 * i + shift, 300, 130) for i, image in enumerate(letters)]
        return paper(*places, width=1280, height=720)

    moving = [(at(6 * i), 1 / 30) for i in range(40)]
    events = list(watch(film((at(0), 1.0), *moving, (at(240), 1.0)), classifier, "page"))
    assert sorted(told(events)) == sorted(
        (kind, name) for kind in ("looking", "stable", "gone") for name in names
    )


def test_what_was_seen_before_a_hole_in_time_is_gone(classifier: Classifier, tile: Tile) -> None:
    """A stream that stalls: what is there when it comes back is told, be it the same letter."""
    shown = paper((tile("beh"), 240, 160, 160))
    other = paper((tile("seen"), 240, 160, 160))
    for after in (shown, other):
        before = list(film((shown, 1.0)))
        later = [replace(f, index=f.index + 99, seconds=f.seconds + 6) for f in film((after, 1.0))]
        events = list(watch(iter(before + later), classifier))
        name = "beh" if after is shown else "seen"
        assert told(events) == [
            *[("looking", "beh"), ("stable", "beh"), ("gone", "beh")],
            *[("looking", name), ("stable", name), ("gone", name)],
        ]
        assert events[2].glyph != events[3].glyph
        assert events[2].last < 1 <= 6 <= events[3].first


def test_a_slow_camera_follows_what_it_shows(classifier: Classifier, tile: Tile) -> None:
    shown = paper((tile("beh"), 240, 160, 160))
    events = list(watch(film((shown, 8.0), rate=1.0), classifier))
    assert told(events) == [("looking", "beh"), ("stable", "beh"), ("gone", "beh")]


@pytest.mark.parametrize("missing", [3, 5])
def test_a_slow_camera_may_lose_a_picture(missing: int, classifier: Classifier, tile: Tile) -> None:
    shown = paper((tile("beh"), 240, 160, 160))
    given = [frame for frame in film((shown, 6.0), rate=2.0) if frame.index != missing]
    assert told(list(watch(iter(given), classifier))) == [
        *[("looking", "beh"), ("stable", "beh"), ("gone", "beh")]
    ]


def test_frames_out_of_order_are_left_out(classifier: Classifier, tile: Tile) -> None:
    shown = list(film((paper((tile("beh"), 240, 160, 160)), 1.0)))
    bare = list(film((paper(), 1.0)))
    # Stale frames of the bare paper come in between, late.
    mixed = [f for i, frame in enumerate(shown) for f in (frame, bare[max(0, i - 4)])]
    assert [e.to_dict() for e in watch(iter(mixed), classifier)] == [
        e.to_dict() for e in watch(iter(shown), classifier)
    ]


def test_a_change_of_size_is_no_new_letter(classifier: Classifier, tile: Tile) -> None:
    large = paper((tile("beh"), 240, 160, 160))
    small = cv2.resize(large, (320, 240), interpolation=cv2.INTER_AREA)
    events = list(watch(film((large, 1.0), (small, 1.0), (large, 1.0)), classifier))
    assert told(events) == [("looking", "beh"), ("stable", "beh"), ("gone", "beh")]


def test_unknown_mode_is_refused(classifier: Classifier) -> None:
    with pytest.raises(HcrError, match="mode is 'line'; allowed: guide, page"):
        list(watch(iter([]), classifier, "line"))  # type: ignore[arg-type]


def test_neighbours_do_not_change_places() -> None:
    left, right = Path(Box(10, 10, 20, 40), 0.0), Path(Box(60, 10, 20, 40), 0.0)
    assert match([left, right], [Box(64, 12, 20, 40), Box(14, 12, 20, 40)], 0.03) == [1, 0]
    # Something much larger in the same place is something else.
    assert match([left], [Box(0, 0, 60, 120)], 0.03) == [None]
