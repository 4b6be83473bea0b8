"""Letter-preserving augmentation of ink images: never a flip, never a half turn.

Works on ink (`hcr_runtime.ink.lift_ink`) before the preprocessing, at a random scan
resolution, so that the network sees what the preprocessing makes of other pens and scanners.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.pen import DOTS, blot, join_dots

Ink = NDArray[np.uint8]

# Sides in pixels, from the least to below the last.
COARSE = 20, 41
BROKEN = 24, 49
# Darkness of paper's lines, in shares of the darkest ink, and their distance, of the side.
RULED, PITCH = (0.08, 0.35), (0.12, 0.6)
# How far from the middle a letter may reach, in shares of the side, before what bends it: crops are
# tight, and a letter without its end is another one.
REACH = 0.45
# Standard deviations of a lens's blur, in shares of the side.
DEFOCUS = 0.015, 0.035


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strengths; standard deviations unless said otherwise.

    Attributes:
        resolution: Lowest and highest side of the augmented image, pixels.
        rotation: Radians.
        shear: Horizontal shear, tangent.
        log_scale: Logarithm of the size.
        log_aspect: Logarithm of width by height.
        shift: Pixels of a 32-pixel image.
        elastic: Displacement of a 5x5 grid, pixels of a 32-pixel image.
        stroke: Probability that strokes are thickened or thinned.
        blur: Probability of a Gaussian blur.
        noise: Probability of fainter ink with noise.
        tight: Probability that the image is cropped close to the ink, whereby the size of the
            letter in its writing box is lost, as in a crop from a camera frame.
        coarse: Probability of a small letter in a coarse picture: `COARSE` pixels a side.
        broken: Probability of thin strokes, shrunk without smoothing to `BROKEN` pixels a side, as
            hasty programs do: not every gap is one between a letter and its dot.
        joined: Probability that two or three dots are written in one stroke (`pen.join_dots`).
        blot: Probability of a blot at an end of a stroke (`pen.blot`).
        soft: Probability that a coarse picture is out of focus too.
        ruled: Probability of faint lines across, or down, or both, as paper has them; then none of
            the next, nor coarse or broken.
        defocus: Probability of a picture out of focus, by `DEFOCUS` of its side; likewise.
    """

    resolution: tuple[int, int] = (48, 96)
    rotation: float = 0.12
    shear: float = 0.12
    log_scale: float = 0.12
    log_aspect: float = 0.08
    shift: float = 1.0
    elastic: float = 0.55
    stroke: float = 0.55
    blur: float = 0.3
    noise: float = 0.3
    tight: float = 0.15
    coarse: float = 0.0
    broken: float = 0.0
    joined: float = 0.0
    blot: float = 0.0
    soft: float = 0.0
    ruled: float = 0.0
    defocus: float = 0.0

    def __call__(self, ink: Ink, rng: np.random.Generator) -> Ink:
        """Return another writing of `ink`, as another scanner gives it: uint8, square, bright on 0.

        >>> Augmentation()(np.eye(32, dtype=np.uint8) * 255, np.random.default_rng(0)).dtype
        dtype('uint8')
        """
        return self.scan(self.write(ink, rng), rng)

    def join(self, ink: Ink, text: str, rng: np.random.Generator) -> Ink:
        """Return the letter `text` with its dots in one stroke; or, as chance has it, `ink`."""
        # As below, nothing is drawn where it is not asked for.
        if self.joined == 0 or text not in DOTS or rng.random() >= self.joined:
            return ink
        return join_dots(ink, DOTS[text], rng)

    def write(self, ink: Ink, rng: np.random.Generator) -> Ink:
        """Return another writing of `ink`: uint8, square, bright on 0."""
        warped = self._warp(ink, rng)
        warped = self._pen(warped, rng)
        if rng.random() < self.tight:
            warped = _crop(warped, rng.uniform(0.02, 0.3))
        if rng.random() < self.blur:
            warped = cv2.GaussianBlur(warped, (0, 0), rng.uniform(0.5, 1.2))
        if rng.random() < self.noise:
            faint = warped * rng.uniform(0.4, 1.0)
            faint += rng.normal(0, rng.uniform(1, 10), warped.shape)
            warped = np.clip(faint, 0, 255).astype(np.uint8)
        return np.asarray(warped, np.uint8)

    def scan(self, ink: Ink, rng: np.random.Generator) -> Ink:
        """Return a writing as it was taken: ruled, out of focus, coarse, with gaps, or as it is."""
        if self.blot > 0 and rng.random() < self.blot:
            ink = blot(ink, rng)
        # Both are what a camera sees, not a scanner: what follows would make strokes of lines.
        if self.ruled > 0 and rng.random() < self.ruled:
            return _rule(ink, rng)
        if self.defocus > 0 and rng.random() < self.defocus:
            spread = rng.uniform(*DEFOCUS) * len(ink)
            return np.asarray(cv2.GaussianBlur(ink, (0, 0), spread), np.uint8)
        # Nothing is drawn where neither is asked for: recipes of before give what they gave.
        if self.coarse == self.broken == 0:
            return ink
        draw = rng.random()
        if draw < self.coarse:
            side = int(rng.integers(*COARSE))
            ink = np.asarray(cv2.resize(ink, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
            if self.soft > 0 and rng.random() < self.soft:
                ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.4, 1.0)), np.uint8)
            return ink
        if draw < self.coarse + self.broken:
            how = cv2.INTER_NEAREST if rng.random() < 0.7 else cv2.INTER_LINEAR
            return _break(ink, int(rng.integers(*BROKEN)), how)
        return ink

    def _warp(self, ink: Ink, rng: np.random.Generator) -> Ink:
        """Affine and elastic deformation in one resampling."""
        side = int(rng.integers(self.resolution[0], self.resolution[1] + 1))
        frame = max(ink.shape)
        scale = side / frame * np.exp(rng.normal(0, self.log_scale))
        angle, shear = rng.normal(0, self.rotation), rng.normal(0, self.shear)
        aspect = np.exp(rng.normal(0, self.log_aspect))
        cosine, sine = np.cos(angle), np.sin(angle)
        forward = (
            np.array([[cosine, -sine], [sine, cosine]])
            @ np.array([[1, shear], [0, 1]])
            @ np.diag([aspect, 1 / aspect])
            * scale
        )
        unit = frame / 32
        middle = np.array([ink.shape[1] / 2, ink.shape[0] / 2]) + rng.normal(
            0, self.shift * unit, 2
        )
        left, top, width, height = cv2.boundingRect(_mask(ink))
        corners = np.array([[x, y] for x in (left, left + width) for y in (top, top + height)])
        reach = float(np.abs((corners - middle) @ forward.T).max())
        forward *= min(1.0, REACH * side / max(reach, 1.0))
        (xx, xy), (yx, yy) = np.linalg.inv(forward)
        nodes = rng.normal(0, self.elastic * unit, (5, 5, 2)).astype(np.float32)
        source = cv2.resize(nodes, (side, side), interpolation=cv2.INTER_CUBIC)
        along = np.arange(side, dtype=np.float32) - side / 2
        source[..., 0] += np.float32(xx) * along + np.float32(middle[0])
        source[..., 0] += (np.float32(xy) * along)[:, None]
        source[..., 1] += np.float32(yx) * along + np.float32(middle[1])
        source[..., 1] += (np.float32(yy) * along)[:, None]
        return np.asarray(cv2.remap(ink, source, None, cv2.INTER_CUBIC), np.uint8)

    def _pen(self, ink: Ink, rng: np.random.Generator) -> Ink:
        """Thicken or thin the strokes by about a pixel."""
        draw = rng.random()
        small = rng.random() < 0.5
        if draw < 0.45 * self.stroke:
            size = (2, 2) if small else (3, 3)
            return cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size))
        if draw < self.stroke:
            kernel = cv2.getStructuringElement(
                *((cv2.MORPH_RECT, (2, 2)) if small else (cv2.MORPH_CROSS, (3, 3)))
            )
            thinner = cv2.erode(ink, kernel)
            return thinner if _survives(thinner, ink) else ink
        return ink


