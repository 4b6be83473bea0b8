"""`hcr-edge explain`: a picture of what the preprocessing makes of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hcr_edge.cli.console import answer, say
from hcr_edge.cli.inputs import image_of
from hcr_edge.cli.options import DEFAULT_MODEL, Json, Model, Overwrite
from hcr_edge.cli.outputs import check_picture, write_picture
from hcr_runtime import Classifier
from hcr_runtime.explain import explain as draw


def explain(
    image: Annotated[
        str, typer.Argument(help="An image file of one character; - is standard input.")
    ],
    out: Annotated[Path, typer.Option(help="The picture to write.")],
    model: Model = DEFAULT_MODEL,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Draw each step from an image to its answer: why it is read as it is.

    Example: [bold]hcr-edge explain letter.jpg --out build/why.png[/]
    """
    check_picture(out, overwrite)
    classifier = Classifier.load(model)
    pixels = image_of(image)
    picture = draw(classifier, pixels)
    write_picture(picture, out)
    if as_json:
        prediction = classifier.classify(pixels)
        answer({"image": image, "picture": str(out), **prediction.to_dict()})
    else:
        say(f"wrote {out}")


COMMANDS = (explain,)
