"""The command export: a Keras model in, a proven bundle out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.cli.console import working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json, Overwrite
from hcr_edge.cli.parity import (
    MaxDrop,
    MinAgreement,
    default_dataset,
    finish_parity,
    limits,
    report_skipped,
)
from hcr_edge.datasets import load_samples


def export(
    model: Annotated[str, typer.Argument(help="A shipped name, a run folder, or a .keras file.")],
    out: Annotated[Path, typer.Option(help="The bundle's folder, to be made.")],
    artifact: Annotated[
        list[str] | None,
        typer.Option(help="Only this artifact, e.g. int8.onnx; may be repeated."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="What parity is measured on; a data set as for evaluate."),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(help="What calibrates int8; a data set as for evaluate.")
    ] = None,
    data_dir: DataDir = None,
    max_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Convert a model to TFLite and ONNX and prove every file against Keras.

    Without a data set, calibration and parity run on images that the project drew itself.
    Exit code 1: a file is beyond its limits (the bundle says which, and which letters lost).

    Example: [bold]hcr-edge export arabic-letters --out build/arabic-letters[/]
    """
    path = find_checkpoint(model)
    with working("loading TensorFlow") as status:
        with export_extra("export"):
            from hcr_edge.proof_images import calibration_images, parity_images
            from hcr_export.artifacts import choose
            from hcr_export.bundle import check_out, export_bundle
            from hcr_export.keras_file import load_keras
        check_out(out, overwrite)
        kinds = choose(artifact or [])
        source = load_keras(path)
        status.update("reading the images")
        standard = default_dataset(data_dir, source.spec)
        images = parity_images(dataset or standard, None, data_dir, source.spec)
        report_skipped(images.skipped)
        golden = load_samples("test").limit(28)
        report = export_bundle(
            source,
            out,
            kinds=kinds,
            calibration=calibration_images(calibration or standard, data_dir, source.spec),
            images=images,
            golden=[golden.encoded(i) for i in range(len(golden))],
            limits=limits(max_drop, min_agreement),
            overwrite=overwrite,
            progress=status.update,
        )
    finish_parity(report, out, as_json)


COMMANDS = (export,)
