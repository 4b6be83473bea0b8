"""`read_page`: composed pages with letters that the project drew, and a photographed form."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.persian_form import read_whole
from hcr_edge.synth.paper import blank_sheet, write
from hcr_runtime import Classifier, ImageError, Limits, find_glyphs, largest_glyph, read_page
from hcr_runtime.image import to_gray
from tests.composed_pages import (
    BLACK_LINE,
    BLUE_LINE,
    BOARD,
    CHALK,
    PENCIL,
    YELLOW,
    Look,
    Page,
    Score,
    compose,
    judge,
)

Image = NDArray[np.uint8]

LOOKS = {
    "blank": Look(),
    "letters of 20 pixels": Look(height=36, blur=0.4),
    "letters of 200 pixels": Look(height=300),
    "pencil": Look(ink=PENCIL),
    "yellow, shadow, JPEG 40": Look(paper=YELLOW, shadow=0.6, quality=40),
    "turned": Look(skew=5),
    "ruled": Look(lines="ruled", line=BLUE_LINE, skew=-3),
    "squared": Look(lines="squared", line=BLUE_LINE),
    "table": Look(lines="table", line=BLACK_LINE, skew=3),
    "boxes": Look(lines="boxes", gap=2.0, skew=-3),
    "comb": Look(lines="comb", line=BLACK_LINE),
    "desk": Look(desk="wood", skew=2),
    "chalk": Look(paper=BOARD, ink=CHALK, height=100),
    "little light": Look(noise=18, blur=1.0, quality=50),
    "little light, smoothed": Look(noise=8, grain=1.5, blur=1.0, lines="ruled", line=BLUE_LINE),
    "aslant, squared": Look(tilt=25, lines="squared", line=BLUE_LINE),
    "aslant, boxes": Look(tilt=25, lines="boxes", line=BLACK_LINE, desk="wood"),
    "curled, ruled": Look(curl=0.03, lines="ruled", line=BLUE_LINE),
    "curled, squared": Look(curl=0.03, lines="squared", line=BLUE_LINE),
    "curled, table": Look(curl=0.03, lines="table", line=BLACK_LINE),
    "thin paper": Look(things=("other side",)),
    "thin paper, pencil": Look(things=("other side",), ink=PENCIL),
    "thin paper, squared": Look(things=("other side",), lines="squared", line=BLUE_LINE),
    "a small sheet on a desk": Look(desk="wood", tilt=35),
    "shaken": Look(shake=5),
    "folded": Look(things=("folds",)),
    "pen, thumb": Look(things=("pen", "thumb")),
}


def _letters(samples_dir: Path, seed: int) -> list[tuple[str, Image]]:
    files = sorted((samples_dir / "arabic-letters" / "test").glob("*/*.png"))
    chosen = np.random.default_rng(seed).permutation(len(files))[:40]
    return [(chr(int(files[i].parent.name[2:], 16)), to_gray(files[i])) for i in chosen]


@pytest.fixture(scope="module")
def written(samples_dir: Path) -> list[tuple[str, Image]]:
    """Forty letters in a mixed order, each with its character."""
    return _letters(samples_dir, 4)


def read(
    look: Look, written: list[tuple[str, Image]], classifier: Classifier
) -> tuple[Page, Score]:
    page = compose([image for _, image in written], look, seed=1)
    truth = [written[i][0] for i in page.letters]
    return page, judge(page, truth, classifier.read(page.image))


@pytest.mark.parametrize("name", LOOKS)
def test_letters_are_found_whole_and_read(
    name: str, samples_dir: Path, classifier: Classifier
) -> None:
    for seed in (4, 5, 6):
        _, score = read(LOOKS[name], _letters(samples_dir, seed), classifier)
        assert score.letters >= 4
        assert score.found >= 0.94 * score.letters
        assert score.read >= 0.85 * score.letters
        assert score.false <= 2


@pytest.mark.parametrize("name", ["blank", "ruled", "turned", "table"])
def test_lines_and_order_are_those_of_the_page(
    name: str, written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    page = compose([image for _, image in written], LOOKS[name], seed=1)
    glyphs = classifier.read(page.image)
    places = {}
    for box, line in zip(page.boxes, page.lines, strict=True):
        x, y = box.left + box.width / 2, box.top + box.height / 2
        for glyph in glyphs:
            inside = 0 <= x - glyph.box.left < glyph.box.width
            if inside and 0 <= y - glyph.box.top < glyph.box.height:
                places[box.left, line] = glyph
    assert len(places) >= 0.94 * len(page.boxes)
    assert all(glyph.line == line for (_, line), glyph in places.items())
    # Arabic is read from the right.
    for line in set(page.lines):
        orders = [glyph.order for (_, row), glyph in sorted(places.items()) if row == line]
        assert orders == sorted(orders, reverse=True)


def test_photographed_form(data_dir: Path) -> None:
    photograph = data_dir / "persian_forms" / "form_sample1.jpg"
    letters = read_whole(photograph, Classifier.load("arabic-letters"))
    assert letters.single >= 0.95 * letters.cells == 0.95 * 278
    assert letters.right >= 0.9 * letters.known == 0.9 * 196
    assert letters.outside <= 5
    digits = read_whole(photograph, Classifier.load("persian-digits"))
    assert digits.right >= 0.9 * digits.known == 0.9 * 40
    assert digits.refused > 0.5 * digits.strangers


def test_a_single_letter_on_ruled_paper_is_found_alone(written: list[tuple[str, Image]]) -> None:
    """There is more of what erasing left of faint lines, and of grain, than of the writing."""
    rng = np.random.default_rng(4)
    alone = 0
    for _, image in written:
        sheet = blank_sheet(rng, 400, 400)
        where = write(rng, sheet, image, (200, 200), 130)
        boxes = [glyph.box for glyph in find_glyphs(sheet)]
        alone += len(boxes) == 1 and abs(boxes[0].width - where.width) < 20
    assert alone >= 0.95 * len(written)


def test_letters_that_touch_are_not_accepted(
    written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    page = compose([image for _, image in written[:12]], Look(), seed=1).image
    # A pen that did not lift joins two words' worth of letters below the rest.
    for x in range(200, 380, 30):
        cv2.ellipse(page, (x, 700), (15, 22), 0, 0, 180, (60, 50, 40), 4)
    touching = [glyph for glyph in classifier.read(page) if glyph.touching]
    assert len(touching) == 1
    assert not touching[0].prediction.accepted
    assert touching[0].prediction.reason == "touching"
    assert touching[0].box.width > 150


def test_a_heading_of_large_letters_touches_nothing(
    written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    """They are more than twice as wide as the usual letter; flat ones might be two."""
    sheet = np.full((960, 1280, 3), 240, np.uint8)
    text = [(100 + 118 * column, row) for row in (460, 620, 780) for column in range(10)]
    put(sheet, written[10:], text, 50)
    heading = [(150 + 240 * column, row) for row in (100, 290) for column in range(5)]
    page = put(sheet, written, heading, 150)
    score = judge(page, [letter for letter, _ in written[:10]], classifier.read(sheet))
    assert score.found >= 8
    assert score.read >= 7


def test_digits_are_read_from_the_left(classifier: Classifier) -> None:
    page = np.full((200, 400), 250, np.uint8)
    page[60:140, 100:108] = page[60:140, 200:208] = 20
    right_to_left = classifier.read(page)
    left_to_right = read_page(page, Classifier.load("persian-digits"))
    assert [glyph.box.left for glyph in right_to_left] == [200, 100]
    assert [glyph.box.left for glyph in left_to_right] == [100, 200]
    assert [glyph.prediction.label for glyph in left_to_right] == ["۱", "۱"]


def test_page_is_told_as_json(classifier: Classifier) -> None:
    page = np.full((200, 400), 250, np.uint8)
    page[60:140, 100:108] = 20
    (glyph,) = classifier.read(page, top=2)
    told = json.loads(json.dumps(glyph.to_dict()))
    assert told["box"] == [100, 60, 8, 80]
    assert (told["line"], told["order"], told["touching"]) == (0, 0, False)
    assert told["label"] == "ا"
    assert len(told["top"]) == 2


@pytest.mark.parametrize("level", [0, 128, 255])
def test_page_without_writing(level: int, classifier: Classifier) -> None:
    assert classifier.read(np.full((480, 640), level, np.uint8)) == ()


def test_page_that_is_no_image(classifier: Classifier, tmp_path: Path) -> None:
    broken = tmp_path / "page.jpg"
    broken.write_bytes(b"\xff\xd8 no photograph")
    with pytest.raises(ImageError, match=r"page\.jpg"):
        classifier.read(broken)


def test_page_is_held_to_the_classifiers_limits(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    cv2.imwrite(str(page), np.full((240, 320), 255, np.uint8))
    exact, short = Limits(max_pixels=240 * 320), Limits(max_pixels=240 * 320 - 1)
    assert read_page(page, Classifier.load("arabic-letters", limits=exact)) == ()
    assert find_glyphs(page, limits=exact) == ()
    assert largest_glyph(page, limits=exact) is None
    strict = Classifier.load("arabic-letters", limits=short)
    for use in (
        lambda: read_page(page, strict),
        lambda: find_glyphs(page, limits=short),
        lambda: largest_glyph(page, limits=short),
    ):
        with pytest.raises(ImageError, match="240 x 320 pixels; allowed: 1 to 76799 pixels"):
            use()


@pytest.mark.parametrize("pitch", [56, 80, 110])
@pytest.mark.parametrize("steps", [(0, 7, 2, 9, 4, 11), (0, 0, 1, 0, 2), (0,)])
def test_separate_boxes_need_not_be_in_line(pitch: int, steps: tuple[int, ...]) -> None:
    """Their tops are no ruled line, however many of them it would touch."""
    page = np.full((900, 1200), 245, np.uint8)
    side = 5 * pitch // 7
    boxes = 0
    for y in range(10, 890 - pitch, pitch):
        for column, x in enumerate(range(10, 1190 - pitch, pitch)):
            top = y + steps[column % len(steps)]
            cv2.rectangle(page, (x, top), (x + side, top + side), 90, 1)
            at = (x + side // 3, top + int(0.7 * side))
            cv2.putText(page, "b", at, cv2.FONT_HERSHEY_SIMPLEX, side / 57, 20, 2)
            boxes += 1
    glyphs = find_glyphs(page)
    assert len(glyphs) == boxes
    assert all(glyph.box.width < 0.6 * side > glyph.box.height * 0.8 for glyph in glyphs)


def form(gap: int) -> tuple[Image, int]:
    """Five rows of eight cells, so far apart, three of four filled; and how many those are."""
    page = np.full((900, 1200), 240, np.uint8)
    letters = 0
    for row in range(5):
        for column in range(8):
            x, y = 80 + column * (70 + gap), 80 + 140 * row
            cv2.rectangle(page, (x, y), (x + 70, y + 70), 60, 2)
            if (row + column) % 4:
                letter = "abcdeghkmnopqrsuvwxz"[letters % 20]
                cv2.putText(page, letter, (x + 16, y + 54), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 40, 3)
                letters += 1
    return page, letters


@pytest.mark.parametrize("gap", [0, 14], ids=["combs", "boxes"])
@pytest.mark.parametrize("desk", [False, True], ids=["whole", "on a desk"])
@pytest.mark.parametrize("angle", [0, 2, -6])
def test_cells_of_a_form_are_no_letters(angle: float, desk: bool, gap: int) -> None:
    """The lines between a comb's cells are too short to be a ruling."""
    page, letters = form(gap)
    turn = cv2.getRotationMatrix2D((600, 450), angle, 0.85 if desk else 1)
    size, ground = (1200, 900), 90 if desk else 240
    seen = cv2.warpAffine(page, turn, size, flags=cv2.INTER_AREA, borderValue=ground)
    grain = np.random.default_rng(0).normal(0, 3, seen.shape)
    seen = np.clip(cv2.GaussianBlur(seen, (0, 0), 0.7) + grain, 0, 255).astype(np.uint8)
    glyphs = find_glyphs(seen)
    assert len(glyphs) == letters
    assert all(15 < max(glyph.box.width, glyph.box.height) < 56 for glyph in glyphs)


def put(
    page: Image, letters: list[tuple[str, Image]], places: list[tuple[int, int]], side: int
) -> Page:
    """Write letters at places, in place; the page, and where each of its letters is."""
    rng = np.random.default_rng(4)
    boxes = [
        write(rng, page, image, place, side)
        for (_, image), place in zip(letters, places, strict=False)
    ]
    return Page(page, tuple(boxes), tuple(range(len(boxes))), (0,) * len(boxes))


@pytest.mark.parametrize("filled", [3, 8])
def test_text_below_a_few_boxes_is_read(
    filled: int, written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    sheet = np.full((960, 1280, 3), 240, np.uint8)
    places = [(200 + 90 * column, 90) for column in range(filled)]
    for x, y in places:
        cv2.rectangle(sheet, (x - 36, y - 36), (x + 36, y + 36), (70, 70, 70), 2)
    put(sheet, written, places, 44)
    text = [(120 + 110 * column, row) for row in (300, 450, 600) for column in range(10)]
    page = put(sheet, written, text, 76)
    score = judge(page, [letter for letter, _ in written[:30]], classifier.read(sheet))
    assert score.found >= 29
    assert score.read >= 27
    assert score.false == filled  # which are the letters in the boxes


@pytest.mark.parametrize("angle", [0, 2])
def test_the_ticks_of_a_comb_are_no_letters(
    angle: float, written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    sheet = np.full((700, 1280, 3), 240, np.uint8)
    for y in range(150, 700, 150):
        cv2.line(sheet, (60, y), (1200, y), (60, 60, 60), 2)
        for x in range(60, 1201, 114):
            cv2.line(sheet, (x, y), (x, y - 26), (60, 60, 60), 2)
    places = [(117 + 114 * column, y - 45) for y in range(150, 700, 150) for column in range(10)]
    put(sheet, written, places, 66)
    turn = cv2.getRotationMatrix2D((640, 350), angle, 1)
    seen = cv2.warpAffine(sheet, turn, (1280, 700), borderValue=(240, 240, 240))
    assert len(find_glyphs(seen)) == len(written)


@pytest.mark.parametrize("letters", ["a", "bd", "kxo"])
def test_a_cell_of_a_table_may_hold_several(letters: str) -> None:
    page = np.full((700, 1240), 245, np.uint8)
    rows, columns = range(60, 600, 90), range(60, 1100, 180)
    for y in (*rows, rows[-1] + 90):
        cv2.line(page, (60, y), (columns[-1] + 180, y), 90, 2)
    for x in (*columns, columns[-1] + 180):
        cv2.line(page, (x, 60), (x, rows[-1] + 90), 90, 2)
    for y in rows:
        for x in columns:
            for place, letter in enumerate(letters):
                at = (x + 20 + 50 * place, y + 65)
                cv2.putText(page, letter, at, cv2.FONT_HERSHEY_SIMPLEX, 1.6, 30, 3)
    glyphs = find_glyphs(page)
    assert len(glyphs) == len(rows) * len(columns) * len(letters)
    assert [glyph.order for glyph in glyphs] == [
        *range(len(columns) * len(letters)),
    ] * len(rows)
    assert not any(glyph.touching for glyph in glyphs)


def test_letters_of_a_cell_that_are_not_told_apart_touch() -> None:
    """A small letter far beside a tall one is no part of it, but may be a mark."""
    page = np.full((700, 1240), 245, np.uint8)
    for y in range(60, 661, 90):
        cv2.line(page, (60, y), (1140, y), 90, 2)
    for x in range(60, 1141, 180):
        cv2.line(page, (x, 60), (x, 600), 90, 2)
    for y in range(60, 600, 90):
        for x in range(60, 1100, 180):
            cv2.line(page, (x + 30, y + 25), (x + 30, y + 65), 30, 4)
            cv2.circle(page, (x + 110, y + 58), 6, 30, 3)
    glyphs = find_glyphs(page)
    assert len(glyphs) == 36
    assert all(glyph.touching for glyph in glyphs)


@pytest.mark.parametrize("below", [0, 600])
def test_a_comb_may_have_two_rows(below: int) -> None:
    page = np.full((320 + below, 820), 235, np.uint8)
    for row in range(2):
        for column in range(7):
            x, y = 60 + 100 * column, 60 + 100 * row
            cv2.rectangle(page, (x, y), (x + 100, y + 100), 90, 2)
            cv2.putText(page, "aceknox"[column], (x + 30, y + 66), 0, 1.6, 40, 3)
    glyphs = find_glyphs(page)
    assert [(glyph.line, glyph.order) for glyph in glyphs] == [
        (line, order) for line in range(2) for order in range(7)
    ]


def test_alefs_on_a_line_are_no_ticks(samples_dir: Path, classifier: Classifier) -> None:
    """Strokes of one hand, too, are not as high as one another, nor as far apart."""
    files = sorted((samples_dir / "arabic-letters" / "test" / "U+0627").glob("*.png"))
    sheet = np.full((700, 1280, 3), 240, np.uint8)
    for y in range(50, 700, 150):
        cv2.line(sheet, (60, y), (1200, y), (60, 60, 60), 2)
    alefs = [("ا", to_gray(file)) for file in files[:20]] * 4
    rng = np.random.default_rng(4)
    places = [
        (100 + 100 * column + int(rng.normal(0, 8)), y - int(rng.normal(22, 3)))
        for y in range(200, 700, 150)
        for column in range(11)
    ]
    boxes = [
        put(sheet, [alef], [place], int(rng.normal(60, 4))).boxes[0]
        for alef, place in zip(alefs, places, strict=False)
    ]
    page = Page(sheet, tuple(boxes), tuple(range(len(boxes))), (0,) * len(boxes))
    glyphs = classifier.read(sheet)
    assert len(glyphs) >= len(places), "none falls away"
    score = judge(page, ["ا"] * len(boxes), glyphs)
    assert score.found >= len(places) - 1  # one that the line cuts is found in two
    assert score.false == 0


@pytest.mark.parametrize(("size", "pitch"), [(80, 80), (120, 80), (120, 120), (200, 160)])
def test_bold_letters_as_high_as_the_ruling(size: int, pitch: int) -> None:
    """They hide more of the lines than they leave: those lie evenly between the others."""
    page = np.full((1200, 1600), 235, np.uint8)
    letters = 0
    for y in range(250, 1150, int(1.6 * size)):
        for x in range(120, 1500 - size, int(1.15 * size)):
            letter = "abcegnosuvxz"[letters % 12]
            cv2.putText(page, letter, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size / 22, 40, size // 15)
            letters += 1
    for y in range(90, 1200, pitch):
        page[y : y + 2] = np.minimum(page[y : y + 2], 165)
    glyphs = find_glyphs(page)
    assert len(glyphs) == letters
    assert not any(glyph.touching for glyph in glyphs)


def test_letters_below_a_drawing_are_found() -> None:
    """Its strokes are many times as long as letters, and say nothing of their size."""
    page = np.full((1200, 1600), 235, np.uint8)
    for x in range(100, 1540, 24):
        cv2.line(page, (x, 650), (x + 140, 150), 90, 2)
    for row, y in enumerate(range(800, 1200, 90)):
        for column, x in enumerate(range(60, 1550, 75)):
            letter = "abcdeghkmnopqrsuvwxz"[(row * 7 + column) % 20]
            cv2.putText(page, letter, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.8, 50, 3)
    glyphs = find_glyphs(page)
    assert sum(glyph.box.top > 700 for glyph in glyphs) == 100
    assert len(glyphs) <= 102


def bowl(page: Image, left: int, base: int, width: int, pen: int) -> None:
    """Write a ب, its bowl on the row `base`."""
    rise = width // 4
    stroke = [(0, -rise), (rise // 5, -rise // 5), (rise // 2, 0), (width - rise // 2, 0)]
    stroke += [(width - rise // 5, -rise // 5), (width, -rise)]
    points = np.array([(left + x, base + y) for x, y in stroke], np.int32)
    cv2.polylines(page, [points], False, 40, pen, cv2.LINE_AA)
    dot = left + width // 2, base + max(3 * pen, rise)
    cv2.circle(page, dot, max(2, round(1.1 * pen)), 40, -1, cv2.LINE_AA)


@pytest.mark.parametrize(("width", "pen"), [(300, 2), (400, 4), (600, 6)])
@pytest.mark.parametrize("count", [1, 2])
def test_a_large_letter_of_a_fine_pen_keeps_its_dot(
    count: int, width: int, pen: int, classifier: Classifier
) -> None:
    page = np.full((1200, 1200), 240, np.uint8)
    for place in range(count):
        bowl(page, 100, 300 + 500 * place, width, pen)
    read = classifier.read(page)
    assert [glyph.prediction.label for glyph in read] == ["ب"] * count
    assert all(glyph.box.width >= width for glyph in read)


@pytest.mark.parametrize("pen", [3, 6])
@pytest.mark.parametrize("where", ["below the last line", "between two lines", "above the first"])
def test_a_row_of_letters_is_no_line_of_the_paper(where: str, pen: int) -> None:
    page = np.full((1100, 1500), 240, np.uint8)
    lines = range(220, 820, 110)
    for line in lines:
        page[line : line + 2] = 185
    row = {
        "below the last line": lines[-1] + 110,
        "between two lines": lines[2] + 55,
        "above the first": lines[0] - 110,
    }[where]
    for left in range(80, 1400, 130):
        bowl(page, left, row, 94, pen)
    assert len(find_glyphs(page)) == len(range(80, 1400, 130))


@pytest.mark.parametrize("top", [110, 132])
def test_paper_with_lines_of_two_weights(
    top: int, written: list[tuple[str, Image]], classifier: Classifier
) -> None:
    """Letters hide a part of a heavy line, which is far darker than most lines are."""
    sheet = np.full((960, 1280, 3), (205, 240, 215), np.uint8)
    for number, line in enumerate(range(0, 1280, 22)):
        colour, thick = ((130, 185, 135), 2) if number % 5 == 0 else ((165, 205, 170), 1)
        cv2.line(sheet, (0, line), (1280, line), colour, thick)
        cv2.line(sheet, (line, 0), (line, 960), colour, thick)
    places = [(90 + 92 * x, top + 220 * y) for y in range(3) for x in range(13)]
    page = put(sheet, written, places, 80)
    grain = np.random.default_rng(0).normal(0, 3, sheet.shape)
    seen = np.clip(cv2.GaussianBlur(sheet, (0, 0), 0.7) + grain, 0, 255).astype(np.uint8)
    score = judge(page, [letter for letter, _ in written[:39]], classifier.read(seen))
    assert score.found >= 36
    assert score.read >= 34
    assert score.false == 0


@pytest.mark.parametrize("side", [24, 28, 36])
def test_letters_that_are_open_at_one_side_are_no_boxes(side: int) -> None:
    page = np.full((480, 640), 240, np.uint8)
    for y in (80, 220, 360):
        for x in (80, 220, 360, 500):
            corners = [(x, y + side), (x, y), (x + side, y), (x + side, y + side)]
            cv2.polylines(page, [np.array(corners, np.int32)], False, 40, 3, cv2.LINE_AA)  # П
    assert len(find_glyphs(page)) == 12
