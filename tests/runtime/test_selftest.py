"""A bundle proves itself on this machine: what is altered is found, what cannot run is skipped."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hcr_runtime import Classifier, ModelError
from hcr_runtime.golden import write_golden
from hcr_runtime.selftest import selftest

NAMES = ("beh", "seen", "waw")
MODEL = "arabic-letters.onnx"


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    classifier: Classifier,
    model_file: Path,
    letter: Callable[..., Path],
) -> Path:
    """The shipped model as a bundle."""
    folder = tmp_path_factory.mktemp("made") / "bundle"
    images = [letter(name).read_bytes() for name in NAMES]
    write_golden(folder / "golden", classifier.spec, images, {MODEL: model_file})
    shutil.copy(model_file, folder / MODEL)
    (folder / "labels.txt").write_text(
        "".join(f"{text}\n" for text in classifier.spec.texts), encoding="utf-8"
    )
    (folder / "parity.md").write_text("measured", encoding="utf-8")
    write_manifest(folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path, made: Path) -> Path:
    """A copy that the test may damage."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def write_manifest(folder: Path) -> None:
    roles = {"labels.txt": "labels", "parity.md": "parity report"}
    files = [
        {
            "file": path.relative_to(folder).as_posix(),
            "role": roles.get(
                path.name, "golden vector" if path.parent.name != folder.name else "artifact"
            ),
            "kind": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    ]
    text = json.dumps({"schema_version": 1, "files": files})
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def test_an_unchanged_bundle_passes(bundle: Path) -> None:
    (result,) = selftest(bundle)
    assert (result.file, result.cases, result.failures, result.skipped) == (MODEL, 3, (), "")


@pytest.mark.parametrize(
    "name", [MODEL, "labels.txt", "golden/vectors.json", "golden/images/001.png"]
)
def test_an_altered_file_is_found(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as stream:
        stream.write(b"\n")
    failures = {item.file: item.failures for item in selftest(bundle)}
    assert failures[name] == ("was altered: its checksum is another",)


def test_missing_labels_are_found(bundle: Path) -> None:
    (bundle / "labels.txt").unlink()
    failures = {item.file: item.failures for item in selftest(bundle)}
    assert failures["labels.txt"] == ("is missing",)


def test_without_its_images_nothing_is_proven(bundle: Path) -> None:
    (bundle / "golden" / "images" / "001.png").unlink()
    with pytest.raises(ModelError, match=r"001\.png"):
        selftest(bundle)


def test_reports_may_change(bundle: Path) -> None:
    (bundle / "parity.md").write_text("measured again", encoding="utf-8")
    assert all(not item.failures for item in selftest(bundle))


def test_labels_in_another_order_are_found(bundle: Path) -> None:
    """With a checksum that fits: only the model inside can tell."""
    labels = (bundle / "labels.txt").read_text(encoding="utf-8").split()
    labels[0], labels[1] = labels[1], labels[0]
    (bundle / "labels.txt").write_text("".join(f"{text}\n" for text in labels), encoding="utf-8")
    write_manifest(bundle)
    (result,) = selftest(bundle)
    assert result.failures == ("labels.txt names other labels than the model",)


def test_another_label_than_the_exporter_saw_is_found(bundle: Path) -> None:
    path = bundle / "golden" / "vectors.json"
    vectors = json.loads(path.read_text(encoding="utf-8"))
    vectors["cases"][1]["labels"][MODEL] = "ا"
    path.write_text(json.dumps(vectors), encoding="utf-8")
    write_manifest(bundle)
    (result,) = selftest(bundle)
    assert result.failures == ("images/001.png: the answer has another label",)


def test_what_no_engine_here_reads_is_skipped(bundle: Path) -> None:
    """A device that has onnxruntime alone, and a bundle that holds more."""
    (bundle / "letters.bin").write_bytes(b"for some other engine")
    write_manifest(bundle)
    results = {item.file: item for item in selftest(bundle)}
    assert results["letters.bin"].skipped == "no engine of the runtime reads .bin"
    assert results[MODEL].cases == 3


def test_a_model_without_its_engine_is_skipped(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tiny_tflite: Callable[..., Path]
) -> None:
    shutil.copy(tiny_tflite(), bundle / "two.tflite")
    write_manifest(bundle)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    results = {item.file: item for item in selftest(bundle)}
    assert "needs LiteRT" in results["two.tflite"].skipped
    assert not results["two.tflite"].failures
    assert results[MODEL].cases == 3


def test_a_device_needs_not_every_model(bundle: Path) -> None:
    shutil.copy(bundle / MODEL, bundle / "other.onnx")
    write_manifest(bundle)
    (bundle / "other.onnx").unlink()
    results = {item.file: item for item in selftest(bundle)}
    assert results["other.onnx"].skipped == "not on this machine"
    assert results[MODEL].failures == ()


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (None, "no manifest.json"),
        ("{", "is damaged"),
        ('{"schema_version": 99, "files": []}', "of schema version 99"),
        ('{"schema_version": 1, "files": [{"file": "x"}]}', "is damaged"),
        (
            '{"schema_version": 1, "files": [{"file": "../x", "role": "labels", "sha256": ""}]}',
            "lies outside",
        ),
        ('{"schema_version": 1, "files": []}', "holds no model files"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, manifest: str | None, says: str) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(ModelError, match=says):
        selftest(tmp_path)
