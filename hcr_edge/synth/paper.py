"""What lies before the composed camera: paper, letters on it, print, a hand."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import Box
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import INK_LEVEL, extract_ink

Picture = NDArray[np.uint8]
Rng = np.random.Generator

# Pencil, black, blue, green and red pens (BGR), each varied a little.
INKS = ((70, 70, 70), (35, 30, 30), (120, 50, 30), (60, 90, 30), (50, 40, 140))
SKIN = ((150, 175, 215), (110, 140, 190), (60, 85, 130), (40, 55, 85))
RULES = ((225, 190, 160), (205, 205, 205), (190, 190, 225))
FAINT = 25  # less ink (0-255) is none
RULING = 0.5  # share of sheets that are ruled


def blank_sheet(rng: Rng, width: int, height: int) -> Picture:
    """Return paper: tinted, with grain, uneven, ruled or squared or plain; (height, width, 3)."""
    tint = rng.uniform(195, 245) + rng.uniform(-9, 5, 3)
    grain = _fine_noise(rng, width, height, 1.0, 2.2) + _fine_noise(rng, width, height, 6.0, 2.5)
    coarse = rng.normal(0, 5, (4, 5)).astype(np.float32)
    grain += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    sheet = np.clip(tint + grain[:, :, None], 0, 255).astype(np.uint8)
    if rng.random() < RULING:
        _rule(rng, sheet)
    return sheet


def write(rng: Rng, sheet: Picture, image: GrayImage, centre: tuple[int, int], side: int) -> Box:
    """Write one letter on a sheet, in place.

    Args:
        rng: Chooses the ink.
        sheet: The paper.
        image: The letter as its data set has it, either polarity.
        centre: Of the letter, in pixels of the sheet.
        side: Its longer side, in pixels.

    Returns:
        The box of its ink on the sheet; of no size where the image is blank.
    """
    ink = extract_ink(image, version=2)  # with its faint dots
    # A pen is as black in a dot as in a stroke; small scans show dots faint.
    local = cv2.dilate(ink, np.ones((5, 5), np.uint8)).astype(np.float32)
    ink = np.where(ink > FAINT, 255 * (ink / np.maximum(local, 1)), 0).astype(np.uint8)
    left, top, width, height = cv2.boundingRect((ink > INK_LEVEL).astype(np.uint8))
    if width == 0:
        return Box(*centre, 0, 0)
    rim = 2
    glyph = cv2.copyMakeBorder(ink, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=0)
    glyph = glyph[top : top + height + 2 * rim, left : left + width + 2 * rim]
    scale = side / max(width, height)
    size = (max(1, round(glyph.shape[1] * scale)), max(1, round(glyph.shape[0] * scale)))
    smooth = cv2.resize(glyph, size, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(smooth, (0, 0), max(0.6, 0.35 * scale)).astype(np.float32)
    # A pen's edge is sharp, however coarse the scan; pressure and grain vary inside.
    cover = np.clip((smooth - 95) / 70, 0, 1) * rng.uniform(0.8, 1.0)
    cover *= 1 - 0.12 * np.abs(_fine_noise(rng, *size, 1.2, 1.0))
    colour = np.array(INKS[rng.integers(len(INKS))], np.float32) + rng.uniform(-15, 15)
    x, y = centre[0] - size[0] // 2, centre[1] - size[1] // 2
    # What lies beyond the sheet is cut off.
    rows, columns = slice(max(y, 0), max(y + size[1], 0)), slice(max(x, 0), max(x + size[0], 0))
    part = sheet[rows, columns]
    cover = np.clip(cover[max(-y, 0) :, max(-x, 0) :], 0, 1)[: part.shape[0], : part.shape[1]]
    part[:] = np.clip(part + (colour - part) * cover[:, :, None], 0, 255)
    edge = round(rim * scale)
    return Box(x + edge, y + edge, size[0] - 2 * edge, size[1] - 2 * edge)


def printed_sheet(rng: Rng, width: int, height: int) -> Picture:
    """Return a page of print: lines of words in some size, (height, width, 3)."""
    sheet = blank_sheet(rng, width, height)
    face = int(rng.choice([cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX]))
    scale = height / 480 * rng.uniform(0.45, 0.9)
    step = round(34 * scale)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEGHKLMNOPRSTUW.,0123456789"
    for y in range(step, height, step):
        x = round(rng.uniform(5, 25))
        while x < width:
            word = "".join(rng.choice(list(letters), rng.integers(1, 10)))
            shade = int(rng.uniform(20, 70))
            place = (x, y)
            cv2.putText(sheet, word, place, face, scale, (shade,) * 3, 1, cv2.LINE_AA)
            x += cv2.getTextSize(word, face, scale, 1)[0][0] + round(16 * scale)
    return sheet


class Hand:
    """A hand with a pen that comes in over the frame's edge and moves about."""

    def __init__(self, rng: Rng) -> None:
        self.skin = np.array(SKIN[rng.integers(len(SKIN))], float) + rng.uniform(-10, 10)
        self.spread = rng.uniform(0.1, 0.22, 4)
        self.speeds = rng.uniform(0.5, 2.2, 4)
        self.phases = rng.uniform(0, 6.28, 4)
        self.pen = bool(rng.random() < 0.7)

    def draw(self, frame: Picture, seconds: float) -> None:
        """Draw it where it is at this time, in place."""
        height, width = frame.shape[:2]
        wave = np.sin(self.speeds * seconds + self.phases)
        wrist = np.array([width * (0.65 + 0.3 * wave[0]), height * (0.85 + 0.2 * wave[1])])
        unit = min(width, height)
        skin = tuple(self.skin.tolist())
        dark = tuple((self.skin * 0.75).tolist())
        layer = frame.copy()
        elbow = (round(width * 0.9), round(height * 1.5))
        _limb(layer, wrist, np.array(elbow), round(0.2 * unit), skin, dark)
        palm = wrist + unit * np.array([-0.1, -0.12])
        _limb(layer, palm, wrist, round(0.22 * unit), skin, dark)
        for finger, spread in enumerate(self.spread):
            bend = 0.04 * wave[2] * finger
            tip = palm + unit * np.array([-0.26 + finger * 0.11 + bend, -0.28 - spread / 2])
            _limb(layer, tip, palm, round(0.065 * unit), skin, dark)
            if finger == 0 and self.pen:
                end = tip + unit * np.array([0.25, 0.35])
                cv2.line(layer, _point(tip - 12), _point(end), (60, 30, 20), 7, cv2.LINE_AA)
        soft = cv2.GaussianBlur(layer, (0, 0), 1.2)
        # Its shadow falls on the paper beside it.
        touched = (np.abs(layer.astype(np.int16) - frame).max(axis=2) > 8).astype(np.float32)
        moved = np.array([[1, 0, 0.03 * unit], [0, 1, 0.03 * unit]], np.float32)
        shadow = cv2.warpAffine(touched, moved, (width, height))
        shadow = cv2.GaussianBlur(shadow, (0, 0), 0.03 * unit) * 0.35 * (1 - touched)
        frame[:] = (soft * (1 - shadow[:, :, None])).astype(np.uint8)


def _limb(
    layer: Picture,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    thickness: int,
    skin: tuple[float, ...],
    dark: tuple[float, ...],
) -> None:
    cv2.line(layer, _point(start), _point(end), dark, thickness + 4, cv2.LINE_AA)
    cv2.line(layer, _point(start), _point(end), skin, thickness, cv2.LINE_AA)


def _point(at: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))


def _rule(rng: Rng, sheet: Picture) -> None:
    """Draw faint lines, or squares, over a sheet."""
    height = sheet.shape[0]
    step = round(rng.uniform(0.06, 0.16) * height)
    colour = np.array(RULES[rng.integers(len(RULES))], np.float32)
    lines = sheet.astype(np.float32)
    strength = rng.uniform(0.3, 0.8)
    start = int(rng.integers(step))
    lines[start::step] += (colour - lines[start::step]) * strength
    if rng.random() < 0.4:
        lines[:, start::step] += (colour - lines[:, start::step]) * strength
    sheet[:] = np.clip(lines, 0, 255)


def _fine_noise(
    rng: Rng, width: int, height: int, blur: float, strength: float
) -> NDArray[np.float32]:
    noise = rng.standard_normal((height, width), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.asarray(noise * (strength / (noise.std() + 1e-6)), np.float32)
