"""Reads the photographed form in ``persian_forms/``: a writer, a pen, a camera of none of the sets.

``python benchmarks/persian_form.py MODEL [--cells FILE.png]`` cuts the cells out of the one
photograph, reads those whose character the model knows, and prints how many it read. The form is
GitHub: sadafnazari/Persian_handwriting_recognition (MIT). It steered the choice of preprocessing
and augmentation, and so is a validation, not a test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from hcr_edge.evaluate import open_model

# Rows of the form from top to bottom; digits fill the ten middle columns of the fourteen.
ROWS = "۰۱ابپتثجچحخدذرزژسشص۲۳"
COLUMNS = 14
# Corners of the table in the photograph, pixels: top left, top right, bottom right, bottom left.
CORNERS = ((57, 126), (826, 124), (822, 1191), (86, 1204))
CELL = 64
# The cells' lines are dotted, and not quite straight: so much of each side is left out.
MARGIN = 8

Cell = tuple[str, NDArray[np.uint8]]


def read_cells(photograph: Path) -> list[Cell]:
    """Cut out each cell: its character, and its grey image (48, 48)."""
    image = cv2.imread(str(photograph), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise typer.BadParameter(f"there is no photograph {photograph}")
    width, height = COLUMNS * CELL, len(ROWS) * CELL
    table = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    flat = cv2.warpPerspective(
        image, cv2.getPerspectiveTransform(np.float32(CORNERS), table), (width, height)
    )
    cells = []
    for row, text in enumerate(ROWS):
        columns = range(2, 12) if text in "۰۱۲۳" else range(COLUMNS)
        for column in columns:
            top, left = row * CELL + MARGIN, column * CELL + MARGIN
            side = CELL - 2 * MARGIN
            cells.append((text, flat[top : top + side, left : left + side]))
    return cells


def main(
    model: Annotated[str, typer.Argument(help="As for hcr-edge evaluate.")],
    cells: Annotated[Path | None, typer.Option(help="Write the cells as one picture.")] = None,
) -> None:
    """Read the form."""
    data = Path(os.environ.get("HCR_EDGE_DATA", "../shared/data"))
    found = read_cells(data / "persian_forms" / "form_sample1.jpg")
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
