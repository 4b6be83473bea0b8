"""Commands that need the runtime alone: classify, webcam, models, inspect, selftest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hcr_edge.checkpoints import model_file
from hcr_edge.cli.console import answer, answer_line, err, fail, say, show, table
from hcr_runtime import (
    Box,
    CameraError,
    Classifier,
    Frame,
    HcrError,
    ModelSpec,
    Prediction,
    frames,
    largest_glyph,
    shipped_models,
)
from hcr_runtime.carrier import read_zip_spec
from hcr_runtime.engines import OnnxRuntimeEngine
from hcr_runtime.golden import GoldenResult
from hcr_runtime.segment import crop_glyph
from hcr_runtime.selftest import selftest as run_selftest

DEFAULT_MODEL = "arabic-letters"

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON (see docs/json.md).")]
Model = Annotated[
    str, typer.Option("--model", "-m", help="A shipped name, or an .onnx or .tflite file.")
]


def classify(
    images: Annotated[list[Path], typer.Argument(help="Image files of one character each.")],
    model: Model = DEFAULT_MODEL,
    top: Annotated[int, typer.Option(min=1, help="How many candidates to name.")] = 3,
    as_json: Json = False,
) -> None:
    """Read one character from each image.

    Example: [bold]hcr-edge classify letter.png --top 5[/]
    """
    classifier = Classifier.load(model)
    answers: list[dict[str, Any]] = []
    failed = False
    for path in images:
        try:
            prediction = classifier.classify(path, top)
            problem = f"{path}: the image is empty: no ink found" if not prediction.label else ""
        except HcrError as error:
            prediction, problem = None, str(error)
        if prediction is None or problem:
            failed = True
            fail(problem)
            answers.append({"image": str(path), "error": problem})
            continue
        answers.append({"image": str(path), **prediction.to_dict()})
        if not as_json:
            say(f"{path}\t{describe(prediction)}")
    if as_json:
        answer(answers)
    if failed:
        raise typer.Exit(2)


def describe(prediction: Prediction) -> str:
    """One line for people: label, name, code point, confidence, the next candidates."""
    rest = ", ".join(f"{c.label} {c.confidence:.1%}" for c in prediction.top[1:])
    refused = "" if prediction.accepted else f" (not accepted: {prediction.reason})"
    return (
        f"{prediction.label}  {prediction.name} {prediction.codepoint}"
        f"  {prediction.confidence:.1%}{refused}" + (f"  then {rest}" if rest else "")
    )


def webcam(
    source: Annotated[str, typer.Option(help="A camera's number, or a video file.")] = "0",
    model: Model = DEFAULT_MODEL,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Show the picture.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a frame (see docs/json.md).")
    ] = False,
) -> None:
    """Read the largest glyph in every frame of a camera or video.

    Examples: [bold]hcr-edge webcam[/], [bold]hcr-edge webcam --source clip.avi --no-window
    --json[/]
    """
    if window:
        check_screen()
    classifier = Classifier.load(model)
    try:
        for frame in frames(source):
            box = largest_glyph(frame.image)
            prediction = None if box is None else classifier.classify(crop_glyph(frame.image, box))
            if as_json:
                answer_line(frame_to_dict(frame, box, prediction))
            else:
                text = describe(prediction) if prediction is not None else "-"
                say(f"{frame.index}\t{frame.seconds:.2f} s\t{text}")
            if window and not _show_frame(frame, box, prediction):
                break
    except KeyboardInterrupt:
        err.print("stopped")


def frame_to_dict(frame: Frame, box: Box | None, prediction: Prediction | None) -> dict[str, Any]:
    """What ``webcam --json`` says of one frame."""
    read = prediction is not None and prediction.label
    return {
        "frame": frame.index,
        "t": round(frame.seconds, 3),
        "label": prediction.label if prediction is not None and read else None,
        "name": prediction.name if prediction is not None and read else None,
        "confidence": round(prediction.confidence, 4) if prediction is not None else 0.0,
        "accepted": prediction is not None and prediction.accepted,
        "box": None if box is None else [box.left, box.top, box.width, box.height],
    }


def check_screen() -> None:
    """Raise `CameraError` where no window can be shown: OpenCV would abort the process."""
    import cv2

    hint = "give --no-window"
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise CameraError("there is no screen to show a window on", hint=hint)
    gui = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    if gui and gui[0].split("GUI:")[1].strip() == "NONE":
        raise CameraError("this OpenCV is the headless variant, without windows", hint=hint)


def _show_frame(frame: Frame, box: Box | None, prediction: Prediction | None) -> bool:
    """Draw one frame in the window; False when the user wants to quit."""
    import cv2

    image = frame.image.copy()
    if box is not None and prediction is not None:
        corner = (box.left + box.width, box.top + box.height)
        cv2.rectangle(image, (box.left, box.top), corner, (0, 160, 0), 2)
        text = f"{prediction.name} {prediction.confidence:.0%}"
        place = (box.left, max(box.top - 8, 16))
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 120, 0), 2)
    try:
        cv2.imshow("hcr-edge (q quits)", image)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise CameraError(
            f"no window can be shown ({error.err})", hint="give --no-window"
        ) from error


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
        str, typer.Argument(help="A shipped name, .onnx, .tflite, .keras, or a run folder.")
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
        answer(
            [
                {
                    "file": item.file,
                    "cases": item.cases,
                    "exact_tensors": item.exact_tensors,
                    "failures": list(item.failures),
                    "skipped": item.skipped or None,
                }
                for item in results
            ]
        )
    else:
        for item in results:
            say(f"{item.file}: {_verdict(item)}")
    if any(item.failures for item in results):
        raise typer.Exit(1)


def _verdict(item: GoldenResult) -> str:
    if item.skipped:
        return f"skipped: {item.skipped}"
    cases = f"{item.cases} cases, {item.exact_tensors} exact tensors: " if item.cases else ""
    return cases + ("; ".join(item.failures) or "as recorded")


COMMANDS = (classify, webcam, models, inspect, selftest)
