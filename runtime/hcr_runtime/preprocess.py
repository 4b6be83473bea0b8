"""The one preprocessing: from an image of one glyph to the model's input tensor.

Training, calibration, parity, evaluation and the device all call `preprocess`, with the
parameters in the model's spec. With the fit ``center``, in this order:

1. `extract_ink`: bright ink on 0, freed from its paper (`hcr_runtime.ink`). Where noise hides the
   glyph, the image is smoothed first. Version 2 keeps faint ink where the paper is clean, and draws
   it darker: dots of small scans, which version 1 takes for paper.
2. `place_glyph`: the bounding box of the ink, without specks, goes to the middle of the tensor.
   Its size relative to the image (the writing box) is kept between two limits. Strokes too thin
   to survive the shrinking are thickened before it.
3. ``(ink / 255 - mean) / std``.

Networks from elsewhere were mostly shown the whole image: with the fits ``stretch`` and ``pad``,
`fit_image` takes the place of the first two steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_type
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.image import GrayImage, ImageLike, Pixels, read_pixels, to_bgr, to_gray
from hcr_runtime.ink import (
    MIN_GLYPH,
    NO_INK,
    Extent,
    extract_ink,
    is_dark,
    mask_ink,
    measure,
    shrink,
    stroke_width,
)
from hcr_runtime.ring_signs import may_be_ring, may_be_ringed
from hcr_runtime.spec import InputSpec, ModelSpec, PreprocessSpec
from hcr_runtime.underlines import underlines

# Connected components with this share of the ink are the glyph's main parts.
MAIN_SHARE = 0.05
# Smaller ones are its dots when they lie within this distance of the main parts (in shares of
# their longer side), and specks otherwise.
DOT_REACH = 0.5
# A crop is tight where the glyph ends so near to its sides, in shares of the longer one. A dot on a
# side of it is so many times as long as wide at most, and on the side itself so much narrower.
TIGHT, DOT_ASPECT, ROUND = 0.02, 2, 0.9

# Pieces of so few pixels are specks. No letter has more than so many, not even scanned coarsely and
# with gaps: an image that has is full of noise.
SPECK, MOST_SPECKS = 4, 10
# Smoothing by the median must leave so much of the glyph.
KEPT = 0.5

# In masks of so many pixels OpenCV's own statistics of components take longer than looks at so
# many, one by one.
LARGE, FEW = 2048, 4

# Left, top, width and height.
Box: TypeAlias = tuple[int, int, int, int]


class GlyphBox(NamedTuple):
    """Where a glyph lies, in pixels of its ink.

    Attributes:
        left: Its first column.
        top: Its first row.
        right: The column after its last.
        bottom: The row after its last.
        stroke: Width of its strokes.
        specks: Connected components of the image's ink that are as small as `SPECK`.
        area: Pixels of the glyph's main parts.
        ringed: Whether one of its main parts may be a ring around another; see `is_ringed`.
        closed: Whether one may be a ring that another touches.
        underlined: Whether the lowest of its parts is a line under the others.
    """

    left: int
    top: int
    right: int
    bottom: int
    stroke: float
    specks: int
    area: int
    ringed: bool = False
    closed: bool = False
    underlined: bool = False


class Found(NamedTuple):
    """What `find_glyph` found.

    Attributes:
        ink: See `extract_ink`.
        extent: See `measure`.
        box: Where the glyph lies; None where the image is blank.
        gray: The image in which it was found: shrunk, and smoothed where that was needed.
    """

    ink: GrayImage
    extent: Extent
    box: GlyphBox | None
    gray: GrayImage

    @property
    def area(self) -> int:
        """Pixels of the glyph's main parts; 0 where the image is blank."""
        return self.box.area if self.box else 0

    @property
    def is_clear(self) -> bool:
        """Whether there is ink, and not full of specks."""
        return self.box is not None and self.box.specks <= MOST_SPECKS


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


def prepare(
    image: ImageLike, spec: ModelSpec, lines: bool = False, version: int | None = None
) -> tuple[NDArray[np.float32], Extent]:
    """Return what `preprocess` gives, and how much of the image its ink takes; see `measure`.

    Args:
        image: As for `preprocess`.
        spec: The model's description.
        lines: Whether to look for lines too.
        version: Of the preprocessing, where it is not the model's.
    """
    return prepare_pixels(read_pixels(image), spec, lines, version)


