"""What a training found: for its ``result.json``, and for the description inside the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset
from hcr_edge.outliers import TRAINED
from hcr_edge.protocol import protocol_of
from hcr_edge.recipe import Recipe
from hcr_edge.run_folder import State
from hcr_export.statistics import wilson_interval
from hcr_runtime import ModelSpec, Provenance


def result_of(
    recipe: Recipe, state: State, test: Dataset, test_scores: NDArray[np.float32]
) -> dict[str, Any]:
    """What ``result.json`` says of the test set.

    Args:
        recipe: What was trained.
        state: Where training ended.
        test: The test part, of N images.
        test_scores: Probabilities of its classes, (N, classes).
    """
    right = test_scores.argmax(axis=1) == test.labels
    correct = int(right.sum())
    return {
        "name": recipe.name,
        "arch": recipe.arch,
        "dataset": test.title,
        "protocol": protocol_of(recipe, test),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "test": {
            "split": test.split,
            "accuracy": correct / len(test),
            "correct": correct,
            "total": len(test),
            "interval": list(wilson_interval(correct, len(test))),
            "origins": {
                name: {
                    "accuracy": float(right[test.origin == i].mean()),
                    "total": int((test.origin == i).sum()),
                }
                for i, name in enumerate(test.origins)
                if test.origin is not None and (test.origin == i).any()
            },
        },
    }


def describe_recipe(recipe: Recipe) -> str:
    """How a model came about, for its card: whoever taught it passed on its own data."""
    parts = [recipe.name, f"at most {recipe.epochs} epochs", f"seed {recipe.seed}"]
    if recipe.branches:
        parts.append(f"mean of {recipe.branches} branches of {recipe.branch_epochs} epochs")
    if recipe.source is not None:
        parts.append(f"body of {recipe.source}")
    if recipe.teachers:
        parts.append(f"taught by {' and '.join(recipe.teachers)}")
    return ", ".join(parts)


def with_typefaces(provenance: Provenance) -> Provenance:
    """Say that letters of typefaces were learned too."""
    return replace(
        provenance,
        training_data=f"{provenance.training_data}; letters of free typefaces",
        data_licence=f"{provenance.data_licence}; typefaces: OFL-1.1",
    )


def with_findings(spec: ModelSpec, result: dict[str, Any], mistakes: str) -> ModelSpec:
    """Put what was measured into the description: it travels with the model."""
    test, dataset, validation = result["test"], result["dataset"], result["validation"]
    name = f"{dataset} {test['split']} ({result['protocol']} split)"
    figures = {
        f"{validation['dataset']} validation (chose the epoch)": validation["accuracy"],
        name: test["accuracy"],
    }
    if len(test["origins"]) > 1:
        for origin, part in test["origins"].items():
            figures[f"of which {origin}"] = part["accuracy"]
    for part, shares in (("validation", validation), ("test", test)):
        figures[f"{part}: sure enough to be answered"] = shares["accepted"]
        figures[f"{part}: wrong among those"] = shares["error"]
        figures[f"{part}: calibration error"] = shares["calibration_error"]
    unseen = [share for kind, share in result["false_acceptance"].items() if kind not in TRAINED]
    figures["drawings of kinds that training did not see, answered"] = float(np.mean(unseen))
    if result["crossed_out"]:
        shares = list(result["crossed_out"].values())
        figures["validation letters that are crossed out, answered"] = float(np.mean(shares))
    return replace(spec, provenance=replace(spec.provenance, figures=figures, confusions=mistakes))


def commonest_mistakes(test: Dataset, predicted: NDArray[np.int64]) -> str:
    """The eight commonest, as ``ز→ر 8, ض→ص 5``."""
    texts = [label.text for label in test.label_set]
    wrong = predicted != test.labels
    pairs = Counter(zip(test.labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    return ", ".join(f"{texts[t]}→{texts[p]} {n}" for (t, p), n in pairs.most_common(8))
