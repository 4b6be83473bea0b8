"""`preprocess`: what it keeps of an image (the glyph) and what it takes away (all else)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_edge.datasets import load_dataset
from hcr_runtime import Classifier, InputSpec, ModelSpec, PreprocessSpec, preprocess
from hcr_runtime.image import to_gray
from hcr_runtime.ink import WORK_SIDE, extract_ink, is_dark, lift_ink
from hcr_runtime.preprocess import find_glyph

Image = NDArray[np.uint8]
Change = Callable[[Image], Image]

# Mean difference of two tensors of one letter; two letters differ by 0.14 on average. Where a
# change tips the rounding of the stroke's thickening it reaches 0.09.
CLOSE = 0.1


@pytest.fixture(scope="module")
def spec(classifier: Classifier) -> ModelSpec:
    return classifier.spec


def ramp(image: Image, depth: float, angle: float = 0.0) -> Image:
    """Darken an image linearly across, by up to `depth` (0-1) of its brightness."""
    height, width = image.shape
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    along = 0.5 + (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)
    return np.rint(image * (1 - depth * along)).astype(np.uint8)


def enlarge(image: Image, factor: float) -> Image:
    resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def shift(image: Image, right: float, down: float) -> Image:
    """Move the glyph by shares (-1 to 1) of the room that it has in its image."""
    left, top, width, height = cv2.boundingRect(np.uint8(image < np.median(image) - 25))
    rooms = ((left, image.shape[1] - left - width), (top, image.shape[0] - top - height))
    x, y = (
        np.trunc(share * max(0, room[share > 0] - 2))
        for share, room in zip((right, down), rooms, strict=True)
    )
    matrix = np.float32([[1, 0, x], [0, 1, y]])
    moved = cv2.warpAffine(image, matrix, image.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def difference(image: Image, other: Image, spec: ModelSpec) -> float:
    return float(np.abs(preprocess(image, spec) - preprocess(other, spec)).mean())


def extent(tensor: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of what is ink in a tensor."""
    return tuple(cv2.boundingRect(np.uint8(tensor[:, :, 0] > 0.3)))


@pytest.mark.parametrize("side", [8, 28, 32, 33, 64])
def test_shape_type_and_range(tiles: list[Image], spec: ModelSpec, side: int) -> None:
    spec = replace(spec, input=InputSpec(side, side))
    for image in tiles:
        tensor = preprocess(image, spec)
        assert (tensor.shape, tensor.dtype) == ((side, side, 1), np.float32)
        # Paper and ink; on 8 pixels a stroke fills less than one.
        assert tensor.min() == 0.0
        assert (0.3 if side == 8 else 0.6) < tensor.max() <= 1.0


def test_two_letters_differ_far_more_than_the_tolerance(
    tiles: list[Image], spec: ModelSpec
) -> None:
    # Without this the tolerances below would prove nothing.
    pairs = [difference(a, b, spec) for a, b in itertools.combinations(tiles, 2)]
    assert np.median(pairs) > CLOSE


@pytest.mark.parametrize(
    ("change", "mean"),
    [
        # Chalk on a board reads like ink on paper.
        (lambda image: 255 - image, 0.003),
        # A finer scan of the same page.
        (lambda image: enlarge(image, 2), 0.03),
        (lambda image: enlarge(image, 3), 0.03),
        # A lamp at one side, or above.
        (lambda image: ramp(image, 0.15), 0.005),
        (lambda image: ramp(image, 0.35), 0.01),
        (lambda image: ramp(image, 0.35, np.pi / 2), 0.01),
        # Written off the middle of its box.
        (lambda image: shift(image, 0.9, 0.9), 0.01),
        (lambda image: shift(image, -0.9, 0.5), 0.01),
        # A pale pencil, a grey page.
        (lambda image: (image * 0.5 + 80).astype(np.uint8), 0.005),
    ],
    ids=["negative", "x2", "x3", "ramp", "steep ramp", "ramp down", "shift", "shift back", "pale"],
)
def test_what_is_not_the_glyph_changes_little(
    tiles: list[Image], spec: ModelSpec, change: Change, mean: float
) -> None:
    changes = [difference(image, change(image), spec) for image in tiles]
    assert np.mean(changes) < mean
    assert max(changes) < CLOSE


