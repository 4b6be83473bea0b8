"""Finds and reads letters of published sets on composed pages: ``python benchmarks/pages.py``.

Each page is blank, ruled, squared or a form, lit and photographed in its own way (see
``tests/composed_pages.py``), and written with test images that no model was trained on. Printed
for each: letters found as exactly one glyph, letters found and read right, letters that the same
model reads right from their own images (what finding them could reach at best), and glyphs where
nothing is written.
``--out FOLDER`` writes each page with what was read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from hcr_edge.cli.read import marks
from hcr_edge.datasets import load_dataset, match_labels
from hcr_edge.drawing import draw_overlay
from hcr_runtime import Classifier
from tests.composed_pages import (
    BLACK,
    BLACK_LINE,
    BLACKBOARD,
    BLUE_LINE,
    BLUE_SHEET,
    BOARD,
    CHALK,
    CREAM,
    GREY_LINE,
    PENCIL,
    RED,
    RED_LINE,
    YELLOW,
    Look,
    Score,
    compose,
    judge,
)

SETS = {
    "ahcd": "arabic-letters",
    "hijja:28,isolated": "arabic-letters",
    "hoda": "persian-digits",
    "comnist-cyrillic": "russian-letters",
    "sd19@latin-letters": "latin-letters",
}
LOOKS = {
    "blank, blue pen": Look(),
    "blank, small letters": Look(height=38, blur=0.5),
    "blank, tiny letters": Look(height=28, blur=0.4),
    "blank, large letters": Look(height=300, ink=BLACK),
    "blank, pencil": Look(ink=PENCIL),
    "cream, red pen, shadow": Look(paper=CREAM, ink=RED, shadow=0.6),
    "hard shadow": Look(shadow=0.45, edge=True),
    "yellow sheet, JPEG 40": Look(paper=YELLOW, ink=BLACK, quality=40),
    "turned 5 degrees": Look(skew=5, paper=BLUE_SHEET),
    "noise, JPEG 30": Look(noise=8, quality=30, ink=BLACK),
    "ruled": Look(lines="ruled", line=BLUE_LINE),
    "ruled, turned -4, shadow": Look(lines="ruled", line=RED_LINE, skew=-4, shadow=0.5),
    "ruled, pencil": Look(lines="ruled", line=BLUE_LINE, ink=PENCIL),
    "squared": Look(lines="squared", line=BLUE_LINE),
    "squared, turned 3": Look(lines="squared", skew=3, ink=BLACK),
    "table, grey": Look(lines="table"),
    "table, black, turned 4": Look(lines="table", line=BLACK_LINE, skew=4, spill=0.2),
    "table, small": Look(lines="table", height=42, line=BLACK_LINE, skew=-2),
    "boxes, black": Look(lines="boxes", line=BLACK_LINE),
    "boxes, red, turned -5": Look(lines="boxes", line=RED_LINE, skew=-5, spill=0.2),
    "boxes far apart, grey": Look(lines="boxes", gap=2.1, skew=2),
    "comb, black": Look(lines="comb", line=BLACK_LINE, skew=1),
    "comb, grey, shadow": Look(lines="comb", shadow=0.5, spill=0.2),
    "on a desk, turned 3": Look(desk="wood", skew=3),
    "on a desk, table": Look(desk="wood", skew=-2, lines="table", line=BLACK_LINE),
    "on black cloth, turned 8": Look(desk="dark", skew=8, ink=BLACK, quality=70),
    "school book, red margin": Look(
        lines="ruled", line=BLUE_LINE, margin=True, desk="wood", skew=-2, shadow=0.4
    ),
    "yellow, red lines, red pen": Look(paper=YELLOW, lines="ruled", line=RED_LINE, ink=RED),
    "dotted": Look(lines="dotted", line=BLACK_LINE, skew=1),
    "squared, dark lines": Look(lines="squared", line=GREY_LINE, ink=BLACK, skew=-2),
    "squared, hard shadow": Look(lines="squared", line=BLUE_LINE, shadow=0.4, edge=True),
    "ruled, hard shadow": Look(lines="ruled", line=BLUE_LINE, shadow=0.5, edge=True, ink=BLACK),
    "thick black table": Look(lines="table", line=BLACK_LINE, thick=3, skew=1),
    "thick boxes, hard shadow": Look(
        lines="boxes", line=BLACK_LINE, thick=2, shadow=0.4, edge=True
    ),
    "turned 10": Look(skew=10, ink=BLACK),
    "turned -20": Look(skew=-20, ink=BLACK),
    "ruled, turned 10": Look(lines="ruled", line=BLUE_LINE, skew=10),
    "table, turned 12": Look(lines="table", line=BLACK_LINE, skew=12),
    "squared, turned -9": Look(lines="squared", line=BLUE_LINE, skew=-9, ink=BLACK),
    "JPEG 12": Look(quality=12),
    "blurred, shadow": Look(blur=2.2, shadow=0.5, ink=BLACK),
    "huge letters": Look(height=560, ink=BLACK),
    "green board, chalk": Look(paper=BOARD, ink=CHALK, height=110),
    "blackboard, shadow": Look(paper=BLACKBOARD, ink=CHALK, shadow=0.4, noise=4),
    "aslant 20, on a desk": Look(desk="wood", tilt=20),
    "aslant 35, on a desk": Look(desk="wood", tilt=35, skew=4),
    "aslant 35, ruled, on cloth": Look(desk="dark", tilt=35, lines="ruled", line=BLUE_LINE),
    "aslant 30, squared": Look(tilt=30, lines="squared", line=BLUE_LINE),
    "aslant 30, table": Look(tilt=30, lines="table", line=BLACK_LINE, desk="wood"),
    "aslant 30, boxes": Look(tilt=30, lines="boxes", line=BLACK_LINE, desk="wood"),
    "curled, ruled": Look(curl=0.03, lines="ruled", line=BLUE_LINE),
    "curled, squared": Look(curl=0.03, lines="squared", line=BLUE_LINE),
    "curled, table": Look(curl=0.03, lines="table", line=BLACK_LINE),
    "curled, aslant, ruled": Look(curl=0.05, tilt=20, lines="ruled", line=BLUE_LINE, desk="wood"),
    "shaken by 6 pixels": Look(shake=6),
    "little light": Look(noise=18, blur=1.0, quality=50, shadow=0.3),
    "little light, ruled": Look(noise=18, blur=1.0, quality=50, lines="ruled", line=BLUE_LINE),
    "little light, squared": Look(noise=18, blur=1.0, lines="squared", line=BLUE_LINE),
    "little light, smoothed": Look(noise=15, grain=1.5, blur=1.0),
    "little light, pencil": Look(noise=18, blur=1.0, ink=PENCIL),
    "a pen on the page": Look(things=("pen",)),
    "a thumb on the page": Look(things=("thumb",), desk="wood", skew=3),
    "punched": Look(things=("holes",), desk="wood"),
    "folded in four": Look(things=("folds",)),
    "glossy, a lamp": Look(things=("flash",)),
    "thin paper": Look(things=("other side",)),
    "thin paper, pencil": Look(things=("other side",), ink=PENCIL),
    "thin paper, ruled": Look(things=("other side",), lines="ruled", line=BLUE_LINE),
    "thin paper, squared": Look(things=("other side",), lines="squared", line=BLUE_LINE),
}


def main(
    out: Annotated[Path | None, typer.Option(help="Write the pages, annotated, here.")] = None,
    only: Annotated[str, typer.Option(help="Only looks and sets that contain this.")] = "",
    letters: Annotated[int, typer.Option(help="Most letters on a page.")] = 60,
) -> None:
    """Compose pages, read them, and print how much was found and read."""
    data_dir = Path(os.environ.get("HCR_EDGE_DATA", "../shared/data"))
    total: dict[str, Score] = {}
    for set_name, model in SETS.items():
        classifier = Classifier.load(model)
        data = match_labels(load_dataset(set_name, "test", data_dir=data_dir), classifier.spec)
        for seed, (look_name, look) in enumerate(LOOKS.items()):
            if only not in f"{set_name} {look_name}":
                continue
            rng = np.random.default_rng(seed)
            chosen = rng.permutation(len(data))[:letters]
            images = [_boxed(data.images[i], set_name) for i in chosen]
            page = compose(images, look, seed=seed)
            truth = [data.label_set[data.labels[chosen[i]]].text for i in page.letters]
            read = classifier.read(page.image)
            score = judge(page, truth, read)
            texts = [p.label for p in classifier.classify_glyphs([images[i] for i in page.letters])]
            score.alone = sum(a == b for a, b in zip(texts, truth, strict=True))
            total.setdefault(look_name, Score()).__iadd__(score)
            total.setdefault("all " + set_name, Score()).__iadd__(score)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                name = f"{set_name.split('@')[0].split(':')[0]} {look_name}".replace(",", "")
                picture = draw_overlay(page.image, marks(read))
                cv2.imwrite(str(out / f"{name.replace(' ', '-')}.png"), picture)
    typer.echo(
        "| page | letters | found | read | alone | false glyphs |\n|---|---|---|---|---|---|"
    )
    for name, score in total.items():
        share = [
            f"{value / max(score.letters, 1):.1%}"
            for value in (score.found, score.read, score.alone)
        ]
        typer.echo(f"| {name} | {score.letters} | {' | '.join(share)} | {score.false} |")


def _boxed(image: object, set_name: str) -> np.ndarray:
    """A letter in its writing box; Hoda's and SD19's images are cut at the ink, true to scale."""
    array = np.asarray(image, np.uint8)
    if set_name == "hoda":
        side = max(64, *array.shape)
        box = np.zeros((side, side), np.uint8)
        top, left = (side - array.shape[0]) // 2, (side - array.shape[1]) // 2
        box[top : top + array.shape[0], left : left + array.shape[1]] = array
        return box
    return array


if __name__ == "__main__":
    typer.run(main)
