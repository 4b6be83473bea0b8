"""A ring or a box that was drawn around a letter is no part of it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, rings
from hcr_runtime.preprocess import prepare
from hcr_runtime.rings import find_inside

Image = NDArray[np.uint8]
Draw = Callable[[Image], None]


def circle(page: Image) -> None:
    """Draw a ring by hand: no circle, and its ends do not meet."""
    side = len(page)
    angle = np.linspace(-0.3, 2 * np.pi - 0.4, 80)
    reach = side * (0.4 + 0.012 * np.sin(2 * angle))
    points = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1) + side / 2
    cv2.polylines(page, [np.int32(points)], False, 60, side // 48, cv2.LINE_AA)


def box(page: Image) -> None:
    """Draw a box, whose sides do not quite meet either."""
    side = len(page)
    near, far, gap = side // 9, side - side // 9, side // 60
    for ends in (
        ((near, near), (far, near)),
        ((far, near + gap), (far, far)),
        ((far, far), (near, far)),
        ((near, far - gap), (near, near + gap)),
    ):
        cv2.line(page, *ends, 60, side // 48, cv2.LINE_AA)


def rounded(page: Image) -> None:
    """Draw a box with round corners, as screens and forms have."""
    side = len(page)
    near, far, bend = side // 8, side - side // 8, side // 6
    for place, turn in (
        ((near, near), 180),
        ((far, near), 270),
        ((far, far), 0),
        ((near, far), 90),
    ):
        middle = [near + bend if at == near else far - bend for at in place]
        cv2.ellipse(page, middle, (bend, bend), turn, 0, 90, 60, side // 60, cv2.LINE_AA)
    for at in (near, far):
        cv2.line(page, (near + bend, at), (far - bend, at), 60, side // 60, cv2.LINE_AA)
        cv2.line(page, (at, near + bend), (at, far - bend), 60, side // 60, cv2.LINE_AA)


def photograph(tile: Image, draw: Draw, side: int) -> Image:
    """Draw around a letter's tile that takes 0.55 of a photograph of so many pixels a side."""
    page = np.full((side, side), 255, np.uint8)
    inner = round(0.55 * side)
    first = (side - inner) // 2
    page[first : first + inner, first : first + inner] = cv2.resize(
        tile, (inner, inner), interpolation=cv2.INTER_CUBIC
    )
    draw(page)
    noise = np.random.default_rng(0).normal(0, 3, page.shape)
    picture = cv2.GaussianBlur(np.float32(40 + 0.75 * page), (0, 0), side / 200) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("polarity", ["dark", "bright"])
@pytest.mark.parametrize("side", [120, 480])
@pytest.mark.parametrize("draw", [circle, box, rounded])
def test_a_letter_in_a_ring_is_read(
    draw: Draw, side: int, polarity: str, tiles: list[Image], classifier: Classifier
) -> None:
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    shown = [photograph(tile, draw, side) for tile in tiles]
    if polarity == "bright":
        shown = [cv2.bitwise_not(image) for image in shown]
    first = classifier.classify_glyphs(shown)
    told = classifier.classify_batch(shown)
    same = [p.label == label for p, label in zip(told, labels, strict=True)]
    assert sum(p.accepted for p in first) <= 24, "else the ring is no hindrance"
    assert sum(same) >= 26
    assert sum(p.accepted for p in told) >= 20
    assert sum(p.accepted and not right for p, right in zip(told, same, strict=True)) <= 1
    assert told[:3] == [classifier.classify(image) for image in shown[:3]]


def test_plain_letters_lie_in_no_ring(tiles: list[Image], classifier: Classifier) -> None:
    """Nor does the dot of a noon whose bowl is closed, nor the tail of a Q."""
    bowls = np.full((2, 96, 96), 255, np.uint8)
    for bowl in bowls:
        cv2.circle(bowl, (48, 48), 34, 0, 5)
    cv2.circle(bowls[0], (48, 44), 5, 0, cv2.FILLED)
    cv2.line(bowls[1], (56, 56), (92, 92), 0, 5)
    for image in (*tiles, *bowls):
        assert not prepare(image, classifier.spec, lines=True)[1].ringed


def touched(tile: Image, boxed: bool) -> Image:
    """Draw a ring through the end of a letter that is farthest out, or a box along its foot."""
    ink = cv2.resize(cv2.bitwise_not(tile), (170, 170), interpolation=cv2.INTER_CUBIC)
    page = cv2.copyMakeBorder(ink, *4 * (65,), cv2.BORDER_CONSTANT, value=0)
    strong = np.uint8(page > 127)
    left, top, width, height = cv2.boundingRect(strong)
    right, bottom = left + width, top + height
    if boxed:
        cv2.rectangle(page, (left - 30, top - 30), (right + 30, bottom - 3), 255, 7)
    else:
        middle = np.array([left + width / 2, top + height / 2])
        points = np.argwhere(strong)[:, ::-1] - middle
        far = points[np.square(points).sum(axis=1).argmax()]
        reach = np.hypot(*far) * 1.08
        place = np.rint(middle + far - far / np.hypot(*far) * reach).astype(int).tolist()
        cv2.circle(page, place, round(reach), 255, 7, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 3, page.shape)
    picture = cv2.GaussianBlur(225 - np.float32(0.7) * page, (0, 0), 1) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("boxed", [False, True])
