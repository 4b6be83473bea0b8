"""The one preprocessing: from an image of one glyph to the model's input tensor.

Training, calibration, parity, evaluation and the device all call `preprocess`, with the
parameters in the model's spec. Version 1, with the fit ``center``, in this order:

1. `extract_ink`: bright ink on 0. The paper's brightness (a curved surface where the light is
   uneven; of an image that has two levels alone, the level of most corners) is subtracted, the
   polarity is found, the contrast stretched between the paper's noise and the ink's mean.
2. `place_glyph`: the bounding box of the ink, without specks, goes to the middle of the tensor.
   Its size relative to the image (the writing box) is kept between two limits. Strokes too thin
   to survive the shrinking are thickened before it.
3. ``(ink / 255 - mean) / std``.

Networks from elsewhere were mostly shown the whole image: with the fits ``stretch`` and ``pad``,
`fit_image` takes the place of the first two steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_type
from hcr_runtime.image import GrayImage, ImageLike, to_bgr, to_gray
from hcr_runtime.spec import InputSpec, ModelSpec, PreprocessSpec

# Larger images are first shrunk by a whole number to at most this longer side: it bounds the
# time, and leaves at least twice the tensor's resolution.
WORK_SIDE = 128
# Grid on which the paper's brightness is fitted.
GRID = 16
# Differences of brightness (0-255) between the image's sides that count as uneven light.
UNEVEN = 10.0
# An image with so much of it this close (0-255) to one of two levels, which differ by so much, was
# binarised, or drawn: its light cannot be uneven, however much ink lies on its rim.
TWO_LEVELS = 0.7
LEVEL_WIDTH = 3
LEVEL_GAP = 60
# An image is blank whose ink differs from its paper by less than this (0-255); up to the second
# number also by less than so many times what the paper differs from itself.
MIN_CONTRAST = 8.0
CLEAR_CONTRAST = 30.0
NOISE_RATIO = 11.0
# Ink above this level belongs to the glyph: low, because small dots are faint.
INK_LEVEL = 50
# Connected components with this share of the ink are the glyph's main parts.
MAIN_SHARE = 0.05
# Smaller ones are its dots when they lie within this distance of the main parts (in shares of
# their longer side), and specks otherwise.
DOT_REACH = 0.5

# Keeps the fit solvable where all paper lies on one line.
_RIDGE = 1e-3 * np.eye(6, dtype=np.float32)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def preprocess(image: ImageLike, spec: ModelSpec) -> NDArray[np.float32]:
    """Turn an image of one glyph into the model's input.

    Args:
        image: A path, the bytes of an image file, or a uint8 array (see `to_gray`); dark ink on
            bright paper or the reverse.
        spec: The model's description.

    Returns:
        float32 of shape (height, width, channels), channels in the order red, green, blue; all of
        one value when the image is blank.

    Raises:
        ImageError: `image` is no image.
        HcrError: `spec` is no description.

    >>> from hcr_runtime.spec import Label
    >>> paper = np.full((64, 64), 250, np.uint8)
    >>> paper[20:44, 30:34] = 20
    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")))
    >>> tensor = preprocess(paper, spec)
    >>> tensor.shape, float(tensor.max())
    ((32, 32, 1), 1.0)
    """
    check_type("spec", spec, ModelSpec)
    return prepare(image, spec)[0]


def prepare(image: ImageLike, spec: ModelSpec) -> tuple[NDArray[np.float32], Extent]:
    """Return what `preprocess` gives, and how much of the image its ink takes."""
    params, ink = spec.preprocess, extract_ink(to_gray(image))
    extent = measure(ink)
    if params.fit != "center":
        # The model is shown the whole image: no ink in it is too small, or cut off.
        whole = Extent(0, 0, ink.shape[1], ink.shape[0], 0)
        return to_tensor(fit_image(image, spec), params), whole if extent.longer else extent
    glyph = place_glyph(ink, spec, extent)
    if params.polarity == "dark":
        glyph = cv2.bitwise_not(glyph)
    if spec.input.channels == 3:
        glyph = cv2.cvtColor(glyph, cv2.COLOR_GRAY2RGB)
    return to_tensor(glyph, params), extent


@dataclass(frozen=True, slots=True)
class Extent:
    """The box of an image's ink, in pixels of what `extract_ink` gives; all 0 where it is blank.

    Attributes:
        left: First column with ink.
        top: First row with ink.
        width: Columns of the box.
        height: Rows of the box.
        sides: How many of the image's four sides ink lies on.
    """

    left: int
    top: int
    width: int
    height: int
    sides: int

    @property
    def longer(self) -> int:
        """The longer side of the box."""
        return max(self.width, self.height)


def measure(ink: GrayImage) -> Extent:
    """Measure ink of 0-255, shape (H, W), as `extract_ink` gives it.

    >>> ink = np.zeros((32, 32), np.uint8)
    >>> ink[0:20, 10:14] = 255
    >>> measure(ink)
    Extent(left=10, top=0, width=4, height=20, sides=1)
    """
    mask = cv2.threshold(ink, INK_LEVEL, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return Extent(0, 0, 0, 0, 0)
    rows, columns = ink.shape
    sides = (left == 0) + (top == 0) + (left + width == columns) + (top + height == rows)
    return Extent(left, top, width, height, sides)


def extract_ink(gray: GrayImage) -> GrayImage:
    """Return the ink of a grey image: uint8, 0 for paper, about 255 for ink.

    Images whose longer side exceeds `WORK_SIDE` come back shrunk. A blank image gives zeros.
    """
    ink = lift_ink(gray)
    threshold, dark = cv2.threshold(ink, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    inked, pixels = cv2.countNonZero(dark), ink.size
    # As cv2.mean with a mask computes it, which takes four times as long.
    level = cv2.sumElems(dark)[0] * (1 / max(inked, 1))
    noise = (cv2.mean(ink)[0] * pixels - level * inked) / max(pixels - inked, 1)
    if level < max(MIN_CONTRAST, min(NOISE_RATIO * noise, CLEAR_CONTRAST)):
        return np.zeros_like(ink)
    floor = 0.35 * threshold
    gain = 255 / (level - floor)
    return np.asarray(cv2.addWeighted(ink, gain, ink, 0, -gain * floor), np.uint8)


def lift_ink(gray: GrayImage) -> GrayImage:
    """Return how much each pixel differs from the paper: uint8, 0 for paper, as faint as it was.

    The first half of `extract_ink`; lifting ink twice is lifting it once, which lets
    augmentation work on ink.
    """
    darker, brighter = _differences(_shrink(gray))
    return darker if _outweighs(darker, brighter) else brighter


def _outweighs(darker: GrayImage, brighter: GrayImage) -> bool:
    """Whether the ink is what is darker than the paper."""
    return bool(cv2.norm(darker, cv2.NORM_L2SQR) >= cv2.norm(brighter, cv2.NORM_L2SQR))


def _shrink(gray: GrayImage) -> GrayImage:
    """Average blocks of pixels, of a whole number's side, where the image is too large."""
    height, width = gray.shape
    block = -(-max(height, width) // WORK_SIDE)
    if block == 1:
        return gray
    size = (max(1, width // block), max(1, height // block))
    # Whole blocks alone: OpenCV's averaging is several times faster for them.
    whole = gray[: size[1] * block, : size[0] * block]
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def _differences(gray: GrayImage) -> tuple[GrayImage, GrayImage]:
    """How much darker, and how much brighter, each pixel is than the paper; uint8 each."""
    grid = cv2.resize(gray, (GRID, GRID), interpolation=cv2.INTER_AREA)
    if _rim_spread(grid) <= UNEVEN:
        paper = np.partition(grid, grid.size // 2, axis=None)[grid.size // 2]
        # Like shapes: OpenCV takes an array of 1 or 4 numbers beside a number for a scalar.
        level = np.full_like(gray, paper)
        return cv2.subtract(level, gray), cv2.subtract(gray, level)
    if (flat := _paper_of_two_levels(gray)) is not None:
        level = np.full_like(gray, flat)
        return cv2.subtract(level, gray), cv2.subtract(gray, level)
    surface = _fit_surface(grid.reshape(-1).astype(np.float32)).reshape(GRID, GRID)
    size = gray.shape[::-1]
    level = cv2.resize(np.clip(surface, 0, 255).astype(np.uint8), size)
    return cv2.subtract(level, gray), cv2.subtract(gray, level)


def _paper_of_two_levels(gray: GrayImage) -> int | None:
    """Brightness of the paper where the image has two levels alone; None where it has more.

    A tight crop of a binarised glyph has ink on its rim, and often more ink than paper. Paper is
    what fills most corners, or else most of the rim.
    """
    low, high, _, _ = cv2.minMaxLoc(gray)
    near_low = cv2.countNonZero(cv2.inRange(gray, low, low + LEVEL_WIDTH))
    near_high = cv2.countNonZero(cv2.inRange(gray, high - LEVEL_WIDTH, high))
    if high - low < LEVEL_GAP or near_low + near_high < TWO_LEVELS * gray.size:
        return None
    threshold = (low + high) / 2
    corners = gray[:: gray.shape[0] - 1 or 1, :: gray.shape[1] - 1 or 1] > threshold
    share = float(corners.mean())
    if share == 0.5:
        rim = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
        share = float((rim > threshold).mean())
    return int(high if share > 0.5 else low)


def _rim_spread(grid: GrayImage) -> int:
    """Difference between the brightest and the darkest of the sides and corners of the grid."""
    # Plain lists: for four sides of 16 numbers several times faster than arrays.
    top: list[int] = grid[0].tolist()
    bottom: list[int] = grid[-1].tolist()
    sides = (top, bottom, grid[:, 0].tolist(), grid[:, -1].tolist())
    levels: list[int] = [sorted(side)[GRID // 2] for side in sides]
    levels += (top[0], top[-1], bottom[0], bottom[-1])
    return max(levels) - min(levels)


@cache
def _surface() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terms of a quadratic surface in each grid cell, (GRID * GRID, 6), and their inverse.

    Made when first needed: linear algebra brings threads and their memory with it.
    """
    axis = np.linspace(-0.5, 0.5, GRID, dtype=np.float32)
    x, y = np.tile(axis, GRID), np.repeat(axis, GRID)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return terms, np.asarray(np.linalg.pinv(terms), np.float32)


def _fit_surface(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness of the paper in each grid cell: a quadratic surface through those that are paper.

    Args:
        levels: Brightness of the cells, float32 of shape (GRID * GRID,).
    """
    terms, inverse = _surface()
    surface = terms @ (inverse @ levels)
    for _ in range(3):
        residual = np.abs(levels - surface)
        # Paper is the majority: ink cells are the outliers beyond twice the median residual.
        middle = float(np.partition(residual, residual.size // 2)[residual.size // 2])
        paper = residual <= max(2.0 * middle, 3.0)
        base = terms[paper]
        surface = terms @ np.linalg.solve(base.T @ base + _RIDGE, base.T @ levels[paper])
    return np.asarray(surface, np.float32)


def place_glyph(ink: GrayImage, spec: ModelSpec, extent: Extent | None = None) -> GrayImage:
    """Centre the glyph in the tensor's frame.

    Args:
        ink: Bright ink on 0, uint8 of shape (H, W); the image is the writing box.
        spec: The model's description.
        extent: What `measure` gives, where it is known.

    Returns:
        uint8 of shape (spec.input.height, spec.input.width); zeros when there is no ink.
    """
    side = spec.input.height
    frame = np.zeros((side, side), np.uint8)
    extent = measure(ink) if extent is None else extent
    if extent.longer == 0:
        return frame
    left, top, right, bottom, stroke = _glyph_box(ink, extent)
    params = spec.preprocess
    longer = max(right - left, bottom - top)
    share = params.zoom * longer / max(ink.shape)
    scale = side * min(max(share, params.min_side), params.max_side) / longer
    ink, grown = _thicken(ink, stroke, scale, params.min_stroke * side)
    # The blurred rim of the ink, and what thickening added, belong to the glyph.
    blur = grown + (1 if scale > 1 else math.ceil(1 / scale))
    left, top = max(left - blur, 0), max(top - blur, 0)
    right, bottom = min(right + blur, ink.shape[1]), min(bottom + blur, ink.shape[0])
    width = min(side, max(1, round((right - left) * scale)))
    height = min(side, max(1, round((bottom - top) * scale)))
    glyph = cv2.resize(
        ink[top:bottom, left:right],
        (width, height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )
    x, y = (side - width) // 2, (side - height) // 2
    frame[y : y + height, x : x + width] = glyph
    return frame


def _glyph_box(ink: GrayImage, extent: Extent) -> tuple[int, int, int, int, float]:
    """(left, top, right, bottom) of the glyph with its dots, without specks; width of its strokes.

    Args:
        ink: Bright ink on 0, of which there must be some; uint8 of shape (H, W).
        extent: What `measure` gives.
    """
    # The ink with a rim of a pixel: what erosion sees beyond the image's own sides is ink.
    x0, y0 = max(extent.left - 1, 0), max(extent.top - 1, 0)
    crop = ink[y0 : extent.top + extent.height + 1, x0 : extent.left + extent.width + 1]
    mask = cv2.threshold(crop, INK_LEVEL, 255, cv2.THRESH_BINARY)[1]
    inked = cv2.countNonZero(mask)
    rim = inked - cv2.countNonZero(cv2.erode(mask, _CROSS))
    # A dot is not much smaller than the strokes are wide.
    stroke = 2 * inked / max(rim, 1)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
    parts: list[list[int]] = stats[1:].tolist()
    areas = [area for *_, area in parts]
    least = min(MAIN_SHARE * sum(areas), max(areas))
    left, top, right, bottom = _union([part for part in parts if part[4] >= least])
    dots = [part for part in parts if (0.3 * stroke) ** 2 <= part[4] < least]
    reach = DOT_REACH * max(right - left, bottom - top)
    bounds = left - reach, top - reach, right + reach, bottom + reach
    edges = -x0, -y0, ink.shape[1] - x0, ink.shape[0] - y0
    glyph = [[left, top, right - left, bottom - top, inked]]
    for part in dots:
        x, y, width, height, _ = part
        near = x < bounds[2] and y < bounds[3] and x + width > bounds[0] and y + height > bounds[1]
        # What is cut by the image's edge is a neighbour's, or a line's, unless as thick as ink.
        ends = x, y, x + width, y + height
        cut = any(end == edge for end, edge in zip(ends, edges, strict=True))
        if near and not (cut and min(width, height) < 0.75 * stroke):
            glyph.append(part)
    left, top, right, bottom = _union(glyph)
    return left + x0, top + y0, right + x0, bottom + y0, stroke


def _union(boxes: list[list[int]]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of boxes given as left, top, width, height, area."""
    if len(boxes) == 1:
        ((left, top, width, height, _),) = boxes
        return left, top, left + width, top + height
    return (
        min([box[0] for box in boxes]),
        min([box[1] for box in boxes]),
        max([box[0] + box[2] for box in boxes]),
        max([box[1] + box[3] for box in boxes]),
    )


def _thicken(
    ink: GrayImage, stroke: float, scale: float, min_stroke: float
) -> tuple[GrayImage, int]:
    """Dilate strokes that `scale` would bring below `min_stroke` pixels; (ink, pixels grown)."""
    grow = round(min_stroke / scale - stroke) if scale < 0.75 else 0
    if grow <= 0:
        return ink, 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow + 1, grow + 1))
    return np.asarray(cv2.dilate(ink, disc), np.uint8), grow // 2


def fit_image(image: ImageLike, spec: ModelSpec) -> NDArray[np.uint8]:
    """Resize the whole image to the tensor's frame, with its ink in the polarity of the spec.

    An image that has the frame's size already keeps its pixels.

    Args:
        image: As for `preprocess`.
        spec: The model's description; its fit is ``stretch`` or ``pad``.

    Returns:
        uint8 of shape (height, width), or (height, width, 3) in the order red, green, blue.

    Raises:
        ImageError: `image` is no image.
    """
    params, shape = spec.preprocess, spec.input
    if shape.channels == 3:
        pixels = np.asarray(cv2.cvtColor(to_bgr(image), cv2.COLOR_BGR2RGB), np.uint8)
    else:
        pixels = to_gray(image)
    frame = _resize(pixels, shape, params)
    if params.polarity != "as-is":
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
        dark_ink = _outweighs(*_differences(_shrink(gray)))
        if dark_ink == (params.polarity == "bright"):
            return np.asarray(cv2.bitwise_not(frame), np.uint8)
    return frame


def _resize(
    pixels: NDArray[np.uint8], shape: InputSpec, params: PreprocessSpec
) -> NDArray[np.uint8]:
    """Resize to the frame; ``pad`` keeps the proportions and fills with the rim's median."""
    height, width = pixels.shape[:2]
    inner = [shape.width, shape.height]
    if params.fit == "pad":
        scale = min(shape.width / width, shape.height / height)
        inner = [
            min(shape.width, max(1, round(width * scale))),
            min(shape.height, max(1, round(height * scale))),
        ]
    shrinks = inner[0] < width or inner[1] < height
    method = {
        "area": cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        "bilinear": cv2.INTER_LINEAR,
        "nearest": cv2.INTER_NEAREST_EXACT,
    }[params.interpolation]
    if inner != [width, height]:
        pixels = np.asarray(cv2.resize(pixels, inner, interpolation=method), np.uint8)
    if inner == [shape.width, shape.height]:
        return pixels
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    paper = np.atleast_1d(np.median(rim, axis=0)).tolist()
    left, top = (shape.width - inner[0]) // 2, (shape.height - inner[1]) // 2
    right, bottom = shape.width - inner[0] - left, shape.height - inner[1] - top
    border = (top, bottom, left, right, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.copyMakeBorder(pixels, *border, value=paper), np.uint8)


def to_tensor(pixels: NDArray[np.uint8], params: PreprocessSpec) -> NDArray[np.float32]:
    """Scale 0-255, shape (H, W) or (H, W, 3), to the model's numbers: float32, (H, W, channels)."""
    tensor = pixels.astype(np.float32)
    if isinstance(params.mean, tuple) or isinstance(params.std, tuple):
        std = np.asarray(params.std)
        tensor *= (1.0 / (255.0 * std)).astype(np.float32)
        tensor -= (params.mean / std).astype(np.float32)
    else:
        tensor *= 1.0 / (255.0 * params.std)
        if params.mean:
            tensor -= params.mean / params.std
    return tensor if tensor.ndim == 3 else tensor[:, :, None]
