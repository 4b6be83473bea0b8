"""What a bundle holds, and what verifying one finds."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcr_export import artifacts
from hcr_export.artifacts import Limits
from hcr_export.bundle import CalibrationImages, export_bundle, verify_bundle
from hcr_export.conversion import open_artifact
from hcr_export.keras_file import file_sha256, load_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.manifest import BundleError, read_manifest
from hcr_export.plan import plan
from hcr_export.targets import installed
from hcr_runtime import Classifier, HcrError
from hcr_runtime.golden import check_golden
from hcr_runtime.integrity import bundle_file

KINDS = installed(artifacts.KINDS)
# Those that the runtime on a device loads.
LOADED = [kind for kind in KINDS if kind.format in ("tflite", "onnx", "ort")]
IDS = [kind.name for kind in KINDS]
ONE = [kind for kind in artifacts.KINDS if kind.format in ("tflite", "onnx", "ort")]


@pytest.fixture
def copy(bundle, tmp_path: Path) -> Path:
    """A bundle to be damaged."""
    return Path(shutil.copytree(bundle.path, tmp_path / "tiny"))


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_artifact_names_itself(kind, bundle, calibration) -> None:
    """From the file alone, as a device has it."""
    spec = open_artifact(bundle.path / kind.file_name("tiny")).spec
    source = bundle.source.spec
    assert (spec.labels, spec.temperature, spec.output) == (source.labels, 1.3, "logits")
    assert spec.preprocess == source.preprocess
    provenance = spec.provenance
    assert provenance.source_sha256 == file_sha256(bundle.source.path)
    engine = {"litert": "ai-edge-litert", "tflite-micro": "TensorFlow Lite Micro"}
    assert provenance.min_engine.startswith(engine.get(kind.engine, kind.engine))
    assert provenance.quantization.startswith(f"{kind.quantization}: ")
    # Only files whose activations have a fixed range depend on calibration images.
    expected = calibration.description if kind.quantization in ("int8", "int16x8") else ""
    assert provenance.calibration == expected
    assert provenance.figures == source.provenance.figures
    assert provenance.versions.keys() >= {"keras", "tensorflow", "onnx", "onnxruntime", "hcr-edge"}


@pytest.mark.parametrize("kind", ONE, ids=lambda kind: kind.name)
def test_bundle_of_one_artifact_is_loaded(kind, tmp_path: Path) -> None:
    """Whatever the kind that a search over them left."""
    files = [{"file": "one", "role": "artifact", "kind": kind.name, "sha256": ""}]
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 1, "files": files}))
    assert bundle_file(tmp_path, kind.engine) == (tmp_path / "one", "")


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_artifact_reads(kind, bundle, drawn: LabelledImages) -> None:
    classifier = Classifier(open_artifact(bundle.path / kind.file_name("tiny")))
    answers = [prediction.label for prediction in classifier.classify_batch(drawn.images)]
    texts = [bundle.source.spec.texts[index] for index in drawn.labels]
    assert sum(a == t for a, t in zip(answers, texts, strict=True)) >= 0.9 * len(texts)


@pytest.mark.parametrize("kind", LOADED, ids=lambda kind: kind.name)
def test_golden_vectors_pass(kind, bundle) -> None:
    result = check_golden(bundle.path / "golden", bundle.path / kind.file_name("tiny"))
    assert result.cases == result.exact_tensors == 14
    assert result.failures == ()


def test_sizes_fall_with_the_bits(bundle) -> None:
    size = {item.kind: item.bytes for item in bundle.report.artifacts}
    assert size["float16.tflite"] < 0.75 * size["float32.tflite"]
    for smaller in ("int8.tflite", "dynamic-int8.tflite"):
        assert size[smaller] < 0.6 * size["float32.tflite"]
    assert size["int8.onnx"] < size["float16.onnx"] < 0.75 * size["float32.onnx"]
    # In flash, not as C text.
    assert size["int8.c"] < size["int8.tflite"]


def test_manifest_lists_every_file(bundle) -> None:
    manifest = read_manifest(bundle.path)
    assert (manifest["schema_version"], manifest["model"]) == (1, "tiny")
    on_disk = {
        path.relative_to(bundle.path).as_posix()
        for path in bundle.path.rglob("*")
        if path.is_file()
    }
    listed = {item["file"]: item for item in manifest["files"]}
    assert listed.keys() == on_disk - {"manifest.json"}
    for name, item in listed.items():
        data = (bundle.path / name).read_bytes()
        if item["role"] == "parity report":
            # It holds measured times, and is written again by `verify`.
            assert item.keys() == {"file", "role"}
            continue
        assert item["bytes"] == len(data)
        assert item["sha256"] == hashlib.sha256(data).hexdigest()
    roles = {name: item["role"] for name, item in listed.items() if "golden/" not in name}
    # There only where an artifact and Keras disagree.
    assert roles.pop("disagreements.png", "parity report") == "parity report"
    assert roles == {
        "tiny.keras": "keras source",
        "labels.txt": "labels",
        "MODEL_CARD.md": "model card",
        "parity.json": "parity report",
        "parity.md": "parity report",
        "quantization.yaml": "quantization recipe",
        "images.json": "images",
        **{part: "artifact part" for kind in KINDS for part in kind.part_names("tiny")},
        **{kind.file_name("tiny"): "artifact" for kind in KINDS},
    }
    golden = {item["role"] for name, item in listed.items() if name.startswith("golden/")}
    assert golden == {"golden vector"}
    for kind in KINDS:
        item = listed[kind.file_name("tiny")]
        assert (item["kind"], item["engine"], item["quantization"]) == (
            *(kind.name, kind.engine, kind.quantization),
        )
        spec = open_artifact(bundle.path / item["file"]).spec
        assert item["min_engine"] == spec.provenance.min_engine
        assert spec.provenance.quantization == f"{kind.quantization}: {item['description']}"


def test_labels_are_in_the_order_of_the_outputs(bundle) -> None:
    lines = (bundle.path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(lines) == bundle.source.spec.texts


def test_reports_are_the_report(bundle) -> None:
    document = json.loads((bundle.path / "parity.json").read_text(encoding="utf-8"))
    assert document == json.loads(json.dumps(bundle.report.to_dict()))
    text = (bundle.path / "parity.md").read_text(encoding="utf-8")
    assert text == bundle.report.to_markdown()
    assert [item["kind"] for item in document["artifacts"]] == IDS


def test_keras_source_is_in_the_bundle(bundle) -> None:
    assert load_keras(bundle.path / "tiny.keras").sha256 == bundle.source.sha256


def test_nothing_in_the_bundle_names_this_machine(bundle) -> None:
    """A bundle is given to others: no path, no user."""
    home = str(bundle.source.path.parent).encode()
    for path in bundle.path.rglob("*"):
        if path.is_file():
            assert home not in path.read_bytes(), path.name


def test_model_card_says_what_a_user_must_know(bundle) -> None:
    text = (bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    for needed in ("# tiny", "28 classes", "Apache-2.0", "drawn letters | 50.00%", "36 images"):
        assert needed in text
    assert "no measure of accuracy" in text, "the images were drawn by a program"


def test_verify_measures_again_and_keeps_the_bundle_whole(
    copy: Path, drawn: LabelledImages
) -> None:
    few = LabelledImages("the first 30 images", drawn.images[:30], drawn.labels[:30])
    report = verify_bundle(copy, few, limits=Limits(max_drop=100, min_agreement=0))
    assert report.total == 30
    document = json.loads((copy / "parity.json").read_text(encoding="utf-8"))
    assert document["images"]["description"] == "the first 30 images"
    assert "the first 30 images" in (copy / "parity.md").read_text(encoding="utf-8")
    # The manifest knows the new reports: the bundle verifies once more.
    again = verify_bundle(copy, few, limits=Limits(max_drop=100, min_agreement=0))
    assert [item.correct for item in again.artifacts] == [item.correct for item in report.artifacts]


def test_the_same_input_gives_the_same_bytes(
    bundle, drawn: LabelledImages, calibration: CalibrationImages, tmp_path: Path
) -> None:
    """All but the two reports, which hold measured times, and ORT files: onnxruntime writes some of
    their tables in the order of a hash.
    """
    again = tmp_path / "again"
    export_bundle(
        bundle.source,
        again,
        plan=plan(KINDS),
        calibration=calibration,
        images=drawn,
        golden=drawn.images[::6],
    )
    for path in sorted(bundle.path.rglob("*")):
        name = path.relative_to(bundle.path)
        if (
            path.is_file()
            and path.suffix not in UNSETTLED
            and path.stem not in ("parity", "manifest")
        ):
            assert (again / name).read_bytes() == path.read_bytes(), name
    assert _settled(again) == _settled(bundle.path)
    first, second = (_without_times(folder / "parity.json") for folder in (bundle.path, again))
    assert first == second


UNSETTLED = (".ort",)


def _settled(bundle: Path) -> Any:
    manifest = read_manifest(bundle)
    for item in manifest["files"]:
        if item["file"].endswith(UNSETTLED):
            del item["sha256"], item["bytes"]
    return manifest


def _without_times(path: Path) -> Any:
    report = json.loads(path.read_text(encoding="utf-8"))
    del report["advice"]
    for item in report["artifacts"]:
        del item["latency_us"]
    return report


def test_verify_finds_missing_and_altered_files(
    copy: Path, drawn: LabelledImages, tree: Callable[[Path], dict[str, str]]
) -> None:
    (copy / "labels.txt").unlink()
    model = copy / "tiny-int8.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1  # one bit
    model.write_bytes(data)
    before = tree(copy)
    with pytest.raises(BundleError) as caught:
        verify_bundle(copy, drawn)
    assert "labels.txt is missing" in str(caught.value)
    assert "tiny-int8.onnx was altered" in str(caught.value)
    assert tree(copy) == before


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda manifest: {name: value for name, value in manifest.items() if name != key}


def _with_file(**entry: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda manifest: {**manifest, "files": [*manifest["files"], entry]}


def _no_source(manifest: dict[str, Any]) -> dict[str, Any]:
    files = [item for item in manifest["files"] if item["role"] != "keras source"]
    return {**manifest, "files": files}


@pytest.mark.parametrize(
    "damage",
    [
        _without("schema_version"),
        _without("model"),
        _without("files"),
        lambda manifest: {**manifest, "schema_version": 2},  # a later version
        lambda manifest: {**manifest, "model": 7},
        lambda manifest: {**manifest, "files": "tiny.keras"},
        lambda manifest: {**manifest, "files": [None]},
        lambda manifest: [manifest],
        lambda manifest: None,
        _no_source,
        _with_file(role="artifact", sha256="", kind="int8.onnx"),  # a file without a name
        _with_file(file="x", sha256="", role="artifact", kind="int4.onnx"),  # an unknown kind
        _with_file(file="x", sha256="", role=["artifact"]),
        _with_file(file=None, sha256="", role="other"),
        _with_file(file="../outside", sha256="", role="other"),
    ],
)
def test_damaged_manifest(
    damage: Callable[[dict[str, Any]], Any], copy: Path, drawn: LabelledImages
) -> None:
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(damage(manifest)), encoding="utf-8")
    with pytest.raises(BundleError):
        verify_bundle(copy, drawn)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"schema_version": 1, "mod',  # cut short
        b"\xff\xfe\x00",  # no UTF-8
        b"[" * 100_000,  # nested beyond what the parser follows
    ],
)
def test_manifest_that_is_no_json(data: bytes, copy: Path, drawn: LabelledImages) -> None:
    (copy / "manifest.json").write_bytes(data)
    with pytest.raises(BundleError):
        verify_bundle(copy, drawn)


def test_manifest_of_another_model_name(copy: Path, drawn: LabelledImages) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"tiny"', '"other"'), encoding="utf-8")
    with pytest.raises(HcrError):
        verify_bundle(copy, drawn)


@pytest.mark.parametrize("name", ["absent", "empty", "file"])
def test_no_bundle(name: str, tmp_path: Path, drawn: LabelledImages) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no bundle", encoding="utf-8")
    with pytest.raises(BundleError, match="is no bundle") as caught:
        verify_bundle(tmp_path / name, drawn)
    assert "hcr-edge export" in caught.value.hint
