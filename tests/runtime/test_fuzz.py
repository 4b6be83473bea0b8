"""Whatever comes in, `HcrError` alone comes out; what fuzzing found stays found.

The campaign itself is in docs/fuzzing.md; here a short run of it, and the same targets under
hypothesis, which every machine has.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.targets import TARGETS, seeds
from hcr_runtime import (
    Classifier,
    HcrError,
    ImageError,
    Limits,
    ModelError,
    ModelSpec,
    SpecError,
    shipped_models,
    to_gray,
)
from hcr_runtime.carrier import MAX_SPEC_BYTES, SPEC_ENTRY, zip_spec
from hcr_runtime.engines import open_engine

NANO = shipped_models()["arabic-letters-nano"].read_bytes()
# The targets whose inputs are read by our own code, and cheap.
CHEAP = [name for name in TARGETS if name not in ("model", "page")]


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_taken(name: str) -> None:
    assert seeds(name)
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", CHEAP)
@given(data=st.data())
def test_damaged_seeds(name: str, data: st.DataObject) -> None:
    seed = bytearray(data.draw(st.sampled_from(seeds(name))))
    for _ in range(data.draw(st.integers(1, 4))):
        seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    TARGETS[name](bytes(seed[: data.draw(st.integers(0, len(seed)))]))


@given(st.binary(max_size=600))
def test_arrays_of_every_type_shape_and_order(data: bytes) -> None:
    TARGETS["array"](data)


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_pages_of_any_shape_and_size(data: bytes) -> None:
    TARGETS["page"](data)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize(("name", "runs"), [("image", 1500), ("carrier", 1500), ("model", 300)])
def test_short_run_guided_by_coverage(name: str, runs: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz.run", name, "--runs", str(runs), "--corpus", tmp_path]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"number_of_executed_units: {runs}" in done.stderr
    assert not list((tmp_path / "findings").iterdir())


def test_found_tiff_that_says_its_width_twice() -> None:
    """The limits were held against the second width; the first is what is decoded."""
    finding = base64.b64decode(
        "SUkqACoAAACAAADQOCQUDBSDQkUQmDDyGQUoQ+CGSJQM8RUDIyMKCMQEDAAAAQMAAQAAAAwAAAABAQMAAQAAAAkAAAAC"
        "AQMAAQAAAAgAAAADAQMAAQAAAAUAAAAGAQMAAQAAAAEAAAARAQQAAQAAAAgAAAAAAQMAAQAAAAEAAAAWAQMAAQAAAAkA"
        "AAAXAQQAAQAAACIAAAAcAQMAAQAAAAEAAAA9AQMAAQAAAAIAAABTAQMAAQAAAAEAAAAAAAAA"
    )
    assert to_gray(finding, limits=Limits(max_pixels=9 * 12)).shape == (9, 12)
    with pytest.raises(ImageError, match="has 9 x 12 pixels"):
        to_gray(finding, limits=Limits(max_pixels=9 * 12 - 1))


def test_found_png_chunk_that_claims_4_gb() -> None:
    """OpenCV made room for the claim: 136 bytes took 2 GB, and minutes."""
    finding = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAwAAAAJEAAAAABzQ07K//YAT0lEQVQIHQXB0QCEAAAFwXk/SxBEEAdxEEEEEUSozQxJ"
        "kiRJc0iSJEmaU5IkSdL8JEmSJM1fkiRJ0lySJEmS5pYkSZI0jyRJkqR5JUmSJH3rowUsIr0GHAAAAABJRU5ErkJggg=="
    )
    with pytest.raises(ImageError, match="is no image, or cut short"):
        to_gray(finding)


def test_found_comment_that_is_none() -> None:
    """Its limits were held against 2 x 1 pixels; OpenCV takes what follows the # for a number."""
    with pytest.raises(ImageError, match="is no image, or cut short"):
        to_gray(b"P4 2#11\n\n1 " + bytes(40))
    assert to_gray(b"P5 #of a scanner\n2 # wide\n#\n3 255\n" + bytes(6)).shape == (3, 2)


def test_every_truncation_of_a_model() -> None:
    for length in range(0, len(NANO), 61):
        with pytest.raises((ModelError, SpecError)):
            open_engine(Path("cut.onnx"), data=NANO[:length])


@given(place=st.integers(0, len(NANO) - 1), flip=st.integers(1, 255))
def test_flipped_byte_in_a_model(place: int, flip: int) -> None:
    data = bytearray(NANO)
    data[place] ^= flip
    try:
        engine = open_engine(Path("flipped.onnx"), data=bytes(data))
        answer = Classifier(engine).classify(np.eye(32) * 0.9)
    except HcrError:
        return
    assert 0 <= answer.confidence <= 1


@given(place=st.integers(0, 100_000), flip=st.integers(1, 255))
def test_flipped_byte_in_a_tflite_model(tiny_tflite_bytes: bytes, place: int, flip: int) -> None:
    """The flatbuffer itself is LiteRT's to check: here, what lies around its weights."""
    data = bytearray(tiny_tflite_bytes)
    # Behind the flatbuffer: the ZIP archive with the description.
    start = data.rindex(b"PK\3\4")
    data[start + place % (len(data) - start)] ^= flip
    try:
        engine = open_engine(Path("flipped.tflite"), data=bytes(data))
        Classifier(engine).classify(np.eye(32) * 0.9)
    except HcrError:
        return


@pytest.fixture(scope="module")
def tiny_tflite_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from tests.runtime.conftest import fully_connected

    text = ModelSpec.from_json(Classifier.load("arabic-letters-nano").spec.to_json()).to_json()
    matrix = np.resize(np.float32([0.05, 0.0, -0.02]), (28, 1024))
    file = io.BytesIO(fully_connected(matrix, (1, 32, 32, 1), int8=False))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(SPEC_ENTRY, text)
    return file.getvalue()


def test_swapped_description_is_refused(respecced: Callable[..., Path]) -> None:
    """The digits' description in the letters' file: 28 outputs under 10 names."""
    digits = Classifier.load("persian-digits").spec.to_json()
    with pytest.raises(SpecError, match="has 28 outputs, its description 10"):
        Classifier.load(respecced(digits))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"labels": ' * 50_000,
        '{"schema_version": 1e999}',
        '{"schema_version": ' + "9" * 5000 + "}",
        '{"schema_version": 1, "name": "m", "labels": [{"text": "\\ud800", "name": "a"}]}',
        '{"schema_version": 1, "name": "m", "labels": [{"__class__": "os.system"}, []]}',
        '{"schema_version": NaN, "labels": []}',
        "\x00" * 1000,
        " " * (MAX_SPEC_BYTES + 1),
    ],
    ids=range(9),
)
def test_hostile_description(respecced: Callable[..., Path], text: str) -> None:
    with pytest.raises(SpecError):
        Classifier.load(respecced(text))


def test_zip_entry_that_expands_without_end() -> None:
    """A megabyte that unpacks to a gigabyte, under a header that claims a few bytes."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(SPEC_ENTRY, "w", force_zip64=False) as entry,
    ):
        for _ in range(64):
            entry.write(b" " * (1 << 20))
    data = bytearray(file.getvalue())
    claimed = (64 << 20).to_bytes(4, "little")
    honest = bytes(data)
    place = data.rindex(claimed)  # the size in the central directory
    data[place : place + 4] = (100).to_bytes(4, "little")
    for bomb in (honest, bytes(data)):
        tracemalloc.start()
        with pytest.raises(SpecError):
            zip_spec(bomb, "bomb.tflite")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20
