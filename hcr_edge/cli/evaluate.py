"""The command evaluate: right answers on a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from hcr_edge.cli.console import answer, say, show, table, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import SETS_HELP, DataDir, Json
from hcr_edge.cli.parity import report_skipped
from hcr_edge.datasets import load_dataset


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
    report_skipped(result.skipped)
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
    if result.crossed_out:
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in result.crossed_out.items())
        mean = sum(result.crossed_out.values()) / len(result.crossed_out)
        say(f"letters that are crossed out, yet answered: {mean:.1%} ({kinds})")


COMMANDS = (evaluate,)