def prepare_pixels(
    pixels: Pixels, spec: ModelSpec, lines: bool = False, version: int | None = None
) -> tuple[NDArray[np.float32], Extent]:
    """Return what `prepare` gives of an image that was read before; see `read_pixels`.

    >>> from hcr_runtime.spec import Label
    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")))
    >>> tensor, extent = prepare_pixels(np.full((64, 64), 250, np.uint8), spec)
    >>> tensor.shape, extent.longer
    ((32, 32, 1), 0)
    """
    params = spec.preprocess
    if params.fit != "center":
        # The model is shown the whole image: no ink in it is too small, or cut off.
        ink = extract_ink(to_gray(pixels))
        whole = Extent(0, 0, ink.shape[1], ink.shape[0], 0)
        blank = measure(mask_ink(ink)).longer == 0
        return to_tensor(fit_image(pixels, spec), params), NO_INK if blank else whole
    gray = gray_of_ink(pixels)
    ink, extent, box, _ = find_glyph(gray, lines, params.version if version is None else version)
    if box is not None and box.underlined:
        extent = extent._replace(underlined=True)
    if lines and box is not None and (box.ringed or box.closed):
        from hcr_runtime.rings import is_ringed  # hardly any letter asks for it

        extent = extent._replace(ringed=is_ringed(mask_ink(ink), box.ringed))
    glyph = place_glyph(ink, box, spec)
    if params.polarity == "dark":
        glyph = cv2.bitwise_not(glyph)
    if spec.input.channels == 3:
        glyph = cv2.cvtColor(glyph, cv2.COLOR_GRAY2RGB)
    return to_tensor(glyph, params), extent


def find_glyph(gray: GrayImage, lines: bool = False, version: int = 1) -> Found:
    """Find the ink of one glyph, and its box.

    An image that is full of specks, or whose ink does not stand out of its noise, is smoothed: by
    the median of 3 x 3 pixels where that loses no stroke, then by a Gaussian too. All others keep
    their pixels.

    Args:
        gray: Uint8 of shape (H, W).
        lines: Whether to look for lines too; see `measure`.
        version: See `extract_ink`.

    >>> paper = np.full((64, 64), 250, np.uint8)
    >>> paper[20:44, 28:36] = 20
    >>> grain = np.random.default_rng(0).normal(0, 40, paper.shape)
    >>> _, _, box, _ = find_glyph(np.clip(paper + grain, 0, 255).astype(np.uint8))
    >>> [round(side, -1) for side in box[:4]], box.specks
    ([30, 20, 40, 40], 0)
    """
    gray = shrink(gray)
    found = _find_in(gray, lines, version)
    if found.is_clear:
        return found
    median = np.asarray(cv2.medianBlur(gray, 3), np.uint8)
    smoothed = _find_in(median, lines, version)
    # The median loses strokes of a pixel, as it does specks.
    if smoothed.area < KEPT * found.area:
        median = gray
    elif smoothed.is_clear:
        return smoothed
    blurred = np.asarray(cv2.GaussianBlur(median, (0, 0), 1.0), np.uint8)
    smoothed = _find_in(blurred, lines, version)
    # What is full of specks still is no noisy glyph, but a texture.
    return smoothed if smoothed.is_clear or smoothed.box is None else found


def _find_in(gray: GrayImage, lines: bool, version: int) -> Found:
    ink = extract_ink(gray, version)
    mask = mask_ink(ink)
    extent = measure(mask, lines)
    longer = extent.longer
    box = _glyph_box(mask, extent) if longer else None
    if version > 1 and MIN_GLYPH <= longer < MIN_GLYPH + 2:
        # A blot's rim, which is faint, makes it no larger: so small, it is not answered.
        plain = measure(mask_ink(extract_ink(gray, 1)), lines)
        if plain.longer < MIN_GLYPH:
            extent = plain
    return Found(ink, extent, box, gray)


def place_glyph(ink: GrayImage, box: GlyphBox | None, spec: ModelSpec) -> GrayImage:
    """Centre the glyph in the tensor's frame.

    Args:
        ink: Bright ink on 0, uint8 of shape (H, W); the image is the writing box.
        box: Where the glyph lies in it; None where there is none.
        spec: The model's description.

    Returns:
        uint8 of shape (spec.input.height, spec.input.width); zeros when there is no ink.
    """
    side = spec.input.height
    frame = np.zeros((side, side), np.uint8)
    if box is None:
        return frame
    left, top, right, bottom, stroke, *_ = box
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


