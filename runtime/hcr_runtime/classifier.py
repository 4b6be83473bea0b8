"""`Classifier`: from an image of one character to a label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.engines import Engine, open_engine
from hcr_runtime.image import ImageLike
from hcr_runtime.models import find_model
from hcr_runtime.page import ReadGlyph, read_page
from hcr_runtime.preprocess import preprocess
from hcr_runtime.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """One label and the confidence in it (0-1)."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        label: The most likely character; empty for a blank image.
        name: Its short name, e.g. ``beh``.
        codepoint: Its Unicode code point, e.g. ``U+0628``.
        confidence: Its probability, 0-1.
        top: The most likely labels with their confidences, best first.
        accepted: False when the answer should not be used; `reason` says why.
        reason: ``blank`` (no ink in the image), ``unsure`` (confidence under the model's
            threshold), or empty.
    """

    label: str
    name: str
    codepoint: str
    confidence: float
    top: tuple[Candidate, ...]
    accepted: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain JSON types."""
        return {**asdict(self), "top": [asdict(candidate) for candidate in self.top]}


BLANK = Prediction("", "", "", 0.0, (), False, "blank")


class Classifier:
    """A loaded model. `Classifier.load` makes one; threads may share it.

    >>> import numpy as np
    >>> classifier = Classifier.load("arabic-letters")
    >>> paper = np.full((64, 64), 255, np.uint8)
    >>> paper[12:52, 30:34] = 0  # one upright stroke: alef
    >>> classifier.classify(paper).name
    'alef'
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def load(cls, model: str | os.PathLike[str], *, threads: int = 1) -> Classifier:
        """Load a model.

        Args:
            model: A shipped model's name, or the path of an ``.onnx`` or ``.tflite`` file that
                hcr-edge exported.
            threads: Threads for one inference; 1 is fastest for models this small.

        Raises:
            ModelError: Unknown name, missing or damaged file.
            SpecError: The file carries no valid description.
            EngineError: The engine for the file is not installed.
        """
        return cls(open_engine(find_model(model), threads))

    @property
    def spec(self) -> ModelSpec:
        """The model's description."""
        return self.engine.spec

    def scores(self, images: Sequence[ImageLike]) -> NDArray[np.float32]:
        """Return the calibrated probability of every class: float32, (N, classes).

        Blank images are answered like any other; `classify` refuses them.

        Raises:
            ImageError: One of `images` is no image.
        """
        if len(images) == 0:
            return np.zeros((0, len(self.spec.labels)), np.float32)
        tensors = np.stack([preprocess(image, self.spec) for image in images])
        return probabilities(self.engine.run(tensors), self.spec)

    def classify(self, image: ImageLike, top: int = 3) -> Prediction:
        """Read one character.

        Args:
            image: A path, the bytes of an image file, or a uint8 array: grey (H, W), BGR
                (H, W, 3) or BGRA (H, W, 4). One glyph, dark on bright or bright on dark.
            top: How many candidates to return.

        Raises:
            ImageError: `image` is no image.
        """
        tensor = preprocess(image, self.spec)
        scores = probabilities(self.engine.run(tensor[None]), self.spec)[0]
        return self.prediction(tensor, scores, top)

    def classify_batch(self, images: Sequence[ImageLike], top: int = 3) -> list[Prediction]:
        """Read one character from each image; see `classify`."""
        if len(images) == 0:
            return []
        tensors = np.stack([preprocess(image, self.spec) for image in images])
        scores = probabilities(self.engine.run(tensors), self.spec)
        return [
            self.prediction(tensor, row, top) for tensor, row in zip(tensors, scores, strict=True)
        ]

    def read(self, page: ImageLike, top: int = 3) -> tuple[ReadGlyph, ...]:
        """Read every character on a page; see `hcr_runtime.page.read_page`."""
        return read_page(page, self, top)

    def prediction(
        self, tensor: NDArray[np.float32], scores: NDArray[np.float32], top: int = 3
    ) -> Prediction:
        """Turn one input tensor and its probabilities, shape (classes,), into a `Prediction`."""
        if tensor.max() == tensor.min():
            return BLANK
        order = (-scores).argsort(kind="stable")[: max(top, 1)].tolist()
        labels = self.spec.labels
        candidates = tuple(Candidate(labels[i].text, float(scores[i])) for i in order)
        best = labels[order[0]]
        accepted = candidates[0].confidence >= self.spec.rejection.min_confidence
        return Prediction(
            label=best.text,
            name=best.name,
            codepoint=best.codepoint,
            confidence=candidates[0].confidence,
            top=candidates,
            accepted=accepted,
            reason="" if accepted else "unsure",
        )


def probabilities(output: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Turn raw outputs, shape (N, classes), into calibrated probabilities of the same shape.

    Softmax outputs are first taken back to logits, which they fix up to a constant.
    """
    if spec.output == "softmax" and spec.temperature == 1.0:
        return output
    logits = np.log(np.maximum(output, 1e-12)) if spec.output == "softmax" else output
    scaled = np.asarray(logits / spec.temperature, np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled
