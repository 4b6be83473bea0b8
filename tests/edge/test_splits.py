"""Splits: who is in which part, that it comes out the same, and that other images are noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.datasets.base import join_sets
from hcr_edge.datasets.splits import (
    Split,
    SplitFile,
    given_split,
    known_writers,
    make_split,
    read_split,
)
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS


def toy(writers: list[int] | None, classes: int = 2, name: str = "own") -> Dataset:
    """Images that differ, their classes in turn."""
    count = 120 if writers is None else len(writers)
    rng = np.random.default_rng(0)
    return Dataset(
        name,
        "all",
        [rng.integers(0, 256, (4, 4)).astype(np.uint8) for _ in range(count)],
        np.arange(count, dtype=np.int64) % classes,
        ARABIC_LETTERS[:classes],
        None if writers is None else np.array(writers, np.int64),
        origins=(name,),
    )


def whole(split: Split, count: int) -> bool:
    """Whether every image is in one part, and in one alone."""
    return sorted(np.concatenate(list(split.parts.values())).tolist()) == list(range(count))


def people(data: Dataset, split: Split) -> list[set[int]]:
    assert data.writers is not None
    return [set(data.writers[found].tolist()) - {-1} for found in split.parts.values()]


@pytest.mark.parametrize("folds", [0, 2, 5])
@pytest.mark.parametrize("seed", [0, 7])
def test_no_writer_is_in_two_parts(folds: int, seed: int) -> None:
    data = toy((np.arange(240) // 8).tolist())
    split = make_split(data, "writers", folds=folds, seed=seed)
    assert whole(split, 240)
    assert len(set.union(*people(data, split))) == sum(map(len, people(data, split))) == 30
    assert (split.rule, split.shared_writers) == ("writers", 0)
    assert list(split.parts) == ([f"fold-{i}" for i in range(folds)] or ["train", "val", "test"])


def test_a_seed_decides() -> None:
    data = toy((np.arange(240) // 8).tolist())
    first, again, other = (make_split(data, "writers", seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert first.to_dict()["parts"] != other.to_dict()["parts"]


@pytest.mark.parametrize(("folds", "part"), [(0, "train"), (3, "train-only")])
def test_unknown_writers_only_train(folds: int, part: str) -> None:
    """Held out, they might be somebody's who is trained on."""
    data = toy([*(np.arange(100) // 5).tolist(), *[-1] * 20])
    split = make_split(data, "writers", folds=folds)
    assert whole(split, 120)
    assert set(range(100, 120)) <= set(split.parts[part].tolist())


def test_blocks_where_no_writer_is_known() -> None:
    data = toy(None)
    split = make_split(data, "writers", test=0.25, val=0)
    assert split.rule == "blocks"
    assert known_writers(data) == {"own": 0}
    assert {name: len(found) for name, found in split.parts.items()} == {"train": 90, "test": 30}
    for label in range(2):
        own = np.flatnonzero(data.labels == label)
        inside = np.isin(own, split.parts["test"])
        # 20 blocks of three: whole ones are held out.
        assert {int(n) for n in inside.reshape(20, 3).sum(axis=1)} <= {0, 3}


def test_random_splits_say_whom_they_share() -> None:
    data = toy((np.arange(240) // 8).tolist())
    split = make_split(data, "random")
    assert split.shared_writers > 20
    for found in split.parts.values():
        counts = np.bincount(data.labels[found])
        assert abs(int(counts[0]) - int(counts[1])) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 0.7, "val": 0.4}, "leave nothing to train on"),
        ({"test": 1.0, "val": 0.0}, "leave nothing to train on"),
        ({"folds": 1}, "1 folds divide nothing; allowed: 2 or more"),
        ({"folds": 31}, "own has 30 groups of writers; allowed: 31 or more"),
    ],
)
def test_what_cannot_be_divided(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_split(toy((np.arange(240) // 8).tolist()), "writers", **options)


def test_joined_sets_are_divided_each() -> None:
    known, unknown = toy((np.arange(200) // 10).tolist()), toy(None, name="other")
    data = join_sets([known, unknown])
    split = make_split(data, "writers", test=0.2, val=0)
    assert known_writers(data) == {"own": 20, "other": 0}
    assert split.rule == "writers"
    assert data.origin is not None
    held_out = np.bincount(data.origin[split.parts["test"]]) / [200, 120]
    assert np.allclose(held_out, 0.2, atol=0.06)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder divided by its owner, in which one picture lies twice."""
    rng = np.random.default_rng(0)
    root = tmp_path / "letters"
    for part, count in (("train", 6), ("test", 3)):
        for letter in "بت":
            (root / part / letter).mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 256, (8, 8)).astype(np.uint8)
                cv2.imencode(".png", image)[1].tofile(root / part / letter / f"{i}.png")
    shutil.copy(root / "train/ب/0.png", root / "test/ب/9.png")
    return root


def _published(spec: str, data_dir: Path | None = None) -> tuple[Dataset, Split]:
    data = load_dataset(spec, "all", data_dir=data_dir)
    parts = {name: load_dataset(spec, name, data_dir=data_dir) for name in ("train", "test")}
    return data, given_split(data, parts)


def test_the_owners_split(folder: Path) -> None:
    data, split = _published(f"folder:{folder}")
    assert whole(split, 19)
    assert (split.rule, split.seed, split.shared_writers) == ("published", None, 0)
    paths = [data.images[i] for i in split.parts["test"].tolist()]
    assert all(isinstance(path, Path) and "test" in path.parts for path in paths)


def test_ahcds_official_split_shares_its_writers(data_dir: Path) -> None:
    data, split = _published("ahcd", data_dir)
    assert {name: len(found) for name, found in split.parts.items()} == {
        "train": 13440,
        "test": 3360,
    }
    assert whole(split, len(data))
    assert split.shared_writers == 60


def test_equal_images_keep_to_their_parts(data_dir: Path) -> None:
    """Hoda's training and test parts, in files of two kinds, have 92 images in common."""
    data, split = _published("hoda", data_dir)
    assert whole(split, 80000)
    assert {name: len(found) for name, found in split.parts.items()} == {
        "train": 60000,
        "test": 20000,
    }
    test = load_dataset("hoda", "test", data_dir=data_dir)
    assert (data.labels[split.parts["test"]] == test.labels).all()


def test_the_list_that_the_project_publishes(data_dir: Path) -> None:
    """Who compares with our figures reads the very images that ours were read on."""
    whole_set = load_dataset("comnist-cyrillic", "all", data_dir=data_dir)
    listing = Path(__file__).parents[2] / "docs/splits/comnist-cyrillic.json"
    for part in ("train", "test"):
        ours = load_dataset("comnist-cyrillic", part, data_dir=data_dir)
        listed = read_split(SplitFile(listing, part), whole_set)
        assert len(ours) == len(listed)
        for mine, theirs in zip(ours.images, listed.images, strict=True):
            assert np.array_equal(mine, theirs)


def test_a_part_that_is_another_sets() -> None:
    data = toy(None)
    with pytest.raises(DataError, match="is in test, but not among all of own"):
        given_split(data, {"test": toy([0, 1, 2, 3], classes=4)})


@pytest.fixture
def written(tmp_path: Path) -> tuple[Dataset, Path]:
    data = toy((np.arange(240) // 8).tolist())
    path = tmp_path / "split.json"
    path.write_text(json.dumps(make_split(data, "writers").to_dict()), encoding="utf-8")
    return data, path


def test_there_and_back(written: tuple[Dataset, Path]) -> None:
    data, path = written
    split = make_split(data, "writers")
    for name, positions in split.parts.items():
        part = read_split(SplitFile(path, name), data)
        assert (part.split, part.split_rule) == (name, "split.json")
        assert part.labels.tolist() == data.labels[positions].tolist()
        assert all((a == data.images[i]).all() for a, i in zip(part.images, positions, strict=True))


def _damage(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema_version=2), "schema version 2; allowed: 1"),
        (lambda d: d.update(checksum="0" * 64), "was made for own, other images than own"),
        (lambda d: d.pop("parts"), "is no split file"),
        (lambda d: d["parts"]["val"].update(positions=[0, 240]), "names images that are not there"),
        (lambda d: d["parts"]["val"].update(positions=[-1]), "names images that are not there"),
        (lambda d: d["parts"]["val"].update(positions=[0, 0]), "images of .* are named twice"),
        (lambda d: d["parts"]["val"].update(d["parts"]["test"]), "images of test are named twice"),
        (lambda d: d["parts"]["val"].update(positions=[[0]]), "is no split file"),
        (lambda d: d["parts"]["val"].update(positions=[True]), "is no split file"),
        (lambda d: d["parts"]["val"].update(positions=[1 << 70]), "is no split file"),
        (lambda d: d["parts"]["val"].update(positions="all"), "is no split file"),
        (lambda d: d["parts"]["val"].update(positions=[0.5]), "is no split file"),
        (lambda d: d["parts"].pop("val"), "has no part 'val'; allowed: train, test"),
        (lambda d: d["parts"].update(val=None), "is no split file"),
    ],
)
def test_a_damaged_split_file(
    change: Callable[[dict[str, Any]], object], message: str, written: tuple[Dataset, Path]
) -> None:
    data, path = written
    _damage(path, change)
    with pytest.raises(DataError, match=message):
        read_split(SplitFile(path, "val"), data)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"parts": []}'])
def test_a_file_that_is_no_split(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no split file"):
        read_split(SplitFile(path, "val"), toy(None))
    with pytest.raises(DataError, match="cannot read"):
        read_split(SplitFile(tmp_path / "gone.json", "val"), toy(None))


def test_other_images_are_noticed(folder: Path, tmp_path: Path) -> None:
    """One pixel, one label or one file less: the split would name other images."""
    spec = f"folder:{folder}"
    path = tmp_path / "split.json"
    split = make_split(load_dataset(spec, "all"), "random", test=0.3, val=0)
    path.write_text(json.dumps(split.to_dict()), encoding="utf-8")
    assert len(load_dataset(spec, f"{path}:test")) == len(split.parts["test"])
    (folder / "test/ت/2.png").unlink()
    with pytest.raises(DataError, match="make the split anew"):
        load_dataset(spec, f"{path}:test")
