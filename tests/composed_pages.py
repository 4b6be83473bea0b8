"""Pages composed of letters whose places are known: paper, lines, light, camera.

Used by ``tests/runtime/test_page.py`` with letters that the project drew, and by
``benchmarks/pages.py`` with letters of the published sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import Box, ReadGlyph
from hcr_runtime.ink import lift_ink
from tests.composed_papers import PAPERS, Lines, Print
from tests.composed_things import THINGS, Thing

Image = NDArray[np.uint8]
Desk = Literal["", "wood", "dark"]
Colour = tuple[int, int, int]

WHITE, CREAM, YELLOW, BLUE_SHEET = (
    (244, 246, 246),
    (205, 228, 240),
    (140, 225, 245),
    (235, 215, 190),
)
BOARD, BLACKBOARD = (55, 75, 45), (42, 40, 40)
BLACK, BLUE, RED, PENCIL, CHALK = (
    (35, 35, 35),
    (140, 60, 30),
    (50, 40, 170),
    (150, 150, 150),
    (225, 232, 232),
)
GREY_LINE, BLUE_LINE, RED_LINE, BLACK_LINE = (
    (185, 185, 185),
    (225, 195, 160),
    (170, 170, 225),
    (70, 70, 70),
)
# Distance of letters, in writing boxes; that of separate boxes is chosen.
GAPS: dict[Lines, float] = {
    "none": 1.3,
    "ruled": 1.25,
    "dotted": 1.25,
    "squared": 1.3,
    "table": 1.15,
    "comb": 1.15,
    "dot grid": 1.3,
    "check boxes": 1.3,
    "ticks": 1.25,
    "slanted": 1.25,
    "guides": 1.25,
    "diagonals": 1.15,
}


@dataclass(frozen=True)
class Look:
    """How a page looks and was photographed.

    Attributes:
        height: Height of the writing boxes in pixels: letters fill about half.
        paper, ink, line: Colours, BGR.
        lines: What is printed on the paper.
        shadow: How dark the darkest corner is, 0 (even light) to 1 (black).
        edge: Whether the shadow has an edge, as that of a hand or a phone.
        skew: Degrees by which the page is turned, and a measure of its perspective.
        tilt: Degrees by which the camera looks aslant at the page, from any side.
        curl: How far the page bows, as that of an open book, in shares of its height.
        shake: Pixels by which the camera moved while the picture was taken, in any direction.
        quality: JPEG quality; None for no compression.
        noise: Standard deviation of the sensor's noise (0-255).
        grain: Over so many pixels the noise is smoothed, as phones do (standard deviation).
        blur: Standard deviation of the lens's blur, in pixels.
        desk: What the sheet lies on, which fills the photograph's margins; empty for nothing.
        spill: Share of a writing box by which letters are off its middle.
        gap: Distance between the middles of separate boxes, in writing boxes.
        thick: Thickness of the lines, in 1/45 of a writing box.
        margin: Whether a red line runs down the page, as in school books.
        things: What else the photograph shows; letters that one hides are not on the page.
    """

    height: int = 70
    paper: Colour = WHITE
    ink: Colour = BLUE
    line: Colour = GREY_LINE
    lines: Lines = "none"
    shadow: float = 0.0
    edge: bool = False
    skew: float = 0.0
    tilt: float = 0.0
    curl: float = 0.0
    shake: float = 0.0
    quality: int | None = 85
    noise: float = 2.0
    grain: float = 0.0
    blur: float = 0.6
    desk: Desk = ""
    spill: float = 0.08
    gap: float = 1.5
    thick: float = 1.0
    margin: bool = False
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True)
class Page:
    """A photograph, and what is on it.

    Attributes:
        image: BGR, uint8, (H, W, 3).
        boxes: Of the ink of each letter, line by line from left to right.
        letters: Index of each among those given.
        lines: Line of each.
    """

    image: Image
    boxes: tuple[Box, ...]
    letters: tuple[int, ...]
    lines: tuple[int, ...]


def compose(
    letters: Sequence[Image], look: Look, size: tuple[int, int] = (1280, 960), seed: int = 0
) -> Page:
    """Write letters onto a page and photograph it; those that do not fit are left out.

    Args:
        letters: Grey images, each its writing box.
        look: Of the page.
        size: Width and height of the photograph.
        seed: Of all that is random.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    gap = look.gap if look.lines == "boxes" else GAPS[look.lines]
    across = gap * look.height
    down = 1.6 * look.height if look.lines == "comb" else across
    margin = 0.07 * min(size)
    columns, rows = int((width - 2 * margin) // across), int((height - 2 * margin) // down)
    alpha = np.zeros((height, width), np.float32)
    owner = np.zeros((height, width), np.uint16)
    chosen = range(min(len(letters), columns * rows))
    for i in chosen:
        x = margin + (i % columns + 0.5) * across + rng.normal(0, look.spill / 2) * look.height
        y = margin + (i // columns + 0.5) * down + rng.normal(0, look.spill / 2) * look.height
        _write(alpha, owner, letters[i], look.height, x, y, i + 1)
    page = np.empty((height, width, 3), np.float32)
    page[:] = look.paper
    page += cv2.GaussianBlur(rng.normal(0, 3, (height, width)).astype(np.float32), (0, 0), 1.5)[
        ..., None
    ]
    _print(page, look, margin, across, down, columns, rows)
    # Ink over print: the darker wins; chalk covers what it meets.
    strength = alpha[..., None] * (0.9 + 0.1 * rng.random((height, width, 1), np.float32))
    page = page * (1 - strength) + np.float32(look.ink) * strength
    written = np.bincount(owner.ravel(), minlength=len(chosen) + 1)
    for thing in look.things:
        THINGS[thing](page, owner, look.height, rng)
    covered = np.bincount(owner.ravel(), minlength=len(written)) < written
    chosen = [i for i in chosen if not covered[i + 1]]
    turn = _camera(size, look, rng)
    sheet = np.ones((height, width), np.float32)
    if look.curl:
        page = _curled(page, look.curl, look.paper)
        owner, sheet = (_curled(image, look.curl, (0, 0, 0)) for image in (owner, sheet))
    sheet = cv2.warpPerspective(sheet, turn, size)[..., None]
    page = cv2.warpPerspective(page, turn, size, borderValue=look.paper, flags=cv2.INTER_LINEAR)
    if look.desk:
        below = _wood(size, rng) if look.desk == "wood" else _dark(size, rng)
        page = page * sheet + below * (1 - sheet)
    owner = cv2.warpPerspective(owner, turn, size, flags=cv2.INTER_NEAREST)
    page *= _light(size, look, rng)[..., None]
    page = cv2.GaussianBlur(page, (0, 0), look.blur)
    if look.shake:
        page = cv2.filter2D(page, -1, _shaken(look.shake, rng))
    noise = rng.normal(0, look.noise, page.shape)
    if look.grain:
        noise = cv2.GaussianBlur(noise, (0, 0), look.grain)
        noise *= look.noise / noise.std()
    page = page + noise
    image = np.clip(page, 0, 255).astype(np.uint8)
    if look.quality is not None:
        code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1]
        image = cv2.imdecode(code, cv2.IMREAD_COLOR)
    boxes = tuple(Box(*cv2.boundingRect((owner == i + 1).astype(np.uint8))) for i in chosen)
    return Page(image, boxes, tuple(chosen), tuple(i // columns for i in chosen))


def _write(
    alpha: NDArray[np.float32],
    owner: NDArray[np.uint16],
    letter: Image,
    side: int,
    x: float,
    y: float,
    number: int,
) -> None:
    ink = lift_ink(letter).astype(np.float32)
    ink /= max(float(np.quantile(ink[ink > 0.3 * ink.max()], 0.5)) if ink.any() else 1.0, 1.0)
    scale = side / max(ink.shape)
    tile = cv2.resize(
        ink,
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )
    # Enlarged pixels are no pen: the edge of a stroke is as sharp at any size.
    tile = np.clip((tile - 0.5) * max(1.0, 0.6 * scale) + 0.5, 0, 1)
    tile[tile < 0.12] = 0
    top, left = round(y - tile.shape[0] / 2), round(x - tile.shape[1] / 2)
    target = alpha[top : top + tile.shape[0], left : left + tile.shape[1]]
    np.maximum(target, tile[: target.shape[0], : target.shape[1]], out=target)
    where = owner[top : top + tile.shape[0], left : left + tile.shape[1]]
    where[tile[: where.shape[0], : where.shape[1]] > 0.35] = number


def _print(page: NDArray[np.float32], look: Look, *places: Any) -> None:
    thick = max(1, round(look.thick * look.height / 45))
    on = Print(page, look.height, look.line, thick, *places)
    if look.margin:
        x = round(on.margin * 0.7)
        cv2.line(page, (x, 0), (x, page.shape[0]), RED_LINE, thick, cv2.LINE_AA)
    PAPERS[look.lines](on)


def _wood(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Streaks of three widths along the grain, brown."""
    width, height = size
    grain = np.zeros((height, width), np.float32)
    for thin, long in ((1.0, 30), (2.5, 80), (9.0, 200)):
        noise = rng.normal(0, 1, (height, width)).astype(np.float32)
        streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=long, sigmaY=thin)
        grain += streaks / streaks.std()
    return np.float32((70, 105, 140)) + 11 * grain[..., None]


def _dark(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Cloth, nearly black."""
    noise = rng.normal(0, 6, (size[1], size[0])).astype(np.float32)
    return np.float32((40, 38, 36)) + cv2.GaussianBlur(noise, (0, 0), 1.2)[..., None]


def _camera(size: tuple[int, int], look: Look, rng: np.random.Generator) -> NDArray[np.float64]:
    width, height = size
    skew, zoom = look.skew, 0.86 if look.desk else 0.94
    turn = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), skew, zoom), [0, 0, 1]])
    corners = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    shift = rng.uniform(-1, 1, (4, 2)) * abs(skew) / 5 * 0.03 * min(size)
    turn = cv2.getPerspectiveTransform(corners, np.float32(corners + shift)) @ turn
    return _tilted(size, look, rng) @ turn if look.tilt else turn


