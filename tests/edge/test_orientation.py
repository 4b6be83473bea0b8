"""Sets that come out mirrored, turned, transposed or inverted are refused, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_edge.datasets import SETS, load_dataset
from hcr_edge.datasets.orientation import (
    ORIENTATIONS,
    fingerprints,
    has_bright_ground,
    ink_grid,
    measure,
    turned_back,
)
from hcr_edge.datasets.published import check_orientation
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS, LATIN_CAPITALS, find_label
from tests.edge.published_files import (
    LAYOUTS,
    WRITERS,
    Sample,
    ahcd_mat,
    csv_rows,
    emnist_csv,
    few,
    in_folders,
    put,
    sample,
    split_of,
)

# Images that leave no doubt, even of Hijja, whose letters are in every position.
ENOUGH = 200
# Some of mohneesh's letters are mirrored, and its writers' hands vary more.
MORE = {"mohneesh": 400, "ateam": 400}
TURNED = [name for name in ORIENTATIONS if name != "upright"]
# One layout of each set under every orientation; others under one, their code is the same.
FAMILIES = [name for name in WRITERS if not name.startswith("emnist-") or name == "emnist-letters"]


@pytest.fixture(autouse=True)
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is read once: keeping it costs more than it saves."""
    monkeypatch.setenv("HCR_EDGE_CACHE", "off")


def _load(name: str, layout: str, found: Sample, folder: Path) -> None:
    put(folder / name, WRITERS[name][layout](found))
    load_dataset(name, split_of(name, layout), data_dir=folder)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("orientation", TURNED)
def test_a_turned_set_is_refused(
    name: str, orientation: str, data_dir: Path, tmp_path: Path
) -> None:
    found = few(name, data_dir, MORE.get(name, ENOUGH)).turned(ORIENTATIONS[orientation])
    with pytest.raises(DataError, match=f"^{name} .*comes out {orientation}:") as caught:
        _load(name, next(iter(WRITERS[name])), found, tmp_path)
    assert caught.value.allowed == "upright images"
    assert "labels" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_what_mohneesh_upright_leaves_out_is_turned(data_dir: Path) -> None:
    whole = load_dataset("mohneesh", "all", data_dir=data_dir)
    upright = load_dataset("mohneesh:upright", "all", data_dir=data_dir)
    kept = set(upright.names)
    turned = [i for i, name in enumerate(whole.names) if name not in kept]
    assert len(whole) - len(upright) == len(turned) == 177
    seen = [
        measure([data.images[i] for i in some], data.labels[some], data.label_set)
        for data, some in ((whole, turned), (upright, range(0, len(upright), 9)))
    ]
    assert [each.found for each in seen] == ["rotated by 180°", "upright"]


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_every_layout_is_read_upright_and_refused_transposed(
    name: str, layout: str, data_dir: Path, tmp_path: Path
) -> None:
    """EMNIST stored upright, AHCD's CSV written plainly, an IDX file of MNIST's transposed …"""
    found = few(name, data_dir, MORE.get(name, ENOUGH))
    _load(name, layout, found, tmp_path / "upright")
    transposed = found.turned(ORIENTATIONS["transposed"])
    if (name, layout) == ("hijja", "csv"):
        # Its publisher does not say how its rows run: there it is put right.
        _load(name, layout, transposed, tmp_path / "turned")
        return
    with pytest.raises(DataError, match="comes out transposed"):
        _load(name, layout, transposed, tmp_path / "turned")


@pytest.mark.parametrize("orientation", [name for name in TURNED if name != "transposed"])
def test_hijjas_tables_are_put_right_only_where_they_are_transposed(
    orientation: str, data_dir: Path, tmp_path: Path
) -> None:
    found = few("hijja", data_dir, ENOUGH).turned(ORIENTATIONS[orientation])
    with pytest.raises(DataError, match="comes out"):
        _load("hijja", "csv", found, tmp_path)


@pytest.mark.parametrize("name", [name for name in FAMILIES if SETS[name].bright_ink is not None])
def test_an_inverted_set_is_refused(name: str, data_dir: Path, tmp_path: Path) -> None:
    found = few(name, data_dir, MORE.get(name, ENOUGH)).turned(lambda image: 255 - image)
    ink = "dark" if SETS[name].bright_ink else "bright"
    with pytest.raises(DataError, match=f"comes out inverted: its ink is {ink}"):
        _load(name, next(iter(WRITERS[name])), found, tmp_path)


def test_persian_digits_come_in_both_polarities(data_dir: Path, tmp_path: Path) -> None:
    """Nobody says which the Kaggle set has."""
    found = sample("persian-digits", data_dir)
    for place, images in (("bright", found), ("dark", found.turned(lambda image: 255 - image))):
        _load("persian-digits", "tree", images, tmp_path / place)


def test_a_csv_that_is_not_ahcds_own_form(data_dir: Path, tmp_path: Path) -> None:
    """Rows written plainly, as a copy of the set might have them, and labels from another order."""
    images = ahcd_mat(data_dir)["test"]
    labels = np.arange(3360) // 2 % 28 + 1
    plain = {
        "csvTestImages 3360x1024.csv": csv_rows(images),
        "csvTestLabel 3360x1.csv": b"".join(b"%d\n" % n for n in labels),
    }
    put(tmp_path, plain)
    with pytest.raises(DataError, match=r"ahcd test .*comes out transposed"):
        load_dataset("ahcd", "test", data_dir=tmp_path)


