"""``hcr-edge read``: every character on a page."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from hcr_edge.cli.console import answer, err, say
from hcr_edge.cli.inputs import image_of
from hcr_edge.cli.options import DEFAULT_MODEL, Engine, Json, Model, Overwrite
from hcr_edge.cli.outputs import check_picture, write_picture
from hcr_edge.drawing import Kind, Mark, draw_overlay
from hcr_runtime import (
    Box,
    Classifier,
    Prediction,
    ReadGlyph,
    largest_glyph,
    to_bgr,
    to_gray,
)


def read(
    page: Annotated[
        str, typer.Argument(help="A photograph or scan of a page; - is standard input.")
    ],
    model: Model = DEFAULT_MODEL,
    engine: Engine = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Write the page with boxes and letters here.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find every character on a page and read it.

    Examples: [bold]hcr-edge read page.jpg[/], [bold]hcr-edge read form.jpg -m persian-digits
    --annotate read.png[/]
    """
    if annotate is not None:
        check_picture(annotate, overwrite)
    image = image_of(page)
    glyphs = Classifier.load(model, engine=engine).read(image)
    if annotate is not None:
        write_annotated(image, marks(glyphs), annotate)
    if as_json:
        answer({"page": page, "glyphs": [glyph.to_dict() for glyph in glyphs]})
        return
    for _, line in groupby(glyphs, key=lambda glyph: glyph.line):
        say(" ".join(_text(glyph.prediction, glyph.touching) for glyph in line))
    accepted = sum(glyph.prediction.accepted for glyph in glyphs)
    counted = "1 character" if len(glyphs) == 1 else f"{len(glyphs)} characters"
    err.print(f"{counted}, {accepted} accepted; ? not accepted, × touching")


def _text(prediction: Prediction, touching: bool) -> str:
    if touching:
        return "×"
    return prediction.label + ("" if prediction.accepted else "?")


def _mark(box: Box, prediction: Prediction, touching: bool) -> Mark:
    kind: Kind = "touching" if touching else "accepted" if prediction.accepted else "refused"
    return Mark(box, _text(prediction, touching), kind)


def marks(glyphs: Iterable[ReadGlyph]) -> list[Mark]:
    """What is drawn of each glyph: its letter; a cross where several touch."""
    return [_mark(glyph.box, glyph.prediction, glyph.touching) for glyph in glyphs]


def mark_character(photo: Path | bytes, prediction: Prediction) -> Mark:
    """What is drawn of a photograph of one character: its box, or the whole photograph."""
    box = largest_glyph(photo)
    if box is None:
        height, width = to_gray(photo).shape
        box = Box(0, 0, width, height)
    return _mark(box, prediction, touching=False)


def write_annotated(photo: Path | bytes, items: Iterable[Mark], place: Path) -> None:
    """Write a photograph with boxes and letters, as what its place's suffix says.

    Raises:
        ImageError: It cannot be decoded.
        OSError: It cannot be written.
    """
    write_picture(draw_overlay(to_bgr(photo), items), place)


COMMANDS = (read,)
