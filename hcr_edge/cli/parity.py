"""The command verify, and what it shares with export: limits, images, the table of a report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hcr_edge.cli.console import answer, fail, say, show, table, warn, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json
from hcr_edge.datasets import find_data_dir, is_present
from hcr_runtime.carrier import read_zip_spec

if TYPE_CHECKING:
    from hcr_export.artifacts import Limits
    from hcr_export.parity_report import ParityReport
    from hcr_runtime import ModelSpec

MaxDrop = Annotated[
    float | None, typer.Option(min=0, help="Points of accuracy that may be lost; 0.3.")
]
MinAgreement = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Least top-1 agreement with Keras, per cent; 99.5."),
]
SkipDamaged = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave damaged images out; else they are refused.")
]
Unsafe = Annotated[
    bool,
    typer.Option("--allow-unsafe", help="Execute code that the model carries (Lambda layers)."),
]


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
    skip_damaged: SkipDamaged = False,
    allow_unsafe: Unsafe = False,
    as_json: Json = False,
) -> None:
    """Measure every artifact of a bundle against Keras; exit code 1 beyond the limits.

    Example: [bold]hcr-edge verify build/arabic-letters --dataset ahcd --split test[/]
    """
    with working("loading TensorFlow") as status:
        with export_extra("verify"):
            from hcr_edge.proof_images import parity_images
            from hcr_export.bundle import verify_bundle
            from hcr_export.manifest import keras_source
        spec = read_zip_spec(keras_source(bundle))
        images = parity_images(
            dataset or default_dataset(data_dir, spec), split, data_dir, spec, limit, skip_damaged
        )
        report_skipped(images.skipped)
        report = verify_bundle(
            bundle,
            images,
            limits=limits(max_drop, min_agreement),
            allow_unsafe=allow_unsafe,
            progress=status.update,
        )
    finish_parity(report, bundle, as_json)


def report_skipped(skipped: Mapping[str, int]) -> None:
    """Name the classes that a data set has and the model does not."""
    if skipped:
        listing = ", ".join(f"{name} ({count})" for name, count in sorted(skipped.items()))
        warn(f"classes that the model does not have, left out (images): {listing}")


def finish_parity(report: ParityReport, bundle: Path, as_json: bool) -> None:
    """Show a report, say what failed, and end with exit code 1 if anything did."""
    if as_json:
        answer(report.to_dict())
    else:
        show(_parity_table(report))
        say("lost: points of accuracy against Keras; differs: the largest of any probability;")
        say("µs: median of one inference on one thread")
        say(f"images: {report.images}")
        if not report.labelled:
            say("they carry no labels: what Keras answers counts as right")
        say(f"{bundle}{os.sep}parity.md says more")
    for doubt in report.doubts:
        warn(doubt)
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


def limits(max_drop: float | None, min_agreement: float | None) -> Limits:
    """Return the limits that the options name; the defaults where they name none."""
    from hcr_export.artifacts import Limits

    defaults = Limits()
    return Limits(
        max_drop=defaults.max_drop if max_drop is None else max_drop,
        min_agreement=defaults.min_agreement if min_agreement is None else min_agreement / 100,
    )


def default_dataset(data_dir: Path | None, spec: ModelSpec) -> str:
    """A published set of the model's script, where it is present; else drawn images."""
    from hcr_edge.proof_images import DRAWN, can_draw, standard_set
    from hcr_export.foreign import FOREIGN_RECIPE

    if spec.provenance.recipe == FOREIGN_RECIPE:
        # A published set with a foreign model's labels need not be what it reads.
        return DRAWN
    standard, where = standard_set(spec), find_data_dir(data_dir)
    present = where is not None and is_present(standard.partition("@")[0], where)
    if present or data_dir is not None:
        return standard
    place = "no folder of data sets is named" if where is None else f"it is not in {where}"
    if can_draw(spec):
        if where is not None:
            warn(f"{standard}: {place}; the images that the project drew itself are used")
        return "samples"
    warn(f"{standard}: {place}; images drawn from a font are used, which tell no accuracy")
    return DRAWN


COMMANDS = (verify,)
