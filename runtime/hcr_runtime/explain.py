"""A picture of what the preprocessing makes of an image, for people who ask why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_type
from hcr_runtime.classifier import Classifier
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.image import ColorOrder, GrayImage, ImageLike, Pixels, read_pixels, to_bgr
from hcr_runtime.ink import Extent, lift_ink, shrink
from hcr_runtime.prediction import Prediction
from hcr_runtime.preprocess import find_glyph, prepare
from hcr_runtime.spec import ModelSpec

PANEL = 240
_CAPTION = 44
_GAP = 12
_GREY, _BLUE, _GREEN, _RED = (
    (96, 96, 96),
    (176, 96, 32),
    (64, 140, 32),
    (32, 32, 200),
)


def explain(classifier: Classifier, image: ImageLike, color: ColorOrder = "bgr") -> Pixels:
    """Draw each step from an image to its answer, side by side.

    The image as it came in; grey; a close-up, or what a second look made of it, where that was
    read; what smoothing made of it, where noise hid the glyph; the ink lifted off the paper; its
    contrast stretched, with the box of the ink; what the network sees; its first answers. A model
    that is shown the whole image (the fits ``stretch`` and ``pad``) has no ink lifted, one of three
    channels gets the colours.
    Captions are ASCII: letters appear by their names.

    Args:
        classifier: The model.
        image: One glyph; see `Classifier.classify`.
        color: Order of an array's channels.

    Returns:
        BGR, uint8, shape (H, W, 3).

    Raises:
        ImageError: `image` is no image, or beyond the limits; or `color` is another.
        HcrError: `classifier` is none.

    >>> paper = np.full((64, 64), 255, np.uint8)
    >>> paper[12:52, 30:34] = 0
    >>> explain(Classifier.load("arabic-letters"), paper).shape
    (296, 1524, 3)
    """
    check_type("classifier", classifier, Classifier, hint="Classifier.load makes one")
    spec, limits = classifier.spec, classifier.limits
    bgr = to_bgr(image, color, limits)
    gray = gray_of_ink(read_pixels(image, color, limits))
    given = gray if spec.input.channels == 1 else bgr
    prediction = classifier.classify(given, top=5)
    (reading,) = classifier.look([given])
    if reading.again is not None:
        given = reading.again
    tensor, extent = prepare(given, spec, version=reading.version)
    height, width = gray.shape
    panels = [(_fit(bgr), f"image, {width} x {height}", "as it came in, upright")]
    if spec.input.channels == 1 or spec.preprocess.fit == "center":
        panels.append((_fit(gray), "grey", "transparent parts are white"))
    if reading.again is not None:
        panels.append((_fit(reading.again), "closer look", "without what is around the glyph"))
        gray = reading.again
    if spec.preprocess.fit == "center":
        found = find_glyph(gray, version=reading.version or spec.preprocess.version)
        if not np.array_equal(found.gray, shrink(gray)):
            panels.append((_fit(found.gray), "smoothed", "a sensor's noise hid the glyph"))
        panels += [
            (_fit(lift_ink(found.gray)), "ink", "paper and its light taken away"),
            (_with_box(found.ink, extent), "contrast", _box_caption(extent)),
        ]
    panels += [
        (
            _fit(_shown(tensor, spec)),
            "input",
            f"{tensor.shape[1]} x {tensor.shape[0]}, what it sees",
        ),
        (
            _answers(classifier, prediction),
            "answer",
            f"{prediction.reason or 'accepted'} (line: the threshold)",
        ),
    ]
    drawn = [
        _panel(picture, f"{number} {title}", note)
        for number, (picture, title, note) in enumerate(panels, 1)
    ]
    gap = np.full((drawn[0].shape[0], _GAP, 3), 255, np.uint8)
    row = [part for panel in drawn for part in (panel, gap)]
    return np.concatenate([gap, *row], axis=1)


def _shown(tensor: NDArray[np.float32], spec: ModelSpec) -> Pixels:
    """The input's pixels, 0-255, its normalisation undone; BGR where it has colours."""
    std, mean = np.asarray(spec.preprocess.std), np.asarray(spec.preprocess.mean)
    pixels = np.clip(np.rint((tensor * std + mean) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, :, ::-1] if tensor.shape[2] == 3 else pixels[:, :, 0])


def _fit(picture: NDArray[np.uint8]) -> Pixels:
    """Bring a picture into a square of `PANEL`, its proportions kept, on grey."""
    if picture.ndim == 2:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    height, width = picture.shape[:2]
    scale = PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    square = np.full((PANEL, PANEL, 3), 200, np.uint8)
    left, top = (PANEL - size[0]) // 2, (PANEL - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(
        picture, size, interpolation=method
    )
    return square


def _with_box(ink: GrayImage, extent: Extent) -> Pixels:
    square = _fit(ink)
    if extent.longer == 0:
        return square
    scale = PANEL / max(ink.shape)
    across, down = ((PANEL - side * scale) / 2 for side in ink.shape[::-1])
    corners = [
        (round(across + x * scale), round(down + y * scale))
        for x, y in (
            (extent.left, extent.top),
            (extent.left + extent.width, extent.top + extent.height),
        )
    ]
    return np.asarray(cv2.rectangle(square, corners[0], corners[1], _GREEN, 1), np.uint8)


def _box_caption(extent: Extent) -> str:
    if extent.longer == 0:
        return "no ink: blank"
    return f"ink: {extent.width} x {extent.height}, on {extent.sides} sides"


def _answers(classifier: Classifier, prediction: Prediction) -> Pixels:
    """Bars of the first answers, and the threshold."""
    square = np.full((PANEL, PANEL, 3), 255, np.uint8)
    names = {label.text: label.name for label in classifier.spec.labels}
    for row, candidate in enumerate(prediction.top):
        top = 8 + 46 * row
        name = names[candidate.label]
        text = f"{name if name.isascii() else '?'} {candidate.confidence:.1%}"
        _write(square, text, (4, top + 12), _GREY)
        length = max(1, round((PANEL - 8) * candidate.confidence))
        hue = _BLUE if row else (_GREEN if prediction.accepted else _RED)
        cv2.rectangle(square, (4, top + 18), (4 + length, top + 30), hue, cv2.FILLED)
    least = 4 + round((PANEL - 8) * classifier.spec.rejection.min_confidence)
    cv2.line(square, (least, 0), (least, PANEL), _GREY, 1)
    return square


def _panel(picture: Pixels, title: str, note: str) -> Pixels:
    panel = np.full((_CAPTION + PANEL + _GAP, PANEL, 3), 255, np.uint8)
    panel[_CAPTION : _CAPTION + PANEL] = picture
    _write(panel, title, (0, 18), (0, 0, 0), 0.5)
    _write(panel, note, (0, 36), _GREY)
    return panel


def _write(
    picture: Pixels, text: str, place: tuple[int, int], hue: tuple[int, int, int], size: float = 0.4
) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, hue, 1, cv2.LINE_AA)
