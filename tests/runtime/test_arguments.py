"""The bad-input table: every public name, given what is wrong, raises `HcrError` and no other."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hcr_runtime
from hcr_runtime import (
    Box,
    CameraError,
    Classifier,
    EngineError,
    Frame,
    HcrError,
    ImageError,
    InputSpec,
    Label,
    Limits,
    LiveSource,
    ModelError,
    ModelSpec,
    PreprocessSpec,
    Provenance,
    RejectionSpec,
    SpecError,
    Watcher,
    accepts,
    crop_glyph,
    find_glyphs,
    frames,
    largest_glyph,
    preprocess,
    probabilities,
    read_page,
    to_bgr,
    to_gray,
    watch,
)
from hcr_runtime.arguments import check_images, received
from hcr_runtime.explain import explain

PAPER = np.full((64, 64), 255, np.uint8)
LABELS = (Label("a", "a"), Label("b", "b"))
SPEC = ModelSpec("demo", LABELS)
MODEL = Classifier.load("arabic-letters")
HUGE = 10**9999
# What hcr_runtime gives, and explain, whose module has its name.
PUBLIC = {name: getattr(hcr_runtime, name) for name in hcr_runtime.__all__} | {"explain": explain}


class Rude:
    """An object that can be asked nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


def _crop(image: Any, limits: Any) -> object:
    return crop_glyph(image, Box(0, 0, 64, 64), limits=limits)


NO_IMAGES: dict[str, object] = {
    "None": None,
    "a number": 3,
    "a huge number": HUGE,
    "a list": [[1, 2], [3, 4]],
    "a dict": {},
    "a scalar of NumPy": np.uint8(3),
    "no bytes": b"",
    "bytes of no image": b"hello",
    "a closed memoryview": memoryview(b""),
    "a type": Path,
    "a rude object": Rude(),
    "0 axes": np.array(3, np.uint8),
    "1 axis": np.zeros(9, np.uint8),
    "4 axes": np.zeros((2, 2, 2, 3), np.uint8),
    "2 channels": np.zeros((4, 4, 2), np.uint8),
    "no pixels": np.zeros((0, 5), np.uint8),
    "no columns": np.zeros((5, 0, 3), np.uint8),
    "int64": np.zeros((4, 4), np.int64),
    "uint32": np.zeros((4, 4), np.uint32),
    "objects": np.full((4, 4), None),
    "complex": np.zeros((4, 4), complex),
    "dates": np.zeros((4, 4), "M8[s]"),
    "spans": np.zeros((4, 4), "m8[s]"),
    "texts": np.full((4, 4), "a"),
    "a structure": np.zeros((4, 4), [("r", "u1"), ("g", "u1")]),
    "NaN": np.full((4, 4), np.nan),
    "one NaN": np.where(np.eye(4) > 0, np.nan, 0.5),
    "infinity": np.full((4, 4), np.inf),
    "floats to 255": np.full((4, 4), 255.0),
    "a mask": np.ma.masked_equal(PAPER, 255),
    "more than fits": np.broadcast_to(np.uint8(0), (1 << 31, 1 << 15)),
}
# Of what takes a whole number from 1 on.
NO_COUNTS = [0, -1, True, False, None, "3", 2.0, float("nan"), -HUGE, [1], Rude(), np.zeros(2)]
NO_TEXTS = [None, 3, b"rgb", ["rgb"], {}, Rude(), np.array("bgr"), "xyz", ""]


@pytest.mark.parametrize("name", NO_IMAGES)
@pytest.mark.parametrize(
    "use",
    [
        to_gray,
        to_bgr,
        find_glyphs,
        largest_glyph,
        lambda image: crop_glyph(image, Box(0, 0, 4, 4)),
        lambda image: preprocess(image, SPEC),
        lambda image: accepts([image], np.zeros((1, 2)), SPEC),
        lambda image: read_page(image, MODEL),
        lambda image: explain(MODEL, image),
        lambda image: MODEL.classify(image),
        lambda image: MODEL.classify_batch([PAPER, image]),
        lambda image: MODEL.classify_glyphs([image]),
        lambda image: MODEL.look([image]),
        lambda image: MODEL.scores([image]),
        lambda image: MODEL.read(image),
        lambda image: Watcher(MODEL).see(Frame(0, 0.0, image)),
    ],
)
def test_what_is_no_image(use: Callable[[Any], object], name: str) -> None:
    with pytest.raises(ImageError) as raised:
        use(NO_IMAGES[name])
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("value", NO_COUNTS, ids=received)
@pytest.mark.parametrize(
    ("name", "kind", "use"),
    [
        ("top", HcrError, lambda n: MODEL.classify(PAPER, n)),
        ("top", HcrError, lambda n: MODEL.classify_batch([], n)),
        ("top", HcrError, lambda n: MODEL.classify_glyphs([], n)),
        ("top", HcrError, lambda n: MODEL.read(PAPER, n)),
        ("top", HcrError, lambda n: read_page(PAPER, MODEL, n)),
        ("threads", EngineError, lambda n: Classifier.load("arabic-letters", threads=n)),
        ("Limits.max_pixels", HcrError, lambda n: Limits(max_pixels=n)),
        ("Limits.max_bytes", HcrError, lambda n: Limits(max_bytes=n)),
        ("Limits.max_passes", HcrError, lambda n: Limits(max_passes=n)),
    ],
)
def test_numbers_that_are_none(
    name: str, kind: type[HcrError], use: Callable[[Any], object], value: object
) -> None:
    with pytest.raises(kind) as raised:
        use(value)
    assert raised.value.message == f"{name} is {received(value)}"
    assert raised.value.allowed.startswith("a whole number")