@given(
    st.integers(0, 27),
    st.booleans(),
    st.floats(1.0, 4.0),
    st.floats(0.0, 0.3),
    st.floats(0.0, 6.3),
    st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)),
)
def test_any_mixture_of_these_changes_little(
    tiles: list[Image],
    spec: ModelSpec,
    number: int,
    negative: bool,
    factor: float,
    depth: float,
    angle: float,
    room: tuple[float, float],
) -> None:
    image = tiles[number]
    other = ramp(enlarge(shift(image, *room), factor), depth, angle)
    assert difference(image, 255 - other if negative else other, spec) < CLOSE


@pytest.mark.parametrize(
    "image",
    [
        *(np.full((64, 64), level, np.uint8) for level in (0, 1, 128, 254, 255)),
        np.full((400, 300, 3), (200, 230, 240), np.uint8),  # yellowish paper
        np.full((2, 2), 77, np.uint8),
        np.full((1, 300), 77, np.uint8),
        np.zeros((40, 40, 4), np.uint8),  # an untouched, transparent canvas
        ramp(np.full((64, 64), 250, np.uint8), 0.8, 0.7),  # uneven light alone is no ink
        # The noise of a sensor in the dark, and paper that shines through.
        np.random.default_rng(0).normal(200, 4, (64, 64)).astype(np.uint8),
        np.where(np.eye(64) > 0, 243, 250).astype(np.uint8),
    ],
    ids=lambda image: f"{image.shape}-{image.flat[0]}",
)
def test_blank_image_gives_a_tensor_of_one_value(image: Image, spec: ModelSpec) -> None:
    assert not preprocess(image, spec).any()


def test_mean_and_std_scale_the_ink(tiles: list[Image], spec: ModelSpec) -> None:
    scaled = replace(spec, preprocess=replace(spec.preprocess, mean=0.25, std=0.5))
    for image in tiles[:5]:
        expected = (preprocess(image, spec) - 0.25) / 0.5
        np.testing.assert_allclose(preprocess(image, scaled), expected, atol=1e-6)


def test_glyph_stands_in_the_middle(tiles: list[Image], spec: ModelSpec) -> None:
    for image in tiles:
        left, top, width, height = extent(preprocess(image, spec))
        assert abs(left + width / 2 - 16) <= 1.5
        assert abs(top + height / 2 - 16) <= 1.5


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.10, 0.44),  # a dot of a letter is enlarged to min_side, no further
        (0.45, 0.45 * 1.35),  # between the limits the size in the box is kept: د is not ر
        (0.55, 0.55 * 1.35),
        (0.95, 0.82),  # a letter that fills its box is shrunk to max_side
    ],
)
def test_size_in_the_box_is_kept_between_two_limits(
    spec: ModelSpec, share: float, expected: float
) -> None:
    image = np.full((96, 96), 250, np.uint8)
    side = round(96 * share)
    corner = (96 - side) // 2
    image[corner : corner + side, corner : corner + side] = 10
    _, _, width, height = extent(preprocess(image, spec))
    assert (width, height) == pytest.approx((32 * expected, 32 * expected), abs=1.6)


def test_hair_thin_stroke_survives_the_shrinking(spec: ModelSpec) -> None:
    image = np.full((96, 96), 250, np.uint8)
    cv2.line(image, (20, 20), (76, 76), 10, 1)
    thin = replace(spec, preprocess=replace(spec.preprocess, min_stroke=0.0))
    assert preprocess(image, thin).max() < 0.7
    assert preprocess(image, spec).max() > 0.9


def test_dust_in_the_corners_is_no_part_of_the_glyph(tiles: list[Image], spec: ModelSpec) -> None:
    changes = []
    for image in tiles:
        dusty = image.copy()
        dusty[2, 2] = dusty[-3, 4] = 20
        changes.append(difference(image, dusty, spec))
    # Beside the finest pen's stroke one pixel of dust may pass for a dot.
    assert np.median(changes) < 0.002
    assert np.mean(changes) < 0.02


@pytest.mark.parametrize("name", ["beh", "khah", "thal", "zain"])
def test_dot_above_or_below_is_part_of_the_glyph(
    name: str, letter: Callable[..., Path], spec: ModelSpec
) -> None:
    for number in range(12):
        image = to_gray(letter(name, number))
        paper = np.median(image)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(np.uint8(image < paper - 60))
        dots = np.isin(parts, np.flatnonzero(stats[:, 4] < 0.2 * stats[1:, 4].sum()))
        without = np.where(cv2.dilate(np.uint8(dots), np.ones((7, 7))), paper, image)
        # Taken for a speck, the dot would neither be drawn nor move the rest.
        assert difference(image, without.astype(np.uint8), spec) > 0.02


