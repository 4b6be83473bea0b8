"""A note on a dark desk: the sheet is cut out, and what is written on it is read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, shipped_models
from hcr_runtime.sheet import cut_sheet

Image = NDArray[np.uint8]


def lay(sheet: Image, angle: float, share: float, desk: float = 60, light: float = 0) -> Image:
    """Photograph a square sheet, turned by so many degrees, on a desk of 160 pixels a side."""
    middle, scale = len(sheet) / 2, share * 160 / len(sheet)
    turn = cv2.getRotationMatrix2D((middle, middle), angle, scale)
    turn[:, 2] += 80 - middle
    seen = cv2.warpAffine(np.float32(sheet), turn, (160, 160), flags=cv2.INTER_AREA)
    covered = cv2.warpAffine(np.ones(sheet.shape, np.float32), turn, (160, 160))
    picture = cv2.GaussianBlur(seen + desk * (1 - covered), (0, 0), 1)
    picture += np.random.default_rng(0).normal(0, 4, picture.shape)
    return np.clip(picture * (1 - light * np.linspace(0, 1, 160)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def notes(tiles: list[Image]) -> list[Image]:
    """Return a note for each letter, 128 pixels a side, on paper that is not white."""
    large = [cv2.resize(tile, (128, 128), interpolation=cv2.INTER_CUBIC) for tile in tiles]
    return [np.clip(40 + 0.75 * image, 0, 235).astype(np.uint8) for image in large]


@pytest.mark.parametrize(
    ("angle", "share", "desk", "light"),
    [
        pytest.param(0, 0.82, 60, 0, id="thick frame"),
        pytest.param(0, 0.7, 60, 0, id="upright"),
        pytest.param(10, 0.7, 60, 0, id="aslant"),
        pytest.param(-25, 0.65, 60, 0, id="far aslant"),
        pytest.param(-8, 0.55, 60, 0, id="small"),
        pytest.param(8, 0.45, 60, 0, id="smaller"),
        pytest.param(5, 0.7, 120, 0, id="pale desk"),
        pytest.param(5, 0.7, 70, 0.3, id="light from the side"),
    ],
)
def test_a_note_on_a_desk_is_read(
    angle: float,
    share: float,
    desk: float,
    light: float,
    notes: list[Image],
    classifier: Classifier,
) -> None:
    labels = [prediction.label for prediction in classifier.classify_batch(notes)]
    shown = [lay(note, angle, share, desk, light) for note in notes]
    first, again = classifier.classify_glyphs(shown), classifier.classify_batch(shown)
    assert sum(p.accepted for p in first) <= 2  # the images do test the sheet
    assert sum(p.label == label for p, label in zip(again, labels, strict=True)) >= 26
    assert sum(p.accepted for p in again) >= 20
    told = zip(again, labels, strict=True)
    assert sum(p.accepted and p.label != label for p, label in told) <= 1


@pytest.mark.parametrize("size", [(96, 128), (480, 640), (960, 1280)])
@pytest.mark.parametrize("share", [0.42, 0.55])
def test_a_note_on_a_wide_desk_is_read(
    share: float, size: tuple[int, int], notes: list[Image], classifier: Classifier
) -> None:
    """It takes less than half of the picture's width, and of a large one is seen from nearby."""
    labels = [prediction.label for prediction in classifier.classify_batch(notes)]
    shown, side = [], round(share * size[0])
    for note in notes:
        picture = np.full(size, 60, np.uint8)
        method = cv2.INTER_AREA if side < 128 else cv2.INTER_CUBIC
        picture[size[0] // 4 :, size[1] // 3 :][:side, :side] = cv2.resize(
            note, (side, side), interpolation=method
        )
        shown.append(picture)
    told = classifier.classify_batch(shown)
    assert sum(p.label == label for p, label in zip(told, labels, strict=True)) >= 25
    assert sum(p.accepted for p in told) >= 20
    pairs = zip(told, labels, strict=True)
    assert sum(p.accepted and p.label != label for p, label in pairs) <= 1


@pytest.mark.parametrize("model", list(shipped_models()))
def test_an_empty_note_is_not_answered(model: str) -> None:
    sheet = np.full((128, 128), 225, np.uint8)
    shown = [lay(sheet, angle, share) for angle in (0, 9, -25) for share in (0.3, 0.4, 0.55, 0.8)]
    told = Classifier.load(model).classify_batch(shown)
    assert not any(prediction.accepted for prediction in told)
    assert {p.reason for p in told} <= {"blank", "too large", "not a character"}


def test_a_note_that_lies_on_its_side_is_refused(
    notes: list[Image], classifier: Classifier
) -> None:
    """Beyond 30 degrees its upper side is not known: a quarter turn further is as likely."""
    shown = [lay(note, angle, 0.62) for note in notes for angle in (38, 45, 52)]
    assert sum(p.accepted for p in classifier.classify_batch(shown)) <= 0.03 * len(shown)


def test_what_runs_off_a_note_is_refused(notes: list[Image], classifier: Classifier) -> None:
    """Half a letter is often another one."""
    labels = [prediction.label for prediction in classifier.classify_batch(notes)]
    shown, truth = [], []
    for across, down in ((-48, 0), (48, 0), (0, -48), (0, 48)):
        move = np.float32([[1, 0, across], [0, 1, down]])
        for note, label in zip(notes, labels, strict=True):
            cut = cv2.warpAffine(note, move, (128, 128), borderMode=cv2.BORDER_REPLICATE)
            shown.append(lay(cut, 4, 0.7))
            truth.append(label)
    told = zip(classifier.classify_batch(shown), truth, strict=True)
    assert sum(p.accepted and p.label != label for p, label in told) <= 0.04 * len(shown)


def test_a_bright_stroke_on_a_dark_ground_is_no_empty_sheet() -> None:
    stroke = np.full((126, 54), 20, np.uint8)
    corners = cv2.boxPoints(((27, 63), (20, 100), 5))
    cv2.fillPoly(stroke, [np.int32(corners)], 230)
    assert cut_sheet(stroke) is None
    assert Classifier.load("persian-digits").classify(stroke).label == "\u06f1"


def test_the_sheet_is_turned_upright_and_keeps_its_pixels() -> None:
    sheet = np.full((128, 128), 225, np.uint8)
    sheet[24:104, 60:68] = 60
    upright = cut_sheet(lay(sheet, 0, 0.8))
    aslant = cut_sheet(lay(sheet, 20, 0.65))
    assert upright is not None
    assert aslant is not None
    for image, side in ((upright, 118), (aslant, 94)):
        assert np.abs(np.subtract(image.shape, side)).max() <= 3
        left, top, width, height = cv2.boundingRect(np.uint8(image < 140))
        assert width <= 0.12 * side  # it stands upright: aslant it would be three times as wide
        assert abs(left + width / 2 - image.shape[1] / 2) <= 2
        assert abs(top + height / 2 - image.shape[0] / 2) <= 2


def test_letters_and_shadows_are_no_sheets(tiles: list[Image], notes: list[Image]) -> None:
    thick = [cv2.erode(note, np.ones((13, 13), np.uint8)) for note in notes]
    shaded = [np.uint8(note * np.where(np.arange(128) < 50, 0.5, 1)) for note in notes]
    for image in (*tiles, *notes, *thick, *shaded):
        assert cut_sheet(image) is None
        assert cut_sheet(cv2.bitwise_not(image)) is None
    flat = np.full((10, 56), 60, np.uint8)
    flat[3:9, 14:48] = 190
    for image in (np.zeros((1, 1), np.uint8), np.full((3, 200), 9, np.uint8), flat):
        assert cut_sheet(image) is None
