"""The epochs of a training run: step, validate, keep the best, save what resuming needs."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hcr_edge.architectures import find_architecture, thaw, transfer
from hcr_edge.batches import InkBatches
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe
from hcr_edge.run_folder import EpochRow, RunFolder, State
from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.keras_file import save_keras
from hcr_runtime import ModelSpec

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """One step of `steps` is done; epochs and steps count from 1."""

    def epoch(self, row: EpochRow, best: bool) -> None:
        """One epoch is done; `best`: as good as the best so far."""


class WeightAverage(keras.callbacks.Callback):
    """Exponential moving average of all weights, batch statistics included (Polyak 1992).

    The decay grows from 0 to `decay`, so that the first weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.steps = 0
        self.weights: list[NDArray[np.float32]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the average towards the present weights."""
        present = self.model.get_weights()
        if not self.weights:
            self.weights = present
        self.steps += 1
        share = 1 - min(self.decay, self.steps / (10 + self.steps))
        for average, weight in zip(self.weights, present, strict=True):
            average += share * (weight - average)


class Epochs:
    """The loop over the epochs: step, validate, keep the best, save what resuming needs.

    Args:
        recipe: What to train, and how.
        folder: The run folder, open.
        spec: The model's description.
        state: Where the run stands; updated.
        batches: Of training images.
        body: A trained one for `transfer`, or None.
        watcher: Is told of every step and epoch.
        begin: Weights from which training begins; None for new ones.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        spec: ModelSpec,
        state: State,
        batches: InkBatches,
        body: Any,
        watcher: Watcher | None,
        begin: list[NDArray[np.float32]] | None = None,
    ) -> None:
        self.recipe, self.folder, self.spec, self.state = recipe, folder, spec, state
        self.batches, self.watcher = batches, watcher
        self.average = WeightAverage(recipe.average) if recipe.average else None
        if state.epoch:
            self.model, weights = folder.load_last(state)
            if body is None:
                self._check_network()
            if self.average is not None:
                self.average.weights, self.average.steps = weights, state.averaged_steps
        else:
            self.model = self._compiled(body)
            if begin is not None:
                self.model.set_weights(begin)
            state.learning_rate = recipe.learning_rate

    def _check_network(self) -> None:
        """Raise `RecipeError` where a run was begun with what its network was called then."""
        shape = self.spec.input
        now = find_architecture(self.recipe.arch).build(
            (shape.height, shape.width, shape.channels), len(self.spec.labels)
        )
        if _outline(now) != _outline(self.model):
            raise RecipeError(
                f"{self.folder.path} was begun with another {self.recipe.arch}, of an earlier"
                " version",
                hint="--overwrite begins anew; that version of hcr-edge can finish it",
            )

    def _compiled(self, body: Any) -> Any:
        shape, classes = self.spec.input, len(self.spec.labels)
        with quiet():  # TensorFlow looks for a GPU, aloud
            if body is None:
                size = (shape.height, shape.width, shape.channels)
                model = find_architecture(self.recipe.arch).build(size, classes)
            else:
                model = transfer(body, classes)
        frozen = self.recipe.frozen_epochs
        return self._compile(model, self.recipe.learning_rate, frozen or self.recipe.epochs)

    def _compile(self, model: Any, learning_rate: float, epochs: int) -> Any:
        """Give the model an optimizer whose rate runs its course over `epochs`."""
        recipe = self.recipe
        rate: Any = learning_rate
        if recipe.schedule == "cosine":
            steps = len(self.batches)
            rate = keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=0.02 * learning_rate,
                decay_steps=steps * max(epochs - 1, 1),
                alpha=0.02,
                warmup_target=learning_rate,
                warmup_steps=steps,
            )
        optimizer = (
            keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
            if recipe.weight_decay
            else keras.optimizers.Adam(rate)
        )
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=self.spec.output == "logits", label_smoothing=recipe.label_smoothing
        )
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model

    def _thaw(self) -> None:
        """Let the frozen body learn too, a tenth as fast as its new head did; patience anew."""
        thaw(self.model)
        state = self.state
        state.improved_epoch = state.plateau_epoch = state.epoch
        state.learning_rate = self.recipe.learning_rate * (0.1 if state.epoch else 1.0)
        epochs = self.recipe.epochs - self.recipe.frozen_epochs
        self._compile(self.model, self.state.learning_rate, epochs)

    def fit(self, valid_x: NDArray[np.float32], valid_y: NDArray[np.int64]) -> None:
        """Train until the epochs are over or validation no longer improves.

        Args:
            valid_x: Validation tensors, float32 (N, height, width, channels).
            valid_y: Their classes, (N,).
        """
        state, recipe = self.state, self.recipe
        targets = keras.utils.to_categorical(valid_y, len(self.spec.labels))
        while state.epoch < recipe.epochs:
            if recipe.source is not None and state.epoch == recipe.frozen_epochs:
                self._thaw()
            if state.epoch - state.improved_epoch >= recipe.stop_patience:
                log.warning("stopped: no better validation for %d epochs", recipe.stop_patience)
                break
            self.batches.start_epoch(state.epoch)
            self._seed_dropout(state.epoch)
            epoch = state.epoch + 1
            history = self.model.fit(
                self.batches,
                epochs=epoch,
                initial_epoch=epoch - 1,
                shuffle=False,
                verbose=0,
                callbacks=self._callbacks(epoch),
            ).history
            present = self.model.get_weights()
            if self.average is not None:
                self.model.set_weights(self.average.weights)
            val_loss, val_accuracy = self.model.evaluate(valid_x, targets, 256, verbose=0)
            row = EpochRow(
                epoch,
                float(np.asarray(self.model.optimizer.learning_rate)),
                float(history["loss"][-1]),
                float(history["accuracy"][-1]),
                float(val_loss),
                float(val_accuracy),
            )
            best = self._close_epoch(row)
            if best:
                save_keras(self.model, self.spec, self.folder.path / "best.keras")
            self.model.set_weights(present)
            averages = self.average.weights if self.average is not None else []
            self.folder.save_last(self.model, averages, state, row)
            if self.watcher is not None:
                self.watcher.epoch(row, best)

    def _seed_dropout(self, epoch: int) -> None:
        """Make an epoch's dropout depend on the seed alone: a file does not keep its counter."""
        for number, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                layer.seed_generator.state.assign([self.recipe.seed + 1000 * number, 10**6 * epoch])

    def _callbacks(self, epoch: int) -> list[Any]:
        callbacks: list[Any] = [] if self.average is None else [self.average]
        if self.watcher is not None:
            watcher, steps = self.watcher, len(self.batches)

            def told(step: int, logs: dict[str, float] | None) -> None:
                watcher.step(epoch, step + 1, steps, float((logs or {}).get("loss", 0.0)))

            callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=told))
        return callbacks

    def _close_epoch(self, row: EpochRow) -> bool:
        """Update the state and the learning rate; True when this epoch is as good as the best."""
        state, recipe = self.state, self.recipe
        state.epoch = row.epoch
        state.averaged_steps = self.average.steps if self.average is not None else 0
        # A cosine schedule settles: the accuracies of late epochs differ by luck, the loss weighs
        # every image. On a plateau the loss rises with overconfidence while accuracy still does.
        best = state.judge(row, by_loss=recipe.schedule == "cosine")
        waited = row.epoch - max(state.improved_epoch, state.plateau_epoch)
        if recipe.schedule == "plateau" and waited >= recipe.plateau_patience:
            state.plateau_epoch = row.epoch
            state.learning_rate /= 3
            self.model.optimizer.learning_rate = state.learning_rate
        return best


def _outline(model: Any) -> list[tuple[str, list[tuple[int | None, ...]]]]:
    """Which layers a network has, and the shapes of their outputs and weights."""
    return [
        (type(layer).__name__, [tuple(part.shape) for part in (layer.output, *layer.weights)])
        for layer in model.layers
    ]
