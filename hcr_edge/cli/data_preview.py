"""The command that draws a data set: ``data preview``."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Annotated

import typer

from hcr_edge.cli.console import answer, say, warn, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json, Overwrite
from hcr_edge.cli.outputs import check_new
from hcr_edge.datasets import load_dataset
from hcr_edge.errors import DataError
from hcr_edge.whole_file import write_whole

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def preview(
    spec: Annotated[str, typer.Argument(help="As 'data validate' takes it.")],
    out: Annotated[
        Path | None, typer.Option(help="The picture; by default named after the set.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which part; by default test, or all.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=100, help="Images of each class.")] = 16,
    size: Annotated[int, typer.Option(min=16, max=256, help="Side of each, in pixels.")] = 44,
    seed: Annotated[int, typer.Option(min=0, help="Which images.")] = 0,
    data_dir: DataDir = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Draw a sheet with a row of images for each class, beside its label.

    Images are shown as they are, so that a person sees what is mirrored, inverted or mislabelled.

    Example: [bold]hcr-edge data preview hijja:isolated --split all --out sheet.png[/]
    """
    place = out if out is not None else Path(f"{_file_name(spec, split)}.png")
    if place.suffix.lower() not in _FORMATS:
        raise DataError(f"{place} has no known suffix", allowed=", ".join(_FORMATS))
    check_new(place, overwrite)
    with export_extra("data preview"):
        import matplotlib  # noqa: F401
        import PIL  # noqa: F401

        from hcr_edge.datasets.preview import contact_sheet
    with working(f"reading {spec}"):
        data = load_dataset(spec, split, data_dir=data_dir)
        sheet = contact_sheet(data, columns, seed, size)
        packed = io.BytesIO()
        sheet.save(packed, _FORMATS[place.suffix.lower()])
    write_whole(place, packed.getvalue())
    if data.skipped:
        listing = ", ".join(f"{name} ({count})" for name, count in sorted(data.skipped.items()))
        warn(f"classes left out (images): {listing}")
    if as_json:
        answer(
            {
                "dataset": data.name,
                "split": data.split,
                "file": str(place),
                "width": sheet.width,
                "height": sheet.height,
                "images": len(data),
                "classes": len(set(data.labels.tolist())),
            }
        )
    else:
        say(f"{place}: {sheet.width} x {sheet.height} pixels, {data.name} {data.split}")


def _file_name(spec: str, split: str | None) -> str:
    """Name a file after a set.

    >>> _file_name("ahcd+folder:my/letters@arabic-letters", None)
    'ahcd-folder-my-letters-arabic-letters'
    """
    text = f"{spec} {split}" if split else spec
    return (
        re.sub(r"\W+", "-", text.replace("-", "\0")).replace("\0", "-").strip("-")[:100] or "sheet"
    )
