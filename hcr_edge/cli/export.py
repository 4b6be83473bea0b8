"""The command export: a Keras model in, a proven bundle out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.cli.console import warn, working
from hcr_edge.cli.export_plan import (
    ArtifactOption,
    AutoOption,
    BatchOption,
    InputOption,
    LayoutOption,
    QuantizationOption,
    TargetOption,
    chosen_kinds,
    find_smallest,
    say_choice,
)
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json, Overwrite
from hcr_edge.cli.parity import (
    MaxDrop,
    MinAgreement,
    SkipDamaged,
    Unsafe,
    default_dataset,
    finish_parity,
    limits,
    report_skipped,
)
from hcr_runtime import ModelError, SpecError

if TYPE_CHECKING:
    from hcr_export.bundle import CalibrationImages
    from hcr_export.keras_file import KerasFile
    from hcr_export.labelled_images import LabelledImages
    from hcr_runtime import ModelSpec

FOREIGN = "Models from elsewhere"


def export(
    model: Annotated[
        str,
        typer.Argument(help="A shipped name, a run folder, a .keras or .h5 file, a SavedModel."),
    ],
    out: Annotated[Path, typer.Option(help="The bundle's folder, to be made.")],
    artifact: ArtifactOption = None,
    target: TargetOption = None,
    input_type: InputOption = "float32",
    layout: LayoutOption = "NHWC",
    batch: BatchOption = None,
    quantization: QuantizationOption = None,
    auto: AutoOption = False,
    dataset: Annotated[
        str | None,
        typer.Option(help="What parity is measured on; a data set as for evaluate, or drawn."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="What calibrates int8; also folder:PATH of images without classes."),
    ] = None,
    data_dir: DataDir = None,
    max_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    skip_damaged: SkipDamaged = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
    spec: Annotated[
        Path | None,
        typer.Option(help="A YAML file with what the options below say.", rich_help_panel=FOREIGN),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="A file, one label a line or JSON; or a map.", rich_help_panel=FOREIGN),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it.", rich_help_panel=FOREIGN)
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="Pixels, e.g. 28 or 32x48.", rich_help_panel=FOREIGN)
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="1 (grey) or 3 (RGB).", rich_help_panel=FOREIGN)
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="What pixels were brought to: 0-1, -1-1, 0-255, or mean,std.",
            rich_help_panel=FOREIGN,
        ),
    ] = None,
    polarity: Annotated[
        str | None,
        typer.Option(
            help="What it reads: bright ink, dark ink, or images as-is.", rich_help_panel=FOREIGN
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            help="Images are stretched to its input, padded, or their glyph centered: stretch,"
            " pad, center.",
            rich_help_panel=FOREIGN,
        ),
    ] = None,
    interpolation: Annotated[
        str | None,
        typer.Option(help="area, bilinear or nearest.", rich_help_panel=FOREIGN),
    ] = None,
    allow_unsafe: Unsafe = False,
) -> None:
    """Convert a model to TFLite and ONNX and prove every file against Keras.

    Without a data set, calibration and parity run on drawn images, and the report says so.
    Exit code 1: a file is beyond its limits (the bundle says which, and which letters lost).

    Examples: [bold]hcr-edge export arabic-letters --out build/arabic-letters[/],
    [bold]hcr-edge export arabic-letters --target microcontroller --out build/micro[/],
    [bold]hcr-edge export arabic-letters --auto --max-drop 0.1 --out build/smallest[/],
    [bold]hcr-edge export digits.h5 --labels digits.txt --normalize 0-1 --calibration folder:scans
    --out build/digits[/]
    """
    options = {
        "labels": labels,
        "name": name,
        "input-size": input_size,
        "channels": channels,
        "normalize": normalize,
        "polarity": polarity,
        "fit": fit,
        "interpolation": interpolation,
    }
    if auto and quantization:
        raise ModelError("--auto finds the quantization by itself", hint="leave --quantization out")
    path = find_checkpoint(model)
    with (
        _temporary_folder() as folder,
        working("loading TensorFlow") as status,
    ):
        with export_extra("export"):
            from hcr_edge.proof_images import golden_images
            from hcr_export.bundle import export_bundle
            from hcr_export.plan import Border, plan
            from hcr_export.quantization import read_recipe
            from hcr_export.whole_folder import check_out
        check_out(out, overwrite)
        recipe = read_recipe(quantization) if quantization else None
        kinds = chosen_kinds(artifact or [], target or [], recipe, auto)
        border = Border(input_type, layout, batch)
        source = _load(path, spec, options, folder, allow_unsafe)
        status.update("reading the images")
        proof = _images(source.spec, dataset, calibration, data_dir, skip_damaged, auto)
        if proof.tuning is not None:
            allowed = limits(max_drop, min_agreement)
            order = find_smallest(
                source, kinds, border, proof.calibration, proof.tuning, allowed, status.update
            )
        else:
            order = plan(
                kinds,
                border,
                recipe,
                targets=target or [],
                named=artifact or list(recipe.artifacts if recipe else ()),
            )
        report = export_bundle(
            source,
            out,
            plan=order,
            calibration=proof.calibration,
            images=proof.judging,
            golden=golden_images(source.spec),
            limits=limits(max_drop, min_agreement),
            overwrite=overwrite,
            progress=status.update,
        )
    if not as_json:
        say_choice(order, [item.kind for item in report.artifacts])
    finish_parity(report, out, as_json)


@dataclass(frozen=True)
class _ProofImages:
    """Images that calibrate a model, that judge it, and on which recipes are tried, if any are."""

    calibration: CalibrationImages
    judging: LabelledImages
    tuning: LabelledImages | None


def _images(
    spec: ModelSpec,
    dataset: str | None,
    calibration: str | None,
    data_dir: Path | None,
    skip_damaged: bool,
    tune: bool,
) -> _ProofImages:
    """Read the images of an export, and say what is wrong with them."""
    from hcr_edge.proof_images import (
        MIN_TUNING_IMAGES,
        calibration_images,
        parity_images,
        tuning_images,
    )

    standard = default_dataset(data_dir, spec)
    judging = parity_images(dataset or standard, None, data_dir, spec, skip_damaged=skip_damaged)
    report_skipped(judging.skipped)
    source = calibration or standard
    spare = MIN_TUNING_IMAGES if tune else 0
    ranges = calibration_images(source, data_dir, spec, skip_damaged, spare)
    if ranges.description.startswith("synthetic"):
        warn(f"int8 is calibrated on synthetic images ({len(ranges.images)}): give real ones")
    tuning = tuning_images(source, data_dir, spec, ranges, skip_damaged) if tune else None
    return _ProofImages(ranges, judging, tuning)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder where libraries, too, put what is temporary: what they forget goes with it."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as name:
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before


def _load(
    path: Path, spec: Path | None, options: dict[str, Any], folder: Path, allow_unsafe: bool
) -> KerasFile:
    """Load a model of ours, or adopt one from elsewhere."""
    from hcr_edge.model_facts import read_facts
    from hcr_export.foreign import adopt, has_spec
    from hcr_export.keras_file import load_keras

    if not has_spec(path):
        adopted = adopt(path, read_facts(spec, options), folder, allow_unsafe)
        warn(f"{path.name}: {'; '.join(adopted.filled)}")
        return adopted.source
    given = [f"--{key}" for key, value in {"spec": spec, **options}.items() if value is not None]
    if given:
        raise SpecError(
            f"{path.name} carries its own description", hint=f"leave out {', '.join(given)}"
        )
    return load_keras(path, allow_unsafe)


COMMANDS = (export,)
