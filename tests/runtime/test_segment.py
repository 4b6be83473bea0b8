"""`largest_glyph` and `crop_glyph`: from a camera's frame to one glyph in its writing box."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_runtime import Box, Classifier, ImageError, find_glyphs, frames, largest_glyph
from hcr_runtime.boxed import group_in_boxes
from hcr_runtime.components import Components, group_on_paper
from hcr_runtime.image import to_gray
from hcr_runtime.single_glyph import MIN_SHARE, crop_glyph

Image = NDArray[np.uint8]
Letter = Callable[..., Path]

PAPER = 235


def write(frame: Image, letter: Image, left: int, top: int, size: int) -> Box:
    """Write a letter into a frame, cut where it leaves it; return the box of its ink."""
    tile = cv2.resize(letter, (size, size), interpolation=cv2.INTER_AREA)
    ink = np.clip(np.median(tile).astype(int) - tile, 0, 255)
    ink = np.where(ink > 12, ink, 0)
    canvas = np.zeros((frame.shape[0] + 2 * size, frame.shape[1] + 2 * size), int)
    canvas[top + size : top + 2 * size, left + size : left + 2 * size] = ink
    seen = canvas[size:-size, size:-size]
    frame[:] = np.clip(frame - seen, 0, 255)
    return Box(*cv2.boundingRect(np.uint8(seen > 60)))


def blank(height: int = 480, width: int = 640) -> Image:
    return np.full((height, width), PAPER, np.uint8)


def near(box: Box | None, other: Box, tolerance: int = 6) -> bool:
    if box is None:
        return False
    sides = zip(
        (box.left, box.top, box.left + box.width, box.top + box.height),
        (other.left, other.top, other.left + other.width, other.top + other.height),
        strict=True,
    )
    return all(abs(a - b) <= tolerance for a, b in sides)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])  # of the frame's height, the writing box has
@pytest.mark.parametrize(
    "name",
    [
        "alef",  # one stroke
        "beh",  # a dot below
        "theh",  # three dots above
        "jeem",  # a dot inside
        "khah",
        "sheen",
        "yeh",  # two dots below
        "kaf",  # a mark inside, not touching
    ],
)
def test_letter_is_found_with_its_dots(name: str, share: float, letter: Letter) -> None:
    size = int(480 * share)
    for number in range(4):
        frame = blank()
        expected = write(
            frame, to_gray(letter(name, number)), 320 - size // 2, 240 - size // 2, size
        )
        assert near(largest_glyph(frame), expected, max(6, size // 30))


def test_frame_of_any_size_and_colour(letter: Letter) -> None:
    gray = to_gray(letter("beh"))
    for height, width in ((240, 320), (480, 640), (1080, 1920), (1920, 1080)):
        frame = blank(height, width)
        size = height // 3
        expected = write(frame, gray, width // 2, height // 2, size)
        assert near(largest_glyph(frame), expected, max(6, size // 40))
        assert largest_glyph(cv2.merge([frame] * 3)) == largest_glyph(frame)


def test_largest_of_several_is_taken(letter: Letter) -> None:
    frame = blank()
    write(frame, to_gray(letter("dal")), 40, 40, 120)
    expected = write(frame, to_gray(letter("seen")), 320, 180, 260)
    assert near(largest_glyph(frame), expected)


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_letter_cut_by_the_frame_is_ignored(letter: Letter, edge: str) -> None:
    lam = to_gray(letter("lam"))
    whole = write(blank(), lam, 180, 100, 280)
    left, top = {
        "left": (180 - whole.left - whole.width // 2, 100),
        "right": (180 + 640 - whole.left - whole.width // 2, 100),
        "top": (180, 100 - whole.top - whole.height // 2),
        "bottom": (180, 100 + 480 - whole.top - whole.height // 2),
    }[edge]
    frame = blank()
    seen = write(frame, lam, left, top, 280)
    # What is left of it is larger than the least glyph, or this test would prove nothing.
    assert max(seen.width, seen.height) > 1.5 * MIN_SHARE * 640
    assert largest_glyph(frame) is None
    # A smaller whole letter beside it is taken.
    expected = write(frame, to_gray(letter("meem")), 450 if left < 300 else 60, 180, 110)
    assert near(largest_glyph(frame), expected)


def test_chalk_on_a_board(letter: Letter) -> None:
    frame = blank()
    expected = write(frame, to_gray(letter("noon")), 200, 120, 240)
    assert near(largest_glyph(255 - frame), expected)


def test_uneven_light(letter: Letter) -> None:
    frame = blank()
    expected = write(frame, to_gray(letter("sad")), 220, 120, 240)
    light = np.linspace(0.55, 1.0, 640)[None, :] * np.linspace(1.0, 0.8, 480)[:, None]
    assert near(largest_glyph(np.uint8(frame * light)), expected)


@pytest.mark.parametrize(
    "frame",
    [
        blank(),
        np.zeros((480, 640), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        # A lamp, the noise of a sensor, and the edge of a sheet that ends at the frame's.
        np.tile(np.linspace(120, 250, 640).astype(np.uint8), (480, 1)),
        np.random.default_rng(0).normal(200, 3, (480, 640)).astype(np.uint8),
        np.where(np.arange(640) < 300, 90, 220).astype(np.uint8) * np.ones((480, 1), np.uint8),
        # Dust: dark, but smaller than any letter.
        cv2.circle(blank(), (300, 200), 3, 0, -1),
    ],
    ids=["white", "black", "colour", "ramp", "noise", "sheet", "dust"],
)
def test_frame_without_a_letter(frame: Image) -> None:
    assert largest_glyph(frame) is None


@pytest.mark.parametrize(
    "shape", [(1, 1), (4, 4), (11, 11), (12, 3), (1, 2000), (2000, 1), (3, 900)]
)
def test_smallest_frames_do_not_crash(shape: tuple[int, int]) -> None:
    assert largest_glyph(np.full(shape, PAPER, np.uint8)) is None


@given(st.data())
def test_box_lies_inside_the_frame_and_its_crop_is_square(data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(*[st.integers(12, 700)] * 2))
    frame = blank(height, width)
    points = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        cv2.line(frame, data.draw(points), data.draw(points), 20, data.draw(st.integers(1, 9)))
    # Where ink covers about half, nobody can say which of the two is the paper.
    assume((frame < 128).mean() < 0.4)
    box = largest_glyph(frame)
    if box is not None:
        assert min(box.left, box.top) >= 0
        assert box.left + box.width <= width
        assert box.top + box.height <= height
        assert min(box.width, box.height) > 0
        crop = crop_glyph(frame, box)
        assert crop.dtype == np.uint8
        assert crop.shape[0] == crop.shape[1]
        assert (
            crop.min()
            == frame[box.top : box.top + box.height, box.left : box.left + box.width].min()
        )


def test_crop_is_a_writing_box_on_the_same_paper(letter: Letter) -> None:
    frame = np.full((480, 640, 3), (180, 200, 210), np.uint8)
    frame[100:220, 200:320] = 30
    crop = crop_glyph(frame, Box(200, 100, 120, 120))
    paper = to_gray(frame)[0, 0]
    assert crop.shape == (218, 218)  # 120 pixels are 0.55 of it
    assert (crop[[0, -1]] == paper).all()
    assert cv2.boundingRect(np.uint8(crop < 100)) == (49, 49, 120, 120)


def test_crop_of_a_marked_glyph_is_without_its_mark() -> None:
    frame = np.full((480, 640, 3), (236, 240, 240), np.uint8)
    frame[150:290, 120:400] = 180, 112, 235
    frame[180:260, 250:266] = 40
    crop = crop_glyph(frame, Box(250, 180, 16, 80))
    assert (crop < 200).sum() == 16 * 80


def test_photos_are_read_from_their_glyph(classifier: Classifier, samples_dir: Path) -> None:
    for file in sorted((samples_dir / "photos").glob("*.jpg")):
        box = largest_glyph(file)
        assert box is not None
        assert classifier.classify(crop_glyph(file, box)).name == file.name.split("-")[0]


def test_clip_reads_beh_seen_waw(classifier: Classifier, samples_dir: Path) -> None:
    names = []
    for frame in frames(str(samples_dir / "photos" / "clip.avi")):
        box = largest_glyph(frame.image)
        assert box is not None
        names.append(classifier.classify(crop_glyph(frame.image, box)).name)
    # Each is shown for a second, and no frame between reads otherwise.
    runs = [(name, len(list(group))) for name, group in groupby(names)]
    assert runs == [("beh", 30), ("seen", 30), ("waw", 30)]


def test_frame_that_is_no_image() -> None:
    with pytest.raises(ImageError, match="int64"):
        largest_glyph(np.zeros((480, 640), np.int64))  # type: ignore[arg-type]


LINES = (("alef", "beh", "theh", "jeem"), ("sheen", "dal", "thal", "yeh"), ("kaf", "heh", "qaf"))


def page_of(letter: Letter, size: int = 90, pitch: int = 130) -> tuple[Image, list[Box]]:
    """Three lines, written from right to left."""
    frame = blank(3 * pitch + 60, 4 * pitch + 80)
    boxes = [
        write(
            frame, to_gray(letter(name, line)), frame.shape[1] - 40 - (place + 1) * pitch, top, size
        )
        for line, names in enumerate(LINES)
        for place, name in enumerate(names)
        for top in [40 + line * pitch]
    ]
    return frame, boxes


def test_page_is_found_in_reading_order(letter: Letter) -> None:
    frame, boxes = page_of(letter)
    glyphs = find_glyphs(frame, direction="rtl")
    assert [glyph.line for glyph in glyphs] == [0] * 4 + [1] * 4 + [2] * 3
    assert all(near(glyph.box, box) for glyph, box in zip(glyphs, boxes, strict=True))
    assert [glyph.order for glyph in find_glyphs(frame)[:4]] == [0, 1, 2, 3]
    assert near(find_glyphs(frame)[0].box, boxes[3])


def test_crops_of_a_page_are_read(letter: Letter, classifier: Classifier) -> None:
    glyphs = find_glyphs(page_of(letter)[0], direction="rtl")
    names = [prediction.name for prediction in classifier.classify_batch([g.crop for g in glyphs])]
    wanted = [name for names in LINES for name in names]
    assert sum(a == b for a, b in zip(names, wanted, strict=True)) >= 10


def dotted(dot: tuple[int, int], level: int, *, line: int | None = None) -> Image:
    """Three strokes 8 pixels wide, in ink of 200, each over a dot (width, height); a ruled line."""
    page = np.full((300, 600), 255, np.uint8)
    if line is not None:
        page[line - 1 : line + 2] = 170
    width, height = dot
    for x in (120, 280, 440):
        page[80:88, x : x + 60] = page[80:140, x : x + 8] = 55
        page[152 : 152 + height, x + 20 : x + 20 + width] = 255 - level
    return page


def bottoms(page: Image) -> list[int]:
    return [glyph.box.top + glyph.box.height for glyph in find_glyphs(page)]


@pytest.mark.parametrize(
    ("side", "level", "kept"),
    [
        (8, 200, True),
        (4, 200, True),  # a quarter of the square of a stroke's width
        (4, 130, True),
        (4, 60, False),  # as pale as what lies on the paper
        (2, 200, False),
    ],
)
def test_small_dots_belong_to_their_letter_where_they_are_dark(
    side: int, level: int, kept: bool
) -> None:
    assert bottoms(dotted((side, side), level)) == [152 + side if kept else 140] * 3


@pytest.mark.parametrize(
    ("width", "kept"),
    [(5, True), (26, False)],  # longer than a dot
)
def test_a_dot_on_a_ruled_line_is_no_rest_of_it(width: int, kept: bool) -> None:
    assert bottoms(dotted((width, 5), 200, line=154)) == [157 if kept else 140] * 3


@pytest.mark.parametrize(
    ("height", "found"),
    [(0, 3), (120, 4)],  # a punched hole; an alef of a thick pen
)
def test_blobs_are_no_letters(height: int, found: int) -> None:
    page = dotted((8, 8), 200)
    cv2.line(page, (50, 100), (50, 100 + height), 55, 52)  # its ends are round
    assert len(find_glyphs(page)) == found


def test_pale_writing_beside_something_dark_is_found() -> None:
    """A pen that lies on the sheet has more ink than all letters."""
    page = np.full((480, 640), 255, np.uint8)
    for x in range(60, 580, 60):
        for y in range(60, 300, 60):
            page[y : y + 5, x : x + 30] = page[y : y + 40, x : x + 5] = 190
    alone = find_glyphs(cv2.GaussianBlur(page, (0, 0), 1.2))
    page[380:425, 60:560] = 20
    beside = find_glyphs(cv2.GaussianBlur(page, (0, 0), 1.2))
    assert len(alone) == 36
    assert sum(glyph.box.top < 340 for glyph in beside) == 36


def test_boxes_without_a_place_for_letters_hold_none() -> None:
    """Noise made lines that cross, and left no pixel between them."""
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:24] = 255
    components = Components(mask, mask, np.zeros_like(mask))
    assert group_in_boxes(components, np.zeros((40, 60), np.int32)) is None


@pytest.mark.parametrize(("lower", "written"), [("letter", 16), ("dot", 8)])
def test_a_square_that_holds_letters_of_two_lines_is_no_writing_box(
    lower: str, written: int
) -> None:
    """Of graph paper, whose tenth lines are heavy; a letter's dot is no letter of the next line."""
    mask = np.zeros((240, 420), np.uint8)
    boxes = np.zeros(mask.shape, np.int32)
    for number in range(8):
        x, y = 10 + 100 * (number % 4), 10 + 110 * (number // 4)
        boxes[y : y + 100, x : x + 95] = number + 1
        cv2.rectangle(mask, (x + 40, y + 6), (x + 58, y + 34), 255, 4)
        if lower == "letter":
            cv2.rectangle(mask, (x + 40, y + 66), (x + 58, y + 94), 255, 4)
        else:
            cv2.circle(mask, (x + 49, y + 70), 4, 255, cv2.FILLED)
    components = Components(mask, mask, np.zeros_like(mask))
    groups = group_in_boxes(components, boxes)
    if groups is None:
        groups = group_on_paper(components)
    assert len(groups) == written


def test_pairs_that_are_not_compared_would_not_have_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_pairs(
        _: Components, kept: NDArray[np.int64], letters: NDArray[np.int64], size: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.repeat(np.arange(len(kept)), len(letters)), np.tile(
            np.arange(len(letters)), len(kept)
        )

    rng = np.random.default_rng(0)
    joined = 0
    for turn in range(60):
        mask = np.zeros((300, 500) if turn % 2 else (500, 300), np.uint8)
        for _ in range(int(rng.integers(5, 120))):
            x, y = rng.integers(0, mask.shape[1]), rng.integers(0, mask.shape[0])
            wide, high = rng.integers(1, 40, 2) if rng.random() < 0.4 else rng.integers(1, 7, 2)
            cv2.ellipse(mask, (int(x), int(y)), (int(wide), int(high)), 0, 0, 360, 255, 2)
        components = Components(mask, mask, np.zeros_like(mask))
        found = group_on_paper(components)
        with monkeypatch.context() as patched:
            patched.setattr("hcr_runtime.components._near", all_pairs)
            assert group_on_paper(components) == found
        joined += sum(len(group.members) > 1 for group in found)
    assert joined > 100


@pytest.mark.parametrize("coarse", [0.0, 1.0, 2.0], ids=["fine", "soft", "coarse"])
def test_letters_are_found_alone_in_a_sensors_noise(coarse: float) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (720, 1280))
    if coarse:
        noise = cv2.GaussianBlur(noise, (0, 0), coarse)
    page = np.full((720, 1280), 180, np.uint8)
    for left in range(60, 1200, 120):
        cv2.putText(page, "b", (left, 400), cv2.FONT_HERSHEY_SIMPLEX, 3, 20, 6)
    page = np.clip(page + 12 * noise / noise.std(), 0, 255).astype(np.uint8)
    boxes = [glyph.box for glyph in find_glyphs(page)]
    assert [round((box.left - 60) / 120) for box in boxes] == list(range(10))
    assert all(40 < box.width < 60 and 55 < box.height < 80 for box in boxes)


def test_thousands_of_pieces_take_little_memory() -> None:
    """Not all are held against all."""
    rng = np.random.default_rng(0)
    page = np.full((720, 1280), 230, np.uint8)
    for y in range(20, 700, 18):
        for x in range(20, 1260, 18):
            top, left = (int(place + rng.integers(0, 6)) for place in (y, x))
            page[top : top + 9, left : left + 6] = 40
    find_glyphs(page)  # what is made once
    tracemalloc.start()
    try:
        glyphs = find_glyphs(page)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(glyphs) > 500, "the pieces are dense enough to tell"
    assert peak < 100e6
