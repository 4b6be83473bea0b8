"""Several systems side by side: a table, and plots of their accuracy and their training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from hcr_edge.checkpoints import model_file, shipped_checkpoints
from hcr_edge.datasets import load_dataset
from hcr_edge.errors import DataError, RecipeError
from hcr_edge.evaluate import evaluate, open_model
from hcr_edge.protocol import split_dataset
from hcr_edge.recipe import Recipe, load_recipe, shipped_recipes
from hcr_edge.run_folder import RunFolder
from hcr_edge.whole_file import write_json, write_whole
from hcr_export.statistics import wilson_interval
from hcr_runtime import HcrError, shipped_models
from hcr_runtime.errors import nearest

mpl.use("Agg")

from matplotlib import pyplot as plt

COLUMNS = ("system", "test set", "parameters", "validation", "accuracy", "95 % interval", "of",
           "published")  # fmt: skip
# So many classes that a model lacks are named, more are counted.
FEW = 5
NUMBERS = ("parameters", "validation", "accuracy", "of")


@dataclass(frozen=True, slots=True)
class Compared:
    """One system's figures.

    Attributes:
        name: The recipe or model, as it was named.
        test_set: Data set and part, and what was left out of it.
        parameters: Of the network; 0 where only an artifact is known.
        validation: Accuracy on validation writers; None where it was not trained here.
        correct: Right answers on the test set.
        total: Images of the test set.
        published: What the recipe's authors reported.
        run: The run folder, or empty.
        listed: Checksum of the test part of the recipe's split file; empty without one.
    """

    name: str
    test_set: str
    parameters: int
    validation: float | None
    correct: int
    total: int
    published: str = ""
    run: str = ""
    listed: str = ""

    @classmethod
    def of_run(cls, run: Path, name: str) -> Compared:
        """Read a finished run folder; raises `RecipeError` where it is not finished."""
        try:
            result = json.loads((run / "result.json").read_text(encoding="utf-8"))
            test_set = f"{result['dataset']} {result['test']['split']}"
            # A split that was written down is called as its file.
            if listed := str(result.get("protocol", "")).endswith(".json"):
                test_set += f" of {result['protocol']}"
            return cls(
                name=name,
                test_set=test_set,
                parameters=int(result["parameters"]),
                validation=float(result["validation"]["accuracy"]),
                correct=int(result["test"]["correct"]),
                total=int(result["test"]["total"]),
                published=str(result.get("published", "")),
                run=str(run),
                listed=RunFolder(run).split().get("test", "") if listed else "",
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"{run} is no finished run folder", hint="train it first") from error

    @property
    def images(self) -> tuple[str, int]:
        """Which images it was measured on: equal for two systems where these are the same."""
        return self.listed or self.test_set, self.total

    @property
    def accuracy(self) -> float:
        """`correct` / `total`."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Wilson 1927)."""
        return wilson_interval(self.correct, self.total)

    def cells(self) -> tuple[str, ...]:
        """What the table's `COLUMNS` hold."""
        low, high = self.interval
        return (
            self.name,
            self.test_set,
            f"{self.parameters:,}" if self.parameters else "-",
            "-" if self.validation is None else f"{self.validation:.2%}",
            f"{self.accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{self.total:,}",
            self.published or "-",
        )


def is_recipe(name: str) -> bool:
    """Whether `name` is a recipe, which is trained; what ships, and any model, is measured."""
    if name in shipped_checkpoints():
        return False
    return name in shipped_recipes() or Path(name).suffix in (".yaml", ".yml")


def check_names(names: Sequence[str], dataset: str | None, data_dir: Path | None) -> None:
    """See that all can be compared, before the first is trained.

    Args:
        names: Recipes and models.
        dataset: Trains and tests them all; None: each recipe's own.
        data_dir: Where published data sets lie.

    Raises:
        HcrError: One is unknown, needs a data set, would be trained in another's folder, or has a
            split file that is missing, damaged, or another data set's.
    """
    if not names:
        raise RecipeError("nothing is to be compared", allowed="recipes or models, with commas")
    stems: dict[str, str] = {}
    for name in names:
        if is_recipe(name):
            recipe = load_recipe(name, dataset=dataset)
            stem = Path(name).stem
            if stems.setdefault(stem, name) != name:
                raise RecipeError(
                    f"{stems[stem]} and {name} would be trained in one folder, {stem}",
                    hint="give the files other names",
                )
            if recipe.split is not None:
                _check_split(name, recipe, data_dir)
        elif name not in shipped_models() and not Path(name).exists():
            known = {*shipped_recipes(), *shipped_models()}
            raise RecipeError(
                f"there is no model {name!r}, and no recipe", allowed=nearest(name, known)
            )
        elif dataset is None and not Path(name).is_dir():
            model_file(name)
            raise RecipeError(
                f"nothing says on which images to measure {name}", hint="give --dataset"
            )
        else:
            model_file(name)


