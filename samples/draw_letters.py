"""Draw the sample images of handwritten-looking isolated Arabic letters.

Every image below ``samples/`` is synthetic: this script draws it from the pen strokes written
down in ``BODIES``.  They hold no content of any data set, font or scanned page, and come under
the project's own licence (Apache-2.0).  They serve for calibration, parity checks and demos
where no real data is at hand.  The strokes were adjusted until a network trained on real letters
read them, so a score on them says nothing about accuracy on real handwriting.

``python samples/draw_letters.py [--out samples] [--seed N]`` draws the whole tree anew, byte for
byte the same for the same seed, kind of machine and versions of numpy and OpenCV:

* ``arabic-letters/calibration/U+XXXX/NN.png``: 6 grey images of each of the 28 letters,
* ``arabic-letters/test/U+XXXX/NN.png``: 24 more of each,
* ``photos/*.jpg``: 8 coloured pictures of one letter each on various papers,
* ``photos/clip.avi``: a clip of 3 s in which three letters are shown one after another.

A stroke is a string of control points ``x,y`` (100 units are about a tall letter, y points
down) in the order of the pen; a smooth curve runs through them, and ``/`` marks a sharp corner
at the point before it.  A body is shared by the letters that differ in their dots only, and has
a few variants, as people write it in more than one way.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator


# One line for each way to write a body: its name, where dots go above and below it, its strokes.
BODIES = """
alef 0,0 0,0 : 50,4 49,30 50,56 48,82
alef 0,0 0,0 : 50,6 51,30 49,54 50,80 ; 58,-20 50,-24 44,-17 48,-11 58,-11 / 42,-4
alef 0,0 0,0 : 48,2 50,30 51,56 52,80
alef 0,0 0,0 : 48,8 47,32 49,56 50,84 ; 56,-17 49,-20 45,-13 50,-8 57,-9 / 43,-1
beh 50,10 50,64 : 92,18 95,32 86,42 50,45 16,42 6,33 9,18
beh 49,8 50,66 : 80,14 84,34 72,46 48,49 26,47 14,36 17,14
beh 50,12 52,62 : 90,20 91,36 / 84,43 50,44 14,43 / 9,34 10,22
hah 46,-12 56,58 : 12,22 24,11 48,13 82,6 / 54,22 28,44 18,68 34,89 62,94 86,86
hah 48,-10 58,58 : 14,20 26,10 48,11 74,8 / 54,22 30,42 18,62 26,77 50,83 86,80
hah 46,-8 54,54 : 16,20 26,14 50,16 76,12 / 46,26 26,44 20,66 32,82 56,86 78,82
dal 36,-12 0,0 : 38,8 54,18 68,34 62,48 42,53 14,51
dal 38,-12 0,0 : 40,4 56,20 70,44 / 58,50 38,53 12,51
dal 38,-8 0,0 : 30,12 50,14 66,28 62,44 42,52 16,54
reh 50,-12 0,0 : 62,8 66,26 58,46 38,62 12,70
reh 46,-14 0,0 : 56,6 62,28 60,48 48,64 26,70
reh 52,-10 0,0 : 70,8 66,28 54,48 34,62 10,68
seen 78,2 0,0 : 96,22 96,36 88,42 80,37 79,25 / 79,37 72,43 64,38 62,24 / \
64,44 60,64 42,73 22,66 12,50 15,34
seen 74,6 0,0 : 92,26 91,38 84,42 77,37 76,28 / 75,38 68,42 61,37 60,27 / \
61,44 54,58 38,62 20,58 10,46 13,34
sad 74,0 0,0 : 52,45 62,30 80,20 95,25 95,38 80,47 62,48 51,44 / 47,31 / \
51,48 46,64 30,71 14,63 8,48 11,34
sad 72,-2 0,0 : 54,44 66,26 82,18 93,26 90,40 74,47 54,46 / 50,32 / \
53,50 44,62 30,64 14,58 7,44 10,32
tah 60,20 0,0 : 34,62 46,46 66,38 80,46 74,59 50,64 10,65 ; 34,0 34,32 32,64
tah 62,14 0,0 : 32,60 46,42 66,34 80,42 78,54 60,63 34,65 14,64 ; 38,-4 35,30 33,62
ain 52,-16 0,0 : 68,12 54,3 38,9 33,22 44,33 64,31 / 40,40 21,56 16,76 30,94 56,98 82,90
ain 50,-10 0,0 : 62,14 50,7 38,13 36,26 46,35 62,34 / 42,41 25,54 22,72 36,84 60,86 86,82
feh 76,-4 0,0 : 82,40 70,38 65,27 73,16 85,20 88,34 78,47 50,52 18,50 7,40 10,26
feh 74,-3 0,0 : 80,40 69,38 64,27 72,17 83,21 86,36 78,49 54,57 24,55 9,43 11,28
qaf 65,-7 0,0 : 72,36 59,35 54,24 62,13 75,17 79,36 72,58 50,69 26,63 15,46 19,28
qaf 71,-6 0,0 : 78,36 66,35 61,25 69,14 81,19 84,36 76,54 52,63 26,58 13,44 16,30
kaf 0,0 0,0 : 84,0 84,28 85,52 / 76,64 48,67 18,63 8,52 12,40 ; 58,20 46,22 44,30 56,35 57,43 43,46
kaf 0,0 0,0 : 78,4 82,30 80,54 66,68 42,70 20,62 12,46 17,34 ; 56,22 46,22 43,30 55,35 56,44 40,48
lam 0,0 0,0 : 66,0 67,30 66,56 56,76 38,80 22,70 17,54 20,42
lam 0,0 0,0 : 60,2 63,30 62,58 52,74 38,76 26,68 22,56
meem 0,0 0,0 : 42,35 46,18 60,10 72,18 69,32 55,36 42,32 / 33,38 30,62 29,92
meem 0,0 0,0 : 44,30 50,15 62,11 70,20 66,31 54,33 40,31 30,36 28,56 31,84
noon 46,18 0,0 : 72,20 78,44 66,66 45,74 24,65 16,45 21,26
noon 49,14 0,0 : 80,22 83,44 70,60 48,65 26,60 14,44 18,26
heh 0,0 0,0 : 44,12 66,20 84,42 80,60 64,66 52,58 56,46 66,44 70,54 62,64 36,66 6,65 ; \
54,15 40,28 36,46 44,64
heh 0,0 0,0 : 40,60 36,40 46,20 64,14 80,28 84,48 74,62 58,62 50,52 56,42 66,46 64,60 / 40,64 8,64
waw 0,0 0,0 : 69,32 52,33 43,23 50,11 62,13 69,32 59,55 36,68 12,70
waw 0,0 0,0 : 69,36 54,34 46,25 52,14 63,16 69,36 64,56 46,70 26,72
yeh 0,0 44,88 : 84,22 74,9 58,11 51,25 62,37 78,46 76,60 56,68 28,66 11,54 14,38
yeh 0,0 42,82 : 80,18 68,8 55,14 54,28 68,36 80,44 74,57 52,63 24,61 10,52 12,40
"""
# Name, letter, body, number of dots, and whether they go below.
LETTERS = (
    ("alef", "ا", "alef", 0, False),
    ("beh", "ب", "beh", 1, True),
    ("teh", "ت", "beh", 2, False),
    ("theh", "ث", "beh", 3, False),
    ("jeem", "ج", "hah", 1, True),
    ("hah", "ح", "hah", 0, False),
    ("khah", "خ", "hah", 1, False),
    ("dal", "د", "dal", 0, False),
    ("thal", "ذ", "dal", 1, False),
    ("reh", "ر", "reh", 0, False),
    ("zain", "ز", "reh", 1, False),
    ("seen", "س", "seen", 0, False),
    ("sheen", "ش", "seen", 3, False),
    ("sad", "ص", "sad", 0, False),
    ("dad", "ض", "sad", 1, False),
    ("tah", "ط", "tah", 0, False),
    ("zah", "ظ", "tah", 1, False),
    ("ain", "ع", "ain", 0, False),
    ("ghain", "غ", "ain", 1, False),
    ("feh", "ف", "feh", 1, False),
    ("qaf", "ق", "qaf", 2, False),
    ("kaf", "ك", "kaf", 0, False),
    ("lam", "ل", "lam", 0, False),
    ("meem", "م", "meem", 0, False),
    ("noon", "ن", "noon", 1, False),
    ("heh", "ه", "heh", 0, False),
    ("waw", "و", "waw", 0, False),
    ("yeh", "ي", "yeh", 2, True),
)
SPLITS = (("calibration", 6), ("test", 24))


def parse(stroke: str) -> list[Array]:
    """Turn a stroke's text into its smooth pieces, arrays of control points (n, 2)."""
    pieces: list[list[tuple[float, ...]]] = [[]]
    for word in stroke.split():
        if word == "/":
            pieces.append([pieces[-1][-1]])
        else:
            pieces[-1].append(tuple(float(v) for v in word.split(",")))
    return [np.array(p) for p in pieces if len(p) > 1]