def _rule(ink: Ink, rng: np.random.Generator) -> Ink:
    """Draw faint lines behind the ink, at one distance from each other."""
    side = len(ink)
    lines = np.zeros_like(ink)
    level = int(rng.uniform(*RULED) * int(ink.max()))
    pitch, thickness = rng.uniform(*PITCH) * side, int(rng.integers(1, 3))
    tilt = rng.normal(0, 0.03) * side
    ways = rng.choice(["across", "down", "both"], p=[0.6, 0.1, 0.3])
    for place in np.arange(rng.uniform(-pitch, 0), side + pitch, pitch):
        if ways != "down":
            ends = (0, round(place)), (side, round(place + tilt))
            cv2.line(lines, *ends, level, thickness, cv2.LINE_AA)
        if ways != "across":
            ends = (round(place), 0), (round(place - tilt), side)
            cv2.line(lines, *ends, level, thickness, cv2.LINE_AA)
    return np.asarray(cv2.max(ink, lines), np.uint8)


def _break(ink: Ink, side: int, how: int) -> Ink:
    """Thin strokes, shrunk to `side` without smoothing; `ink` itself where too little is left."""
    mask = _mask(ink)
    thin = _thin(mask)
    shrunk = np.asarray(cv2.resize(thin, (side, side), interpolation=how), np.uint8)
    scale = len(ink) / side
    reach = scale * max(cv2.boundingRect(shrunk)[2:]) >= 0.7 * max(cv2.boundingRect(mask)[2:])
    if not reach or cv2.countNonZero(shrunk) * scale**2 < 0.4 * cv2.countNonZero(thin):
        return ink
    # A dot that fell between the pixels is set again: without it, it is another letter.
    _, parts, _, middles = cv2.connectedComponentsWithStats(mask)
    again = cv2.resize(shrunk, ink.shape[::-1], interpolation=cv2.INTER_NEAREST)
    for part in set(range(1, len(middles))) - set(parts[again > 0].tolist()):
        x, y = (middles[part] / scale).astype(int)
        shrunk[y, x] = 255
    return shrunk


