"""What beside augmented letters goes into a batch; see `test_train.py` for its order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.augment import Augmentation
from hcr_edge.batches import InkBatches, open_teacher
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.errors import RecipeError
from hcr_edge.labels import ARABIC_LETTERS, PERSIAN_DIGITS
from hcr_edge.recipe import Recipe
from hcr_export.keras_file import load_keras
from hcr_runtime import InputSpec, ModelSpec, PreprocessSpec

SPEC = ModelSpec("letters", ARABIC_LETTERS, output="logits")
TEACHER = "arabic-letters"


@pytest.fixture
def letters(ahcd: Callable[[str], Dataset]) -> Dataset:
    return ahcd("test").limit(64)


def test_teachers_answers_are_mixed_into_the_targets(letters: Dataset) -> None:
    plain = Recipe("m", "edge-s", batch_size=64)
    taught = replace(plain, teachers=(TEACHER,), distill=0.75)
    teacher = load_keras(find_checkpoint(TEACHER))
    spec = replace(SPEC, preprocess=teacher.spec.preprocess)
    images, labels = InkBatches(letters, spec, plain)[0]
    same, targets = InkBatches(letters, spec, taught)[0]
    np.testing.assert_array_equal(images, same)
    answers = teacher.scores(images)
    np.testing.assert_allclose(targets, 0.25 * labels + 0.75 * answers, atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)


def test_drawings_are_shown_as_nothing(letters: Dataset) -> None:
    recipe = Recipe("m", "edge-s", batch_size=32, outliers=0.25)
    batches = InkBatches(letters, SPEC, recipe)
    images, targets = batches[0]
    assert images.shape == (40, 32, 32, 1)
    np.testing.assert_allclose(targets[32:], 1 / 28, rtol=1e-6)
    assert (targets[:32].max(axis=1) == 1).all()
    assert (np.ptp(images[32:], axis=(1, 2, 3)) > 0).any(), "something is drawn"
    np.testing.assert_array_equal(images, InkBatches(letters, SPEC, recipe)[0][0])
    assert (batches[1][0][32:] != images[32:]).any()


def test_views_come_again_in_another_order(
    letters: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Recipe(
        "m",
        "edge-s",
        epochs=4,
        batch_size=16,
        outliers=0.1,
        augmentation=Augmentation(),
        teachers=(TEACHER,),
        distill=0.5,
        limit=len(letters),  # each once an epoch
    )
    drawn, again = (InkBatches(letters, SPEC, replace(fresh, views=n)) for n in (0, 2))
    for epoch in (0, 1):
        drawn.start_epoch(epoch)
        again.start_epoch(epoch)
        for index in range(4):
            for new, kept in zip(drawn[index], again[index], strict=True):
                np.testing.assert_array_equal(new, kept)
    later = InkBatches(letters, SPEC, replace(fresh, views=2))  # a run that goes on
    for batches in (again, later):
        batches.start_epoch(3)
    drawn.start_epoch(1)
    known = [drawn[index] for index in range(4)]
    expected = [later[index] for index in range(4)]
    monkeypatch.setattr(InkBatches, "_draw", None)  # nothing is drawn again
    places = []
    for index in range(4):
        images, targets = again[index]
        np.testing.assert_array_equal(images, expected[index][0])
        places.append([np.array_equal(images, seen) for seen, _ in known].index(True))
        np.testing.assert_array_equal(targets, known[places[-1]][1])
    assert sorted(places) == [0, 1, 2, 3]
    assert places != [0, 1, 2, 3]
    assert not any(view == 1 for view, _ in again.kept), "they do not come a third time"


def test_a_small_batch_has_a_drawing_too(letters: Dataset) -> None:
    recipe = Recipe("m", "edge-s", batch_size=8, outliers=0.06)
    assert len(InkBatches(letters, SPEC, recipe)[0][0]) == 9


def test_neighbours_are_shown_as_nothing(ahcd: Callable[[str], Dataset]) -> None:
    letters = ahcd("test").limit(560)
    plain = Recipe("m", "edge-s", batch_size=32, outliers=0.1, augmentation=Augmentation())
    images, targets = InkBatches(letters, SPEC, replace(plain, neighbours=0.25))[0]
    assert images.shape == (44, 32, 32, 1)
    np.testing.assert_allclose(targets[32:], 1 / 28, rtol=1e-6)
    np.testing.assert_array_equal(images[:36], InkBatches(letters, SPEC, plain)[0][0])
    assert (np.ptp(images[36:], axis=(1, 2, 3)) > 0).all()


def test_letters_that_are_crossed_out_are_shown_as_nothing(letters: Dataset) -> None:
    plain = Recipe("m", "edge-s", batch_size=32, outliers=0.1, augmentation=Augmentation())
    images, targets = InkBatches(letters, SPEC, replace(plain, crossed=0.25))[0]
    assert images.shape == (44, 32, 32, 1)
    np.testing.assert_allclose(targets[32:], 1 / 28, rtol=1e-6)
    np.testing.assert_array_equal(images[:36], InkBatches(letters, SPEC, plain)[0][0])
    # A stroke more makes the ink of the letters more.
    assert images[36:].mean() > images[:32].mean()
    again = InkBatches(letters, SPEC, replace(plain, crossed=0.25))[0][0]
    np.testing.assert_array_equal(images, again)


def test_letters_that_nobody_can_cross_out_are_not(letters: Dataset) -> None:
    alefs = letters.take(np.flatnonzero(letters.labels == 0), "test")
    recipe = Recipe("m", "edge-s", batch_size=2, crossed=0.5)
    assert len(InkBatches(alefs, SPEC, recipe)[0][0]) == 2


@pytest.mark.parametrize("share", ["neighbours", "typefaces"])
def test_digits_have_none(share: str, data_dir: Path) -> None:
    spec = ModelSpec("digits", PERSIAN_DIGITS, output="logits")
    digits = load_dataset("hoda", "test", data_dir=data_dir).limit(64)
    recipe = replace(Recipe("m", "edge-s", batch_size=32), **{share: 0.25})
    assert len(InkBatches(digits, spec, recipe)[0][0]) == 32


def test_typefaces_join_a_batch_under_their_labels(letters: Dataset) -> None:
    plain = Recipe("m", "edge-s", batch_size=32, outliers=0.1, augmentation=Augmentation())
    images, targets = InkBatches(letters, SPEC, replace(plain, typefaces=0.25))[0]
    assert images.shape == (44, 32, 32, 1)
    np.testing.assert_array_equal(images[:36], InkBatches(letters, SPEC, plain)[0][0])
    assert (targets[36:].max(axis=1) == 1).all()
    assert (np.ptp(images[36:], axis=(1, 2, 3)) > 0).all()
    read = load_keras(find_checkpoint(TEACHER)).scores(images[36:])
    assert (read.argmax(axis=1) == targets[36:].argmax(axis=1)).mean() > 0.5


def test_lent_strokes_leave_the_labels_as_they_are(letters: Dataset) -> None:
    plain = Recipe("m", "edge-s", batch_size=64, augmentation=Augmentation())
    lending = InkBatches(letters, SPEC, replace(plain, lent=1.0))
    images, targets = lending[0]
    np.testing.assert_array_equal(targets, InkBatches(letters, SPEC, plain)[0][1])
    rng = np.random.default_rng(0)
    chosen = [i for i, text in enumerate(lending.texts) if text in lending.siblings.letters]
    changed = [lending.siblings.write(i, rng) is not lending.inks[i] for i in chosen]
    assert np.mean(changed) > 0.7
    read = load_keras(find_checkpoint(TEACHER)).scores(images).argmax(axis=1)
    assert (read == targets.argmax(axis=1)).mean() > 0.8


def test_digits_lend_nothing(data_dir: Path) -> None:
    spec = ModelSpec("digits", PERSIAN_DIGITS, output="logits")
    digits = load_dataset("hoda", "test", data_dir=data_dir).limit(64)
    plain = Recipe("m", "edge-s", batch_size=32, augmentation=Augmentation())
    made = [InkBatches(digits, spec, replace(plain, lent=lent))[0][0] for lent in (0.0, 0.5)]
    np.testing.assert_array_equal(*made)


def test_teachers_see_the_letter_as_it_was_written(letters: Dataset) -> None:
    """Of a stroke with gaps a teacher that never saw such would teach a mistake."""
    torn = replace(Augmentation(), coarse=0.5, broken=0.5)
    taught = Recipe("m", "edge-s", batch_size=64, teachers=(TEACHER,), distill=1.0)
    images, targets = InkBatches(letters, SPEC, replace(taught, augmentation=torn))[0]
    teacher, labels = load_keras(find_checkpoint(TEACHER)), InkBatches(letters, SPEC, taught)[0][1]
    right = targets.argmax(axis=1) == labels.argmax(axis=1)
    of_the_torn = teacher.scores(images).argmax(axis=1) == labels.argmax(axis=1)
    assert right.mean() > max(of_the_torn.mean(), 0.95)


def test_a_teacher_may_be_shown_other_tensors_than_its_pupil(letters: Dataset) -> None:
    """What ships for microcontrollers is smaller, and so may its input be."""
    preparation = PreprocessSpec(version=1, zoom=1.0)
    small = replace(SPEC, input=InputSpec(height=20, width=20), preprocess=preparation)
    taught = Recipe("m", "edge-nano", batch_size=64, teachers=(TEACHER,), distill=1.0)
    images, targets = InkBatches(letters, small, taught)[0]
    assert images.shape == (64, 20, 20, 1)
    np.testing.assert_array_equal(targets, InkBatches(letters, SPEC, taught)[0][1])


def test_a_teacher_of_something_else_is_refused() -> None:
    with pytest.raises(RecipeError, match=f"{TEACHER} has not the labels"):
        open_teacher(TEACHER, replace(SPEC, labels=PERSIAN_DIGITS))