def test_a_letter_that_touches_its_ring_is_not_read_with_it(
    boxed: bool, tiles: list[Image], classifier: Classifier
) -> None:
    """A box may hide a whole stroke: what touches it is not answered."""
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    shown = [touched(tile, boxed) for tile in tiles]
    told = classifier.classify_batch(shown)
    right = [p.label == label for p, label in zip(told, labels, strict=True)]
    assert sum(p.accepted and not same for p, same in zip(told, right, strict=True)) <= 1
    if boxed:
        assert sum(p.accepted for p in told) <= 2
        return
    first = classifier.classify_glyphs(shown)
    before = sum(p.accepted and p.label == text for p, text in zip(first, labels, strict=True))
    assert sum(p.accepted for p in told) >= 10 > before


RINGS: dict[str, tuple[str, list[tuple[int, int]]]] = {
    "ه": ("arabic-letters", [(100, 50), (100, 150)]),  # with two eyes
    "۵": ("persian-digits", [(100, 155), (100, 75)]),
    "Q": ("latin-letters", [(70, 70), (142, 142)]),
    "O": ("latin-letters", [(60, 140), (140, 60)]),  # slashed, as a zero is
    "Ф": ("russian-letters", [(100, 55), (100, 145)]),
}


@pytest.mark.parametrize("label", RINGS)
def test_a_letter_that_is_a_ring_is_no_other_in_one(label: str) -> None:
    model, bar = RINGS[label]
    reader = Classifier.load(model)
    for across in (50, 55, 60):
        page = np.full((200, 200), 235, np.uint8)
        cv2.ellipse(page, (100, 100), (across, 50), 0, 0, 360, 40, 9, cv2.LINE_AA)
        cv2.line(page, *bar, 40, 9, cv2.LINE_AA)
        told = reader.classify(cv2.GaussianBlur(page, (0, 0), 1))
        assert told.label == label or not told.accepted


def test_what_touches_its_ring_is_cut_off_it_and_what_lies_beside_it_is_not() -> None:
    mask = np.zeros((96, 96), np.uint8)
    cv2.circle(mask, (40, 48), 30, 255, 3)
    touching, beside, inside = mask.copy(), mask.copy(), mask.copy()
    cv2.line(touching, (40, 20), (40, 60), 255, 3)
    cv2.line(beside, (89, 10), (89, 86), 255, 3)
    cv2.line(inside, (40, 36), (40, 60), 255, 3)
    cv2.line(beside, (40, 40), (40, 56), 255, 3)
    assert find_inside(mask) is None
    cut = find_inside(touching)
    assert cut is not None
    left, top, width, height = cv2.boundingRect(cut)
    assert (left, width, top + height) == (38, 5, 63)
    assert 20 < top < 25
    assert find_inside(beside) is None
    found = find_inside(inside)
    assert found is not None
    assert np.array_equal(found, cv2.subtract(inside, mask))


def test_what_is_open_to_one_side_is_told_as_by_closing_its_gaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(400):
        mask = np.zeros(rng.integers(48, 129, 2), np.uint8)
        height, width = mask.shape
        middle = width / 2 + rng.normal(0, 4), height / 2 + rng.normal(0, 4)
        reach = [length * rng.uniform(0.3, 0.5) for length in (width, height)]
        # Often open right beside the piece, which may be narrower than the gap.
        gap, way = rng.choice([0, 8, 12, 16, 30, 120]), rng.choice([0, 90, 180, 270, 45])
        angles = np.radians(way + np.linspace(gap / 2, 360 - gap / 2, 90))
        ring = np.array(middle) + np.stack([np.cos(angles), np.sin(angles)], 1) * reach
        cv2.polylines(mask, [np.int32(ring)], False, 255, int(rng.integers(1, 4)))
        for _ in range(rng.integers(1, 3)):
            spread = rng.choice([[0, 0.3], [0.3, 0], [0.2, 0.2]]) * reach
            ends = np.int32(np.array(middle) + rng.normal(0, 1, (2, 2)) * spread)
            cv2.line(mask, *ends.tolist(), 255, 2)
        masks.append(mask)
    told = [find_inside(mask) for mask in masks]
    monkeypatch.setattr(rings, "_is_beset", lambda *_: True)
    for mask, inside in zip(masks, told, strict=True):
        closed = find_inside(mask)
        assert (inside is None) == (closed is None)
        assert inside is None or np.array_equal(inside, closed)
    assert 100 < sum(inside is not None for inside in told) < 300


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 200), (17, 96)])
def test_masks_of_any_shape_are_taken(shape: tuple[int, int]) -> None:
    for mask in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        assert find_inside(mask) is None
