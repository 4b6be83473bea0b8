"""A classifier of any network: what it gives is found out by asking it, and brought to classes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.model_files import OpenedModel
from hcr_runtime import ModelError, SpecError
from hcr_runtime.spec import OutputKind

_REGRESSION = re.compile(
    r"mean_(squared|absolute)|^(mse|mae|mape|msle)$|huber|log_?cosh|poisson", re.I
)


def as_classifier(
    path: Path, opened: OpenedModel, shape: tuple[int, int, int], labels: int
) -> tuple[Any, OutputKind, str]:
    """Give a model an input of one fixed shape and an output for each label.

    Args:
        path: Of its file, for what is told of it.
        opened: The model.
        shape: Height, width and channels of its images.
        labels: How many there are.

    Returns:
        The Keras model; what its outputs are; and that in words.

    Raises:
        ModelError: It takes no such images, answers with no numbers or always others, or is no
            classifier.
        SpecError: It has not as many outputs as there are labels.
    """
    model = opened.model
    image = keras.Input(shape, name="image")
    native = tuple(model.inputs[0].shape[1:])
    tensor = image
    if len(native) != 3:
        inner = shape[:2] if len(native) == 2 else (math.prod(shape),)
        tensor = keras.layers.Reshape(inner, name="as_trained")(image)
    try:
        with quiet():
            scores = model(tensor, training=False)
            if len(scores.shape) > 2:
                scores = keras.layers.Flatten(name="flat_scores")(scores)
            whole = keras.Model(image, scores, name="classifier")
            probes = _probes(shape)
            answers, again = (
                np.asarray(whole.predict(probes, batch_size=8, verbose=0), np.float64)
                for _ in range(2)
            )
    except Exception as error:  # Keras raises whatever the layers make it meet
        reason = str(error).strip().partition("\n")[0][:160]
        raise ModelError(f"{path.name} does not take images of {shape} ({reason})") from error
    if not np.isfinite(answers).all():
        raise ModelError(f"{path.name} answers with NaN or infinity", hint="train it again")
    if not np.allclose(answers, again, rtol=1e-3, atol=1e-5):
        raise ModelError(
            f"{path.name} gives an image another answer each time: augmentation is at work in it",
            hint="save it as a .keras file, where augmentation can be turned off",
        )
    output, said = _kind(path, opened, answers)
    outputs = answers.shape[1]
    if outputs == 1:
        scores = _two_classes(whole.output, output)
        output, outputs = "softmax", 2
        whole = keras.Model(image, scores, name="classifier")
    if labels != outputs:
        raise SpecError(
            f"{path.name} tells {outputs} classes apart, and {labels} labels are given",
            allowed=f"{outputs} labels, in the order of the outputs",
        )
    unchanged = native == shape and whole.output is model.outputs[0]
    return (model if unchanged else whole), output, said


def _probes(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Images of noise, faint to glaring: what comes out of them tells what the last layer does."""
    noise = np.random.default_rng(0).normal(size=(8, *shape))
    levels = np.array([0, 0.1, 1, 1, 10, 255, 255, 1000]).reshape(-1, 1, 1, 1)
    return (noise * levels).astype(np.float32)


def _kind(path: Path, opened: OpenedModel, answers: NDArray[np.float64]) -> tuple[OutputKind, str]:
    """What a model's outputs are, by what it answered."""
    within = bool((answers >= -1e-6).all() and (answers <= 1 + 1e-6).all())
    single = answers.shape[1] == 1
    if within and single:
        return "softmax", "one sigmoid, made two probabilities"
    if within:
        sums = np.abs(answers.sum(axis=1) - 1).max() < 1e-3
        return "softmax", "output softmax" if sums else "output one sigmoid for each label"
    if single and opened.from_logits:
        return "logits", "one logit, made two probabilities"
    if single or _REGRESSION.search(opened.loss):
        trained = f", trained with {opened.loss}" if opened.loss else ""
        raise ModelError(
            f"{path.name} ends in a regression head ({answers.shape[1]} unbounded"
            f" {'number' if single else 'numbers'}{trained})",
            allowed="a classifier: softmax, logits, or one sigmoid",
        )
    return "logits", "output logits"


def _two_classes(score: Any, output: OutputKind) -> Any:
    """Two probabilities from one: of a sigmoid p they are (1 - p, p), of a logit its softmax."""
    dense = keras.layers.Dense(
        2, activation="softmax" if output == "logits" else None, name="two_classes"
    )
    result = dense(score)
    rows: Sequence[Sequence[float]] = [[0.0, 1.0]] if output == "logits" else [[-1.0, 1.0]]
    bias = [0.0, 0.0] if output == "logits" else [1.0, 0.0]
    dense.set_weights([np.array(rows, np.float32), np.array(bias, np.float32)])
    return result
