"""A sheet of paper on a dark ground: a note on a desk, a cell cut with a form's thick edges."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# The ground is darker than the sheet by so much (0-255), and so much of the image's rim is ground.
GROUND_GAP, GROUND_RIM = 40, 0.9
# The sheet takes so much of both of the image's sides, or so many pixels.
LEAST_SIDE, LEAST_LONG = 0.5, 32
# It takes at most so much of the image: where the ground is thinner it is a frame of lines (see
# `second_look`).
MOST_SHEET = 0.85
# A narrower one is a stroke, of bright ink; degrees.
NARROWEST, MOST_ASLANT = 0.5, 30
# No letter can be read on a smaller one.
LEAST_PIXELS = 12
# It fills so much of the rectangle around it. A letter's outline, of bright ink, does not.
RECTANGULAR = 0.94
# So much of it is paper.
LEAST_PAPER = 0.5
# Shares of the image's longer side: strokes are as thick at most, and so much of the sheet's rim
# is blurred, by so many pixels at least.
STROKE, EDGE, LEAST_EDGE = 0.1, 0.03, 3


def cut_sheet(gray: GrayImage) -> GrayImage | None:
    """Cut out a bright sheet that lies on a dark ground, whole or nearly so.

    Args:
        gray: Uint8 of shape (H, W).

    Returns:
        The sheet without its rim, uint8, turned by up to `MOST_ASLANT` degrees to stand upright;
        None where there is no sheet, or it lies further aslant: its upper side is not known then.

    >>> desk = np.full((96, 96), 60, np.uint8)
    >>> cut_sheet(desk) is None
    True
    >>> desk[12:84, 12:84] = 230
    >>> desk[30:66, 44:50] = 40
    >>> cut_sheet(desk).shape
    (66, 66)
    """
    bright = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    rim = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    if cv2.countNonZero(rim) > (1 - GROUND_RIM) * rim.size:
        return None
    longer = max(gray.shape)
    # A stroke that runs into the ground would cut the sheet's edge.
    stroke = max(3, round(STROKE * longer))
    wide = cv2.copyMakeBorder(bright, *4 * (stroke,), cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((stroke, stroke), np.uint8))
    inner = slice(stroke, -stroke)
    contours, _ = cv2.findContours(
        np.ascontiguousarray(closed[inner, inner], np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_SIMPLE,
    )
    if not contours:
        return None
    outline = max(contours, key=cv2.contourArea)
    _, _, width, height = cv2.boundingRect(outline)
    least = [min(LEAST_SIDE * length, LEAST_LONG) for length in gray.shape]
    if height < least[0] or width < least[1]:
        return None
    sheet = cv2.drawContours(np.zeros_like(gray), [outline], -1, 255, cv2.FILLED)
    middle, (across, down), angle = cv2.minAreaRect(outline)
    across, down = across + 1, down + 1  # they were counted between the middles of pixels
    area = cv2.countNonZero(sheet)
    if area < RECTANGULAR * across * down or area > MOST_SHEET * gray.size:
        return None
    edge = max(LEAST_EDGE, round(EDGE * longer))
    inside = cv2.erode(sheet, np.ones((2 * edge + 1, 2 * edge + 1), np.uint8))
    paper = cv2.bitwise_and(inside, bright)
    if cv2.countNonZero(paper) < max(1, LEAST_PAPER * cv2.countNonZero(inside)):
        return None
    if cv2.mean(gray, paper)[0] - cv2.mean(gray, cv2.bitwise_not(sheet))[0] < GROUND_GAP:
        return None
    if min(across, down) < NARROWEST * max(across, down):
        return None
    quarters = round(angle / 90)  # which of its sides is the width depends on OpenCV's version
    aslant = angle - 90 * quarters
    if abs(aslant) > MOST_ASLANT:
        return None
    if quarters % 2:
        across, down = down, across
    size = round(across) - 2 * edge, round(down) - 2 * edge
    if min(size) < LEAST_PIXELS:
        return None
    turn = cv2.getRotationMatrix2D(middle, aslant, 1)
    turn[:, 2] += (np.array(size) - 1) / 2 - middle
    return np.asarray(
        cv2.warpAffine(gray, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )
