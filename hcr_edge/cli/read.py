"""``hcr-edge read``: every character on a page."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Annotated

import cv2
import typer

from hcr_edge.cli.console import answer, err, say
from hcr_edge.cli.options import Json, Overwrite
from hcr_edge.cli.outputs import check_new, write_whole
from hcr_edge.drawing import Mark, draw_overlay
from hcr_edge.errors import DataError
from hcr_runtime import Classifier, ReadGlyph


def read(
    page: Annotated[Path, typer.Argument(help="A photograph or scan of a page.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A shipped name, or an .onnx or .tflite file.")
    ] = "arabic-letters",
    annotate: Annotated[
        Path | None, typer.Option(help="Write the page with boxes and letters as a PNG.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find every character on a page and read it.

    Examples: [bold]hcr-edge read page.jpg[/], [bold]hcr-edge read form.jpg -m persian-digits
    --annotate read.png[/]
    """
    if annotate is not None:
        check_new(annotate, overwrite)
    glyphs = Classifier.load(model).read(page)
    if annotate is not None:
        write_annotated(page, marks(glyphs), annotate)
    if as_json:
        answer({"page": str(page), "glyphs": [glyph.to_dict() for glyph in glyphs]})
        return
    for _, line in groupby(glyphs, key=lambda glyph: glyph.line):
        say(" ".join(_text(glyph) for glyph in line))
    accepted = sum(glyph.prediction.accepted for glyph in glyphs)
    err.print(f"{len(glyphs)} characters, {accepted} accepted; ? not accepted, × touching")


def _text(glyph: ReadGlyph) -> str:
    if glyph.touching:
        return "×"
    return glyph.prediction.label + ("" if glyph.prediction.accepted else "?")


def marks(glyphs: Iterable[ReadGlyph]) -> list[Mark]:
    """What is drawn of each glyph: its letter; a cross where several touch."""
    return [
        Mark(
            glyph.box,
            _text(glyph),
            "touching"
            if glyph.touching
            else "accepted"
            if glyph.prediction.accepted
            else "refused",
        )
        for glyph in glyphs
    ]


def write_annotated(photo: Path, items: Iterable[Mark], place: Path) -> None:
    """Write a photograph with boxes and letters as a PNG.

    Raises:
        DataError: It cannot be decoded in colour.
        OSError: It cannot be written.
    """
    image = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{photo} cannot be drawn on", allowed="PNG, JPEG, BMP, TIFF, WebP")
    write_whole(place, cv2.imencode(".png", draw_overlay(image, items))[1].tobytes())


COMMANDS = (read,)
