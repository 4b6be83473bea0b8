"""The command matrix: every artifact of a bundle on every engine that can be found."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hcr_edge.cli.console import answer, fail, say, show, table, warn, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json
from hcr_edge.cli.parity import (
    MaxDrop,
    MinAgreement,
    Unsafe,
    default_dataset,
    limits,
    report_skipped,
)
from hcr_runtime import ModelError

if TYPE_CHECKING:
    from hcr_export.contents import Contents
    from hcr_export.matrix import EngineMatrix


def matrix(
    bundle: Annotated[Path, typer.Argument(help="A bundle that hcr-edge export made.")],
    engine: Annotated[
        list[str] | None,
        typer.Option(help="Only this engine, e.g. onnxruntime-arm64; may be repeated."),
    ] = None,
    artifact: Annotated[
        list[str] | None,
        typer.Option(help="Only this artifact, e.g. int8.onnx; may be repeated."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A data set as for evaluate; ahcd where it is present.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which part; by default test, or all.")] = None,
    data_dir: DataDir = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Measure on at most so many images.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads for one inference.")] = 1,
    arm64_root: Annotated[
        Path | None,
        typer.Option(help="What tools/arm64_root.sh made; else the variable HCR_EDGE_ARM64_ROOT."),
    ] = None,
    max_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    allow_unsafe: Unsafe = False,
    as_json: Json = False,
) -> None:
    """Run every artifact of a bundle on every engine that can be found, and compare with Keras.

    Engines: litert, onnxruntime, openvino, opencv, onnxruntime-web (under Node), and litert-arm64
    and onnxruntime-arm64 (emulated). What cannot run is told in the engine's own words. Writes
    matrix.json, matrix.md and matrix.png into the bundle, where cells of an earlier run with the
    same images stay; exit code 1: a file is beyond its limits.

    Examples: [bold]hcr-edge matrix build/arabic-letters[/],
    [bold]hcr-edge matrix build/arabic-letters --engine litert --engine opencv --limit 560[/]
    """
    with working("loading TensorFlow") as status:
        with export_extra("matrix"):
            from hcr_edge.proof_images import parity_images
            from hcr_export.artifacts import KINDS, choose
            from hcr_export.contents import read_contents
            from hcr_export.engines import choose_engines
            from hcr_export.matrix import measure_matrix
        engines = choose_engines(engine or [], arm64_root)
        kinds = choose(artifact) if artifact else KINDS
        contents = read_contents(bundle)
        images = parity_images(
            dataset or default_dataset(data_dir, contents.spec),
            split,
            data_dir,
            contents.spec,
            limit,
        )
        report_skipped(images.skipped)
        measured = measure_matrix(
            bundle,
            images,
            engines,
            kinds=kinds,
            limits=limits(max_drop, min_agreement),
            threads=threads,
            allow_unsafe=allow_unsafe,
            progress=status.update,
        )
    ran = {cell.engine for cell in measured.cells if cell.answer and cell.kind != "keras"}
    if not ran:
        words = sorted({f"{cell.engine}: {cell.words}" for cell in measured.cells if cell.words})
        raise ModelError(
            f"no engine ran a file of {bundle}", hint="; ".join(words[:4]) or "name other files"
        )
    whole = _write(contents, measured)
    if as_json:
        answer(measured.to_dict())
    else:
        _show(bundle, measured)
        if kept := len(whole.cells) - len(measured.cells):
            say(f"{kept} cells that were measured before stay in the report")
    _finish(measured, [name for name in engine or [] if name not in ran])


def _write(contents: Contents, measured: EngineMatrix) -> EngineMatrix:
    """Write the reports, with what an earlier one holds beyond them; returns all of it."""
    from hcr_export.contents import add_reports
    from hcr_export.earlier import read_report, with_earlier_cells
    from hcr_export.matrix_report import draw, to_markdown

    whole = measured
    if earlier := read_report(contents.folder / "matrix.json"):
        if (joined := with_earlier_cells(measured, earlier, contents)) is None:
            warn("matrix.json is of other images, machine or threads, or damaged: it is replaced")
        else:
            whole = joined
    reports = {
        "matrix.json": json.dumps(whole.to_dict(), indent=2, ensure_ascii=False).encode() + b"\n",
        "matrix.md": to_markdown(whole).encode(),
        "matrix.png": draw(whole),
    }
    add_reports(contents.folder, reports)
    return whole


def _show(bundle: Path, measured: EngineMatrix) -> None:
    show(_table(measured))
    say("lost: points of accuracy against Keras; differs: the largest of any probability;")
    say("µs: median of one image; MB: by which the process grew")
    say(f"images: {measured.images['description']}")
    if not measured.images["labelled"]:
        say("they carry no labels: what Keras answers counts as right")
    say(f"{bundle}{os.sep}matrix.md says more, matrix.png shows it")


def _finish(measured: EngineMatrix, idle: Sequence[str]) -> None:
    """Name what is beyond its limits, or ran nothing though it was asked for; exit code 1."""
    for cell in measured.cells:
        if cell.answer is not None and cell.answer.failures:
            fail(f"{cell.file} on {cell.engine}: {', '.join(cell.answer.failures)}")
    for name in idle:
        fail(f"{name} ran nothing")
    if idle or not measured.passed:
        raise typer.Exit(1)


def _table(measured: EngineMatrix) -> Any:
    right = ("accuracy", "lost", "agreement", "differs", "µs", "load ms", "MB")
    rows = table("engine", "artifact", *right, "verdict", right=right)
    for cell in measured.cells:
        found = cell.answer
        if found is None:
            if not cell.words.startswith("reads no"):
                rows.add_row(cell.engine, cell.kind, *[""] * len(right), f"no: {cell.words}"[:60])
            continue
        times = ["", "", ""]
        if found.latency_us is not None:
            memory = "" if found.memory_bytes is None else f"{found.memory_bytes / 1e6:.0f}"
            times = [f"{found.latency_us['p50']:.0f}", f"{found.load_ms:.0f}", memory]
        rows.add_row(
            cell.engine,
            cell.kind,
            f"{found.accuracy:.2%}",
            f"{found.drop:+.2f}",
            f"{found.agreement:.2%}",
            f"{found.max_difference:.0e}",
            *times,
            "FAILED" if found.failures else "passed",
        )
    return rows


COMMANDS = (matrix,)
