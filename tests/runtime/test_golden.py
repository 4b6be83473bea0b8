"""Golden vectors: an unchanged device passes, and every change is found."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hcr_runtime import Classifier, HcrError, ModelError, preprocess
from hcr_runtime.golden import check_golden, write_golden

NAMES = ("beh", "seen", "waw", "heh", "lam", "dad")
Letter = Callable[..., Path]


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    classifier: Classifier,
    model_file: Path,
    letter: Letter,
) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "golden"
    images = [letter(name).read_bytes() for name in NAMES]
    write_golden(folder, classifier.spec, images, {model_file.name: model_file})
    return folder


@pytest.fixture
def golden(tmp_path: Path, written: Path) -> Path:
    """Return a copy that the test may damage."""
    return Path(shutil.copytree(written, tmp_path / "golden"))


def edit(golden: Path, change: Callable[[Any], object]) -> None:
    vectors = json.loads((golden / "vectors.json").read_text(encoding="utf-8"))
    change(vectors)
    (golden / "vectors.json").write_text(json.dumps(vectors), encoding="utf-8")


def test_same_device_passes(golden: Path, model_file: Path) -> None:
    result = check_golden(golden, model_file)
    assert result.file == "arabic-letters.onnx"
    assert (result.cases, result.exact_tensors, result.failures) == (6, 6, ())


def test_files_hold_what_a_port_to_another_language_needs(
    golden: Path, classifier: Classifier, letter: Letter
) -> None:
    vectors = json.loads((golden / "vectors.json").read_text(encoding="utf-8"))
    assert vectors["schema_version"] == 1
    assert vectors["preprocess_version"] == classifier.spec.preprocess.version
    assert vectors["output"] == classifier.spec.output
    flat = np.frombuffer((golden / "tensors.f32").read_bytes(), "<f4")
    tensors = flat.reshape(len(NAMES), *vectors["tensor_shape"])
    for case, name, tensor in zip(vectors["cases"], NAMES, tensors, strict=True):
        assert (golden / case["image"]).read_bytes() == letter(name).read_bytes()
        np.testing.assert_array_equal(tensor, preprocess(letter(name), classifier.spec))
        output = classifier.engine.run(tensor[None])[0]
        np.testing.assert_allclose(case["outputs"]["arabic-letters.onnx"], output, atol=1e-5)


def alter(image: Path, change: Callable[[np.ndarray], object]) -> None:
    pixels = cv2.imread(str(image), cv2.IMREAD_GRAYSCALE)
    before = pixels.copy()
    change(pixels)
    assert np.count_nonzero(pixels != before) >= 1
    cv2.imwrite(str(image), pixels)


def whiten_darkest(pixels: np.ndarray) -> None:
    pixels.flat[pixels.argmin()] = 255


def blacken_corner(pixels: np.ndarray) -> None:
    pixels[1, 1] = 0


def dim_one_level(pixels: np.ndarray) -> None:
    pixels[0, 0] -= 1


def paint_over(pixels: np.ndarray) -> None:
    pixels[: len(pixels) // 2] = 250


@pytest.mark.parametrize("change", [whiten_darkest, blacken_corner, dim_one_level, paint_over])
def test_altered_image_is_found(
    golden: Path, model_file: Path, change: Callable[[np.ndarray], object]
) -> None:
    alter(golden / "images" / "002.png", change)
    result = check_golden(golden, model_file)
    assert len(result.failures) == 1
    assert "images/002.png" in result.failures[0]


def test_other_preprocessing_is_found(
    golden: Path, classifier: Classifier, respecced: Callable[..., Path]
) -> None:
    # As if a port had another idea of how large a letter is.
    text = classifier.spec.to_json().replace('"zoom":1.35', '"zoom":1.0')
    assert text != classifier.spec.to_json()
    result = check_golden(golden, respecced(text, "arabic-letters.onnx"))
    assert result.exact_tensors < 6
    assert any("preprocessing" in failure for failure in result.failures)


def test_rounding_of_another_build_passes(golden: Path, model_file: Path) -> None:
    # Vectors whose tensors differ in their last bits, as another build of OpenCV writes them.
    tensors = np.fromfile(golden / "tensors.f32", "<f4").reshape(6, -1) + np.float32(1 / 255)
    tensors.astype("<f4").tofile(golden / "tensors.f32")
    checksums = [hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest() for tensor in tensors]

    def rewrite(vectors: Any) -> None:
        for case, checksum in zip(vectors["cases"], checksums, strict=True):
            case["tensor_sha256"] = checksum

    edit(golden, rewrite)
    result = check_golden(golden, model_file)
    assert (result.exact_tensors, result.failures) == (0, ())


def test_model_of_another_name_is_refused(golden: Path, tmp_path: Path, model_file: Path) -> None:
    other = shutil.copy(model_file, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=r"other\.onnx") as caught:
        check_golden(golden, Path(other))
    assert caught.value.allowed == "arabic-letters.onnx"


def test_other_answers_are_found(golden: Path, model_file: Path) -> None:
    # As from another model of the same name, or from an engine that computes wrongly.
    def turn(vectors: Any) -> None:
        outputs = vectors["cases"][3]["outputs"]
        outputs[model_file.name] = outputs[model_file.name][::-1]

    edit(golden, turn)
    result = check_golden(golden, model_file)
    assert result.failures == ("images/003.png: the model answers otherwise",)


def test_answers_that_are_no_numbers_are_found(golden: Path, model_file: Path) -> None:
    def spoil(vectors: Any) -> None:
        for case in vectors["cases"]:
            answer = case["outputs"][model_file.name]
            answer[int(np.argmax(answer))] = float("nan")  # neither near to a number nor far

    edit(golden, spoil)
    try:
        found = len(check_golden(golden, model_file).failures)
    except ModelError:
        found = 6
    assert found == 6


def holding(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda golden: (golden / name).write_bytes(data)


def edited(change: Callable[[Any], object]) -> Callable[[Path], object]:
    return lambda golden: edit(golden, change)


def answering(answer: object) -> Callable[[Path], object]:
    return edited(
        lambda vectors: vectors["cases"][0].update(outputs={"arabic-letters.onnx": answer})
    )


DAMAGE: dict[str, Callable[[Path], object]] = {
    # Files gone, empty, cut short, or of another kind.
    "no folder": shutil.rmtree,
    "no vectors": lambda golden: (golden / "vectors.json").unlink(),
    "no tensors": lambda golden: (golden / "tensors.f32").unlink(),
    "no image file": lambda golden: (golden / "images" / "001.png").unlink(),
    "vectors empty": holding("vectors.json", b""),
    "vectors no text": holding("vectors.json", b"\xff\xfe"),
    "vectors a list": holding("vectors.json", b"[]"),
    "tensors cut": holding("tensors.f32", bytes(4096)),
    "tensors cut in a number": holding("tensors.f32", bytes(6 * 4096 - 2)),
    # Of the right size: these are what a port would be held against.
    "tensors zero": holding("tensors.f32", bytes(6 * 4096)),
    # Made by a newer version.
    "schema 2": edited(lambda vectors: vectors.update(schema_version=2)),
    "preprocessing 3": edited(lambda vectors: vectors.update(preprocess_version=3)),
    # Parts that are missing or of another type.
    "no cases": edited(lambda vectors: vectors.pop("cases")),
    "no shape": edited(lambda vectors: vectors.pop("tensor_shape")),
    "no image": edited(lambda vectors: vectors["cases"][0].pop("image")),
    "no checksum": edited(lambda vectors: vectors["cases"][0].pop("tensor_sha256")),
    "no outputs": edited(lambda vectors: vectors["cases"][0].pop("outputs")),
    "case more": edited(lambda vectors: vectors["cases"].append(3)),
    "answer empty": answering([]),
    "answer of text": answering("x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_vectors_are_refused(golden: Path, model_file: Path, damage: str) -> None:
    DAMAGE[damage](golden)
    with pytest.raises(ModelError):
        check_golden(golden, model_file)


def test_damaged_model_is_one_of_our_errors(golden: Path, tmp_path: Path) -> None:
    (tmp_path / "arabic-letters.onnx").write_bytes(b"no model")
    with pytest.raises(HcrError, match=r"arabic-letters\.onnx"):
        check_golden(golden, tmp_path / "arabic-letters.onnx")