@pytest.mark.parametrize("value", NO_TEXTS, ids=received)
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("color", lambda c: to_gray(PAPER, c)),
        ("color", lambda c: to_bgr(PAPER, c)),
        ("color", lambda c: MODEL.classify(PAPER, color=c)),
        ("color", lambda c: MODEL.classify_batch([PAPER], color=c)),
        ("color", lambda c: MODEL.look([PAPER], c)),
        ("color", lambda c: MODEL.scores([PAPER], c)),
        ("color", lambda c: MODEL.read(PAPER, color=c)),
        ("color", lambda c: explain(MODEL, PAPER, c)),
        ("direction", lambda d: find_glyphs(PAPER, direction=d)),
        ("mode", lambda m: Watcher(MODEL, m)),
        ("mode", lambda m: watch([], MODEL, m)),
        ("output", lambda o: ModelSpec("demo", LABELS, output=o)),
    ],
)
def test_words_that_are_none_of_those_known(
    name: str, use: Callable[[Any], object], value: object
) -> None:
    with pytest.raises(HcrError) as raised:
        use(value)
    assert f"{name} is " in raised.value.message
    assert raised.value.allowed


def _raises() -> Iterator[Any]:
    yield "ب"
    raise ZeroDivisionError


def _shapes() -> Iterator[object]:
    yield from (None, 3, "page.png", b"x", Path("a"), {"a": 1}, {PAPER.tobytes()}, Rude())
    yield from (PAPER, np.zeros(4), *(np.zeros((9, 9, n), np.uint8) for n in (1, 3, 4)))
    yield SimpleNamespace(read=len)


@pytest.mark.parametrize("images", list(_shapes()), ids=received)
def test_one_image_where_several_are_asked_for(classifier: Classifier, images: Any) -> None:
    for use in (
        classifier.classify_batch,
        classifier.classify_glyphs,
        classifier.look,
        classifier.scores,
    ):
        with pytest.raises(ImageError) as raised:
            use(images)
        assert raised.value.allowed == "a list or another sequence of images"
    with pytest.raises(HcrError):
        accepts(images, np.zeros((1, 2)), SPEC)


def test_images_that_cannot_be_taken(classifier: Classifier) -> None:
    for use in (
        classifier.classify_batch,
        classifier.classify_glyphs,
        classifier.look,
        classifier.scores,
    ):
        with pytest.raises(ImageError, match=r"images cannot be read .* \(ZeroDivisionError\)"):
            use(_raises())  # type: ignore[arg-type]


