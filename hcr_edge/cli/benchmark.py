"""The command benchmark: how fast each artifact is, beside what one would otherwise run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hcr_edge.cli.console import answer, say, show, table, warn, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import DataDir, Json
from hcr_edge.cli.parity import Unsafe, default_dataset, report_skipped
from hcr_runtime import ModelError

if TYPE_CHECKING:
    from hcr_export.benchmark import Benchmark
    from hcr_export.contents import Contents


def benchmark(
    bundle: Annotated[Path, typer.Argument(help="A bundle that hcr-edge export made.")],
    threads: Annotated[int, typer.Option(min=1, help="Threads for one inference.")] = 1,
    against: Annotated[
        list[str] | None,
        typer.Option(help="What else is timed: keras, tesseract; may be repeated. Keras is."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="A data set as for evaluate; ahcd where it is present.")
    ] = None,
    data_dir: DataDir = None,
    limit: Annotated[int, typer.Option(min=1, help="Read at most so many images.")] = 280,
    allow_unsafe: Unsafe = False,
    as_json: Json = False,
) -> None:
    """Time every artifact of a bundle on its engine, at 1, 8, 32 and 128 images in a call.

    Beside it, in the same run, what one would otherwise use: Keras' predict, and Tesseract's
    --psm 10. Writes benchmark.json, benchmark.md and benchmark.png into the bundle.

    Examples: [bold]hcr-edge benchmark build/arabic-letters[/],
    [bold]hcr-edge benchmark build/arabic-letters --against keras --against tesseract[/]
    """
    with working("loading TensorFlow") as status:
        with export_extra("benchmark"):
            from hcr_edge.proof_images import parity_images
            from hcr_export.benchmark import RIVALS, run_benchmark
            from hcr_export.contents import read_contents
        rivals = against or ["keras"]
        for name in rivals:
            if name not in RIVALS:
                raise ModelError(f"nothing is timed against {name!r}", allowed=", ".join(RIVALS))
        contents = read_contents(bundle)
        images = parity_images(
            dataset or default_dataset(data_dir, contents.spec),
            None,
            data_dir,
            contents.spec,
            limit,
        )
        report_skipped(images.skipped)
        measured = run_benchmark(
            bundle,
            images,
            threads=threads,
            against=rivals,
            allow_unsafe=allow_unsafe,
            progress=status.update,
        )
    whole = _write(contents, measured)
    if as_json:
        answer(measured.to_dict())
    else:
        show(_table(measured))
        say("µs: one image in a call; images/s: at the best batch size; ×: times as fast as")
        say(f"machine: {measured.machine}")
        if not measured.images["labelled"]:
            say("the images carry no labels: what Keras answers counts as right")
        names = {speed.name for speed in measured.speeds}
        if kept := [speed.name for speed in whole.speeds if speed.name not in names]:
            say(f"{', '.join(kept)}: timed before, stays in the report")
        for line in measured.advice:
            say(line)
        say(f"{bundle}{os.sep}benchmark.md says more, benchmark.png shows it")
    for name, words in measured.skipped.items():
        warn(f"{name} was not timed: {words}")


def _write(contents: Contents, measured: Benchmark) -> Benchmark:
    """Write the reports, with what an earlier one holds beyond them; returns all of it."""
    from hcr_export.benchmark_report import draw, to_markdown
    from hcr_export.contents import add_reports
    from hcr_export.earlier import read_report, with_earlier_subjects

    whole = measured
    if earlier := read_report(contents.folder / "benchmark.json"):
        if (joined := with_earlier_subjects(measured, earlier, contents)) is None:
            warn(
                "benchmark.json is of other images, machine or threads, or damaged: it is replaced"
            )
        else:
            whole = joined
    reports = {
        "benchmark.json": json.dumps(whole.to_dict(), indent=2, ensure_ascii=False).encode()
        + b"\n",
        "benchmark.md": to_markdown(whole).encode(),
        "benchmark.png": draw(whole),
    }
    add_reports(contents.folder, reports)
    return whole


def _table(measured: Benchmark) -> Any:
    from hcr_export.benchmark_report import ratios

    right = ("KB", "accuracy", "p50 µs", "p95 µs", "p99 µs", "images/s", "load ms", "MB")
    rows = table(measured.model, *right, "×", right=right)
    for speed in measured.speeds:
        single = speed.latency_us[1]
        rows.add_row(
            speed.name,
            "" if speed.bytes is None else f"{speed.bytes / 1000:.0f}",
            f"{speed.accuracy:.1%}",
            *(f"{single[name]:.0f}" for name in ("p50", "p95", "p99")),
            f"{speed.throughput:.0f}",
            "" if speed.load_ms is None else f"{speed.load_ms:.0f}",
            "" if speed.memory_bytes is None else f"{speed.memory_bytes / 1e6:.0f}",
            ratios(speed),
        )
    return rows


COMMANDS = (benchmark,)
