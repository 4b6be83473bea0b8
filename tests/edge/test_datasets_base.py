from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, hold_out_writers, join
from hcr_edge.errors import DataError
from hcr_runtime import ImageError, Label
from hcr_runtime.image import to_gray

LABELS = tuple(Label(text, text) for text in "abc")


def _dataset(labels: list[int], writers: list[int] | None = None) -> Dataset:
    """Image number i is grey with the value i."""
    return Dataset(
        name="made",
        split="train",
        images=[np.full((4, 5), i, np.uint8) for i in range(len(labels))],
        labels=np.asarray(labels, np.int64),
        label_set=LABELS,
        writers=None if writers is None else np.asarray(writers, np.int64),
    )


def _numbers(data: Dataset) -> list[int]:
    return [int(image[0, 0]) for image in data.images]


def test_select_keeps_images_labels_and_writers_together() -> None:
    data = _dataset([0, 1, 2, 0], writers=[5, 6, 7, 8])
    chosen = data.select(np.array([True, False, True, True]), "part")
    assert _numbers(chosen) == [0, 2, 3]
    assert chosen.labels.tolist() == [0, 2, 0]
    assert chosen.writers is not None
    assert chosen.writers.tolist() == [5, 7, 8]
    assert (chosen.split, chosen.name, data.split) == ("part", "made", "train")
    assert len(data) == 4, "the whole stays as it was"


def test_select_without_writers() -> None:
    chosen = _dataset([0, 1]).select(np.array([False, True]), "part")
    assert chosen.writers is None
    assert _numbers(chosen) == [1]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (9, [3, 3, 3]),  # as many of each class
        (10, [3, 3, 4]),  # what is left over, from a class that has more
        (11, [3, 4, 4]),
        (21, [3, 9, 9]),  # a small class is used up first
        (24, [3, 9, 12]),
        (1, [0, 0, 1]),
        (99, [3, 9, 20]),  # more than there is: all
    ],
)
def test_limit_is_even_over_the_classes(count: int, expected: list[int]) -> None:
    data = _dataset([0] * 3 + [1] * 9 + [2] * 20)
    limited = data.limit(count)
    found = np.bincount(limited.labels, minlength=3).tolist()
    assert len(limited) == min(count, 32)
    assert sorted(found) == sorted(expected)
    assert found[0] <= 3


def test_limit_draws_by_the_seed_alone() -> None:
    data = _dataset([0, 1, 2] * 40)
    assert _numbers(data.limit(30, seed=1)) == _numbers(data.limit(30, seed=1))
    assert _numbers(data.limit(30, seed=1)) != _numbers(data.limit(30, seed=2))
    # At random, not the first ones: those would be one writer's.
    assert max(_numbers(data.limit(30))) > 90


def test_join_keeps_the_order_and_the_writers() -> None:
    first, second = _dataset([0, 1], writers=[0, 1]), _dataset([2], writers=[1])
    joined = join(first, second, "all")
    assert (joined.split, len(joined)) == ("all", 3)
    assert joined.labels.tolist() == [0, 1, 2]
    assert joined.writers is not None
    assert joined.writers.tolist() == [0, 1, 1]
    assert join(first, replace(second, writers=None), "all").writers is None


@pytest.mark.parametrize("share", [2, 5, 10])
def test_held_out_writers_part_the_data(share: int) -> None:
    """Every writer is held out in exactly one fold, and wholly."""
    writers = np.repeat(np.arange(20) * 7, 6)  # numbers need not follow one another
    data = _dataset([0, 1, 2] * 40, writers=writers.tolist())
    folds = np.stack([hold_out_writers(data, share, fold) for fold in range(share)])
    assert (folds.sum(axis=0) == 1).all()
    for held_out in folds:
        assert not set(writers[held_out]) & set(writers[~held_out])
        assert held_out.sum() == 120 / share


def test_fold_counts_round() -> None:
    data = _dataset([0, 1, 2] * 10, writers=np.repeat(np.arange(10), 3).tolist())
    np.testing.assert_array_equal(hold_out_writers(data, 5, 6), hold_out_writers(data, 5, 1))


def test_unknown_writers_keep_neighbours_together() -> None:
    """Scans of one person follow one another, as a rule."""
    data = _dataset([0] * 100 + [1] * 60 + [2] * 40)
    held_out = hold_out_writers(data, 10, 0)
    for label in range(3):
        chosen = held_out[data.labels == label]
        assert chosen.mean() == pytest.approx(0.1, abs=0.02)
        runs = int((np.diff(chosen.astype(int)) != 0).sum())
        assert runs <= 4, "two blocks, not single images"


def test_too_few_writers_to_hold_one_out() -> None:
    data = _dataset([0, 1, 2] * 4, writers=[0] * 6 + [1] * 6)
    with pytest.raises(DataError, match="2 groups of writers") as caught:
        hold_out_writers(data, 5, 0)
    assert caught.value.allowed == "5 or more"


def test_encoded_array_is_lossless() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    data = replace(_dataset([0]), images=[image])
    np.testing.assert_array_equal(to_gray(data.encoded(0)), image)
    assert data.encoded(0).startswith(b"\x89PNG")


def test_encoded_file_is_not_coded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.full((8, 8), 99, np.uint8))
    assert replace(_dataset([0]), images=[path]).encoded(0) == path.read_bytes()


def test_a_file_that_is_no_image_says_so_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no image", encoding="utf-8")
    data = replace(_dataset([0]), images=[path])
    with pytest.raises(ImageError):
        to_gray(data.encoded(0))
