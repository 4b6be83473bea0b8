"""`Classifier.load`: engines, bundles, checksums, signatures; threads, forks and determinism."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from numpy.typing import NDArray

from hcr_runtime import (
    Classifier,
    EngineError,
    HcrError,
    ImageError,
    Limits,
    ModelError,
    ModelSpec,
    SpecError,
    shipped_models,
)
from hcr_runtime.carrier import onnx_spec
from hcr_runtime.preprocess import preprocess

Image = NDArray[np.uint8]


def test_each_engine_gives_the_same_numbers(
    tiny_onnx: Callable[..., Path], tiny_tflite: Callable[..., Path], tiles: list[Image]
) -> None:
    answers = [
        Classifier.load(path, engine=engine).scores(tiles)
        for path, engine in (
            (tiny_onnx(), "onnxruntime"),
            (tiny_onnx(), "opencv"),
            (tiny_tflite(), "litert"),
        )
    ]
    for other in answers[1:]:
        np.testing.assert_allclose(other, answers[0], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"engine": "tensorrt"}, EngineError, "engine is 'tensorrt'; allowed: onnxruntime"),
        ({"engine": "litert"}, EngineError, "litert does not run arabic-letters.onnx"),
        # OpenCV 5 refuses the file; OpenCV 4 would read it and answer wrongly.
        ({"engine": "opencv"}, EngineError, "use the engine onnxruntime"),
        ({"threads": 0}, EngineError, "threads is 0; allowed: a whole number from 1"),
        ({"threads": "2"}, EngineError, "threads is '2'"),
        ({"sha256": "0" * 64}, ModelError, "has the SHA-256"),
    ],
)
def test_options_that_cannot_be_had(
    options: dict[str, object], error: type[HcrError], says: str
) -> None:
    with pytest.raises(error) as caught:
        Classifier.load("arabic-letters", **options)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_what_is_no_name_or_path_is_named() -> None:
    for thing in (3, None, b"arabic-letters", "a\0b", "x" * 5000):
        with pytest.raises(ModelError):
            Classifier.load(thing)  # type: ignore[arg-type]


def test_opencv_refuses_threads_and_other_shapes(tiny_onnx: Callable[..., Path]) -> None:
    with pytest.raises(EngineError, match="threads is 2"):
        Classifier.load(tiny_onnx(), engine="opencv", threads=2)
    with pytest.raises(ModelError):
        Classifier.load(tiny_onnx(shape=(None, 16, 16, 1)), engine="opencv")


@pytest.fixture
def bundle(tmp_path: Path, tiny_onnx: Callable[..., Path]) -> Path:
    """Return a bundle of one float32 model."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    model = folder / "two-float32.onnx"
    shutil.copy(tiny_onnx(), model)
    entry = {
        "file": model.name,
        "role": "artifact",
        "kind": "float32.onnx",
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
    }
    files = [{"file": "labels.txt", "role": "labels", "sha256": ""}, entry]
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "files": files}))
    return folder


def test_bundle_is_loaded_by_its_folder(bundle: Path) -> None:
    assert Classifier.load(bundle).spec.name == "two"
    assert Classifier.load(bundle, engine="opencv").engine.name == "opencv"
    with pytest.raises(ModelError, match=r"holds nothing for litert.*it holds float32\.onnx"):
        Classifier.load(bundle, engine="litert")


def test_bundle_is_known_whatever_its_folder_is_called(bundle: Path) -> None:
    assert Classifier.load(bundle.rename(bundle.parent / "two-int8.onnx")).spec.name == "two"


def test_altered_file_in_a_bundle_is_refused(bundle: Path) -> None:
    model = bundle / "two-float32.onnx"
    data = bytearray(model.read_bytes())
    data[300] ^= 1  # one bit of a weight: the model would still load, and answer otherwise
    model.write_bytes(data)
    with pytest.raises(ModelError, match="has the SHA-256"):
        Classifier.load(bundle)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"files": []}',
        '{"schema_version": 99, "files": []}',
        '{"schema_version": 1, "files": 3}',
        '{"schema_version": 1, "files": [3]}',
        '{"schema_version": 1, "files": [{"role": "artifact"}]}',
        "[" * 100_000,
    ],
)
def test_malformed_manifest(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match="is damaged"):
        Classifier.load(bundle)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("file", value) for value in (3, None, "..", "../a", "/etc/a", "a/b.onnx")],
        ("file", ""),  # found by fuzzing: an empty name is the folder itself
        *[(field, value) for field in ("kind", "sha256", "role") for value in ([], None)],
    ],
)
def test_nothing_outside_a_bundle_is_read(bundle: Path, field: str, value: object) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][1][field] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="is damaged"):
        Classifier.load(bundle)


def test_checksum_of_a_file(model_file: Path) -> None:
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    for text in (digest, digest.upper(), f" {digest}\n"):
        assert Classifier.load(model_file, sha256=text).spec.name == "arabic-letters"


