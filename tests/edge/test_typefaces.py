"""Letters that typefaces write: forms that data sets lack."""

from __future__ import annotations

import string
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import hcr_edge.typefaces
from hcr_edge.label_maps import find_label_map
from hcr_edge.labels import ARABIC_LETTERS, PERSIAN_DIGITS
from hcr_edge.typefaces import SCRIPTS, Typefaces

FOLDER = Path(hcr_edge.typefaces.__file__).parent
JOINING = {"aref-ruqaa", "reem-kufi", "ruwudu"}
TEXTS = [label.text for label in ARABIC_LETTERS]


@pytest.fixture(scope="module")
def typefaces() -> Typefaces:
    return Typefaces(TEXTS)


def test_every_letter_and_its_variants_are_written(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    labels = {form: typefaces.write(form, rng)[1] for form in typefaces.forms}
    assert set(labels.values()) == set(range(28))
    variants = {form: TEXTS[label] for form, label in labels.items() if form != TEXTS[label]}
    assert variants == {"أ": "ا", "إ": "ا", "آ": "ا", "ک": "ك", "ه\u200d": "ه", "ى": "ي"}


@pytest.fixture(scope="module", params=SCRIPTS)
def sheet(request: pytest.FixtureRequest) -> dict[tuple[str, str], np.ndarray]:
    """Every tile, by package and form."""
    about = yaml.safe_load((FOLDER / f"{request.param}.yaml").read_text(encoding="utf-8"))
    picture = cv2.imread(str(FOLDER / f"{request.param}.png"), cv2.IMREAD_GRAYSCALE)
    side, forms = about["tile"], about["forms"]
    packages = [typeface["package"] for typeface in about["typefaces"]]
    assert picture.shape == (side * len(packages), side * len(forms))
    return {
        (package, form): picture[row * side : (row + 1) * side, column * side : (column + 1) * side]
        for row, package in enumerate(packages)
        for column, form in enumerate(forms)
    }


def test_every_tile_is_a_line_away_from_the_border(sheet: dict) -> None:
    empty = []
    for name, tile in sheet.items():
        assert set(np.unique(tile)) <= {0, 255}
        assert not tile[[0, 1, -2, -1]].any(), name
        assert not tile[:, [0, 1, -2, -1]].any(), name
        empty += [] if tile.any() else [name]
    # Two typefaces lack keheh; an empty tile is not written.
    assert {form for _, form in empty} <= {"ک"}
    assert len(empty) <= 2


def test_no_typeface_repeats_another(sheet: dict) -> None:
    forms = {form for _, form in sheet}
    packages = {package for package, _ in sheet}
    rows = {tuple(sheet[package, form].tobytes() for form in sorted(forms)) for package in packages}
    assert len(rows) == len(packages)


def test_dots_are_not_lost(sheet: dict) -> None:
    """The thinning of a square dot may leave nothing."""
    dotless = [
        name
        for name, tile in sheet.items()
        if name[1] in "بتثجخذزشضظغفقنإij" and cv2.connectedComponents(tile)[0] < 3
    ]
    # Those join the dot to the stroke, as quick hands do.
    assert {package for package, form in dotless if form not in "ij"} <= JOINING
    assert len(dotless) < 12


def test_an_empty_tile_is_never_written(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    assert all(typefaces.write("ک", rng)[0].max() > 100 for _ in range(300))


def test_a_bar_is_no_capital_l() -> None:
    """As often as a small l it is an I."""
    rng = np.random.default_rng(0)
    capitals, both = Typefaces([*string.ascii_uppercase]), Typefaces([*string.ascii_letters])
    widths = [cv2.boundingRect(capitals.write("l", rng)[0])[2] for _ in range(100)]
    assert min(widths) > 8
    assert min(cv2.boundingRect(both.write("l", rng)[0])[2] for _ in range(300)) < 8


def test_pens_are_of_many_widths(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    ink = [int((typefaces.write("ا", rng)[0] > 100).sum()) for _ in range(100)]
    assert max(ink) > 3 * min(ink)


def test_small_letters_count_as_capitals_where_labels_do() -> None:
    capitals = Typefaces([*string.ascii_uppercase])
    rng = np.random.default_rng(0)
    labels = {form: capitals.write(form, rng)[1] for form in capitals.forms}
    assert [labels[form] for form in string.ascii_uppercase] == list(range(26))
    assert [labels[form] for form in string.ascii_lowercase] == list(range(26))
    both = Typefaces([*string.ascii_letters])
    assert both.write("b", rng)[1] == string.ascii_letters.index("b")
    merged = find_label_map("emnist-merged").classes
    texts = [label.text for label in merged]
    assert texts[Typefaces(texts).write("c", rng)[1]] == "C"
    assert texts[Typefaces(texts).write("b", rng)[1]] == "b"


def test_digits_have_no_typeface() -> None:
    assert Typefaces([label.text for label in PERSIAN_DIGITS]).forms == ()
