"""Which images train, which choose the epoch, and which test."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from hcr_edge.datasets import (
    OWN_KINDS,
    Dataset,
    hold_out_writers,
    load_dataset,
    parse_spec,
    renumber,
)
from hcr_edge.datasets.splits import read_parts
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import FOLDS, Recipe


def split_dataset(recipe: Recipe, data_dir: Path | None) -> tuple[Dataset, Dataset, Dataset]:
    """Return the training, validation and test parts.

    Validation takes every `validation_share`-th writer of the training part, of fewer writers one,
    unless the recipe's split has a part for it.

    Raises:
        DataError: The data set, its test part, or the split is missing or damaged.
        RecipeError: There is one class, or nothing for a part.
    """
    validation = None
    if recipe.split is not None:
        training, validation, test = _written_down(recipe, Path(recipe.split), data_dir)
    elif recipe.test_dataset is not None:
        training = load_dataset(recipe.dataset, "all", data_dir=data_dir)
        test = _of_another_source(recipe, training, data_dir)
    elif recipe.protocol == "official":
        training = load_dataset(recipe.dataset, "train", data_dir=data_dir)
        # One's own test folders may lack a class that the training folders have.
        test = load_dataset(recipe.dataset, "test", data_dir=data_dir, label_set=training.label_set)
        test = _numbered_as(training, test, recipe.dataset)
    else:
        everything = load_dataset(recipe.dataset, "all", data_dir=data_dir)
        held_out = hold_out_writers(everything, FOLDS, recipe.fold)
        training = everything.select(~held_out, "train")
        test = everything.select(held_out, f"writers of fold {recipe.fold}")
    if len(training.label_set) < 2:
        raise RecipeError(f"{training.title} has one class", allowed="two or more")
    if validation is None:
        validating = hold_out_writers(training, recipe.validation_share, fold=1, fewer=True)
        if not validating.any():
            raise RecipeError(
                f"{training.title} leaves nothing for validation beside training and test",
                allowed="three writers or more, or three images of each class",
                hint="where few people wrote, leave the writers unnamed",
            )
        validation = training.select(validating, "validation")
        training = training.select(~validating, "train")
    if recipe.limit is not None:
        training = training.limit(recipe.limit, recipe.seed)
    return training, validation, test


def _written_down(
    recipe: Recipe, split: Path, data_dir: Path | None
) -> tuple[Dataset, Dataset | None, Dataset]:
    """Divide the recipe's data set as its split file says; None where that has no ``val``."""
    parts = read_parts(split, load_dataset(recipe.dataset, "all", data_dir=data_dir))
    for name in ("train", "test"):
        if not parts.get(name):
            raise RecipeError(
                f"{split} gives nothing to {name}",
                allowed=f"a split with train and test; it has {', '.join(parts)}",
                hint="'hcr-edge data split' without --folds makes one",
            )
    return parts["train"], parts.get("val") or None, parts["test"]


def _of_another_source(recipe: Recipe, training: Dataset, data_dir: Path | None) -> Dataset:
    """Read all of the recipe's `test_dataset`, numbered as the training's classes are."""
    other = str(recipe.test_dataset)
    families = [{_family(name) for name in parse_spec(spec)[0]} for spec in (recipe.dataset, other)]
    if shared := families[0] & families[1]:
        raise RecipeError(
            f"recipe: both dataset and test_dataset hold {', '.join(sorted(shared))}",
            allowed="a test of another source",
        )
    test = load_dataset(other, "all", data_dir=data_dir, label_set=training.label_set)
    return _numbered_as(training, test, recipe.dataset)


def _numbered_as(training: Dataset, test: Dataset, name: str) -> Dataset:
    """Give a test the training's classes, some of which it may lack."""
    if test.label_set == training.label_set:
        return test
    place = {label.text: i for i, label in enumerate(training.label_set)}
    table = np.array([place.get(label.text, -1) for label in test.label_set], np.int64)
    return renumber(test, table, training.label_set, name)


def _family(name: str) -> str:
    """Sets of one family, as emnist-letters and emnist-balanced, share images or writers.

    >>> _family("emnist-letters"), _family("hijja:28,isolated"), _family("folder:pens/mine")
    ('emnist', 'hijja', 'folder:pens/mine')
    """
    if name.startswith(OWN_KINDS):
        kind, _, path = name.partition(":")
        return f"{kind}:{os.path.normpath(path)}"
    return re.split("[-:]", name)[0]


def protocol_of(recipe: Recipe, data: Dataset) -> str:
    """Whose split it is: not every set has an official one."""
    if recipe.test_dataset is not None:
        return "another source"
    if recipe.protocol != "official":
        return recipe.protocol
    return "official" if data.split_rule == "published" else data.split_rule