def test_signed_file(tmp_path: Path, model_file: Path) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    model = tmp_path / "letters.onnx"
    shutil.copy(model_file, model)

    def pem(private: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
        public = private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ModelError, match=r"cannot read .*letters\.onnx\.sig"):
        Classifier.load(model, public_key=pem(key))
    (tmp_path / "letters.onnx.sig").write_bytes(key.sign(model.read_bytes()))
    (tmp_path / "key.pem").write_bytes(pem(key))
    for form in (pem(key), tmp_path / "key.pem", str(tmp_path / "key.pem")):
        assert Classifier.load(model, public_key=form).spec.name == "arabic-letters"
    with pytest.raises(ModelError, match="not what was signed"):
        Classifier.load(model, public_key=pem(other))
    with pytest.raises(ModelError, match="is X25519PublicKey; allowed: Ed25519"):
        Classifier.load(model, public_key=pem(X25519PrivateKey.generate()))
    with pytest.raises(ModelError, match="no PEM"):
        Classifier.load(model, public_key=b"key")
    with model.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="not what was signed"):
        Classifier.load(model, public_key=pem(key))


@pytest.mark.parametrize("name", shipped_models())
def test_same_bytes_alone_in_a_batch_and_with_threads(name: str, tiles: list[Image]) -> None:
    one, more = Classifier.load(name), Classifier.load(name, threads=2)
    images = (tiles * 3)[:64]
    tensors = np.stack([preprocess(image, one.spec) for image in images])
    alone = np.concatenate([one.engine.run(tensor[None]) for tensor in tensors]).tobytes()
    assert one.engine.run(tensors).tobytes() == alone
    assert more.engine.run(tensors).tobytes() == alone
    in_threes = [one.engine.run(tensors[i : i + 3]) for i in range(0, 64, 3)]
    assert np.concatenate(in_threes).tobytes() == alone
    assert one.classify_batch(images) == [one.classify(image) for image in images]


@pytest.mark.parametrize(
    ("form", "engine"),
    [("model_file", "onnxruntime"), ("tiny_onnx", "opencv"), ("tiny_tflite", "litert")],
)
def test_eight_threads_answer_like_one(
    form: str, engine: str, tiles: list[Image], request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(form)
    shared = Classifier.load(made if isinstance(made, Path) else made(), engine=engine)
    expected = [shared.classify(image) for image in tiles]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shared.classify, tiles * 8)) == expected * 8


def test_inference_holds_no_lock(classifier: Classifier, tiles: list[Image]) -> None:
    """Neither a lock of ours nor the interpreter's: while one thread infers, another counts."""
    tensors = np.repeat(preprocess(tiles[0], classifier.spec)[None], 4096, axis=0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(classifier.engine.run, tensors)
        counted = 0
        while not running.done():
            classifier.classify(tiles[1])
            counted += 1
    assert counted > 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_forked_process_answers_or_says_why_not(threads: int, tiles: list[Image]) -> None:
    loaded = Classifier.load("arabic-letters", threads=threads)
    large = np.kron(tiles[3], np.ones((20, 20), np.uint8))  # for which OpenCV starts its threads
    expected = loaded.classify(large)
    child = os.fork()
    if child == 0:
        try:
            right = loaded.classify(large) == expected
            os._exit(0 if right else 1)
        except EngineError as error:
            os._exit(2 if "forked" in str(error) else 3)
        finally:
            os._exit(4)
    deadline = time.monotonic() + 60
    done = status = 0
    while not done and time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not done:
        os.kill(child, 9)
    assert done, "the child hangs"
    assert os.waitstatus_to_exitcode(status) == (0 if threads == 1 else 2)


def test_limits_of_a_classifier(tiles: list[Image]) -> None:
    strict = Classifier.load("arabic-letters", limits=Limits(max_pixels=100))
    file = cv2.imencode(".png", tiles[0])[1].tobytes()
    for call in (strict.classify, lambda image: strict.classify_batch([image]), strict.read):
        with pytest.raises(ImageError, match="allowed: 1 to 100 pixels"):
            call(file)


@pytest.mark.parametrize("given", ["", "abc", 5])
def test_a_checksum_that_is_none_pins_nothing_silently(given: Any) -> None:
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        Classifier.load("arabic-letters", sha256=given)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_onnx_description_of_a_file_cut_short(model_file: Path, share: float) -> None:
    data = model_file.read_bytes()
    with pytest.raises((ModelError, SpecError)):
        onnx_spec(data[: int(len(data) * share)], "cut.onnx")


def test_onnx_description_is_read_without_an_engine(
    model_file: Path, respecced: Callable[..., Path], two: ModelSpec
) -> None:
    spec = onnx_spec(model_file.read_bytes(), "letters")
    assert spec.name == "arabic-letters"
    other = replace(two, name="x" * 64)
    assert onnx_spec(respecced(other.to_json()).read_bytes(), "other") == other
