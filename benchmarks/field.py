"""One letter as the field gives it: ``python benchmarks/field.py [MODEL]``.

1,120 letters of a test set (HCR_EDGE_DATA), enlarged to 128 pixels a side and photographed on
ruled paper, in a form's cell, in a shadow, out of focus, by a sensor that is noisy, or small in a
large photograph: how many are read, how many are answered, and how many of these wrongly, by
`Classifier.classify` and by its first look alone (`Classifier.classify_glyphs`). AHCD's letters, so
damaged, steered the second look (docs/experiments/photographs.md): their figures are kind; those of
the other sets steered nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets import load_dataset
from hcr_runtime import Classifier, Prediction, to_gray
from hcr_runtime.ink import lift_ink

Image = NDArray[np.uint8]
Ink = NDArray[np.float32]
Damage = Callable[[Ink, np.random.Generator], NDArray[np.float64 | np.float32]]

SETS = {
    "arabic-letters": "ahcd",
    "arabic-letters-nano": "ahcd",
    "persian-digits": "hoda",
    "russian-letters": "comnist-cyrillic",
    "latin-letters": "az+sd19+mohneesh:upright+charwizard+ateam@latin-letters",
}
SIDE, PAPER, DARKNESS = 128, 225, 160


def photograph(ink: Ink, darkness: float = DARKNESS) -> Ink:
    """Lay ink of 0-1, (H, W), on paper."""
    return np.float32(PAPER) - np.float32(darkness) * ink


def lines(pitch: int, darkness: float, slope: float = 0.0, upright: bool = False) -> Damage:
    """Rule the paper with lines of two pixels."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        picture = photograph(ink)
        y, x = np.mgrid[:SIDE, :SIDE]
        first = rng.integers(pitch)
        ruled = (y + slope * x - first) % pitch < 2
        if upright:
            ruled |= (x - first) % pitch < 2
        return np.where(ruled, np.minimum(picture, PAPER - darkness), picture)

    return damage


def cell(sides: int, inside: int, darkness: float = DARKNESS) -> Damage:
    """Draw edges of a form's cell, of three pixels, so far inside of the picture."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        picture = photograph(ink)
        edge = slice(inside, inside + 3), slice(SIDE - inside - 3, SIDE - inside)
        places = [np.s_[edge[0], :], np.s_[:, edge[0]], np.s_[edge[1], :], np.s_[:, edge[1]]]
        for place in places[:sides]:
            picture[place] = PAPER - darkness
        return picture

    return damage


def shadow(depth: float, softness: float) -> Damage:
    """Let a straight edge throw a shadow."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        y, x = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
        angle = rng.uniform(0, 2 * np.pi)
        dark = np.cos(angle) * x + np.sin(angle) * y > rng.uniform(-0.3, 0.3)
        return photograph(ink) * (
            1 - depth * cv2.GaussianBlur(dark.astype(np.float32), (0, 0), softness)
        )

    return damage


def grain(size: float, depth: float) -> Damage:
    """Photograph coarse paper."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        field = cv2.GaussianBlur(rng.normal(0, 1, ink.shape).astype(np.float32), (0, 0), size)
        return photograph(ink) + field * np.float32(depth / field.std())

    return damage


def noise(spread: float, darkness: float = DARKNESS) -> Damage:
    """Add a sensor's noise."""
    return lambda ink, rng: photograph(ink, darkness) + rng.normal(0, spread, ink.shape)