def _thin(mask: Ink) -> Ink:
    """Thin strokes while all of their parts are left, by four pixels a side at most."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    parts = cv2.connectedComponents(mask)[0]
    for _ in range(4):
        thinner = cv2.erode(mask, cross)
        if cv2.connectedComponents(thinner)[0] != parts:
            break
        mask = thinner
    return mask


def _mask(ink: Ink) -> Ink:
    """255 where ink is darker than a fifth of the darkest."""
    return np.asarray(cv2.threshold(ink, int(ink.max()) // 5, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _survives(thinner: Ink, ink: Ink) -> bool:
    """Whether half of the ink and all of its parts are left: without a dot it is another letter."""
    before, after = _mask(ink), cv2.bitwise_and(_mask(ink), _mask(thinner))
    parts = cv2.connectedComponents(before)[0], cv2.connectedComponents(after)[0]
    enough = 2 * cv2.countNonZero(after) >= cv2.countNonZero(before)
    return bool(enough and parts[1] >= parts[0] and 2 * int(thinner.max()) >= int(ink.max()))


def _crop(ink: Ink, margin: float) -> Ink:
    """Cut out the square around the ink, with a margin in shares of its longer side."""
    left, top, width, height = cv2.boundingRect(_mask(ink))
    longer = max(width, height)
    if longer == 0:
        return ink
    half = round(longer * (0.5 + margin))
    padded = cv2.copyMakeBorder(ink, half, half, half, half, cv2.BORDER_CONSTANT, value=0)
    x, y = left + width // 2, top + height // 2
    return np.asarray(padded[y : y + 2 * half, x : x + 2 * half], np.uint8)