def _tilted(size: tuple[int, int], look: Look, rng: np.random.Generator) -> NDArray[np.float64]:
    """A lens as phones have it, tilted about any axis; the page is as large as before, at most."""
    width, height = size
    about = rng.uniform(0, 2 * np.pi)
    axis = np.radians(look.tilt) * np.array([np.cos(about), np.sin(about), 0])
    lens = np.array([[max(size), 0, width / 2], [0, max(size), height / 2], [0, 0, 1]])
    view = lens @ cv2.Rodrigues(axis)[0] @ np.linalg.inv(lens)
    corners = np.float32([[(0, 0), (width, 0), (width, height), (0, height)]])
    seen = cv2.perspectiveTransform(corners, view)[0]
    low, high = seen.min(axis=0), seen.max(axis=0)
    zoom = float((np.float32(size) / (high - low)).min())
    move = np.float32(size) / 2 - zoom * (low + high) / 2
    return np.array([[zoom, 0, move[0]], [0, zoom, move[1]], [0, 0, 1]]) @ view


def _curled(page: NDArray[Any], curl: float, beyond: Colour) -> NDArray[Any]:
    """Lower a page's middle by a share of its height."""
    height, width = page.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    y -= np.float32(curl * height) * np.sin(np.float32(np.pi / width) * x)
    exact = page.dtype == np.uint16  # numbers of letters
    how = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR
    return cv2.remap(page, x, y, how, borderValue=beyond)