def curve(points: Array, steps: int = 14) -> Array:
    """Return a Catmull-Rom curve through control points, as a polyline."""
    p = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [
        b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.vstack([*parts, points[-1:]])


def dots(count: int, at: Array, pen: float, rng: Rng) -> list[Array]:
    """Return the strokes of one to three dots around a point."""
    at = at + rng.normal(0, 2.0, 2)
    size = rng.uniform(0.4, 2.2) + 0.1 * pen  # a dot is a very short stroke
    gap, high = rng.uniform(7.5, 10) + 0.5 * pen, rng.uniform(12, 16) + 0.6 * pen
    side, up = np.array([gap, rng.normal(0, 1.5)]), np.array([0, -high])

    def tick(centre: Array) -> Array:
        turn = rng.uniform(-0.5, 1.2)
        half = size * np.array([np.cos(turn), np.sin(turn)])
        return np.array([centre - half, centre + half])

    if count == 1:
        return [tick(at)]
    if count == 2:
        if rng.random() < 0.35:  # written as one dash
            return [np.array([at + side, at, at - side])]
        return [tick(at + side), tick(at - side)]
    if rng.random() < 0.3:  # written as a small hat
        peak = at + 0.6 * up
        return [np.array([at + side, peak]), np.array([peak, at - side])]
    return [tick(at + side), tick(at - side), tick(at + up)]


def write(name: str, variant: int, rng: Rng) -> tuple[list[Array], float, float]:
    """Write one letter with a writer's hand drawn at random.

    Returns polylines (n, 3) of x, y and relative pen width, the pen's width and the letter's
    longer side, both in units.
    """
    body, count, low = next(row[2:] for row in LETTERS if row[0] == name)
    ways = [line for line in BODIES.splitlines() if line.startswith(f"{body} ")]
    head, text = ways[variant % len(ways)].split(":")
    above_below = np.array([p.split(",") for p in head.split()[1:]], float)
    strokes = [parse(s) for s in text.split(";")]
    pen = float(np.exp(rng.uniform(np.log(3.0), np.log(9.0))))
    marks = dots(count, above_below[int(low)], pen, rng) if count else []
    # The hand: shear, stretch and turn the whole letter, then let it wobble smoothly.
    turn, slant = np.radians(rng.normal(0, 3.0)), np.clip(rng.normal(-0.02, 0.1), -0.2, 0.16)
    stretch = np.exp(rng.normal(0, 0.09))
    c, s = np.cos(turn), np.sin(turn)
    hand = np.array([[c, -s], [s, c]]) @ np.array([[1, slant], [0, 1]])
    hand = hand @ np.diag([stretch, 1 / stretch])
    waves = [
        (rng.normal(0, 0.035, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 1.6, 2))
        for _ in range(3)
    ]

    def by_hand(p: Array) -> Array:
        moved = p + sum(np.sin(p @ f + phase)[:, None] * size for f, phase, size in waves)
        return np.asarray(moved @ hand.T)

    tremble = rng.uniform(0.3, 1.2)
    lines: list[Array] = []
    for pieces in strokes:
        shake = [p + rng.normal(0, tremble, p.shape) for p in pieces]
        for before, after in pairwise(shake):  # the corners stay joined
            after[0] = before[-1]
        lines.append(by_hand(np.vstack([curve(p) for p in shake])))
    lines += [by_hand(curve(m, 6)) for m in marks]
    press, phase = rng.uniform(0, 0.22), rng.uniform(0, 2 * np.pi)
    taper = rng.uniform(0.0, 0.45)
    out = []
    for i, line in enumerate(lines):
        u = np.linspace(0, 1, len(line))
        width = 1 + press * np.sin(2 * np.pi * u + phase)
        width *= 1 - taper * np.maximum(np.maximum(1 - 10 * u, 5 * u - 4), 0)
        if i >= len(strokes):
            width = np.full(len(line), rng.uniform(1.05, 1.35))
        out.append(np.column_stack([line, width]))
    return out, pen, float(np.ptp(np.vstack(lines), axis=0).max())


def coverage(lines: list[Array], pen: float, size: int, scale: float, shift: Array) -> Array:
    """Render strokes as ink coverage 0..1 on a square of ``size`` pixels, letter centred."""
    xy = np.vstack(lines)[:, :2]
    centre = (xy.min(0) + xy.max(0)) / 2
    zoom, bits = 4, 4
    canvas = np.zeros((size * zoom, size * zoom), np.uint8)
    for line in lines:
        pts = ((line[:, :2] - centre) * scale + shift + size / 2) * zoom
        # Fill in points so that the round pen's prints overlap.
        lengths = np.hypot(*np.diff(pts, axis=0).T)
        along = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(0, along[-1] + 1, 1.0)
        cols = [np.interp(at, along, v) for v in (pts[:, 0], pts[:, 1], line[:, 2])]
        for x, y, w in zip(*cols, strict=True):
            radius = max(w * pen * scale / 2, 0.45) * zoom
            cv2.circle(
                canvas,
                (round(x * 2**bits), round(y * 2**bits)),
                round(radius * 2**bits),
                255,
                -1,
                cv2.LINE_8,
                bits,
            )
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def ramp(size: int, rng: Rng) -> Array:
    """Return a lighting gradient of random direction, about -1..1 over a square."""
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    return np.asarray(np.cos(turn) * x + np.sin(turn) * y, np.float32)


def tile(name: str, index: int, rng: Rng) -> Array:
    """Draw one grey image (uint8) of a letter as a scan of a small writing box."""
    size = int(rng.choice([64, 72, 80, 96, 112, 128]))
    lines, pen, long = write(name, index, rng)
    share = float(np.clip(long / 100 * rng.uniform(0.55, 0.8), 0.35, 0.72))
    ink = coverage(lines, pen, size, share * size / long, rng.normal(0, 0.025, 2) * size)
    clean = rng.random() < 0.35
    paper = np.full((size, size), 255.0 if clean else rng.uniform(222, 252), np.float32)
    if not clean:
        paper += ramp(size, rng) * rng.uniform(0, 9)
        ink = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.3, 0.4 + size / 250))
        ink = ink * rng.uniform(0.88, 1.0)
    grey = paper * (1 - ink) + rng.uniform(0, 70) * ink
    if not clean:
        grey += rng.normal(0, rng.uniform(0.2, 0.6), grey.shape)
    return np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8)


