"""Training: from a recipe and a data set to a run folder.

What the run folder holds is in `run_folder.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hcr_edge import report
from hcr_edge.architectures import application_body, body_of, find_architecture, transfer
from hcr_edge.augment import Augmentation
from hcr_edge.batches import InkBatches
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.datasets import Dataset
from hcr_edge.errors import RecipeError
from hcr_edge.findings import (
    commonest_mistakes,
    describe_recipe,
    result_of,
    with_findings,
    with_typefaces,
)
from hcr_edge.neighbours import Neighbours
from hcr_edge.outliers import TRAINED, draw_outliers
from hcr_edge.protocol import protocol_of, split_dataset
from hcr_edge.recipe import Recipe
from hcr_edge.rejection import (
    OUTLIERS,
    REWRITTEN,
    STRICTEST,
    false_acceptance,
    fit_min_confidence,
    measure_refusal,
)
from hcr_edge.run_folder import EpochRow, RunFolder, State
from hcr_edge.versions import library_versions
from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.keras_file import load_keras, save_keras
from hcr_runtime import (
    ModelSpec,
    Provenance,
    RejectionSpec,
    accepts,
    preprocess,
    probabilities,
)
from hcr_runtime.image import ImageLike, to_gray
from hcr_runtime.preprocess import lift_ink

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """One step of `steps` is done; epochs and steps count from 1."""

    def epoch(self, row: EpochRow, best: bool) -> None:
        """One epoch is done; `best`: the best so far by validation accuracy."""


def train(
    recipe: Recipe,
    out: Path,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Train a model and leave everything in the run folder `out`.

    Args:
        recipe: What to train, and how.
        out: The run folder; made if missing.
        data_dir: Where published data sets lie.
        resume: Go on with the run in `out`, whose recipe must be the same; a finished run only
            gives its result.
        overwrite: Begin anew in a run folder.
        watcher: Is told of every step and epoch.

    Returns:
        What ``result.json`` holds.

    Raises:
        DataError: The data set is missing or damaged.
        RecipeError: `out` is in the way, or holds a run of another recipe, or a damaged one.
    """
    architecture = find_architecture(recipe.arch)
    folder = RunFolder(out)
    finished = folder.check(recipe, resume, overwrite)
    if finished is not None:
        return finished
    training, validation, test = split_dataset(recipe, data_dir)
    keras.utils.set_random_seed(recipe.seed)
    spec = ModelSpec(
        name=recipe.name,
        labels=training.label_set,
        output=architecture.output,
        provenance=Provenance(
            training_data=f"{training.title}, {protocol_of(recipe, training)} split,"
            f" {len(training)} images",
            data_licence=training.licence,
            architecture=recipe.arch,
            recipe=describe_recipe(recipe),
            versions=library_versions(),
        ),
    )
    # Whatever is wrong with what the recipe names shows before the folder is made.
    batches = InkBatches(training, spec, recipe)
    if batches.written:
        spec = replace(spec, provenance=with_typefaces(spec.provenance))
    body = None if recipe.source is None else _body(recipe.source, spec)
    run = _Run(recipe, folder, spec, folder.open(recipe, resume), batches, body, watcher)
    state = run.state
    valid_x, valid_y = tensors(validation, spec), validation.labels
    run.fit(valid_x, valid_y)

    best = folder.load_model(out / "best.keras")
    spec = replace(spec, temperature=fit_temperature(best, valid_x, valid_y, spec))
    spec = replace(spec, rejection=_fit_rejection(best, validation, valid_x, spec, recipe))
    valid_scores = scores(best, valid_x, spec)
    # The one time that the test set is read by the model.
    test_scores = scores(best, tensors(test, spec), spec)
    least = spec.rejection.min_confidence
    result = result_of(recipe, state, test, test_scores)
    result["parameters"] = best.count_params()
    result["published"] = recipe.published
    result["min_confidence"] = least
    result["temperature"] = spec.temperature
    result["false_acceptance"] = false_acceptance(
        lambda images: accepts(images, scores(best, _inputs(images, spec), spec), spec)
    )
    neighbours = _draw_neighbours(validation, spec) if recipe.neighbours else {}
    result["neighbours"] = {
        letter: float(accepts(drawn, scores(best, _inputs(drawn, spec), spec), spec).mean())
        for letter, drawn in neighbours.items()
    }
    result["validation"] = {
        "dataset": validation.title,
        "accuracy": state.best_accuracy,
        "total": len(validation),
        **asdict(measure_refusal(valid_scores, valid_y, least)),
    }
    result["test"] |= asdict(measure_refusal(test_scores, test.labels, least))
    report.write_reports(out, test.label_set, test.labels, test_scores.argmax(axis=1))
    mistakes = commonest_mistakes(test, test_scores.argmax(axis=1))
    save_keras(best, with_findings(spec, result, mistakes), out / "model.keras")
    folder.finish(result)
    return result


def tensors(data: Dataset, spec: ModelSpec) -> NDArray[np.float32]:
    """Preprocess all images of a data set: float32 (N, height, width, channels)."""
    return _inputs(data.images, spec)


def _inputs(images: Sequence[ImageLike], spec: ModelSpec) -> NDArray[np.float32]:
    return np.stack([preprocess(image, spec) for image in images])


def scores(model: Any, inputs: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Probabilities, shape (N, classes), of input tensors."""
    output = np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)
    return probabilities(output, spec)


def fit_temperature(
    model: Any, inputs: NDArray[np.float32], labels: NDArray[np.int64], spec: ModelSpec
) -> float:
    """Find the temperature of the least negative log likelihood (Guo et al. 2017).

    Args:
        model: The Keras model.
        inputs: Validation tensors, (N, height, width, channels).
        labels: Their classes, (N,).
        spec: The model's description.
    """
    output = np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        found = probabilities(output, replace(spec, temperature=temperature))
        return float(-np.log(np.maximum(found[rows, labels], 1e-12)).mean())

    grid = [round(float(t), 3) for t in np.geomspace(0.2, 5.0, 129)]
    return min(grid, key=loss)


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


class _Run:
    """The loop over the epochs: step, validate, keep the best, save what resuming needs."""

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        spec: ModelSpec,
        state: State,
        batches: InkBatches,
        body: Any,
        watcher: Watcher | None,
    ) -> None:
        self.recipe, self.folder, self.spec, self.state = recipe, folder, spec, state
        self.batches, self.watcher = batches, watcher
        self.average = WeightAverage(recipe.average) if recipe.average else None
        if state.epoch:
            self.model, weights = folder.load_last(state)
            if self.average is not None:
                self.average.weights, self.average.steps = weights, state.averaged_steps
        else:
            self.model = self._compiled(body)
            state.learning_rate = recipe.learning_rate

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
        for layer in self.model.layers:
            layer.trainable = True
        state = self.state
        state.improved_epoch = state.plateau_epoch = state.epoch
        state.learning_rate = self.recipe.learning_rate * (0.1 if state.epoch else 1.0)
        epochs = self.recipe.epochs - self.recipe.frozen_epochs
        self._compile(self.model, self.state.learning_rate, epochs)

    def fit(self, valid_x: NDArray[np.float32], valid_y: NDArray[np.int64]) -> None:
        """Train until the epochs are over or validation no longer improves."""
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
        # Of equal epochs the later is kept: its weights are more settled. Patience counts from
        # the first of them.
        best = row.val_accuracy >= state.best_accuracy
        if row.val_accuracy > state.best_accuracy:
            state.improved_epoch = row.epoch
        if best:
            state.best_accuracy, state.best_epoch = row.val_accuracy, row.epoch
        waited = row.epoch - max(state.improved_epoch, state.plateau_epoch)
        if recipe.schedule == "plateau" and waited >= recipe.plateau_patience:
            state.plateau_epoch = row.epoch
            state.learning_rate /= 3
            self.model.optimizer.learning_rate = state.learning_rate
        return best


def _body(source: str, spec: ModelSpec) -> Any:
    """The trained body that `source` names, from the ink tensors of `spec` to features."""
    shape = (spec.input.height, spec.input.width, spec.input.channels)
    weights, _, application = source.partition(":")
    with quiet():
        if application and weights in ("imagenet", "random"):
            known = "imagenet" if weights == "imagenet" else None
            return application_body(application, shape, known)
        lender = load_keras(find_checkpoint(source))
    if (lender.spec.input, lender.spec.preprocess) != (spec.input, spec.preprocess):
        raise RecipeError(
            f"the source {source} was trained on other tensors", allowed=f"{spec.input}"
        )
    return body_of(lender.model)


def _draw_neighbours(data: Dataset, spec: ModelSpec) -> dict[str, list[NDArray[np.uint8]]]:
    """Letters that the model does not know, composed from the writing of `data`, each 100 times."""
    inks = [lift_ink(to_gray(image)) for image in data.images]
    neighbours = Neighbours(inks, [spec.labels[label].text for label in data.labels])
    rng = np.random.default_rng(1)
    return {
        letter: [neighbours.draw(letter, rng) for _ in range(OUTLIERS)]
        for letter in neighbours.letters
    }


def _fit_rejection(
    model: Any, validation: Dataset, inputs: NDArray[np.float32], spec: ModelSpec, recipe: Recipe
) -> RejectionSpec:
    """Fit the threshold on validation images; where training augments, on rewritten ones too.

    Drawings that are no character count where training saw such.
    """
    rewritten = None
    if recipe.augmentation is not None:
        # Moderate strengths: those of training are to teach, and go beyond what people write.
        rng, pen = np.random.default_rng(0), Augmentation()
        inks = [lift_ink(to_gray(image)) for image in validation.images] * REWRITTEN
        again = np.stack([preprocess(pen(ink, rng), spec) for ink in inks])
        rewritten = scores(model, again, spec)
    drawn = draw_outliers(TRAINED, OUTLIERS, seed=0) if recipe.outliers else []
    shown = _inputs(drawn, spec) if drawn else inputs[:0]
    # A blank tensor is refused without asking the model.
    shown = shown[np.ptp(shown, axis=(1, 2, 3)) > 0]
    strange = scores(model, shown, spec) if len(shown) else np.zeros((0, 1), np.float32)
    known = scores(model, inputs, spec)
    least = fit_min_confidence(known, validation.labels, strange, rewritten)
    if least == STRICTEST:
        log.warning("no threshold makes mistakes rare: what is less sure than %s is refused", least)
    return RejectionSpec(least)