def test_emnist_stored_upright(data_dir: Path, tmp_path: Path) -> None:
    """Some copies on Kaggle are already turned."""
    found = sample("emnist-letters", data_dir).turned(ORIENTATIONS["transposed"])
    put(tmp_path, {"emnist-letters-test.csv": emnist_csv("letters", found)})
    with pytest.raises(DataError, match=r"emnist-letters test .*comes out transposed"):
        load_dataset("emnist-letters", "test", data_dir=tmp_path)


# ---- the measure itself


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", ["ahcd", "hoda", "sd19", "comnist-cyrillic"])
def test_orientations_are_told_and_undone(orientation: str, name: str, data_dir: Path) -> None:
    found = sample(name, data_dir).first(700)
    label_set = SETS[name].label_set
    labels = np.array([[label.text for label in label_set].index(t) for t in found.texts])
    turned = found.turned(ORIENTATIONS[orientation])
    seen = measure(turned.images, labels, label_set)
    assert (seen.found, seen.proven) == (orientation, True)
    for image, was in zip(turned.images[:5], found.images[:5], strict=True):
        np.testing.assert_array_equal(turned_back(image, orientation), was)
    assert seen.bright_ink > 0.8 or not SETS[name].bright_ink


@pytest.mark.parametrize("name", ["ahcd", "mnist", "hoda", "az", "comnist-cyrillic", "hijja"])
@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_labels_that_are_off_by_one_are_told(name: str, shift: int, data_dir: Path) -> None:
    """A publisher counts from 1, a copy from 0: every image is labelled as its neighbour."""
    data = load_dataset(name, {"mnist": "test", "hoda": "test"}.get(name, "all"))
    shifted = (data.labels + shift) % len(data.label_set)
    seen = measure(data.images, shifted, data.label_set)
    assert seen.shift == -shift
    if shift:
        with pytest.raises(DataError, match="labels are off by one"):
            check_orientation(name, seen, None)
    else:
        check_orientation(name, seen, None)


def test_digits_in_folders_from_1_to_10(data_dir: Path, tmp_path: Path) -> None:
    digits = sample("persian-digits", data_dir)
    files = in_folders(digits, lambda text: str(ord(text) - 0x6F0 + 1))
    put(tmp_path / "persian-digits", files)
    with pytest.raises(DataError, match=r"off by one: .* the last label"):
        load_dataset("persian-digits", "all", data_dir=tmp_path)


def test_nearly_every_class_has_a_fingerprint() -> None:
    known = fingerprints()
    missing = {
        label.text for item in SETS.values() for label in item.label_set if label.text not in known
    }
    # The data at hand have ten `I` and `l`, no `d`; these four do not look like their capitals.
    assert missing == {"I", "l", "d", *"абдё"}
    for text, grid in known.items():
        assert grid.shape == (8, 8), text
        assert grid.sum() == pytest.approx(1)
        assert (grid >= 0).all()


def _refuses(images: list[NDArray[np.uint8]], labels: NDArray[np.int64]) -> bool:
    try:
        check_orientation("made up", measure(images, labels, ARABIC_LETTERS), None)
    except DataError:
        return True
    return False


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 400), side=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_noise_is_never_refused(seed: int, count: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    images = list(rng.integers(0, 256, (count, side, side), np.uint8))
    assert not _refuses(images, rng.integers(0, 28, count))


@given(seed=st.integers(0, 2**32 - 1), copies=st.integers(1, 19))
@settings(max_examples=40, deadline=None)
def test_a_handful_of_images_is_never_refused(seed: int, copies: int) -> None:
    """Copies of one image have no spread: they are sure of anything."""
    rng = np.random.default_rng(seed)
    one = np.kron(rng.integers(0, 2, (4, 4), np.uint8), np.full((8, 8), 255, np.uint8))
    assert not _refuses([one] * copies, np.full(copies, rng.integers(0, 28)))


def test_blank_and_unknown_images_say_nothing() -> None:
    blank = [np.full((8, 8), 7, np.uint8)] * 50
    labels = np.zeros(50, np.int64)
    assert measure(blank, labels, ARABIC_LETTERS).images == 0
    noise = list(np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8))
    assert measure(noise, labels, [find_label("lam-alef")]).images == 0
    assert measure([], np.empty(0, np.int64), LATIN_CAPITALS).found == "upright"
    assert ink_grid(blank[0]) is None


@pytest.mark.parametrize(
    ("name", "share"), [("ahcd", 0.0), ("hijja", 1.0), ("az", 0.0), ("sd19", 1.0)]
)
def test_ground_is_told_from_ink(name: str, share: float, data_dir: Path) -> None:
    found = [has_bright_ground(image) for image in sample(name, data_dir).images[:300]]
    assert np.mean(found) == pytest.approx(share, abs=0.02)
