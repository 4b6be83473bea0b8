"""Commands that need the runtime alone: classify, models, inspect, selftest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hcr_edge.checkpoints import model_file
from hcr_edge.cli.console import answer, fail, say, show, table
from hcr_edge.cli.inputs import image_of
from hcr_edge.cli.options import DEFAULT_MODEL, Engine, Json, Model, Overwrite
from hcr_edge.cli.outputs import check_picture
from hcr_edge.cli.read import mark_character, write_annotated
from hcr_edge.errors import DataError
from hcr_runtime import (
    Classifier,
    HcrError,
    ModelSpec,
    Prediction,
    shipped_models,
)
from hcr_runtime.carrier import read_zip_spec
from hcr_runtime.engines import OnnxRuntimeEngine
from hcr_runtime.selftest import selftest as run_selftest


def classify(
    images: Annotated[
        list[str],
        typer.Argument(help="Image files of one character each; - is standard input."),
    ],
    model: Model = DEFAULT_MODEL,
    top: Annotated[int, typer.Option(min=1, help="How many candidates to name.")] = 3,
    allow: Annotated[
        str | None, typer.Option(help="Labels that may be answered: --allow ابت, or with commas.")
    ] = None,
    deny: Annotated[str | None, typer.Option(help="Labels that may not be answered.")] = None,
    engine: Engine = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Write the image with its box and letter here.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Read one character from each image.

    Examples: [bold]hcr-edge classify letter.png --top 5[/], [bold]hcr-edge classify photo.jpg
    --annotate read.png[/], [bold]hcr-edge classify digit.png -m persian-digits --allow ۰۱[/]
    """
    if annotate is not None:
        if len(images) > 1:
            raise DataError(
                f"--annotate was given with {len(images)} images",
                allowed="one image",
                hint="for a page of characters there is hcr-edge read",
            )
        check_picture(annotate, overwrite)
    classifier = Classifier.load(model, engine=engine)
    allowed, denied = (None if text is None else _labels(text) for text in (allow, deny))
    answers: list[dict[str, Any]] = []
    failed = False
    for name in images:
        try:
            image = image_of(name)
            prediction = classifier.classify(image, top, allow=allowed, deny=denied)
        except HcrError as error:
            failed = True
            fail(str(error))
            answers.append({"image": name, "error": str(error)})
            continue
        answers.append({"image": name, **prediction.to_dict()})
        if not prediction.label:
            failed = True
            fail(f"{name}: the image is empty: no ink found")
            continue
        if annotate is not None:
            write_annotated(image, [mark_character(image, prediction)], annotate)
        if not as_json:
            say(f"{name}\t{describe(prediction)}")
    if as_json:
        answer(answers)
    if failed:
        raise typer.Exit(2)


def _labels(text: str) -> list[str]:
    """Labels that are given as one text, ``ابت``, or with commas between them, ``ا,lam-alef``."""
    return text.split(",") if "," in text else list(text)


def describe(prediction: Prediction) -> str:
    """One line for people: label, name, code point, confidence, the next candidates."""
    rest = ", ".join(f"{c.label} {c.confidence:.1%}" for c in prediction.top[1:])
    refused = "" if prediction.accepted else f" (not accepted: {prediction.reason})"
    return (
        f"{prediction.label}  {prediction.name} {prediction.codepoint}"
        f"  {prediction.confidence:.1%}{refused}" + (f"  then {rest}" if rest else "")
    )


def models(as_json: Json = False) -> None:
    """List the models that ship with the package."""
    found: list[dict[str, Any]] = []
    for name, path in shipped_models().items():
        spec = OnnxRuntimeEngine(path).spec
        found.append(
            {
                "name": name,
                "classes": len(spec.labels),
                "labels": list(spec.texts),
                "bytes": path.stat().st_size,
                "quantization": spec.provenance.quantization,
                "training_data": spec.provenance.training_data,
                "figures": dict(spec.provenance.figures),
            }
        )
    if as_json:
        answer(found)
        return
    for item in found:
        say(f"{item['name']}: {item['classes']} classes, {item['bytes'] / 1000:.0f} KB")
        say(f"  {' '.join(item['labels'])}")
        say(f"  {item['quantization']}; trained on {item['training_data']}")
        for what, value in item["figures"].items():
            say(f"  {value:.2%}  {what}")


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            help="A shipped name, .onnx, .ort, .tflite, .keras, a bundle, or a run folder."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show the description that a model file carries inside.

    Example: [bold]hcr-edge inspect build/arabic-letters/arabic-letters-int8.onnx[/]
    """
    path, spec = read_spec(model)
    if as_json:
        answer({"file": str(path), "bytes": path.stat().st_size, "spec": spec.to_dict()})
        return
    rows = table("field", "value")
    rows.add_row("file", f"{path.name}, {path.stat().st_size / 1000:.0f} KB")
    rows.add_row("model", spec.name)
    rows.add_row("labels", f"{len(spec.labels)}: {' '.join(spec.texts)}")
    shape = spec.input
    rows.add_row(
        "input", f"{shape.height}x{shape.width}x{shape.channels} {shape.dtype} {shape.layout}"
    )
    rows.add_row("preprocessing", f"version {spec.preprocess.version}")
    rows.add_row("accepted", f"from a confidence of {spec.rejection.min_confidence:.2%} on")
    rows.add_row("output", f"{spec.output}, temperature {spec.temperature:g}")
    provenance = spec.provenance
    for name in (
        "architecture",
        "training_data",
        "data_licence",
        "quantization",
        "calibration",
        "min_engine",
        "source_sha256",
    ):
        if value := getattr(provenance, name):
            rows.add_row(name.replace("_", " "), value)
    for what, value in provenance.figures.items():
        rows.add_row(f"{value:.2%}", what)
    rows.add_row("made with", ", ".join(f"{k} {v}" for k, v in provenance.versions.items()))
    show(rows)


def read_spec(model: str) -> tuple[Path, ModelSpec]:
    """Find a model by name, path or run folder and read its description.

    Raises:
        ModelError: There is no such model, or it is damaged.
        SpecError: It has no valid description inside.
    """
    path = model_file(model)
    if path.suffix in (".keras", ".tflite"):
        return path, read_zip_spec(path)
    return path, OnnxRuntimeEngine(path).spec


def selftest(
    bundle: Annotated[Path, typer.Argument(help="A bundle that hcr-edge export made.")],
    as_json: Json = False,
) -> None:
    """Prove a bundle on this machine: exit code 1 when a file was altered or answers otherwise.

    Checks checksums and labels, and runs the golden vectors, from the bytes of an image to the
    label that the exporter saw, on every model for which an engine is installed.

    Example: [bold]hcr-edge selftest build/arabic-letters[/]
    """
    results = run_selftest(bundle)
    if as_json:
        answer([item.to_dict() for item in results])
    else:
        for item in results:
            say(f"{item.file}: {item.verdict}")
    if any(item.failures for item in results):
        raise typer.Exit(1)


COMMANDS = (classify, models, inspect, selftest)