def _check_split(name: str, recipe: Recipe, data_dir: Path | None) -> None:
    try:
        split_dataset(recipe, data_dir)
    except HcrError as error:
        # Of several recipes it must be said which.
        raise type(error)(
            f"{name}: {error.message}", allowed=error.allowed, hint=error.hint
        ) from error


def measure_model(name: str, dataset: str | None, data_dir: Path | None) -> Compared:
    """Read a data set's test part with a trained model.

    Args:
        name: A shipped name, a run folder, or a model file.
        dataset: Whose test part; by default, a run folder's own result is taken.
        data_dir: Where published data sets lie.

    Raises:
        HcrError: There is no such model or data set, or the model knows none of its classes.
    """
    run = Path(name)
    if dataset is None:
        return Compared.of_run(run, run.name)
    model = open_model(name)
    try:
        data = load_dataset(dataset, None, data_dir=data_dir, label_set=model.spec.labels)
        result = evaluate(model, data)
    except DataError as error:
        # Of several models it must be said which, and what it reads.
        raise DataError(
            f"{name}, which reads {' '.join(model.spec.texts)}, on {dataset}: {error.message}",
            allowed=error.allowed,
            hint=error.hint,
        ) from error
    return Compared(
        name=name,
        test_set=f"{data.title} {data.split}{_without(result.skipped)}",
        parameters=0,
        validation=None,
        correct=result.correct,
        total=result.total,
        run=str(run) if run.is_dir() else "",
    )


def _without(skipped: Mapping[str, int]) -> str:
    """Say which classes of the test set a model was not asked for: it does not have them."""
    if not skipped:
        return ""
    return f" without {' '.join(skipped) if len(skipped) <= FEW else f'{len(skipped)} classes'}"


def write_comparison(out: Path, rows: Sequence[Compared]) -> dict[str, Any]:
    """Write ``compare.json``, ``compare.md``, ``accuracy.png`` and ``curves.png`` into `out`.

    There are no curves where nothing was trained.

    Returns:
        What ``compare.json`` holds.
    """
    out.mkdir(parents=True, exist_ok=True)
    systems = [
        {**asdict(row), "accuracy": row.accuracy, "interval": list(row.interval)} for row in rows
    ]
    for system in systems:
        del system["listed"]  # good for `Compared.images` alone
    document = {"schema_version": 1, "systems": systems}
    write_json(out / "compare.json", document)
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    write_whole(out / "compare.md", text.encode())
    _draw_accuracy(out / "accuracy.png", rows)
    if not _draw_curves(out / "curves.png", rows):
        (out / "curves.png").unlink(missing_ok=True)
    return document


def _draw_accuracy(path: Path, rows: Sequence[Compared]) -> None:
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.42 * len(rows)), layout="constrained")
    for place, row in enumerate(reversed(rows)):
        low, high = (100 * share for share in row.interval)
        middle = 100 * row.accuracy
        axes.errorbar(
            middle, place, xerr=[[middle - low], [high - middle]], fmt="o", color="C0", capsize=3
        )
        axes.annotate(
            f"{middle:.2f} %", (middle, place), (0, 6), textcoords="offset points", ha="center",
            fontsize=8,
        )  # fmt: skip
    labels = [f"{row.name}\n{row.test_set}" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.set_xlabel("accuracy on the test set, % (95 % interval)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_curves(path: Path, rows: Sequence[Compared]) -> bool:
    """Draw what each run reached on validation; False where nothing was trained."""
    if not any(row.run and (Path(row.run) / "history.csv").is_file() for row in rows):
        return False
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    lowest = 100.0
    for row in rows:
        history = Path(row.run) / "history.csv"
        if row.run and history.is_file():
            table = np.genfromtxt(history, delimiter=",", names=True, ndmin=1)
            shares = 100 * table["val_accuracy"]
            axes.plot(table["epoch"], shares, label=row.name)
            lowest = min(lowest, float(np.median(shares)))
    axes.legend()
    # First epochs are far below all that is of interest.
    axes.set_ylim(max(0.0, lowest - 10), 100)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on validation writers, %")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
