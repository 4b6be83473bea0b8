"""Reads the photographed form in ``persian_forms/``: a writer, a pen, a camera of none of the sets.

``python benchmarks/persian_form.py MODEL [--cells FILE.png]`` cuts the cells out of the one
photograph, reads those whose character the model knows, and prints how many it read. With
``--margin PIXELS`` the cells, of 64 pixels a side, are cut so far inside of their lines, instead of
8, or outside with a negative number, and read by `Classifier.classify`. With
``--page`` it is told no cells: `hcr_runtime.read_page` finds the characters in the photograph.
Printed are the filled cells in which it found exactly one, those read right, how many of پ چ ژ,
which the model does not know, it refused, and what it found outside of the cells. The form is
GitHub: sadafnazari/Persian_handwriting_recognition (MIT). It steered the choice of preprocessing
and augmentation, and so is a validation, not a test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from hcr_edge.evaluate import open_model
from hcr_runtime import Classifier, ReadGlyph

# Rows of the form from top to bottom; digits fill the ten middle columns of the fourteen.
ROWS = "۰۱ابپتثجچحخدذرزژسشص۲۳"
COLUMNS = 14
# Corners of the table in the photograph, pixels: top left, top right, bottom right, bottom left.
CORNERS = ((57, 126), (826, 124), (822, 1191), (86, 1204))
CELL = 64
# The cells' lines are dotted, and not quite straight: so much of each side is left out.
MARGIN = 8

Cell = tuple[str, NDArray[np.uint8]]
WIDTH, HEIGHT = COLUMNS * CELL, len(ROWS) * CELL


def flatten() -> NDArray[np.float64]:
    """The transform from the photograph to a table of `COLUMNS` by `ROWS` square cells."""
    table = np.float32([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)])
    return cv2.getPerspectiveTransform(np.float32(CORNERS), table)


def filled() -> dict[tuple[int, int], str]:
    """The character in each filled cell, by row and column."""
    return {
        (row, column): text
        for row, text in enumerate(ROWS)
        for column in (range(2, 12) if text in "۰۱۲۳" else range(COLUMNS))
    }


def read_cells(photograph: Path, margin: int = MARGIN) -> list[Cell]:
    """Cut out each cell, so many pixels within its lines: its character, and its grey image."""
    image = cv2.imread(str(photograph), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise typer.BadParameter(f"there is no photograph {photograph}")
    flat = cv2.warpPerspective(image, flatten(), (WIDTH, HEIGHT))
    cells = []
    for (row, column), text in filled().items():
        top, left = row * CELL + margin, column * CELL + margin
        bottom, right = (row + 1) * CELL - margin, (column + 1) * CELL - margin
        cells.append((text, flat[max(top, 0) : bottom, max(left, 0) : right]))
    return cells


@dataclass
class PageResult:
    """What was found in the whole photograph.

    Attributes:
        cells: Number of filled cells.
        single: Those in which exactly one glyph was found, not touching another.
        known: Those whose character the model knows.
        right: Those of them that were read right, from one glyph.
        strangers: Glyphs found for پ چ ژ.
        refused: Those of them that were not accepted.
        outside: Glyphs found outside of the filled cells.
        wrong: Each wrong answer, ``true→read``.
    """

    cells: int
    single: int
    known: int
    right: int
    strangers: int
    refused: int
    outside: int
    wrong: list[str]


def read_whole(photograph: Path, classifier: Classifier) -> PageResult:
    """Read the photograph as a page, and see into which cells its glyphs fall."""
    truth = filled()
    found: dict[tuple[int, int], list[ReadGlyph]] = {place: [] for place in truth}
    outside = 0
    for glyph in classifier.read(photograph):
        box = glyph.box
        middle = np.float32([[[box.left + box.width / 2, box.top + box.height / 2]]])
        x, y = cv2.perspectiveTransform(middle, flatten())[0, 0] // CELL
        cell = found.get((int(y), int(x)))
        if cell is None:
            outside += 1
        else:
            cell.append(glyph)
    texts = classifier.spec.texts
    single = {p: g[0] for p, g in found.items() if len(g) == 1 and not g[0].touching}
    known = [place for place, text in truth.items() if text in texts]
    wrong = [
        f"{truth[place]}→{single[place].prediction.label if place in single else '?'}"
        for place in known
        if place not in single or single[place].prediction.label != truth[place]
    ]
    strangers = [g for place, glyphs in found.items() if truth[place] in "پچژ" for g in glyphs]
    return PageResult(
        cells=len(truth),
        single=len(single),
        known=len(known),
        right=len(known) - len(wrong),
        strangers=len(strangers),
        refused=sum(not glyph.prediction.accepted for glyph in strangers),
        outside=outside,
        wrong=wrong,
    )


def main(
    model: Annotated[str, typer.Argument(help="As for hcr-edge evaluate.")],
    cells: Annotated[Path | None, typer.Option(help="Write the cells as one picture.")] = None,
    margin: Annotated[int | None, typer.Option(help="Cut so far within the lines.")] = None,
    page: Annotated[bool, typer.Option("--page", help="Find the characters, too.")] = False,
) -> None:
    """Read the form."""
    data = Path(os.environ.get("HCR_EDGE_DATA", "../shared/data"))
    photograph = data / "persian_forms" / "form_sample1.jpg"
    if page:
        result = read_whole(photograph, Classifier.load(model))
        typer.echo(
            f"{model}: one glyph in {result.single} of {result.cells} cells"
            f" ({result.single / result.cells:.1%}); read {result.right} of {result.known}"
            f" ({result.right / result.known:.1%}); refused {result.refused} of"
            f" {result.strangers} پ چ ژ; {result.outside} elsewhere  {' '.join(result.wrong)}"
        )
        return
    if margin is not None:
        classifier = Classifier.load(model)
        known = [c for c in read_cells(photograph, margin) if c[0] in classifier.spec.texts]
        read = classifier.classify_batch([image for _, image in known])
        sure = [(p.label, text) for p, (text, _) in zip(read, known, strict=True) if p.accepted]
        right_ones = sum(p.label == text for p, (text, _) in zip(read, known, strict=True))
        typer.echo(
            f"{model}: {right_ones} of {len(known)}; answered {len(sure)},"
            f" wrong of these {sum(label != text for label, text in sure)}"
        )
        return
    found = read_cells(photograph)
    if cells is not None:
        rows = [np.hstack([image for text, image in found if text == row]) for row in ROWS]
        widest = max(row.shape[1] for row in rows)
        cv2.imwrite(str(cells), np.vstack([_widened(row, widest) for row in rows]))
    opened = open_model(model)
    known = [(text, image) for text, image in found if text in opened.spec.texts]
    scores = opened.scores([image for _, image in known])
    answers = [opened.spec.texts[i] for i in scores.argmax(axis=1)]
    right = [answer == text for answer, (text, _) in zip(answers, known, strict=True)]
    wrong = [f"{t}→{a}" for a, (t, _) in zip(answers, known, strict=True) if a != t]
    typer.echo(f"{model}: {sum(right)} of {len(right)} ({np.mean(right):.1%})  {' '.join(wrong)}")


def _widened(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    return np.pad(row, ((0, 0), (0, width - row.shape[1])), constant_values=255)


if __name__ == "__main__":
    typer.run(main)
