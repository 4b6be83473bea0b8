"""Training: from a recipe and a data set to a run folder.

What the run folder holds is in `run_folder.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge import report
from hcr_edge.architectures import application_body, body_of, find_architecture
from hcr_edge.augment import Augmentation
from hcr_edge.batches import InkBatches
from hcr_edge.branches import average_branches
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.crossed import cross_out_some
from hcr_edge.datasets import Dataset
from hcr_edge.datasets.splits import part_checksums
from hcr_edge.epochs import Epochs, Watcher
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
from hcr_edge.run_folder import RunFolder
from hcr_edge.versions import library_versions
from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.keras_file import load_keras, save_keras
from hcr_runtime import (
    InputSpec,
    ModelSpec,
    PreprocessSpec,
    Provenance,
    RejectionSpec,
    accepts,
    preprocess,
    probabilities,
)
from hcr_runtime.image import ImageLike, to_gray
from hcr_runtime.ink import lift_ink

log = logging.getLogger(__name__)

# Validation images that are misread, at least, for a temperature to be fitted to them alone.
LEAST_MISTAKES = 10


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
        RecipeError: `out` is in the way, or holds a run of another recipe, of another content of
            the recipe's split file, or a damaged one.
    """
    architecture = find_architecture(recipe.arch)
    folder = RunFolder(out)
    finished = folder.check(recipe, resume, overwrite)
    if finished is not None:
        return finished
    training, validation, test = split_dataset(recipe, data_dir)
    # Damaged files would show when their turn comes: those of the test when all is trained.
    for part in (training, validation, test):
        part.blame(i for i, image in enumerate(part.images) if isinstance(image, Path))
    keras.utils.set_random_seed(recipe.seed)
    spec = ModelSpec(
        name=recipe.name,
        labels=training.label_set,
        input=InputSpec(recipe.side, recipe.side),
        preprocess=PreprocessSpec(version=recipe.preprocess),
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
    body = None
    if recipe.source is not None:
        body, preparation = _body(recipe.source, spec)
        spec = replace(spec, preprocess=preparation)
    batches = InkBatches(training, spec, recipe)
    if batches.written:
        spec = replace(spec, provenance=with_typefaces(spec.provenance))
    state = folder.open(
        recipe, resume, part_checksums(Path(recipe.split)) if recipe.split else None
    )
    epochs = Epochs(recipe, folder, spec, state, batches, body, watcher)
    valid_x, valid_y = tensors(validation, spec), validation.labels
    epochs.fit(valid_x, valid_y)

    best = folder.load_model(out / "best.keras")
    averaged = recipe.branches > 0 and average_branches(
        best, recipe, folder, spec, training, valid_x, valid_y, watcher
    )
    spec = calibrate(best, validation, valid_x, spec, recipe)
    valid_scores = scores(best, valid_x, spec)
    if averaged:
        state.best_accuracy = float((valid_scores.argmax(axis=1) == valid_y).mean())
    # The one time that the test set is read by the model.
    test_scores = scores(best, tensors(test, spec), spec)
    least = spec.rejection.min_confidence
    result = result_of(recipe, state, test, test_scores)
    result["averaged_branches"] = recipe.branches if averaged else 0
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
    crossed = cross_out_some(validation, OUTLIERS) if recipe.crossed else {}
    result["crossed_out"] = {
        kind: float(accepts(drawn, scores(best, _inputs(drawn, spec), spec), spec).mean())
        for kind, drawn in crossed.items()
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


def _body(source: str, spec: ModelSpec) -> tuple[Any, PreprocessSpec]:
    """The trained body that `source` names, from ink tensors to features, and how they are made."""
    shape = (spec.input.height, spec.input.width, spec.input.channels)
    weights, _, application = source.partition(":")
    with quiet():
        if application and weights in ("imagenet", "random"):
            known = "imagenet" if weights == "imagenet" else None
            return application_body(application, shape, known), spec.preprocess
        lender = load_keras(find_checkpoint(source))
    if lender.spec.input != spec.input:
        raise RecipeError(
            f"the source {source} was trained on other tensors", allowed=f"{spec.input}"
        )
    return body_of(lender.model), lender.spec.preprocess


def _draw_neighbours(data: Dataset, spec: ModelSpec) -> dict[str, list[NDArray[np.uint8]]]:
    """Letters that the model does not know, composed from the writing of `data`, each 100 times."""
    inks = [lift_ink(to_gray(image)) for image in data.images]
    neighbours = Neighbours(inks, [spec.labels[label].text for label in data.labels])
    rng = np.random.default_rng(1)
    return {
        letter: [neighbours.draw(letter, rng) for _ in range(OUTLIERS)]
        for letter in neighbours.letters
    }


def calibrate(
    model: Any, validation: Dataset, inputs: NDArray[np.float32], spec: ModelSpec, recipe: Recipe
) -> ModelSpec:
    """Fit temperature and threshold on validation images.

    Where training augments, rewritten images count for the threshold too, and for the temperature
    where validation has so few mistakes that nothing would keep it from 0. Drawings that are no
    character count where training saw such.

    Args:
        model: The Keras model.
        validation: N images.
        inputs: Their tensors, (N, height, width, channels).
        spec: The model's description.
        recipe: How it was trained.
    """
    labels, again = validation.labels, None
    known, fitted = inputs, labels
    if recipe.augmentation is not None:
        # Moderate strengths: those of training are to teach, and go beyond what people write.
        rng, pen = np.random.default_rng(0), Augmentation()
        inks = [lift_ink(to_gray(image)) for image in validation.images] * REWRITTEN
        again = np.stack([preprocess(pen(ink, rng), spec) for ink in inks])
        if (scores(model, inputs, spec).argmax(axis=1) != labels).sum() < LEAST_MISTAKES:
            known = np.concatenate([inputs, again])
            fitted = np.tile(labels, 1 + REWRITTEN)
    spec = replace(spec, temperature=fit_temperature(model, known, fitted, spec))
    rewritten = None if again is None else scores(model, again, spec)
    drawn = draw_outliers(TRAINED, OUTLIERS, seed=0) if recipe.outliers else []
    shown = _inputs(drawn, spec) if drawn else inputs[:0]
    # A blank tensor is refused without asking the model.
    shown = shown[np.ptp(shown, axis=(1, 2, 3)) > 0]
    strange = scores(model, shown, spec) if len(shown) else np.zeros((0, 1), np.float32)
    least = fit_min_confidence(scores(model, inputs, spec), labels, strange, rewritten)
    if least == STRICTEST:
        log.warning("no threshold makes mistakes rare: what is less sure than %s is refused", least)
    return replace(spec, rejection=RejectionSpec(least))
