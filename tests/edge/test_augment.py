from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.augment import COARSE, Augmentation
from hcr_edge.datasets import Dataset, load_samples
from hcr_edge.labels import ARABIC_LETTERS
from hcr_runtime import ModelSpec, preprocess
from hcr_runtime.image import to_gray
from hcr_runtime.ink import INK_LEVEL, extract_ink

SPEC = ModelSpec("letters", ARABIC_LETTERS)
STILL = Augmentation(
    resolution=(64, 64),
    **dict.fromkeys(("rotation", "shear", "log_scale", "log_aspect", "shift", "elastic"), 0.0),
    **dict.fromkeys(("stroke", "blur", "noise", "tight"), 0.0),
)
TURNS: dict[str, Callable[[NDArray], NDArray]] = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "half a turn": lambda image: image[::-1, ::-1],
}


def _alike(first: NDArray, second: NDArray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.fixture
def discs() -> NDArray[np.uint8]:
    """Three discs, large, middle and small: whatever bends the triangle, it keeps its sense."""
    ink = np.zeros((64, 64), np.uint8)
    for centre, radius in (((25, 23), 9), ((27, 43), 6), ((43, 31), 3)):
        cv2.circle(ink, centre, radius, 255, -1)
    return ink


def _centres(ink: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of the three largest parts, the largest first."""
    mask = (ink > 0.4 * ink.max()).astype(np.uint8)
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:3]
    return np.asarray(centres[order])


def test_never_turned_nor_mirrored(discs: NDArray[np.uint8]) -> None:
    """Not in one of a thousand: a mirrored letter is another letter, or none."""
    augment, rng = Augmentation(), np.random.default_rng(0)
    found = [_centres(augment(discs, rng)) for _ in range(1000)]
    whole = [centres for centres in found if len(centres) == 3]
    assert len(whole) > 980
    for large, middle, small in whole:
        down, aside = middle - large, small - large
        assert down[1] > 0, "the middle disc stays below the large one: no half turn"
        assert down[0] * aside[1] - down[1] * aside[0] < 0, "not mirrored"


def test_real_letters_keep_their_side() -> None:
    """The mean of many writings of a letter is nearer to it than to its mirror image."""
    data, augment = load_samples("test"), Augmentation()
    compared = 0
    for index in range(len(data.label_set)):
        ink = _ink(data, index, 1)[0]
        rng = np.random.default_rng(index)
        mean = np.mean([_square(augment(ink, rng)) for _ in range(50)], axis=0)
        letter = _square(ink)
        for turn in TURNS.values():
            if _alike(letter, turn(letter)) < 0.5:  # alef stays alef upside down
                compared += 1
                assert _alike(mean, letter) > _alike(mean, turn(letter)) + 0.05
    assert compared > 60


def _ink(data: Dataset, index: int, count: int) -> list[NDArray[np.uint8]]:
    chosen = np.flatnonzero(data.labels == index)[:count]
    return [extract_ink(to_gray(data.images[i])) for i in chosen]


def _square(ink: NDArray[np.uint8]) -> NDArray[np.float64]:
    return cv2.resize(ink, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float64)


def test_same_seed_same_writing(discs: NDArray[np.uint8]) -> None:
    before = discs.copy()
    first, again, other = (
        [Augmentation()(discs, rng) for _ in range(5)]
        for rng in map(np.random.default_rng, (1, 1, 2))
    )
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(first, other, strict=True))
    np.testing.assert_array_equal(discs, before)


def test_every_writing_is_another(discs: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    assert len({Augmentation()(discs, rng).tobytes() for _ in range(20)}) == 20


def test_lines_lie_behind_the_ink_and_are_fainter() -> None:
    data, augment = load_samples("test"), replace(STILL, ruled=1.0)
    rng = np.random.default_rng(0)
    shares = []
    for index in range(len(data.label_set)):
        ink = cv2.resize(_ink(data, index, 1)[0], (64, 64), interpolation=cv2.INTER_CUBIC)
        ruled = augment(ink, rng)
        assert (ruled >= ink).all()
        added = ruled[ruled > ink]
        assert 0.05 * ink.max() <= added.max() <= 0.36 * ink.max()
        shares.append((ruled > ink).mean())
    assert min(shares) > 0.02
    assert np.median(shares) < 0.4


def test_out_of_focus_no_ink_is_lost() -> None:
    data, augment = load_samples("test"), replace(STILL, defocus=1.0)
    rng = np.random.default_rng(0)
    for index in range(len(data.label_set)):
        ink = cv2.resize(_ink(data, index, 1)[0], (64, 64), interpolation=cv2.INTER_CUBIC)
        blurred = augment(ink, rng)
        assert blurred.mean() == pytest.approx(ink.mean(), rel=0.05)
        edges = [np.abs(np.diff(image.astype(int), axis=1)).max() for image in (ink, blurred)]
        assert edges[1] < 0.9 * edges[0]


def test_strengths_of_nothing_leave_the_shape(discs: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(STILL(discs, np.random.default_rng(0)), discs)


@pytest.mark.parametrize(
    ("name", "strength", "moves"),
    [
        ("rotation", 0.5, True),
        ("shear", 0.5, True),
        ("log_scale", 0.3, True),
        ("log_aspect", 0.3, True),
        ("shift", 4.0, True),
        ("elastic", 1.5, True),
        ("stroke", 1.0, True),
        ("blur", 1.0, True),
        ("noise", 1.0, True),
        ("tight", 1.0, True),
        ("blur", 0.0, False),
    ],
)
def test_each_strength_alone(
    name: str, strength: float, moves: bool, discs: NDArray[np.uint8]
) -> None:
    strengths = {field: getattr(STILL, field) for field in STILL.__slots__}
    changed = Augmentation(**{**strengths, name: strength})(discs, np.random.default_rng(5))
    assert moves == (changed.shape != discs.shape or bool((changed != discs).any()))
    assert len(_centres(changed)) == 3, "nothing is lost"


def test_a_coarse_scan_has_few_pixels(discs: NDArray[np.uint8]) -> None:
    augment, rng = replace(STILL, coarse=1.0), np.random.default_rng(0)
    sides = [len(augment(discs, rng)) for _ in range(60)]
    assert (min(sides), max(sides)) == (COARSE[0], COARSE[1] - 1)


def _broken(text: str, ahcd: Callable[[str], Dataset]) -> list[tuple[NDArray, NDArray]]:
    """Writings of AHCD's letter, and their broken scans."""
    data, rng = ahcd("test"), np.random.default_rng(0)
    index = [label.text for label in ARABIC_LETTERS].index(text)
    augment = replace(Augmentation(), broken=1.0, noise=0.0)
    written = [augment.write(ink, rng) for ink in _ink(data, index, 60)]
    return [(ink, augment.scan(ink, rng)) for ink in written]


def test_broken_strokes_have_gaps(ahcd: Callable[[str], Dataset]) -> None:
    pairs = _broken("ح", ahcd)
    more = [cv2.connectedComponents(torn)[0] > _parts(ink) + 1 for ink, torn in pairs]
    assert np.mean(more) > 0.1


@pytest.mark.parametrize("text", [*"جزذنتثشقبف"])
def test_what_is_broken_keeps_its_dots_and_its_reach(
    text: str, ahcd: Callable[[str], Dataset]
) -> None:
    """Without a dot it is another letter, under a wrong name."""
    for ink, torn in _broken(text, ahcd):
        mask = (ink > ink.max() // 5).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
        how = cv2.INTER_NEAREST if len(torn) <= len(ink) else cv2.INTER_AREA  # every pixel counts
        left = cv2.resize(torn, ink.shape[::-1], interpolation=how)
        left = cv2.dilate(left, np.ones((3, 3), np.uint8))  # half a pixel of the coarse grid
        whole = {part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= 4}
        assert whole <= set(parts[left > 0].tolist())
        longer = [max(cv2.boundingRect(image)[2:]) / len(image) for image in (torn, mask)]
        assert longer[0] > 0.6 * longer[1]


def test_a_faint_dot_is_kept() -> None:
    ink = np.zeros((96, 96), np.uint8)
    cv2.line(ink, (30, 70), (66, 70), 255, 6)
    cv2.circle(ink, (48, 40), 3, 90, -1)
    augment, rng = replace(STILL, resolution=(96, 96), broken=1.0), np.random.default_rng(0)
    for _ in range(50):
        torn = augment.scan(ink, rng)
        assert torn[: len(torn) // 2].any()


def test_nothing_stays_nothing() -> None:
    augment, rng = replace(STILL, broken=1.0), np.random.default_rng(0)
    assert not augment.scan(np.zeros((48, 48), np.uint8), rng).any()


def test_what_is_not_asked_for_takes_no_chance(discs: NDArray[np.uint8]) -> None:
    """So recipes of before give what they gave."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert Augmentation().scan(discs, rng) is discs
    assert rng.bit_generator.state == before


def test_size_lies_between_the_resolutions(discs: NDArray[np.uint8]) -> None:
    augment, rng = Augmentation(resolution=(40, 44), tight=0.0), np.random.default_rng(0)
    shapes = {augment(discs, rng).shape for _ in range(100)}
    assert shapes == {(side, side) for side in range(40, 45)}


@pytest.mark.parametrize("shape", [(32, 32), (20, 60), (60, 20), (1, 1)])
def test_any_shape_of_image_becomes_square(shape: tuple[int, int]) -> None:
    ink = np.zeros(shape, np.uint8)
    ink[shape[0] // 4 : -(shape[0] // 4) or None, shape[1] // 4 : -(shape[1] // 4) or None] = 255
    rng = np.random.default_rng(0)
    for _ in range(30):
        written = Augmentation()(ink, rng)
        assert written.dtype == np.uint8
        assert written.shape[0] == written.shape[1]
        assert written.any()


@pytest.mark.parametrize("log_scale", [0.12, 0.3])
def test_a_letter_in_a_tight_crop_is_not_cut(log_scale: float) -> None:
    """A Q without its end is an O: ink that fills its image stays off the sides of its writings."""
    ink = cv2.rectangle(np.zeros((48, 40), np.uint8), (1, 1), (38, 46), 255, 3)
    augment = Augmentation(log_scale=log_scale, shear=0.22, log_aspect=0.14, tight=0.0, noise=0.0)
    rng, cut, shares = np.random.default_rng(0), 0, []
    for _ in range(300):
        written = augment.write(ink, rng) > 50
        cut += any(side.any() for side in (written[0], written[-1], written[:, 0], written[:, -1]))
        shares.append(max(cv2.boundingRect(written.astype(np.uint8))[2:]) / len(written))
    assert cut <= 15
    assert np.median(shares) > 0.7, "it is not made small for that"


def test_tight_crop_of_nothing() -> None:
    blank = np.zeros((32, 32), np.uint8)
    assert not Augmentation(tight=1.0, noise=0.0)(blank, np.random.default_rng(0)).any()


def _parts(ink: NDArray[np.uint8]) -> int:
    count, _, stats, _ = cv2.connectedComponentsWithStats((ink > INK_LEVEL).astype(np.uint8))
    return int((stats[1:count, cv2.CC_STAT_AREA] >= 3).sum())


@pytest.mark.parametrize("text", ["ب", "ت", "ث", "ن"])
def test_dots_survive(text: str, ahcd: Callable[[str], Dataset]) -> None:
    """They are all that tells these letters apart: few writings have fewer parts than before."""
    data, augment, rng = ahcd("test"), Augmentation(), np.random.default_rng(0)
    index = [label.text for label in ARABIC_LETTERS].index(text)
    lost = []
    for ink in _ink(data, index, 40):
        parts = _parts(ink)
        lost += [_parts(augment(ink, rng)) < parts for _ in range(10)]
    assert len(lost) == 400
    assert np.mean(lost) < 0.2


def test_letters_stay_to_be_seen(ahcd: Callable[[str], Dataset]) -> None:
    """Thin pens in particular: what is trained under a letter's name must hold the letter."""
    data, augment, rng = ahcd("test"), Augmentation(), np.random.default_rng(0)
    alike = []
    for i in range(0, len(data), 3):
        ink = extract_ink(to_gray(data.images[i]))
        before, after = preprocess(ink, SPEC), preprocess(augment(ink, rng), SPEC)
        alike.append(_alike(before, after) if after.any() else 0.0)
    assert np.median(alike) > 0.5
    assert np.mean(np.array(alike) < 0.05) < 0.02
