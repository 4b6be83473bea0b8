from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, deal_writers, hold_out_writers, join
from hcr_edge.datasets.base import join_sets, renumber
from hcr_edge.datasets.images import PixelFile
from hcr_edge.errors import DataError
from hcr_runtime import ImageError, Label
from hcr_runtime.image import to_gray

LABELS = tuple(Label(text, text) for text in "abc")


def _dataset(labels: list[int], writers: list[int] | None = None) -> Dataset:
    """Image number i is grey with the value i, beginning anew at 256."""
    return Dataset(
        name="made",
        split="train",
        images=[np.full((4, 5), i % 256, np.uint8) for i in range(len(labels))],
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


def test_limit_is_even_over_the_writers_of_each_class() -> None:
    # The second writer wrote nine tenths of both classes.
    data = _dataset([0, 1] * 100, writers=[0] * 10 + [1] * 180 + [2] * 10)
    limited = data.limit(18)
    pairs = list(zip(limited.labels.tolist(), limited.writers.tolist(), strict=True))
    assert {pair: pairs.count(pair) for pair in pairs} == {
        (label, writer): 3 for label in (0, 1) for writer in (0, 1, 2)
    }


def test_limit_goes_on_with_other_writers_in_the_next_class() -> None:
    data = _dataset([0, 1] * 30, writers=[number // 2 for number in range(60)])
    assert len(set(data.limit(20).writers.tolist())) == 20


def test_limit_spreads_over_blocks_where_no_writer_is_known() -> None:
    limited = _dataset([0] * 100 + [1] * 100).limit(40)
    # Blocks are a twentieth of a class.
    assert {number // 5 for number in _numbers(limited)} == set(range(40))


def test_limit_draws_from_images_without_labels() -> None:
    data = _dataset([-1] * 100)
    assert len(data.limit(10)) == 10
    assert _numbers(data.limit(10)) == _numbers(data.limit(10))


def test_limit_keeps_the_writers_of_joined_sets_apart() -> None:
    one = replace(_dataset([0] * 50, writers=[0] * 50), name="one")
    joined = join_sets([one, replace(_dataset([0] * 10, writers=[0] * 10), name="two")])
    assert np.bincount(joined.limit(10).origin).tolist() == [5, 5]


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


def test_of_few_writers_one_is_held_out() -> None:
    data = _dataset([0, 1, 2] * 4, writers=[0] * 6 + [1] * 6)
    chosen = hold_out_writers(data, 5, 1, fewer=True)
    assert chosen.tolist() == [False] * 6 + [True] * 6
    many = replace(_dataset([0] * 40, np.arange(40).tolist()), name="many")
    joined = join_sets([many, replace(data, name="few")])
    assert hold_out_writers(joined, 20, 1, fewer=True)[:40].sum() == 2, "of the others as before"
    lone = _dataset([0, 1], writers=[3, 3])
    assert not hold_out_writers(lone, 5, 0, fewer=True).any()
    with pytest.raises(DataError, match="1 groups of writers"):
        hold_out_writers(lone, 5, 0)


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


# ---- dealing writers out


def _of_writers(seed: int, writers: int, unknown: int = 0) -> Dataset:
    """As many images by each writer as chance gives, some by nobody knows whom."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(rng.permutation(writers) * 3, rng.integers(1, 40, writers))
    numbers = np.concatenate([numbers, np.full(unknown, -1)])
    rng.shuffle(numbers)
    return _dataset((np.arange(len(numbers)) % 3).tolist(), numbers.tolist())


@pytest.mark.parametrize("shares", [[0.7, 0.1, 0.2], [1.0] * 5, [1.0, 9.0], [1.0]])
@pytest.mark.parametrize("seed", [None, 0, 1, 7])
def test_parts_are_disjoint_and_of_their_size(shares: list[float], seed: int | None) -> None:
    data = _of_writers(3, 60)
    assert data.writers is not None
    parts = deal_writers(data, shares, seed)
    for writer in np.unique(data.writers):
        assert len(np.unique(parts[data.writers == writer])) == 1
    found = np.bincount(parts, minlength=len(shares)) / len(data)
    # No part misses its share by more than the largest writer has images.
    largest = np.bincount(data.writers).max() / len(data)
    np.testing.assert_allclose(found, np.array(shares) / sum(shares), atol=largest)


def test_dealing_goes_by_the_seed_alone() -> None:
    data = _of_writers(3, 60)
    same = [deal_writers(data, [0.8, 0.2], 4) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (deal_writers(data, [0.8, 0.2], 5) != same[0]).any()
    # A writer's part does not depend on the order of the images.
    order = np.random.default_rng(0).permutation(len(data))
    np.testing.assert_array_equal(
        deal_writers(data.take(order, "x"), [0.8, 0.2], 4), same[0][order]
    )


@pytest.mark.parametrize("seed", [None, 3])
def test_unknown_writers_are_in_no_part_where_others_are_known(seed: int | None) -> None:
    data = _of_writers(1, 20, unknown=50)
    assert data.writers is not None
    parts = deal_writers(data, [1.0] * 4, seed)
    assert ((parts == -1) == (data.writers == -1)).all()
    for fold in range(4):
        assert not hold_out_writers(data, 4, fold)[data.writers == -1].any()


def test_all_unknown_is_as_if_none_were_told() -> None:
    labels = [0] * 100 + [1] * 60
    told = deal_writers(_dataset(labels, [-1] * 160), [1.0] * 5)
    np.testing.assert_array_equal(told, deal_writers(_dataset(labels), [1.0] * 5))
    assert np.bincount(told).tolist() == [32] * 5


@pytest.mark.parametrize("count", [1, 4, 19, 20, 21, 400])
def test_blocks_of_any_size(count: int) -> None:
    """Whatever the number of images, a fifth of each class is held out, if it has as many."""
    data = _dataset([0] * count + [1] * 100)
    parts = deal_writers(data, [4.0, 1.0])
    assert set(parts) <= {0, 1}
    if count >= 20:
        assert (parts[:count] == 1).mean() == pytest.approx(0.2, abs=0.06)


def test_equal_writers_are_dealt_by_their_number() -> None:
    """So that the folds of AHCD are what they were when folds were counted by modulo."""
    writers = np.repeat(np.arange(60), 7)
    data = _dataset([0] * len(writers), writers.tolist())
    for share in (2, 5, 7, 60):
        np.testing.assert_array_equal(deal_writers(data, [1.0] * share), writers % share)


def test_joined_sets_are_dealt_each_on_its_own() -> None:
    """A fifth of each; the second set's writers are not the first's."""
    first = _dataset([0] * 100, (np.arange(100) // 5).tolist())
    second = replace(_dataset([0, 1] * 100), name="other")
    third = replace(_dataset([2] * 60, (np.arange(60) // 3 - 1).tolist()), name="third")
    joined = join_sets([first, second, third])
    parts = deal_writers(joined, [4.0, 1.0], seed=2)
    assert joined.origin is not None
    for origin in range(3):
        share = (parts[joined.origin == origin] == 1).mean()
        assert share == pytest.approx(0.2, abs=0.03)
    assert (parts == -1).sum() == 3, "of the third set three images are by nobody knows whom"
    few = join_sets([first, replace(_dataset([0, 1], [0, 1]), name="tiny")])
    with pytest.raises(DataError, match="tiny has 2 groups of writers"):
        deal_writers(few, [1.0] * 5)


# ---- joining and renumbering


def test_joined_parts_count_what_both_skipped() -> None:
    first = replace(_dataset([0]), skipped={"x": 1, "y": 2})
    second = replace(_dataset([1]), skipped={"y": 3, "z": 4})
    assert join(first, second, "all").skipped == {"x": 1, "y": 5, "z": 4}
    assert join_sets([first, second]).skipped == {"x": 1, "y": 5, "z": 4}
    assert first.skipped == {"x": 1, "y": 2}


def test_sets_with_other_classes_share_those_they_have_in_common() -> None:
    other = (Label("c", "c"), Label("d", "d"), Label("a", "another name of a"))
    joined = join_sets([_dataset([0, 1, 2]), replace(_dataset([0, 1, 2]), label_set=other)])
    assert [label.text for label in joined.label_set] == ["a", "b", "c", "d"]
    assert [joined.label_set[i].text for i in joined.labels] == list("abccda")


def test_renumbering_sets_aside_and_adds_up() -> None:
    data = replace(_dataset([0, 1, 2, 1], [4, 5, 6, 7]), skipped={"b": 1})
    found = renumber(data, np.array([1, -1, 0]), LABELS[:2], "a model")
    assert found.labels.tolist() == [1, 0]
    assert found.skipped == {"b": 3}
    assert found.writers is not None
    assert found.writers.tolist() == [4, 6]
    assert _numbers(found) == [0, 2]
    with pytest.raises(DataError, match="a model has none of the classes of made"):
        renumber(data, np.array([-1, -1, -1]), LABELS, "a model")


def test_choices_of_mapped_images_stay_mapped() -> None:
    pixels = PixelFile(None)
    pixels.extend(np.arange(6, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2))
    images = pixels.finish()
    data = replace(_dataset([0, 1, 2, 0, 1, 2]), images=images, names=[f"{i}" for i in range(6)])
    chosen = data.take(np.array([5, 0, 0]), "part").select(np.array([True, False, True]), "part")
    assert getattr(chosen.images, "pixels", None) is images.pixels
    assert _numbers(chosen) == [5, 0]
    assert list(chosen.names) == ["5", "0"]
    assert chosen.labels.tolist() == [2, 0]


def test_where_an_image_is(tmp_path: Path) -> None:
    data = _dataset([0, 1])
    assert data.where(1) == "made train, image 2"
    assert replace(data, names=["a/1.png", "b/2.png"]).where(1) == "b/2.png"
    assert replace(data, images=[tmp_path / "1.png"]).where(0) == str(tmp_path / "1.png")
    joined = join_sets([data, replace(data, name="other", names=["x", "y"])])
    assert [joined.where(i) for i in range(4)] == [
        "made train, image 1",
        "made train, image 2",
        "x",
        "y",
    ]
    joined = join_sets([data, replace(data, name="other")]).take(np.array([2]), "part")
    assert joined.where(0) == "other train, image 1"
