"""Contact sheets: what is drawn where; how letters look is for people to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import features

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.datasets.preview import contact_sheet, draw_letter, draw_mixed
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS, PERSIAN_DIGITS, RUSSIAN_CAPITALS, find_label
from hcr_runtime import Label

BRIGHT = np.zeros((32, 32), np.uint8)
BRIGHT[8:24, 12:20] = 255


def tiny(labels: list[int], label_set: tuple[Label, ...], **more: object) -> Dataset:
    images = [BRIGHT] * len(labels)
    return Dataset("own", "all", images, np.array(labels, np.int64), label_set, **more)  # type: ignore[arg-type]


def pixels(sheet: object) -> NDArray[np.uint8]:
    return np.asarray(sheet, np.uint8)


def test_a_row_for_each_class_and_the_same_for_a_seed(ahcd: Callable[[str], Dataset]) -> None:
    data = ahcd("test")
    sheet = pixels(contact_sheet(data, columns=5, seed=1))
    assert (sheet == pixels(contact_sheet(data, columns=5, seed=1))).all()
    assert (sheet != pixels(contact_sheet(data, columns=5, seed=2))).any()
    # Dark images, one below the other: 28 rows of five.
    assert ((sheet < 30).sum(axis=1) > 3 * 42).sum() >= 28 * 40
    wider = contact_sheet(data, columns=16).width - contact_sheet(data, columns=11).width
    assert wider == 5 * 47


def test_images_are_shown_as_they_are() -> None:
    """Neither turned nor inverted, nor stretched: that is what one looks for."""
    wide = np.full((10, 40), 200, np.uint8)
    wide[:, :10] = 30
    data = Dataset("own", "all", [wide], np.zeros(1, np.int64), (find_label("ب"),))
    sheet = pixels(contact_sheet(data, columns=1, size=42))[58:, 135:]  # beside the words
    dark, bright = np.argwhere(sheet == 30), np.argwhere(sheet == 200)
    assert np.ptp(dark, axis=0).tolist() == [9, 9]
    assert np.ptp(bright, axis=0).tolist() == [9, 29]
    assert dark[:, 1].max() < bright[:, 1].min()


def test_damaged_images_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(b"no image")
    data = Dataset("own", "all", [path, BRIGHT], np.zeros(2, np.int64), (find_label("ب"),))
    sheet = pixels(contact_sheet(data, columns=2))
    assert (sheet == 170).sum() > 1000


def test_classes_without_images_have_no_row() -> None:
    labels = tuple(ARABIC_LETTERS)
    full = contact_sheet(tiny(list(range(28)), labels))
    some = contact_sheet(tiny([0, 5], labels))
    assert full.height > 5 * some.height
    with pytest.raises(DataError, match="own all has no images"):
        contact_sheet(tiny([], labels))


def test_many_classes_go_side_by_side() -> None:
    labels = tuple(Label(chr(0x4E00 + i), f"sign {i}") for i in range(200))
    sheet = contact_sheet(tiny(list(range(200)), labels), columns=4)
    assert 0.5 < sheet.width / sheet.height < 2


@pytest.mark.parametrize("size", [16, 44, 120])
@pytest.mark.parametrize("columns", [1, 16])
def test_any_size(size: int, columns: int) -> None:
    sheet = contact_sheet(tiny([0, 1], PERSIAN_DIGITS), columns=columns, size=size)
    assert sheet.width >= columns * size


def test_writers_are_mixed() -> None:
    writers = np.repeat([0, 1, 2, -1], [90, 5, 5, 3])
    chosen = draw_mixed(np.arange(103), writers, 9, np.random.default_rng(0))
    assert len(set(chosen)) == 9
    # One of each who is known and all that are nobody's, before anybody's second.
    assert sorted(np.unique(writers[chosen[:6]]).tolist()) == [-1, 0, 1, 2]
    assert (writers[chosen] == 0).sum() <= 2


@pytest.mark.parametrize("label", [*ARABIC_LETTERS, *PERSIAN_DIGITS, *RUSSIAN_CAPITALS])
def test_every_letter_can_be_drawn(label: Label) -> None:
    letter = draw_letter(label, 53, 42)
    assert letter is not None
    assert letter.width <= 53
    assert letter.height <= 42
    assert max(letter.size) >= (5 if label.text == "۰" else 14)


def test_letters_are_joined_or_not_drawn() -> None:
    """Lam and alef side by side, each alone, would be a mistake in the reader's own script."""
    label = Label("لا", "lam-alef", script="Arab", direction="rtl")
    letter = draw_letter(label, 60, 44)
    if not features.check("raqm"):
        assert letter is None
        return
    alone = [draw_letter(find_label(text), 60, 44) for text in label.text]
    assert letter is not None
    assert letter.width < sum(item.width for item in alone if item is not None)


def test_what_the_font_lacks_is_not_drawn() -> None:
    assert draw_letter(Label("漢", "han"), 53, 42) is None
    contact_sheet(tiny([0], (Label("漢", "han"),)))


@pytest.mark.parametrize(
    ("spec", "split", "rows"),
    [
        ("hijja", "all", 29),
        ("hoda", "test", 10),
        ("comnist-cyrillic", "all", 33),
        ("sd19", "all", 26),
    ],
)
def test_real_sets(spec: str, split: str, rows: int, data_dir: Path) -> None:
    sheet = contact_sheet(load_dataset(spec, split, data_dir=data_dir))
    assert sheet.height == 58 + rows * 47 + 16
