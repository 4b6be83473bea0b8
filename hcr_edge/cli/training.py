"""Commands that train: train, crossval, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hcr_edge.cli.console import answer, err, say, show, table, warn, working
from hcr_edge.cli.extras import export_extra
from hcr_edge.cli.options import SETS_HELP, DataDir, Json, Overwrite
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import FOLDS, Recipe, load_recipe

if TYPE_CHECKING:
    from hcr_edge.run_folder import EpochRow


def train(
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    recipe: Annotated[str | None, typer.Option(help="A recipe file, or a shipped one.")] = None,
    arch: Annotated[
        str | None, typer.Option(help="A network, with its shipped recipe, e.g. ahcd-bn, edge-s.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help=SETS_HELP)] = None,
    test_dataset: Annotated[
        str | None, typer.Option(help="Another set, all of which is the test.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="FILE.json of 'hcr-edge data split': its train, val and test are taken."),
    ] = None,
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
    [bold]hcr-edge train --out runs/first --resume[/]
    """
    begun = out / "recipe.yaml"
    if resume and recipe is None and arch is None and begun.is_file():
        recipe = str(begun)  # what the run was begun with
    chosen = _choose_recipe(
        recipe,
        arch,
        dataset=dataset,
        test_dataset=test_dataset,
        split=split,
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
    if chosen.branches:
        kept = "the mean of" if result["averaged_branches"] else "the best epoch, without its"
        say(f"weights: {kept} {chosen.branches} branches")
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

    A recipe's teachers are left out: they may have seen those writers. Folds that are finished
    are not run again, so that an interrupted run goes on.

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
            teachers=(),
            distill=0.0,
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
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self.task = self.progress.add_task("reading the images", total=None, state="")

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
            description=f"epoch {epoch}/{self.recipe.all_epochs}",
            state=f"{step}/{steps}  loss {loss:.3f}",
        )

    def epoch(self, row: EpochRow, best: bool) -> None:
        """One epoch is done."""
        err.print(
            f"epoch {row.epoch}/{self.recipe.all_epochs}  loss {row.loss:.4f}"
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
            f"{valid['dataset']} validation (chose the epoch)",
            f"{valid['accuracy']:.2%}",
            str(valid["total"]),
            "",
        )
    return rows


def compare(
    recipes: Annotated[
        str,
        typer.Option(
            help="Recipes to train, and models or run folders to measure, divided by commas."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make, with one run folder a recipe.")],
    dataset: Annotated[
        str | None, typer.Option(help="Trains and tests them all; else each recipe's own.")
    ] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most this many.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only so many training images (trials).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train several recipes, or measure trained models, and set them side by side.

    Writes compare.md, compare.json, accuracy.png and curves.png. Runs that are finished are not
    run again, so that an interrupted comparison goes on.

    Example: [bold]hcr-edge compare --recipes ahcd-baseline,ahcd-bn,arabic-letters --dataset ahcd
    --out runs/reference[/]
    """
    with working("loading Keras"), export_extra("compare"):
        from hcr_edge.compare import (
            COLUMNS,
            NUMBERS,
            Compared,
            check_names,
            is_recipe,
            measure_model,
            write_comparison,
        )

    if out.exists() and not out.is_dir():
        raise RecipeError(f"{out} is a file", allowed="a folder")
    names = list(dict.fromkeys(name.strip() for name in recipes.split(",") if name.strip()))
    with working("reading split files"):
        check_names(names, dataset, data_dir)
    measured: dict[str, Compared] = {}
    # First what takes minutes: a model that does not fit must not be told after hours of training.
    for name in (name for name in names if not is_recipe(name)):
        with working(f"measuring {name}"):
            measured[name] = measure_model(name, dataset, data_dir)
    for name in (name for name in names if is_recipe(name)):
        recipe = load_recipe(name, dataset=dataset, epochs=epochs, limit=limit)
        run = out / Path(name).stem
        err.print(f"{recipe.name} on {recipe.dataset}, in {run}")
        _train(recipe, run, data_dir, True, overwrite=False)
        measured[name] = Compared.of_run(run, name)
    rows = [measured[name] for name in names]
    if len({row.images for row in rows}) > 1:
        warn("not all were measured on the same images: see the test sets, and split files")
    document = write_comparison(out, rows)
    if as_json:
        answer(document)
        return
    listing = table(*COLUMNS, right=NUMBERS)
    for row in rows:
        listing.add_row(*row.cells())
    show(listing)
    say(f"compare.md, accuracy.png and curves.png in {out}")


COMMANDS = (train, crossval, compare)