def specks(share: float) -> Damage:
    """Set so many pixels to black, and as many to white: a photocopy."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        draw = rng.random(ink.shape)
        picture = np.where(draw < share, 0, photograph(ink))
        return np.where(draw > 1 - share, 255, picture)

    return damage


def blur(spread: float) -> Damage:
    """Photograph out of focus."""
    return lambda ink, rng: cv2.GaussianBlur(photograph(ink), (0, 0), spread)


def shake(length: int) -> Damage:
    """Move the camera meanwhile, in any direction."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        way = np.zeros((length, length), np.float32)
        way[length // 2] = 1
        turn = cv2.getRotationMatrix2D((length // 2, length // 2), rng.uniform(0, 180), 1)
        way = cv2.warpAffine(way, turn, (length, length))
        return cv2.filter2D(photograph(ink), -1, way / way.sum())

    return damage


def tight(after: Damage | None = None) -> Damage:
    """Cut the picture where the ink ends."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        picture = photograph(ink) if after is None else after(ink, rng)
        left, top, width, height = cv2.boundingRect(np.uint8(ink > 0.3))
        return picture[top : top + height, left : left + width]

    return damage


def sidelong(depth: float) -> Damage:
    """Let light come from the left, by so much less on the right."""
    return lambda ink, rng: photograph(ink) * (1 - depth * np.linspace(0, 1, SIDE))


def frame(thickness: int) -> Damage:
    """Surround the paper with a dark frame of so many pixels."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        inner = SIDE - 2 * thickness
        paper = cv2.resize(photograph(ink), (inner, inner), interpolation=cv2.INTER_AREA)
        picture = cv2.copyMakeBorder(
            paper, *4 * (thickness,), cv2.BORDER_CONSTANT, value=PAPER - DARKNESS
        )
        return cv2.GaussianBlur(picture, (0, 0), 1) + rng.normal(0, 4, ink.shape)

    return damage


def note(desk: float, share: float) -> Damage:
    """Lay the paper, of so much of the picture's side, on a dark desk, up to 15 degrees aslant."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-15, 15), share)
        size = (SIDE, SIDE)
        seen = cv2.warpAffine(photograph(ink), turn, size, flags=cv2.INTER_AREA)
        covered = cv2.warpAffine(np.ones_like(ink), turn, size)
        picture = cv2.GaussianBlur(seen + desk * (1 - covered), (0, 0), 1)
        return picture + rng.normal(0, 4, ink.shape)

    return damage


def small(share: float, after: Callable[[Ink], Ink] | None = None) -> Damage:
    """Photograph the letter's box, of so much of the picture's height, at 1200 x 900 pixels."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        side = round(share * 1200)
        box = cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC)
        whole = np.zeros((1200, 900), np.float32)
        top, left = (rng.integers(150, length - 150 - side) for length in whole.shape)
        whole[top : top + side, left : left + side] = cv2.GaussianBlur(box, (0, 0), 1.5)
        picture = photograph(whole)
        if after is not None:
            picture = after(picture)
        return picture + rng.normal(0, 4, whole.shape).astype(np.float32)

    return damage


def beside_desk(picture: Ink) -> Ink:
    """Let the desk show along the left side."""
    picture[:, :110] = 55
    return picture


def beside_shadow(picture: Ink) -> Ink:
    """Let a hand throw a soft shadow on the right."""
    return picture * soft_shadow(*picture.shape)


@cache
def soft_shadow(height: int, width: int) -> Ink:
    """Return the light that is left."""
    y, x = np.mgrid[:height, :width]
    dark = (x + 0.3 * y > 720).astype(np.float32)
    return 1 - 0.4 * cv2.GaussianBlur(dark, (0, 0), 60)


def jpeg(quality: int) -> Damage:
    """Compress a picture that is a little noisy."""

    def damage(ink: Ink, rng: np.random.Generator) -> Ink:
        picture = np.clip(noise(4)(ink, rng), 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)

    return damage


DAMAGES: dict[str, Damage] = {
    "clean": lambda ink, rng: photograph(ink),
    "ruled, 32 pixels apart": lines(32, 60),
    "ruled, aslant, 60 pixels apart": lines(60, 60, slope=0.05),
    "squared, 32 pixels": lines(32, 40, upright=True),
    "one edge of a cell": cell(1, 0),
    "four edges of a cell": cell(4, 0),
    "four edges, inside": cell(4, 6),
    "four faint edges": cell(4, 0, 70),
    "a frame of 12 pixels": frame(12),
    "a note on a dark desk": note(60, 0.7),
    "cut where the ink ends": tight(),
    "so cut, noise of 10": tight(noise(10)),
    "so cut, out of focus, 2 pixels": tight(blur(2)),
    "so cut, light from the side": tight(sidelong(0.3)),
    "shadow of 45 %, sharp": shadow(0.45, 1.5),
    "shadow of 45 %, soft": shadow(0.45, 12),
    "coarse paper": grain(5, 10),
    "noise of 10": noise(10),
    "noise of 20": noise(20),
    "noise of 30": noise(30),
    "pencil, noise of 10": noise(10, 60),
    "specks, 2 + 2 %": specks(0.02),
    "JPEG, quality 15": jpeg(15),
    "out of focus, 2 pixels": blur(2),
    "out of focus, 4 pixels": blur(4),
    "shaken, 13 pixels": shake(13),
    "a fifth of a photograph": small(0.2),
    "the same, a desk at its side": small(0.2, beside_desk),
    "the same, a shadow": small(0.2, beside_shadow),
}


def row(predictions: list[Prediction], truth: list[str]) -> str:
    """Say how many are read and answered, and how many of the answers are wrong."""
    right = [
        bool(p.top) and p.top[0].label == text for p, text in zip(predictions, truth, strict=True)
    ]
    sure = [p.accepted for p in predictions]
    wrong = sum(s and not r for s, r in zip(sure, right, strict=True)) / max(sum(sure), 1)
    return f"{np.mean(right):8.1%} {np.mean(sure):9.1%} {wrong:7.2%}"


def main() -> None:
    """Print the table."""
    name = sys.argv[1] if len(sys.argv) > 1 else "arabic-letters"
    if name not in SETS or "HCR_EDGE_DATA" not in os.environ:
        sys.exit(f"usage: HCR_EDGE_DATA=... python benchmarks/field.py [{' | '.join(SETS)}]")
    classifier = Classifier.load(name)
    data = load_dataset(SETS[name], split="test", data_dir=Path(os.environ["HCR_EDGE_DATA"]))
    chosen = np.linspace(0, len(data) - 1, 1120).astype(int).tolist()
    truth = [classifier.spec.texts[data.labels[i]] for i in chosen]
    inks = []
    for i in chosen:
        ink = lift_ink(to_gray(data.images[i])).astype(np.float32)
        side = max(ink.shape)
        square = np.zeros((side, side), np.float32)
        top, left = ((side - length) // 2 for length in ink.shape)
        square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink / max(ink.max(), 1)
        large = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        inks.append(np.clip(large, 0, 1))
    print(f"{name}: {len(inks)} letters of {data.name}")
    print(f"{'':32s}{'read':>8s} {'answered':>9s} {'wrong':>7s}   first look alone")
    for title, damage in DAMAGES.items():
        rng = np.random.default_rng(0)
        pictures = [np.clip(damage(ink, rng), 0, 255).astype(np.uint8) for ink in inks]
        both = classifier.classify_batch(pictures), classifier.classify_glyphs(pictures)
        print(f"{title:32s}{row(both[0], truth)}   {row(both[1], truth)}", flush=True)


if __name__ == "__main__":
    main()
