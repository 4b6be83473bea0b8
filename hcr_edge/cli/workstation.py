"""Commands for the workstation: evaluate, export, verify."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.cli.console import answer, fail, say, show, table, warn, working
from hcr_edge.cli.device import read_spec
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import SETS_HELP, DataDir, Json, Overwrite
from hcr_edge.datasets import find_data_dir, is_present, load_dataset, load_samples

if TYPE_CHECKING:
    from hcr_export.artifacts import Limits
    from hcr_export.parity import ParityReport
    from hcr_runtime import ModelSpec

MaxDrop = Annotated[
    float | None, typer.Option(min=0, help="Points of accuracy that may be lost; 0.3.")
]
MinAgreement = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Least top-1 agreement with Keras, per cent; 99.5."),
]


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A shipped name, .onnx, .tflite, .keras, or a run folder.")
    ],
    dataset: Annotated[str, typer.Option(help=SETS_HELP)],
    split: Annotated[str | None, typer.Option(help="Which part; by default test, or all.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Count a model's right answers on a data set, from image bytes to label.

    Examples: [bold]hcr-edge evaluate arabic-letters --dataset ahcd[/],
    [bold]hcr-edge evaluate build/arabic-letters/arabic-letters-int8.tflite --dataset
    folder:letters[/]
    """
    with export_extra("evaluate"):
        from hcr_edge.evaluate import evaluate as run
        from hcr_edge.evaluate import open_model

    with working("loading the model"), export_extra("evaluate"):
        opened = open_model(model)
    spec = opened.spec
    data = load_dataset(dataset, split, data_dir=data_dir, label_set=spec.labels)
    with working("reading") as status:
        result = run(opened, data, lambda done: status.update(f"reading {done} of {len(data)}"))
    _report_skipped(result.skipped)
    if as_json:
        answer(result.to_dict())
        return
    document = result.to_dict()
    low, high = document["interval"]
    rows = table("letter", "name", "correct", "of", "accuracy", right=("correct", "of", "accuracy"))
    for text, item in document["per_class"].items():
        share = "-" if item["accuracy"] is None else f"{item['accuracy']:.1%}"
        rows.add_row(text, item["name"], str(item["correct"]), str(item["total"]), share)
    show(rows)
    mistakes = ", ".join(f"{t} read as {p} {n}x" for t, p, n in result.confused(5))
    say(
        f"{result.model} on {result.engine}, {result.dataset} {result.split}:"
        f" {result.accuracy:.2%} ({result.correct} of {result.total},"
        f" 95 % interval {low:.2%} to {high:.2%})"
    )
    for name, item in document["origins"].items():
        say(f"  {name}: {item['accuracy']:.2%} ({item['correct']} of {item['total']})")
    if mistakes:
        say(f"commonest mistakes: {mistakes}")
    refusal = result.refusal
    say(
        f"confidence at least {spec.rejection.min_confidence:g}: answers"
        f" {refusal.accepted:.1%}, of which {refusal.error:.2%} wrongly;"
        f" calibration error {refusal.calibration_error:.2%}"
    )
    kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in result.false_acceptance.items())
    mean = sum(result.false_acceptance.values()) / len(result.false_acceptance)
    say(f"drawings that are no character, yet answered: {mean:.1%} ({kinds})")


def _report_skipped(skipped: Any) -> None:
    if skipped:
        listing = ", ".join(f"{name} ({count})" for name, count in sorted(skipped.items()))
        warn(f"classes that the model does not have, left out (images): {listing}")


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
        default = _default_dataset(data_dir, source.spec)
        images = parity_images(dataset or default, None, data_dir, source.spec)
        _report_skipped(images.skipped)
        golden = load_samples("test").limit(28)
        report = export_bundle(
            source,
            out,
            kinds=kinds,
            calibration=calibration_images(calibration or default, data_dir, source.spec),
            images=images,
            golden=[golden.encoded(i) for i in range(len(golden))],
            limits=_limits(max_drop, min_agreement),
            overwrite=overwrite,
            progress=status.update,
        )
    _finish_parity(report, out, as_json)


def verify(
    bundle: Annotated[Path, typer.Argument(help="A bundle that hcr-edge export made.")],
    dataset: Annotated[
        str | None, typer.Option(help="A data set as for evaluate; ahcd where it is present.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which part; by default test, or all.")] = None,
    data_dir: DataDir = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Measure on at most so many images.")
    ] = None,
    max_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    as_json: Json = False,
) -> None:
    """Measure every artifact of a bundle against Keras; exit code 1 beyond the limits.

    Example: [bold]hcr-edge verify build/arabic-letters --dataset ahcd --split test[/]
    """
    with working("loading TensorFlow") as status:
        with export_extra("verify"):
            from hcr_edge.proof_images import parity_images
            from hcr_export.bundle import artifact_files, verify_bundle
        _, spec = read_spec(str(next(iter(artifact_files(bundle).values()))))
        images = parity_images(
            dataset or _default_dataset(data_dir, spec), split, data_dir, spec, limit
        )
        _report_skipped(images.skipped)
        report = verify_bundle(
            bundle, images, limits=_limits(max_drop, min_agreement), progress=status.update
        )
    _finish_parity(report, bundle, as_json)


def _finish_parity(report: ParityReport, bundle: Path, as_json: bool) -> None:
    if as_json:
        answer(report.to_dict())
    else:
        show(_parity_table(report))
        say("lost: points of accuracy against Keras; differs: the largest of any probability;")
        say("µs: median of one inference on one thread")
        say(f"images: {report.images}")
        say(f"{bundle}{os.sep}parity.md says more")
    for item in report.artifacts:
        if item.failures:
            letters = ", ".join(
                f"{lost.label} {lost.keras} → {lost.artifact} of {lost.total}" for lost in item.lost
            )
            fail(
                f"{item.file}: {', '.join(item.failures)}"
                + (f"; letters that lost: {letters}" if letters else "")
            )
    if not report.passed:
        raise typer.Exit(1)


def _parity_table(report: ParityReport) -> Any:
    right = ("KB", "accuracy", "lost", "agreement", "differs", "µs")
    rows = table(report.model, *right, "verdict", right=right)
    share = report.keras_correct / report.total
    rows.add_row("Keras", "", f"{share:.2%}", "", "", "", "", "")
    for item in report.artifacts:
        rows.add_row(
            item.kind,
            f"{item.bytes / 1000:.0f}",
            f"{item.accuracy:.2%}",
            f"{item.drop:+.2f}",
            f"{item.agreement:.2%}",
            f"{item.max_difference:.0e}",
            f"{item.latency_us['p50']:.0f}",
            "FAILED" if item.failures else "passed",
        )
    return rows


def _limits(max_drop: float | None, min_agreement: float | None) -> Limits:
    from hcr_export.artifacts import Limits

    defaults = Limits()
    return Limits(
        max_drop=defaults.max_drop if max_drop is None else max_drop,
        min_agreement=defaults.min_agreement if min_agreement is None else min_agreement / 100,
    )


def _default_dataset(data_dir: Path | None, spec: ModelSpec) -> str:
    """A published set of the model's script, where it is present; else what the project drew."""
    from hcr_edge.proof_images import can_draw, standard_set

    standard, where = standard_set(spec), find_data_dir(data_dir)
    present = where is not None and is_present(standard.partition("@")[0], where)
    if present or data_dir is not None or not can_draw(spec):
        return standard
    if where is not None:
        warn(f"{standard} is not in {where}: the images that the project drew itself are used")
    return "samples"


COMMANDS = (export, verify, evaluate)
