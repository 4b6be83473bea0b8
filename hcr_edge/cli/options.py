"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DEFAULT_MODEL = "arabic-letters"

SETS_HELP = (
    "A set that 'hcr-edge data list' names, or folder:PATH, csv:PATH, npz:PATH;"
    " several joined with +, one label map with @."
)
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where published data sets lie; else the variable HCR_EDGE_DATA."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON (see docs/json.md).")]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A shipped name, an .onnx, .ort or .tflite file, or a bundle."
    ),
]
Engine = Annotated[
    Literal["onnxruntime", "litert", "opencv"] | None,
    typer.Option(help="What runs the model; by default what its file is for."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