def test_any_sequence_of_images_is_taken(classifier: Classifier) -> None:
    stroke = PAPER.copy()
    stroke[12:52, 30:34] = 0
    expected = classifier.classify_batch([stroke, PAPER])
    assert [prediction.name for prediction in expected] == ["alef", ""]
    stack = np.stack([stroke, PAPER])
    for images in ((stroke, PAPER), stack, iter([stroke, PAPER]), stack[..., None].repeat(3, 3)):
        assert classifier.classify_batch(images) == expected  # type: ignore[arg-type]
    assert check_images(iter(())) == []


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        # Models and engines.
        *(
            (ModelError, lambda m=m: Classifier.load(m))
            for m in (None, 3, b"a", [], "", "\0", HUGE, "x" * 5000, "x" * 5000 + ".onnx")
        ),
        *(
            (EngineError, lambda e=e: Classifier.load("arabic-letters", engine=e))
            for e in ("cuda", 3, [], b"onnxruntime", Rude(), np.zeros(2))
        ),
        *(
            (HcrError, lambda x=x: Classifier.load("arabic-letters", limits=x))
            for x in (None, 5, {}, Rude())
        ),
        *(
            (ModelError, lambda s=s: Classifier.load("arabic-letters", sha256=s))
            for s in (5, b"0" * 64, "0" * 63, [], Rude())
        ),
        *(
            (ModelError, lambda k=k: Classifier.load("arabic-letters", public_key=k))
            for k in (5, [], "absent.pem", "\0", b"no key", Rude())
        ),
        (EngineError, lambda: Classifier.load("arabic-letters", threads=1025)),
        *((EngineError, lambda e=e: Classifier(e)) for e in (None, "onnxruntime", Rude())),
        (HcrError, lambda: Classifier(SimpleNamespace(run=len, spec=SPEC), None)),  # type: ignore[arg-type]
        # Lists of labels.
        *(
            (HcrError, lambda a=a: MODEL.classify(PAPER, allow=a))
            for a in ("ب", b"a", 3, [3], [[]], ["x"], [], {"ب": 1}, [Rude()], Rude(), iter([None]))
        ),
        *(
            (HcrError, lambda d=d: MODEL.classify_batch([], deny=d))
            for d in ("ب", 3, [None], [np.zeros(2)])
        ),
        (HcrError, lambda: MODEL.classify(PAPER, allow=_raises())),  # type: ignore[arg-type]
        (HcrError, lambda: MODEL.classify(PAPER, deny=_raises())),  # type: ignore[arg-type]
        # Images and their limits.
        *(
            (HcrError, lambda use=use, x=x: use(PAPER, limits=x))
            for use in (to_gray, to_bgr, find_glyphs, largest_glyph, _crop)
            for x in (None, 5, Rude())
        ),
        # A writing box has more pixels than its glyph.
        (ImageError, lambda: _crop(PAPER, limits=Limits(max_pixels=13_000))),
        *((HcrError, lambda s=s: preprocess(PAPER, s)) for s in (None, "demo", {}, Rude())),
        *(
            (HcrError, lambda b=b: crop_glyph(PAPER, b))
            for b in (
                None,
                (0, 0, 4, 4),
                Box(0, 0, 0, 4),
                Box(0, 0, 4, -1),
                Box(64, 0, 4, 4),
                Box(0, -4, 4, 4),
                Box(-HUGE, 0, 4, 4),
                Box(HUGE, 0, 4, 4),
                Box("0", 0, 4, 4),  # type: ignore[arg-type]
                Box(0.5, 0, 4, 4),  # type: ignore[arg-type]
            )
        ),
        # Scores.
        *(
            (HcrError, lambda s=s: probabilities(s, SPEC))
            for s in (None, [[0.5, 0.5]], np.zeros(2), np.array(1.0), np.zeros((1, 3)))
        ),
        *(
            (HcrError, lambda s=s: probabilities(s, SPEC))
            for s in (np.zeros((1, 2), int), np.zeros((1, 2), complex), np.full((1, 2), None))
        ),
        *((HcrError, lambda s=s: probabilities(np.zeros((1, 2)), s)) for s in (None, LABELS)),
        (HcrError, lambda: accepts([PAPER], np.zeros((2, 2)), SPEC)),
        (HcrError, lambda: accepts([PAPER], [[0.5, 0.5]], SPEC)),  # type: ignore[arg-type]
        (HcrError, lambda: accepts([PAPER], np.zeros((1, 2)), None)),  # type: ignore[arg-type]
        # Descriptions.
        *((SpecError, lambda n=n: ModelSpec(n, LABELS)) for n in (None, 3, "", "a/b", Rude())),
        *(
            (SpecError, lambda x=x: ModelSpec("demo", x))
            for x in (None, 3, "ab", (), ("a", "b"), list(LABELS), LABELS[:1], (LABELS[0],) * 2)
        ),
        *(
            (SpecError, lambda t=t: ModelSpec("demo", LABELS, temperature=t))
            for t in ("1", 0, HUGE)
        ),
        (SpecError, lambda: ModelSpec("demo", LABELS, temperature=float("nan"))),
        (SpecError, lambda: ModelSpec("demo", LABELS, schema_version="1")),  # type: ignore[arg-type]
        *(
            (SpecError, lambda f=f: ModelSpec("demo", LABELS, **{f: None}))  # type: ignore[arg-type]
            for f in ("input", "preprocess", "rejection", "provenance")
        ),
        *((SpecError, lambda t=t: Label(t, "a")) for t in (None, 3, b"a", Rude())),
        (SpecError, lambda: InputSpec(height="32")),  # type: ignore[arg-type]
        (SpecError, lambda: InputSpec(width=True)),
        (SpecError, lambda: ModelSpec("demo", LABELS, InputSpec(HUGE, HUGE))),
        (SpecError, lambda: PreprocessSpec(mean=(0.5, 0.5))),  # type: ignore[arg-type]
        (SpecError, lambda: PreprocessSpec(std=(1, float("nan"), 1))),
        (SpecError, lambda: PreprocessSpec(zoom=None)),  # type: ignore[arg-type]
        (SpecError, lambda: RejectionSpec("0.5")),  # type: ignore[arg-type]
        (SpecError, lambda: Provenance(versions=[])),  # type: ignore[arg-type]
        (SpecError, lambda: Provenance(figures={"accuracy": "high"})),  # type: ignore[dict-item]
        *((SpecError, lambda d=d: ModelSpec.from_dict(d)) for d in (None, 3, [], {}, Rude())),
        *((SpecError, lambda t=t: ModelSpec.from_json(t)) for t in (None, 3, "", b"\xff", "[]")),
        # Pages, cameras.
        *((HcrError, lambda c=c: read_page(PAPER, c)) for c in (None, "arabic-letters", Rude())),
        *((HcrError, lambda c=c: explain(c, PAPER)) for c in (None, "arabic-letters")),
        *((HcrError, lambda c=c: Watcher(c)) for c in (None, "arabic-letters", Rude())),
        *(
            (HcrError, lambda f=f: Watcher(MODEL).see(f))
            for f in (
                None,
                PAPER,
                *(Frame(0, t, PAPER) for t in ("now", np.nan, True, None, 10**400)),  # type: ignore[arg-type]
            )
        ),
        *(
            (CameraError, lambda s=s: frames(s))
            for s in (None, 0, HUGE, b"clip.avi", [], "", "absent.avi")
        ),
        *(
            (CameraError, lambda s=s: watch(s, MODEL))
            for s in (None, 0, b"clip.avi", PAPER, "absent.avi", Rude())
        ),
        *((CameraError, lambda s=s: LiveSource(s)) for s in (None, 0, HUGE, [], Rude())),
        *(
            (CameraError, lambda s=s: LiveSource("0", stall_seconds=s))
            for s in (0, -1, None, "5", float("nan"), float("inf"), HUGE, True)
        ),
        *(
            (CameraError, lambda t=t: LiveSource("0").next(t))
            for t in (-1, None, "1", float("nan"), float("inf"), 1e300, HUGE, Rude())
        ),
        (CameraError, lambda: LiveSource("0", open_capture=3)),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(kind: type[HcrError], use: Callable[[], object]) -> None:
    with pytest.raises(kind) as raised:
        use()
    assert raised.value.message
    assert len(str(raised.value)) < 500