def _glyph_box(mask: GrayImage, extent: Extent) -> GlyphBox:
    """The box of the glyph with its dots, without specks.

    Args:
        mask: 255 where there is ink, of which there must be some; uint8 of shape (H, W).
        extent: What `measure` gives.
    """
    # The ink with a rim of a pixel: what erosion sees beyond the image's own sides is ink.
    x0, y0 = max(extent.left - 1, 0), max(extent.top - 1, 0)
    crop = mask[y0 : extent.top + extent.height + 1, x0 : extent.left + extent.width + 1]
    # A dot is not much smaller than the strokes are wide.
    stroke = stroke_width(crop)
    box = extent.left - x0, extent.top - y0, extent.width, extent.height
    parts = _parts_of(crop, box)
    areas = [part[4] for part in parts]
    area, smallest = sum(areas), min(areas)
    least = min(MAIN_SHARE * area, max(areas))
    main, specks = parts, 0
    if smallest < least:
        main = [part for part in parts if part[4] >= least]
        area = sum([part[4] for part in main])
        box = _union(main)
    ringed = len(main) > 1 and may_be_ringed(main, *box[2:])
    closed = may_be_ring(main, crop, box)
    if smallest < least:
        dots = [part for part in parts if (0.3 * stroke) ** 2 <= part[4] < least]
        edges = -x0, -y0, mask.shape[1] - x0, mask.shape[0] - y0
        box = _union([[*box], *_near_dots(dots, main, box, crop, edges, stroke)])
    if smallest <= SPECK:
        specks = sum([size <= SPECK for size in areas])
    left, top, width, height = box
    left, top = left + x0, top + y0
    lined = len(parts) > 1 and bool(underlines(parts, stroke))
    edges = left, top, left + width, top + height
    return GlyphBox(*edges, stroke, specks, area, ringed, closed, lined)


def _near_dots(
    dots: list[list[int]],
    main: list[list[int]],
    box: Box,
    crop: GrayImage,
    edges: tuple[int, int, int, int],
    stroke: float,
) -> list[list[int]]:
    """Those small parts that are near enough to the main ones.

    Args:
        dots: Left, top, width, height and area of each.
        main: Of the main parts.
        box: Around these.
        crop: The mask in which they are.
        edges: Left, top, right and bottom of the image, of which the crop is a part.
        stroke: Width of the glyph's strokes.
    """
    left, top, across, down = box
    reach = DOT_REACH * max(across, down)
    bounds = left - reach, top - reach, left + across + reach, top + down + reach
    slack = 1 + TIGHT * max(edges[2] - edges[0], edges[3] - edges[1])
    near_dots = []
    for part in dots:
        x, y, width, height, _ = part
        near = x < bounds[2] and y < bounds[3] and x + width > bounds[0] and y + height > bounds[1]
        # What is cut by the image's edge is a neighbour's, or a line's, unless as thick as ink.
        ends = x, y, x + width, y + height
        cut = any(end == edge for end, edge in zip(ends, edges, strict=True))
        if near and cut and min(width, height) < 0.75 * stroke:
            # A crop that ends where the ink does cuts dots too: one of its ends is this one's.
            x, y, width, height = _union([*main, part])
            both = x, y, x + width, y + height
            near = _is_round(crop[ends[1] : ends[3], ends[0] : ends[2]]) and all(
                abs(end - edge) <= slack for end, edge in zip(both, edges, strict=True)
            )
        if near:
            near_dots.append(part)
    return near_dots


def _parts_of(mask: GrayImage, box: Box) -> list[list[int]]:
    """Left, top, width, height and area of each connected component of a mask, of a known box."""
    if mask.size >= LARGE:
        count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_16U)
        if count == 2:
            return [[*box, cv2.countNonZero(mask)]]
        if count <= 1 + FEW:
            each = [np.equal(labels, number).view(np.uint8) for number in range(1, count)]
            return [[*cv2.boundingRect(part), cv2.countNonZero(part)] for part in each]
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)[2]
    return list(stats[1:].tolist())


def _is_round(part: GrayImage) -> bool:
    """Whether a piece on a side of its image is a dot that ends there, and goes on nowhere."""
    if max(part.shape) > DOT_ASPECT * min(part.shape):
        return False
    ends = part[0], part[-1], part[:, 0], part[:, -1]
    return all(cv2.countNonZero(np.ascontiguousarray(end)) <= ROUND * end.size for end in ends)


def _union(boxes: list[list[int]]) -> Box:
    """The box around boxes that are given as left, top, width, height and what not."""
    left, top = min([box[0] for box in boxes]), min([box[1] for box in boxes])
    right = max([box[0] + box[2] for box in boxes])
    bottom = max([box[1] + box[3] for box in boxes])
    return left, top, right - left, bottom - top


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
        if is_dark(gray) == (params.polarity == "bright"):
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
