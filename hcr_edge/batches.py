"""What a network is shown: augmented inks, typefaces, drawings of nothing, teachers' answers."""

from __future__ import annotations

import logging
import math

import numpy as np
from numpy.typing import NDArray

from hcr_edge.augment import Augmentation
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.crossed import TRAINED as CROSSINGS
from hcr_edge.crossed import can_be_crossed, cross_out
from hcr_edge.datasets import Dataset
from hcr_edge.errors import RecipeError
from hcr_edge.neighbours import Neighbours
from hcr_edge.outliers import TRAINED, draw_outlier
from hcr_edge.recipe import Recipe
from hcr_edge.siblings import Siblings
from hcr_edge.typefaces import Typefaces
from hcr_export._keras import keras
from hcr_export.keras_file import KerasFile, load_keras
from hcr_runtime import ModelSpec, preprocess, probabilities
from hcr_runtime.image import GrayImage, to_gray
from hcr_runtime.ink import extract_ink, lift_ink

log = logging.getLogger(__name__)

# An epoch has so many images at least: of a smaller set each comes several times, augmented anew.
# The means of batch normalisation, and of the weights, take some hundreds of steps.
LEAST_EPOCH = 2000


class InkBatches(keras.utils.PyDataset):
    """Batches of (images, targets); each epoch's order depends on the seed alone.

    Images are float32 (N, height, width, channels), targets probabilities (N, classes).

    Raises:
        ModelError: A teacher is missing or damaged.
        RecipeError: A teacher reads other classes.
    """

    def __init__(self, data: Dataset, spec: ModelSpec, recipe: Recipe) -> None:
        # Two threads: OpenCV and the teachers leave the interpreter free meanwhile.
        super().__init__(workers=2, use_multiprocessing=False, max_queue_size=16)
        inks = [lift_ink(to_gray(image)) for image in data.images]
        keep = [i for i, ink in enumerate(inks) if extract_ink(ink).any()]
        if len(keep) < len(inks):
            log.warning("%d blank training images are left out", len(inks) - len(keep))
        self.inks = [inks[i] for i in keep]
        self.labels = keras.utils.to_categorical(data.labels[keep], len(data.label_set))
        self.spec = spec
        self.batch_size = min(recipe.batch_size, len(keep))
        self.outliers = math.ceil(recipe.outliers * self.batch_size)
        self.texts = [data.label_set[data.labels[i]].text for i in keep]
        self.augment: Augmentation | None = recipe.augmentation
        self.rounds = 1
        if self.augment is not None and len(keep) != recipe.limit:  # a trial stays short
            self.rounds = max(1, round(LEAST_EPOCH / len(keep)))
        joined = self.augment.joined if self.augment is not None else 0.0
        lenders = (self.inks, self.texts) if recipe.neighbours else ([], [])
        self.neighbours = Neighbours(*lenders, joined=joined)
        self.composed = 0
        if self.neighbours.letters:
            self.composed = math.ceil(recipe.neighbours * self.batch_size)
        self.crossable = [
            i for i, at in enumerate(keep) if can_be_crossed(data.label_set[data.labels[at]])
        ]
        self.crossed = math.ceil(recipe.crossed * self.batch_size) if self.crossable else 0
        self.siblings = Siblings(*((self.inks, self.texts) if recipe.lent else ([], [])))
        self.lent = recipe.lent if self.siblings.letters else 0.0
        self.classes = [label.text for label in data.label_set]
        self.typefaces = Typefaces(self.classes if recipe.typefaces else [])
        self.written = 0
        if self.typefaces.forms:
            self.written = math.ceil(recipe.typefaces * self.batch_size)
        self.seed = recipe.seed
        self.plain = (
            np.stack([preprocess(ink, spec) for ink in self.inks]) if self.augment is None else None
        )
        self.distill = recipe.distill
        self.teachers = [open_teacher(name, spec) for name in recipe.teachers]
        self.views, self.epochs = recipe.views, recipe.epochs
        if self.views and (spec.preprocess.mean, spec.preprocess.std) != (0, 1):
            raise RecipeError("views are kept as 8 bits, but tensors are normalised", allowed="0-1")
        self.kept: dict[tuple[int, int], tuple[NDArray[np.uint8], NDArray[np.float32]]] = {}
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Shuffle for epoch `epoch`; batches that come again come in another order."""
        self.epoch = epoch
        self.view = epoch % self.views if self.views else epoch
        rng = np.random.default_rng((self.seed, self.view))
        self.order = np.concatenate([rng.permutation(len(self.inks)) for _ in range(self.rounds)])
        self.turns = np.arange(len(self))
        if self.view < epoch:
            self.turns = np.random.default_rng((self.seed, epoch)).permutation(len(self))

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        turn = int(self.turns[index])
        kept = self.kept.pop((self.view, turn), None)
        if kept is None:
            images, targets = self._draw(turn)
        else:
            images, targets = kept[0] * np.float32(1 / 255), kept[1]
        if self.views and self.epoch + self.views < self.epochs:
            # A quarter of the memory, and exact: the tensors are shares of 255.
            self.kept[self.view, turn] = np.rint(images * 255).astype(np.uint8), targets
        return images, targets

    def _draw(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Augment, compose and write what is in batch `index` of the present view."""
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.view, index))
        seen, images = self._images(chosen, rng)
        targets = self.labels[chosen]
        if self.teachers:
            answers = self._answers(seen)
            targets = (1 - self.distill) * targets + self.distill * answers
        strange = self._drawings(rng) + self._compositions(rng) + self._crossings(rng)
        if strange:
            images = np.concatenate([images, np.stack(strange)])
            uniform = np.full((len(strange), targets.shape[1]), 1 / targets.shape[1])
            targets = np.concatenate([targets, uniform])
        if self.written:
            written, labels = self._writing(rng)
            images, targets = np.concatenate([images, written]), np.concatenate([targets, labels])
        return images, targets.astype(np.float32)

    def _images(
        self, chosen: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[list[GrayImage], NDArray[np.float32]]:
        """What teachers see, as it was written, and what is learned from: as it was scanned."""
        if self.plain is not None or self.augment is None:
            return [self.inks[i] for i in chosen], np.asarray(self.plain)[chosen]
        seen, images = [], []
        for i in chosen:
            ink = self.inks[i]
            # As elsewhere, nothing is drawn where it is not asked for.
            if self.lent > 0 and rng.random() < self.lent:
                ink = self.siblings.write(int(i), rng)
            joined = self.augment.join(ink, self.texts[i], rng)
            written = self.augment.write(joined, rng)
            images.append(preprocess(self.augment.scan(written, rng), self.spec))
            if self.teachers and joined is not self.inks[i]:  # they need not know such letters
                written = self.augment.write(self.inks[i], rng)
            seen.append(written)
        return seen, np.stack(images)

    def _answers(self, inks: list[GrayImage]) -> NDArray[np.float32]:
        """The mean of the teachers' probabilities, each of whom is shown tensors of its own."""
        answers = []
        for teacher in self.teachers:
            images = np.stack([preprocess(ink, teacher.spec) for ink in inks])
            output = np.asarray(teacher.model.predict_on_batch(images), np.float32)
            answers.append(probabilities(output, teacher.spec))
        return np.asarray(np.mean(answers, axis=0), np.float32)

    def _drawings(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        kinds = [TRAINED[i] for i in rng.integers(len(TRAINED), size=self.outliers)]
        return [preprocess(draw_outlier(kind, rng), self.spec) for kind in kinds]

    def _compositions(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        known = self.neighbours.letters
        letters = [known[i] for i in rng.integers(len(known), size=self.composed)] if known else []
        inks = [self.neighbours.draw(letter, rng) for letter in letters]
        if self.augment is not None:
            inks = [self.augment(ink, rng) for ink in inks]
        return [preprocess(ink, self.spec) for ink in inks]

    def _crossings(self, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        """Letters that are crossed out."""
        if not self.crossed:
            return []
        chosen = rng.integers(len(self.crossable), size=self.crossed)
        kinds = [CROSSINGS[i] for i in rng.integers(len(CROSSINGS), size=self.crossed)]
        inks = [
            cross_out(self.inks[self.crossable[i]], kind, rng)
            for i, kind in zip(chosen, kinds, strict=True)
        ]
        if self.augment is not None:
            inks = [self.augment(ink, rng) for ink in inks]
        return [preprocess(ink, self.spec) for ink in inks]

    def _writing(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Letters of typefaces, and their targets: teachers know not all of their forms."""
        known = self.typefaces.forms
        forms = [known[i] for i in rng.integers(len(known), size=self.written)]
        inks, labels = zip(*(self.typefaces.write(form, rng) for form in forms), strict=True)
        if self.augment is not None:
            texts = [self.classes[label] for label in labels]
            inks = tuple(
                self.augment(self.augment.join(ink, text, rng), rng)
                for ink, text in zip(inks, texts, strict=True)
            )
        images = np.stack([preprocess(ink, self.spec) for ink in inks])
        return images, keras.utils.to_categorical(labels, self.labels.shape[1])


def open_teacher(name: str, spec: ModelSpec) -> KerasFile:
    """Load a checkpoint that can teach a model described by `spec`; it makes tensors of its own.

    Raises:
        RecipeError: It reads other classes.
    """
    teacher = load_keras(find_checkpoint(name))
    if teacher.spec.labels != spec.labels:
        raise RecipeError(
            f"the teacher {name} has not the labels of what it shall teach",
            hint="train it with the same data set",
        )
    return teacher