class Photo(NamedTuple):
    """How one photo-like picture is made; colours are blue, green, red."""

    letter: str
    tool: str
    size: int
    paper: tuple[int, int, int]
    ink: tuple[int, int, int]
    pen: float
    grain: float  # how much of the ink misses the paper's pores
    light: float  # lighting gradient
    shadow: float  # depth of a soft shadow over a corner


PHOTOS = (
    Photo("beh", "blue-pen", 320, (246, 248, 248), (150, 60, 30), 3.4, 0.0, 8, 0.0),
    Photo("seen", "chalk", 360, (52, 62, 44), (226, 234, 232), 6.0, 0.75, 8, 0.0),
    Photo("ain", "pencil", 320, (208, 232, 242), (92, 90, 88), 3.2, 0.55, 8, 0.0),
    Photo("kaf", "marker", 400, (150, 158, 162), (38, 30, 30), 8.0, 0.08, 12, 0.0),
    Photo("waw", "red-pen", 280, (236, 242, 244), (44, 36, 178), 4.2, 0.0, 10, 0.22),
    Photo("jeem", "black-pen", 300, (226, 234, 238), (44, 38, 36), 4.6, 0.0, 22, 0.28),
    Photo("heh", "white-chalk", 340, (46, 44, 42), (218, 222, 222), 6.5, 0.65, 7, 0.0),
    Photo("yeh", "brush-pen", 420, (176, 208, 224), (58, 42, 34), 9.0, 0.15, 14, 0.15),
)


def clouds(size: int, coarse: float, rng: Rng) -> Array:
    """Return smooth noise with standard deviation 1 over a square."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), coarse)
    return np.asarray(noise / noise.std(), np.float32)


def photo(spec: Photo, rng: Rng) -> Array:
    """Draw one photo-like colour picture (uint8, BGR) of a letter."""
    size = spec.size
    lines, _, long = write(spec.letter, 0, rng)
    scale = rng.uniform(0.5, 0.58) * size / long
    ink = coverage(lines, spec.pen, size, scale, rng.normal(0, 0.02, 2) * size)
    rough = clouds(size, 1.0, rng) * 0.7 + clouds(size, 2.5, rng) * 0.5
    ink *= np.clip(1 - spec.grain * np.clip(0.35 + 0.6 * rough, 0, 1), 0, 1)
    ink *= 0.96 - 0.05 * np.clip(clouds(size, 9, rng), -1, 1)
    ink = cv2.GaussianBlur(ink, (0, 0), 0.8)[..., None]
    fibre = clouds(size, 0.9, rng) * 0.8 + clouds(size, 14, rng) * 1.6
    out = np.array(spec.paper, np.float32) + fibre[..., None]
    if spec.grain > 0.6:  # a wiped board
        out += 3.0 * clouds(size, 30, rng)[..., None]
    out = out * (1 - ink) + np.array(spec.ink, np.float32) * ink
    light = 1 + ramp(size, rng) * spec.light / 200
    if spec.shadow:
        edge = ramp(size, rng) * 0.8 - rng.uniform(0.2, 0.4)
        light *= 1 - spec.shadow / (1 + np.exp(-edge * 9))
    out *= light[..., None]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def clip(path: Path, letters: tuple[str, ...], rng: Rng) -> None:
    """Write a clip of 320x240 at 30 frames a second, one second for each letter."""
    width, height, rate = 320, 240, 30
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    film = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, codec, rate, (width, height))
    film.set(cv2.VIDEOWRITER_PROP_QUALITY, 55)
    if not film.isOpened():
        raise RuntimeError(f"cannot write {path}")
    start = rng.uniform(0, 2 * np.pi, 3)
    for number, name in enumerate(letters):
        lines, _, long = write(name, 0, rng)
        scale = 100 / long
        ink = coverage(lines, 5.0, width, scale, np.zeros(2))[..., None]
        sheet = np.array((214, 224, 228), np.float32) + ramp(width, rng)[..., None] * 4
        sheet = sheet * (1 - ink) + np.array((60, 44, 40), np.float32) * ink
        for frame in range(rate):
            now = (number * rate + frame) / rate * 2 * np.pi
            x, y, turn = 2.5 * np.sin(now * np.array([0.9, 1.3, 0.7]) + start)
            move = cv2.getRotationMatrix2D((width / 2, width / 2), float(turn), 1.0)
            move[:, 2] += (x, y - (width - height) / 2)
            view = cv2.warpAffine(
                sheet,
                move,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            film.write(np.clip(np.rint(view), 0, 255).astype(np.uint8))
    film.release()


def save(path: Path, image: Array, options: list[int]) -> None:
    """Write an image file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image, options):
        raise RuntimeError(f"cannot write {path}")


def main() -> None:
    """Draw all the samples."""
    parser = argparse.ArgumentParser(description="Draw the sample images of Arabic letters.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--seed", type=int, default=28)
    args = parser.parse_args()
    png = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    for part, (split, count) in enumerate(SPLITS):
        for name, letter, *_ in LETTERS:
            for i in range(count):
                rng = np.random.default_rng([args.seed, part, ord(letter), i])
                path = args.out / "arabic-letters" / split / f"U+{ord(letter):04X}" / f"{i:02d}.png"
                save(path, tile(name, i, rng), png)
    for i, spec in enumerate(PHOTOS):
        image = photo(spec, np.random.default_rng([args.seed, 2, i]))
        path = args.out / "photos" / f"{spec.letter}-{spec.tool}.jpg"
        save(path, image, [cv2.IMWRITE_JPEG_QUALITY, 88])
    clip(
        args.out / "photos" / "clip.avi",
        ("beh", "seen", "waw"),
        np.random.default_rng([args.seed, 3]),
    )


if __name__ == "__main__":
    main()