@pytest.mark.parametrize(
    "shape", [(129, 129), (500, 300), (1, 4000), (4000, 1), (2000, 3), (1079, 1921)]
)
def test_large_image_is_shrunk_to_bound_the_time(shape: tuple[int, int]) -> None:
    height, width = extract_ink(np.full(shape, 255, np.uint8)).shape
    assert WORK_SIDE // 2 <= max(height, width) <= WORK_SIDE
    # Its proportions stay, but for what is thinner than a pixel.
    assert height * shape[1] == pytest.approx(width * shape[0], rel=0.05, abs=max(shape) * 1.01)


@pytest.mark.parametrize("grains", [0.02, 0.1, 0.3, 0.5])
def test_grainy_image_does_not_crash(grains: float, spec: ModelSpec) -> None:
    # Sandpaper, or a sensor at night: no speck is large enough to be the glyph's main part.
    image = np.where(np.random.default_rng(1).random((96, 96)) < grains, 20, 235)
    assert np.isfinite(preprocess(image.astype(np.uint8), spec)).all()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (4, 1), (1, 4), (3, 3), (1, 97), (97, 1)]
)
def test_smallest_images_do_not_crash(shape: tuple[int, int], spec: ModelSpec) -> None:
    # OpenCV takes an array of 1 or 4 numbers for a scalar.
    for seed in range(20):
        image = np.random.default_rng(seed).choice(np.uint8([0, 90, 255]), shape)
        assert np.isfinite(preprocess(image, spec)).all()


def _tight(image: Image) -> Image:
    """The bounding box of a binarised glyph, ink 0 on 255: as scanners' software cuts it out."""
    flat = np.where(extract_ink(image) > 110, 0, 255).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(255 - flat)
    return flat[y : y + height, x : x + width]


@pytest.mark.parametrize(
    ("box", "dot"),
    [
        pytest.param((20, 30, 80, 100), (44, 20), id="above, thin"),
        pytest.param((20, 30, 80, 100), (22, 20), id="above, at a corner"),
        pytest.param((20, 30, 80, 80), (50, 90), id="below"),
    ],
)
def test_a_dot_that_a_tight_crop_cuts_stays(
    box: tuple[int, int, int, int], dot: tuple[int, int]
) -> None:
    """It is no end of a neighbour: the letter ends at the crop's other sides."""
    ink = np.zeros((128, 128), np.uint8)
    middle, axes = np.add(box[:2], box[2:]) // 2, np.subtract(box[2:], box[:2]) // 2
    cv2.ellipse(ink, middle.tolist(), axes.tolist(), 0, 0, 360, 200, 6)
    cv2.circle(ink, dot, 2, 200, cv2.FILLED)
    left, top, width, height = cv2.boundingRect(ink)
    tight = 230 - ink[top : top + height, left : left + width]
    found = find_glyph(tight).box
    assert found is not None
    assert found[:4] == (0, 0, width, height)
    # In a wide crop that ends at the dot it is a neighbour's.
    sides = (top, 128) if dot[1] < box[1] else (0, top + height)
    wide = find_glyph(230 - ink[slice(*sides)]).box
    assert wide is not None
    assert wide.bottom - wide.top < height


@pytest.mark.parametrize("width", [3, 8, 14])
@pytest.mark.parametrize("margin", [0, 3])
def test_a_neighbour_s_end_on_a_tight_crop_is_no_dot(width: int, margin: int) -> None:
    """Cut by the side, it is as wide there as anywhere, or long."""
    ink = np.zeros((90, 70), np.uint8)
    cv2.ellipse(ink, (35, 57), (32 - margin, 30 - margin), 0, 0, 360, 200, 6)
    ink[:3, 30 : 30 + width] = 200
    found = find_glyph(230 - ink).box
    assert found is not None
    assert found.top > 20


@pytest.mark.parametrize("polarity", ["dark on bright", "bright on dark"])
def test_ink_on_the_rim_of_a_binarised_crop_is_still_ink(polarity: str, tiles: list[Image]) -> None:
    """It was taken for a shadow, or for the paper where there is more ink than paper."""
    for tile in tiles:
        crop = _tight(tile)
        shown = crop if polarity == "dark on bright" else 255 - crop
        np.testing.assert_array_equal(extract_ink(shown) > 127, crop == 0)


def test_more_ink_than_paper(spec: ModelSpec) -> None:
    """A thick ring, cropped to its box: paper is left in its corners and in its hole."""
    ring = np.full((24, 24), 255, np.uint8)
    cv2.circle(ring, (12, 12), 8, 0, 8)
    assert (ring == 0).mean() > 0.6
    np.testing.assert_array_equal(extract_ink(ring) > 127, ring == 0)
    tensor = preprocess(ring, spec)
    assert tensor[0, 0] == 0, "paper around it"
    assert tensor.max() == 1


@pytest.mark.parametrize("side", [10, 24, 60])
@pytest.mark.parametrize("hole", [0, 0.3])
@pytest.mark.parametrize("dark", [True, False])
def test_a_zero_fills_its_crop(side: int, hole: float, dark: bool) -> None:
    """It touches each side in the middle alone, so that the rim is nearly all paper."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    far = np.hypot(x, y) / (side / 2)
    ink = (far < 1) & (far >= hole)
    assert ink.mean() > 0.6
    shown = np.where(ink == dark, 0, 255).astype(np.uint8)
    assert is_dark(shown) == dark
    np.testing.assert_array_equal(extract_ink(shown) > 127, ink)
    noise = np.random.default_rng(0).normal(0, 4, ink.shape)
    photograph = cv2.GaussianBlur(np.where(ink == dark, 65.0, 225.0), (0, 0), 0.7) + noise
    assert is_dark(np.clip(photograph, 0, 255).astype(np.uint8)) == dark


def _photographed(tile: Image, blur: float, light: float, rng: np.random.Generator) -> Image:
    """A letter of a thick pen, cut out where its ink ends, from a photograph of grey paper."""
    ink = np.clip(cv2.resize(extract_ink(tile), (128, 128), interpolation=cv2.INTER_CUBIC), 0, 255)
    ink = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    x, y, width, height = cv2.boundingRect(np.uint8(ink > 80))
    page = cv2.GaussianBlur(225 - 160 * (ink / 255), (0, 0), blur) + rng.normal(0, 5, ink.shape)
    page *= 1 - light * np.linspace(0, 1, 128)
    return np.clip(page[y : y + height, x : x + width], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("blur", [1.0, 2.0])
@pytest.mark.parametrize("light", [0.0, 0.3])
@pytest.mark.parametrize("dark", [True, False])
def test_ink_on_the_rim_of_a_photographed_crop_is_still_ink(
    blur: float, light: float, dark: bool, tiles: list[Image]
) -> None:
    """Of a thick pen most of it was taken for paper."""
    rng = np.random.default_rng(0)
    crops = [_photographed(tile, blur, light, rng) for tile in tiles]
    right = [is_dark(crop if dark else 255 - crop) == dark for crop in crops]
    assert np.mean(right) >= 0.8


def test_digits_in_tight_crops_are_bright(data_dir: Path) -> None:
    """A seventh of Hoda's zeros was taken for paper; a ۱ may still fill its crop."""
    digits = load_dataset("hoda", split="train", data_dir=data_dir)
    chosen = range(0, len(digits), 20)
    dark = [is_dark(to_gray(digits.images[i])) for i in chosen]
    assert len(dark) == 3000
    assert np.mean(dark) < 0.005


@pytest.mark.parametrize("thickness", [1, 2, 3])
@pytest.mark.parametrize("sides", [2, 3, 4])
def test_a_frame_around_a_binarised_letter_is_not_its_paper(
    thickness: int, sides: int, tiles: list[Image]
) -> None:
    for tile in tiles:
        cell = np.where(extract_ink(tile) > 110, 0, 255).astype(np.uint8)
        cell = cv2.copyMakeBorder(cell, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=255)
        cell = cv2.resize(cell, (64, 64), interpolation=cv2.INTER_NEAREST)
        cv2.rectangle(cell, (0, 0), (63, 63), 0, 2 * thickness - 1)  # half of it lies outside
        cell = cell[thickness * (sides < 4) :, thickness * (sides < 3) :]
        assert is_dark(cell)
        assert not is_dark(255 - cell)


