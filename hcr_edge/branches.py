"""Branches: training that goes on from one network several times, and the mean of their weights.

Networks that went on from the same weights, each shown other views in another order, lie in one
valley of the loss: the mean of their weights answers as the mean of their answers does, and costs
a device no more than one of them (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge.batches import InkBatches
from hcr_edge.datasets import Dataset
from hcr_edge.epochs import Epochs, Watcher
from hcr_edge.recipe import Recipe
from hcr_edge.run_folder import EpochRow, RunFolder
from hcr_runtime import ModelSpec, probabilities

# The highest learning rate of a branch, as a share of the recipe's.
BRANCH_RATE = 0.6


def average_branches(
    trunk: Any,
    recipe: Recipe,
    folder: RunFolder,
    spec: ModelSpec,
    training: Dataset,
    valid_x: NDArray[np.float32],
    valid_y: NDArray[np.int64],
    watcher: Watcher | None,
) -> bool:
    """Train the recipe's branches and give the trunk the mean of their weights, if that is better.

    Each branch has a run folder of its own inside the run's, from which it goes on.

    Args:
        trunk: The trained network; its weights are replaced.
        recipe: What was trained, with one branch at least.
        folder: The run folder.
        spec: The model's description.
        training: The training part.
        valid_x: Validation tensors, float32 (N, height, width, channels).
        valid_y: Their classes, (N,).
        watcher: Is told of every step and epoch; they count on from the trunk's.

    Returns:
        Whether the mean has the lower validation loss, and was taken.

    Raises:
        RecipeError: A branch's folder cannot be written, or what it holds is damaged.
    """
    begin = trunk.get_weights()
    ends = []
    for number in range(1, recipe.branches + 1):
        branch = replace(
            recipe,
            epochs=recipe.branch_epochs,
            stop_patience=recipe.branch_epochs,
            learning_rate=BRANCH_RATE * recipe.learning_rate,
            schedule="cosine",
            seed=recipe.seed + number,
            branches=0,
        )
        run = RunFolder(folder.branch(number))
        state = run.open(branch, resume=True)
        if state.epoch < branch.epochs:
            later = None
            if watcher is not None:
                later = _Later(watcher, recipe.epochs + (number - 1) * recipe.branch_epochs)
            batches = InkBatches(training, spec, branch)
            Epochs(branch, run, spec, state, batches, None, later, begin).fit(valid_x, valid_y)
        ends.append(run.load_model(run.path / "best.keras").get_weights())
    before = _loss(trunk, valid_x, valid_y, spec)
    trunk.set_weights([_mean(weights) for weights in zip(*ends, strict=True)])
    if _loss(trunk, valid_x, valid_y, spec) < before:
        return True
    trunk.set_weights(begin)
    return False


def _mean(weights: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(weights, axis=0, dtype=np.float64), np.float32)


def _loss(
    model: Any, inputs: NDArray[np.float32], labels: NDArray[np.int64], spec: ModelSpec
) -> float:
    """Mean negative log likelihood."""
    output = np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)
    likelihood = probabilities(output, spec)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(likelihood, 1e-12)).mean())


class _Later:
    """Tells a watcher of epochs that come after so many others."""

    def __init__(self, watcher: Watcher, done: int) -> None:
        self.watcher, self.done = watcher, done

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.watcher.step(epoch + self.done, step, steps, loss)

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.watcher.epoch(replace(row, epoch=row.epoch + self.done), best)