def _shaken(length: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The path of a point while the camera moved `length` pixels."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    about = rng.uniform(0, np.pi)
    for along in np.linspace(-length / 2, length / 2, 64):
        x, y = half + along * np.cos(about), half + along * np.sin(about)
        kernel[round(y), round(x)] += 1
    return kernel / kernel.sum()


def _light(size: tuple[int, int], look: Look, rng: np.random.Generator) -> NDArray[np.float32]:
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = 1 - look.shadow * (x + y) / 2
    if look.edge:
        distance = (0.8 * x + y - rng.uniform(0.7, 1.0)) * height
        light = 1 - look.shadow / (1 + np.exp(-np.clip(distance / 6, -60, 60)))
    return light.astype(np.float32)


@dataclass
class Score:
    """What was found and read on pages of a kind."""

    letters: int = 0
    found: int = 0
    read: int = 0
    alone: int = 0
    false: int = 0

    def __iadd__(self, other: Score) -> Score:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def judge(page: Page, truth: Sequence[str], read: Sequence[ReadGlyph]) -> Score:
    """Match glyphs with letters: each letter is found where one glyph alone lies on its ink."""
    overlap = np.array([[_common(box, glyph.box) for glyph in read] for box in page.boxes])
    overlap = overlap.reshape(len(page.boxes), len(read))
    score = Score(letters=len(truth))
    meets = overlap > 0.15
    for i, text in enumerate(truth):
        mine = np.flatnonzero(meets[i])
        if len(mine) == 1 and overlap[i, mine[0]] > 0.5 and meets[:, mine[0]].sum() == 1:
            glyph = read[mine[0]]
            if not glyph.touching:
                score.found += 1
                score.read += glyph.prediction.label == text
    score.false = int((~meets.any(axis=0)).sum()) if len(read) else 0
    return score


def _common(box: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(box.left + box.width, other.left + other.width) - max(box.left, other.left)
    down = min(box.top + box.height, other.top + other.height) - max(box.top, other.top)
    both = max(across, 0) * max(down, 0)
    return both / (box.width * box.height + other.width * other.height - both or 1)