def _grainy(tile: Image, darkness: float, spread: float) -> Image:
    """Photograph a letter with a noisy sensor: 96 pixels a side, paper at 225."""
    large = cv2.resize(tile, (96, 96), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    picture = 225 - darkness * (1 - np.clip(large, 0, 255) / 255)
    grain = np.random.default_rng(0).normal(0, spread, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("darkness", "spread"), [(160, 20), (160, 30), (60, 10)])
def test_letters_are_read_through_a_sensors_noise(
    darkness: float, spread: float, tiles: list[Image], classifier: Classifier
) -> None:
    clean = classifier.classify_glyphs([_grainy(tile, darkness, 0) for tile in tiles])
    grainy = classifier.classify_glyphs([_grainy(tile, darkness, spread) for tile in tiles])
    same = [a.label == b.label for a, b in zip(grainy, clean, strict=True)]
    assert sum(same) >= 26


def test_letters_are_read_through_specks(tiles: list[Image], classifier: Classifier) -> None:
    images = [_grainy(tile, 160, 0) for tile in tiles]
    clean = [prediction.label for prediction in classifier.classify_glyphs(images)]
    draw = np.random.default_rng(0).random((96, 96))
    copied = [np.where(draw < 0.03, 0, np.where(draw > 0.97, 255, image)) for image in images]
    found = classifier.classify_glyphs([image.astype(np.uint8) for image in copied])
    assert sum(p.label == label for p, label in zip(found, clean, strict=True)) >= 26


def test_specks_do_not_cost_thin_strokes(classifier: Classifier) -> None:
    """The median wipes out strokes of a pixel, as it does specks."""
    paper = np.full((96, 96), 235, np.uint8)
    cv2.polylines(paper, [np.int32([(60, 14), (60, 80)])], False, 60, 1)
    assert classifier.classify(paper).label == "ا"
    for x, y in np.random.default_rng(3).integers(2, 94, (14, 2)):
        paper[y, x] = 60
    found = find_glyph(paper)
    assert found.extent.height > 50
    assert found.area > 40


@pytest.mark.parametrize("spread", [5, 10, 20])
def test_noise_alone_is_blank(spread: float, classifier: Classifier) -> None:
    paper = np.random.default_rng(0).normal(225, spread, (96, 96))
    assert classifier.classify(np.clip(paper, 0, 255).astype(np.uint8)).reason == "blank"


def test_images_without_noise_keep_their_pixels(tiles: list[Image]) -> None:
    for tile in tiles:
        ink, _, box, _ = find_glyph(tile)
        np.testing.assert_array_equal(ink, extract_ink(tile))
        assert box is not None
        assert box.specks <= 4


@pytest.mark.parametrize("letter", ["U+062E", "U+0630", "U+0632", "U+0636", "U+0638", "U+063A"])
def test_faint_dots_are_ink_where_the_paper_is_clean(
    letter: str, spec: ModelSpec, samples_dir: Path
) -> None:
    """Small scans fade them to a fifth of a stroke's darkness: then ذ was د."""
    seen = 0
    for path in sorted((samples_dir / "arabic-letters" / "test" / letter).glob("*.png")):
        ink = lift_ink(to_gray(path))
        _, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 60).astype(np.uint8))
        if len(stats) != 3:
            continue  # the dot touches its letter
        dot = cv2.dilate((labels == 1 + np.argmin(stats[1:, 4])).astype(np.uint8), np.ones((3, 3)))
        faint = np.where(dot, ink * 0.18, ink).astype(np.uint8)
        without = np.where(dot, 0, ink).astype(np.uint8)
        shown = []
        for version in (1, 2):
            told = replace(spec, preprocess=PreprocessSpec(version=version))
            shown.append(np.abs(preprocess(faint, told) - preprocess(without, told)).max())
        seen += shown[1] > 0.2 and shown[0] < 0.1
    assert seen >= 20


def test_faint_ink_in_grain_is_paper_as_it_was(samples_dir: Path) -> None:
    letter = cv2.resize(to_gray(samples_dir / "arabic-letters/test/U+0634/00.png"), (96, 96))
    grain = np.random.default_rng(0).normal(0, 16, letter.shape)
    noisy = np.clip(230 - 0.7 * lift_ink(letter) + grain, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(extract_ink(noisy, 1), extract_ink(noisy, 2))
