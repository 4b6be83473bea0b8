"""What is fuzzed: each target takes any bytes and lets no exception out but `HcrError`."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from hcr_runtime import (
    Classifier,
    HcrError,
    Label,
    Limits,
    ModelSpec,
    crop_glyph,
    find_glyphs,
    largest_glyph,
)
from hcr_runtime.carrier import SPEC_ENTRY, onnx_spec, zip_spec
from hcr_runtime.engines import open_engine
from hcr_runtime.image import read_pixels, to_gray
from hcr_runtime.image_header import read_header
from hcr_runtime.ink import WORK_SIDE
from hcr_runtime.integrity import MANIFEST, bundle_file
from hcr_runtime.models import shipped_models
from hcr_runtime.preprocess import find_glyph, prepare, preprocess
from hcr_runtime.second_look import LEAST_SIDE, look_again
from hcr_runtime.watching import may_hold_letters

Target = Callable[[bytes], None]

# Small, so that an execution is cheap: what lies beyond is refused by the same code.
LIMITS = Limits(max_pixels=250_000, max_bytes=1 << 20)
SPEC = ModelSpec("fuzz", (Label("a", "a"), Label("b", "b")))
SAMPLES = Path(__file__).parents[1] / "samples"

_TYPES = ("u1", "u2", ">u2", "?", "f2", "f4", "f8", "i1", "i4", "i8", "c8", "M8[s]", "S3", "O")
_folder = tempfile.TemporaryDirectory(prefix="hcr-fuzz-")


def image(data: bytes) -> None:
    """Bytes of an image file, through decoding and preprocessing."""
    header = read_header(data)
    try:
        pixels = read_pixels(data, limits=LIMITS)
        preprocess(to_gray(pixels, limits=LIMITS), SPEC)
    except HcrError:
        return
    if header is None or {header.width, header.height} != set(pixels.shape[:2]):
        raise ValueError(f"{header} was decoded to {pixels.shape}")


def array(data: bytes) -> None:
    """An array of any type, shape, order and stride."""
    head, body = data[:8].ljust(8, b"\0"), data[8:]
    dtype = np.dtype(_TYPES[head[0] % len(_TYPES)])
    shape = tuple(side % 40 for side in head[1 : 1 + head[4] % 5])
    if dtype.hasobject:
        values = np.full(shape, None)
    else:
        need = int(np.prod(shape, dtype=int)) * dtype.itemsize
        values = np.frombuffer(body.ljust(need, b"\x55")[:need], dtype).reshape(shape)
    if head[5] & 1 and values.ndim:
        values = values[::-1]
    if head[5] & 2:
        values = values.T
    if head[5] & 4 and values.ndim:
        values = values[::2]
    if head[5] & 8:
        values = np.asfortranarray(values)
    try:
        preprocess(to_gray(values, "rgb" if head[6] & 1 else "bgr", LIMITS), SPEC)
    except HcrError:
        return


def page(data: bytes) -> None:
    """A page: bars, lines, frames and rings where the bytes say, through all that looks for glyphs.

    Then once more, as the image of one glyph.
    """
    head, body = data[:4].ljust(4, b"\1"), data[4:]
    # Long strips among them: a side of up to 255 pixels, eight times as many where the bytes say.
    height, width = (
        1 + side * (8 if head[2] & bit else 1) for side, bit in zip(head[:2], (1, 2), strict=True)
    )
    drawn = np.full((height, width), head[3], np.uint8)
    for first in range(0, len(body) - 5, 6):
        kind, x, y, across, down, level = body[first : first + 6]
        ends = (x * width // 256, y * height // 256), (across * width // 256, down * height // 256)
        if kind & 5 == 5:
            centre, half = ends[0], (across * width // 512, down * height // 512)
            cv2.ellipse(drawn, centre, half, 0, 0, 360, level, 1 + kind // 64)
        elif kind & 1:
            cv2.rectangle(drawn, *ends, level, cv2.FILLED if kind & 2 else 1 + kind // 64)
        else:
            cv2.line(drawn, *ends, level, 1 + kind // 32)
    may_hold_letters(drawn)
    box = largest_glyph(drawn)
    if box is not None:
        crop_glyph(drawn, box)
    for glyph in find_glyphs(drawn):
        if glyph.crop.shape[0] != glyph.crop.shape[1] or min(glyph.box.width, glyph.box.height) < 1:
            raise ValueError(f"{glyph.box} has a crop of {glyph.crop.shape}")
    for version in (1, 2):
        find_glyph(drawn, True, version)
    prepare(drawn, SPEC, lines=True)
    for asked in (False, True):
        seen = look_again(drawn, asked, ringed=asked, underlined=asked).image
        if max(seen.shape) > WORK_SIDE + LEAST_SIDE:
            raise ValueError(f"{drawn.shape} was looked at as {seen.shape}")


def description(data: bytes) -> None:
    """The JSON of a `ModelSpec`: what is read must come back."""
    try:
        spec = ModelSpec.from_json(data)
    except HcrError:
        return
    if ModelSpec.from_json(spec.to_json()) != spec:
        raise ValueError("the description changed on its way")


def carrier(data: bytes) -> None:
    """A model file, as far as its description is sought."""
    for read in (onnx_spec, zip_spec):
        try:
            read(data, "model")
        except HcrError:
            continue


def manifest(data: bytes) -> None:
    """The manifest of a bundle."""
    folder = Path(_folder.name)
    (folder / MANIFEST).write_bytes(data)
    for engine in ("onnxruntime", "litert", "opencv"):
        try:
            path, _ = bundle_file(folder, engine)
        except HcrError:
            continue
        if path.parent != folder:
            raise ValueError(f"the manifest leads to {path}")


def model(data: bytes) -> None:
    """A whole ONNX file: loaded, and run where it loads."""
    try:
        engine = open_engine(Path("model.onnx"), data=data)
        Classifier(engine).classify(np.eye(20, dtype=np.uint8) * 255)
    except HcrError:
        return


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (image, array, page, description, carrier, manifest, model)
}


def seeds(name: str) -> list[bytes]:
    """Valid inputs from which a target's fuzzing starts."""
    if name == "image":
        return _images()
    if name == "array":
        return [bytes((kind, 9, 9, 3, axes, 0, 0, 0)) for kind in range(14) for axes in (2, 3)]
    if name == "page":
        bars = bytes(
            value
            for x in range(20, 240, 40)
            for y in range(30, 230, 50)
            for value in (3, x, y, x + 9, y + 30, 20)
        )
        ruled = bytes(value for y in range(20, 250, 50) for value in (0, 0, y, 255, y, 120))
        upright = bytes(value for x in range(10, 250, 40) for value in (0, x, 0, x, 255, 120))
        sheet = b"\xb0\xf0\0\xf5"
        return [sheet + bars, sheet + ruled + bars, sheet + ruled + upright + bars]
    if name == "manifest":
        return [
            b'{"schema_version": 1, "files": [{"file": "a-int8.onnx", "role": "artifact",'
            b' "kind": "int8.onnx", "sha256": "00"}]}'
        ]
    if name == "description":
        return [SPEC.to_json().encode()]
    shipped = shipped_models()["arabic-letters-nano"].read_bytes()
    if name == "model":
        return [shipped]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(SPEC_ENTRY, SPEC.to_json())
    # The end of an ONNX file holds the description.
    return [archive.getvalue(), shipped[-6000:]]


@cache
def _images() -> list[bytes]:
    gray = np.add.outer(np.arange(9) * 20, np.arange(12) * 6).astype(np.uint8)
    color, alpha, deep = (
        np.dstack([gray] * 3),
        np.dstack([gray] * 4),
        gray.astype(np.uint16) * 257,
    )
    forms = {
        ".png": (gray, color, alpha, deep),
        ".jpg": (gray, color),
        ".webp": (color, alpha),
        ".tiff": (gray, color, alpha, deep),
        ".bmp": (gray, color, alpha),
        ".ppm": (color,),
        ".pgm": (gray, deep),
        ".pbm": (gray,),
    }
    encoded = [
        bytes(cv2.imencode(suffix, form)[1]) for suffix, held in forms.items() for form in held
    ]
    return [(SAMPLES / "photos" / "beh-blue-pen.jpg").read_bytes(), *encoded]
