"""The composed camera: hand shake, zoom, shadow, motion blur, exposure, noise."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.synth.paper import Picture, Rng

# Pixels of shake, for a frame of 480 lines; and the pace of a hand's tremor (1/s).
SHAKE = 2.0
TREMOR = ((0.6, 1.0), (2.3, 0.5), (7.0, 0.25))
# The shutter is open for this share of a frame.
EXPOSURE = 0.5
NOISE_BANK = 6


class Camera:
    """Sees sheets as a hand-held camera does; the same generator gives the same faults.

    Args:
        rng: Chooses the faults.
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        rate: Frames a second.
    """

    def __init__(self, rng: Rng, width: int, height: int, rate: float) -> None:
        self.width, self.height, self.rate = width, height, rate
        self._rng = rng
        self._phases = rng.uniform(0, 6.28, (4, len(TREMOR)))
        self._shake = SHAKE * height / 480 * rng.uniform(0.5, 1.0)
        self._zoom = rng.uniform(0.0, 0.05)
        self._shadow = rng.uniform(0.15, 0.45)
        self._pumping = rng.uniform(0.03, 0.12)
        sigma = rng.uniform(2.0, 5.5)
        shape = (NOISE_BANK, height, width, 3)
        self._noise = np.clip(rng.normal(0, sigma, shape), -60, 60).astype(np.int8)

    def pose(self, seconds: float, slide: tuple[float, float]) -> NDArray[np.float64]:
        """Return the map from sheet to frame, (2, 3).

        Args:
            seconds: The time.
            slide: How far the sheet is from its place, in pixels.
        """
        x, y, turn, zoom = (
            sum(
                weight * math.sin(2 * math.pi * pace * seconds + phase)
                for (pace, weight), phase in zip(TREMOR, phases, strict=True)
            )
            for phases in self._phases
        )
        centre = (self.width / 2, self.height / 2)
        pose = cv2.getRotationMatrix2D(centre, 0.4 * turn, 1.0 + self._zoom * zoom / 2)
        pose[:, 2] += (slide[0] + self._shake * x, slide[1] + self._shake * y)
        return np.asarray(pose)

    def lay(self, frame: Picture, sheet: Picture, pose: NDArray[np.float64]) -> None:
        """Lay a sheet over a frame, in place; the sheet's middle is the frame's at rest."""
        margin = (sheet.shape[1] - self.width) / 2, (sheet.shape[0] - self.height) / 2
        offset = pose.copy()
        offset[:, 2] -= pose[:, :2] @ np.array(margin)
        size = (self.width, self.height)
        cv2.warpAffine(
            sheet,
            offset,
            size,
            dst=frame,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )

    def expose(self, frame: Picture, seconds: float, motion: tuple[float, float]) -> Picture:
        """Return the frame as the sensor gives it.

        Args:
            frame: What is before the lens.
            seconds: The time.
            motion: How far the picture moves in a frame, in pixels.
        """
        length = EXPOSURE * max(abs(motion[0]), abs(motion[1]))
        if length > 1.5:
            frame = cv2.filter2D(frame, -1, _streak(motion, EXPOSURE))
        light = cv2.resize(self._light(seconds), (self.width, self.height))
        lit = cv2.multiply(frame, cv2.merge([light] * 3), dtype=cv2.CV_16S)
        noise = self._noise[self._rng.integers(NOISE_BANK)]
        shift = int(self._rng.integers(self.height))
        lit = cv2.add(lit, np.roll(noise, shift, axis=0), dtype=cv2.CV_8U)
        return np.asarray(lit, np.uint8)

    def _light(self, seconds: float) -> NDArray[np.float32]:
        """A slow shadow from one side, and exposure that hunts: coarse, about 1."""
        across = np.linspace(0, 1, 16)[None] * math.cos(0.13 * seconds + self._phases[0, 0])
        down = np.linspace(0, 1, 12)[:, None] * math.sin(0.17 * seconds + self._phases[1, 0])
        edge = 1 / (1 + np.exp(-6 * (across + down - 0.3 * math.sin(0.4 * seconds))))
        pumping = 1 + self._pumping * math.sin(2.7 * seconds + 2 * math.sin(0.9 * seconds))
        return np.asarray((1 - self._shadow * edge) * pumping, np.float32)


def _streak(motion: tuple[float, float], share: float) -> NDArray[np.float32]:
    """A kernel that smears along `motion`."""
    x, y = motion[0] * share / 2, motion[1] * share / 2
    reach = math.ceil(max(abs(x), abs(y)))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    start = (round(reach - x), round(reach - y))
    cv2.line(kernel, start, (round(reach + x), round(reach + y)), 1.0)
    return np.asarray(kernel / kernel.sum(), np.float32)
