"""Commands for the workstation: train, crossval, evaluate, export, verify."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.cli.console import answer, err, fail, say, show, table, warn, working
from hcr_edge.cli.device import read_spec
from hcr_edge.cli.extras import export_extra
from hcr_edge.datasets import find_data_dir, is_present, load_dataset, load_samples
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import FOLDS, Recipe, load_recipe

if TYPE_CHECKING:
    from hcr_edge.run_folder import EpochRow
    from hcr_export.artifacts import Limits
    from hcr_export.parity import ParityReport

SETS_HELP = (
    "A set that 'hcr-edge data list' names, or folder:PATH, csv:PATH, npz:PATH;"
    " several joined with +, one label map with @."
)
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where published data sets lie; else the variable HCR_EDGE_DATA."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON (see docs/json.md).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
MaxDrop = Annotated[
    float | None, typer.Option(min=0, help="Points of accuracy that may be lost; 0.3.")
]
MinAgreement = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Least top-1 agreement with Keras, per cent; 99.5."),
]


def train(
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    recipe: Annotated[str | None, typer.Option(help="A recipe file, or a shipped one.")] = None,
    arch: Annotated[
        str | None, typer.Option(help="A network, with its shipped recipe: ahcd-baseline, edge-s.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help=SETS_HELP)] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0)] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    protocol: Annotated[
        Literal["official", "writers"] | None,
        typer.Option(help="The official split, or a test set of writers of its own."),
    ] = None,
    fold: Annotated[int | None, typer.Option(min=0, max=FOLDS - 1, help="Which writers.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only so many training images (trials).")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Train a network; keep the best by validation on other writers, test once at the end.

    Examples: [bold]hcr-edge train --dataset ahcd --arch ahcd-baseline --out runs/first[/],
    [bold]hcr-edge train --arch edge-s --out runs/edge --resume[/]
    """
    chosen = _choose_recipe(
        recipe,
        arch,
        dataset=dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        protocol=protocol,
        fold=fold,
        limit=limit,
    )
    result = _train(chosen, out, data_dir, resume, overwrite)
    if as_json:
        answer(result)
        return
    show(_result_table([result]))
    say(f"reports in {out}")


def crossval(
    out: Annotated[Path, typer.Option(help="The folder to make, with one run folder a fold.")],
    recipe: Annotated[str | None, typer.Option(help="A recipe file, or a shipped one.")] = None,
    arch: Annotated[str | None, typer.Option(help="A network, with its shipped recipe.")] = None,
    dataset: Annotated[str | None, typer.Option(help=SETS_HELP)] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    folds: Annotated[
        int, typer.Option(min=1, max=FOLDS, help="How many of the folds to run.")
    ] = FOLDS,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only so many training images (trials).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure accuracy on unseen writers: train on four fifths of them, test on the other fifth.

    Folds that are finished are not run again, so that an interrupted run goes on.

    Example: [bold]hcr-edge crossval --arch edge-s --out runs/writers[/]
    """
    with export_extra("crossval"):
        from hcr_edge.crossval import write_summary

    results = []
    for fold in range(folds):
        chosen = _choose_recipe(
            recipe,
            arch,
            dataset=dataset,
            epochs=epochs,
            protocol="writers",
            fold=fold,
            limit=limit,
        )
        results.append(_train(chosen, out / f"fold-{fold}", data_dir, True, overwrite=False))
    summary = write_summary(out, results)
    if as_json:
        answer(summary)
        return
    show(_result_table(results))
    say(
        f"unseen writers: {summary['accuracy']:.2%} of {summary['total']}"
        f" (folds {summary['lowest']:.2%} to {summary['highest']:.2%})"
    )


def _choose_recipe(recipe: str | None, arch: str | None, **changes: Any) -> Recipe:
    if recipe is None and arch is None:
        raise RecipeError("nothing says what to train", hint="give --arch or --recipe")
    if recipe is None:
        return load_recipe(str(arch), **changes)
    return load_recipe(recipe, arch=arch, **changes)


def _train(
    recipe: Recipe, out: Path, data_dir: Path | None, resume: bool, overwrite: bool
) -> dict[str, Any]:
    with working("loading Keras"), export_extra("train"):
        from hcr_edge.train import train as run
    with _TrainingBar(recipe) as bar:
        try:
            return run(
                recipe, out, data_dir=data_dir, resume=resume, overwrite=overwrite, watcher=bar
            )
        except KeyboardInterrupt:
            warn(f"what is done is in {out}; the same command with --resume goes on")
            raise


class _TrainingBar:
    """A progress bar for each epoch, and a line for each that is done."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.task = self.progress.add_task("", total=None, epoch="", loss=0.0)

    def __enter__(self) -> _TrainingBar:
        if err.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self.progress.stop()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """One step is done."""
        self.progress.update(
            self.task,
            completed=step,
            total=steps,
            epoch=f"{epoch}/{self.recipe.epochs}",
            loss=loss,
        )

    def epoch(self, row: EpochRow, best: bool) -> None:
        """One epoch is done."""
        err.print(
            f"epoch {row.epoch}/{self.recipe.epochs}  loss {row.loss:.4f}"
            f"  accuracy {row.accuracy:.2%}  validation {row.val_accuracy:.2%}"
            f"{'  (best)' if best else ''}  learning rate {row.learning_rate:.1e}"
        )


def _result_table(results: list[dict[str, Any]]) -> Any:
    rows = table("test set", "accuracy", "of", "95 % interval", right=("accuracy", "of"))
    for result in results:
        test, valid = result["test"], result["validation"]
        low, high = test["interval"]
        name = f"{result['dataset']} {test['split']} ({result['protocol']} split)"
        rows.add_row(
            name, f"{test['accuracy']:.2%}", str(test["total"]), f"{low:.2%} to {high:.2%}"
        )
        rows.add_row(
            f"{result['dataset']} validation (other writers, used to choose the epoch)",
            f"{valid['accuracy']:.2%}",
            str(valid["total"]),
            "",
        )
    return rows


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
        default = _default_dataset(data_dir)
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
        images = parity_images(dataset or _default_dataset(data_dir), split, data_dir, spec, limit)
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


def _default_dataset(data_dir: Path | None) -> str:
    """AHCD where it is present, or was pointed to; else the images that the project drew."""
    where = find_data_dir(data_dir)
    if data_dir is not None or (where is not None and is_present("ahcd", where)):
        return "ahcd"
    if where is not None:
        warn(f"AHCD is not in {where}: the images that the project drew itself are used")
    return "samples"


COMMANDS = (export, verify, evaluate, train, crossval)