def test_a_file_beyond_memory_may_be_allowed(samples_dir: Path) -> None:
    """A limit says what is refused, and is never made room for."""
    photo = samples_dir / "photos" / "beh-blue-pen.jpg"
    vast = Limits(max_pixels=HUGE, max_bytes=1 << 60)
    with photo.open("rb") as file:
        assert np.array_equal(to_gray(file, limits=vast), to_gray(photo, limits=vast))


@pytest.mark.parametrize(
    "box", [Box(0, 0, 10**6, 4), Box(0, 0, 10**400, 4), Box(-HUGE, -5, 2 * HUGE, 9)]
)
def test_what_of_a_box_lies_outside_is_left_out(box: Box) -> None:
    assert np.array_equal(crop_glyph(PAPER, box), crop_glyph(PAPER, Box(0, 0, 64, 4)))


def test_a_crop_is_in_proportion_to_its_frame() -> None:
    frame = np.full((480, 640), 255, np.uint8)
    whole = crop_glyph(frame, Box(0, 0, 640, 480))
    assert whole.shape == (1164, 1164)
    assert np.array_equal(crop_glyph(frame, Box(0, 0, 20_000, 20_000)), whole)
    with pytest.raises(ImageError, match="the writing box has 109091 x 109091 pixels"):
        crop_glyph(np.full((8, 60_000), 255, np.uint8), Box(0, 0, 60_000, 8))


def _functions() -> Iterator[tuple[str, Callable[..., object]]]:
    """What of the public names, and of their methods, takes arguments."""
    records = ("Candidate", "Event", "Glyph", "Prediction", "ReadGlyph")  # what is only returned
    for name, thing in PUBLIC.items():
        if not callable(thing) or name in records or name.endswith("Error"):
            continue
        yield name, thing
        for part in vars(thing) if inspect.isclass(thing) else ():
            if not part.startswith("_") and inspect.isroutine(getattr(thing, part)):
                bound = inspect.ismethod(getattr(thing, part))  # a method of the class
                if len(inspect.signature(getattr(thing, part)).parameters) + bound > 1:
                    yield part, getattr(thing, part)


def test_every_public_name_and_method_is_in_the_table() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    takes = {name for name, thing in _functions() if inspect.signature(thing).parameters}
    assert {"Classifier", "classify_batch", "explain", "from_dict", "next", "see"} <= takes
    assert takes - used == set()
