"""A bundle is whole or absent, and nothing of the user's is lost on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hcr_export import onnx as onnx_format
from hcr_export._keras import keras
from hcr_export.artifacts import Limits, choose
from hcr_export.bundle import ArtifactError, export_bundle
from hcr_export.contents import add_reports
from hcr_export.keras_file import KerasFile, load_keras, save_keras
from hcr_export.manifest import BundleError, read_manifest
from hcr_export.parity_report import ParityReport
from hcr_export.plan import Border, Plan, plan
from hcr_export.whole_folder import whole_folder
from hcr_runtime import ImageError, ModelSpec, SpecError

Export = Callable[..., ParityReport]
Tree = Callable[[Path], dict[str, str]]


@pytest.fixture
def export(source: KerasFile, drawn, calibration) -> Export:
    """Export the small model as float32 ONNX alone, the quickest."""

    def run(out: Path, **options: object) -> ParityReport:
        arguments = {
            "source": source,
            "plan": plan(choose(["float32.onnx"])),
            "calibration": calibration,
            "images": drawn,
            "golden": drawn.images[:2],
            **options,
        }
        return export_bundle(out=out, **arguments)

    return run


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make measuring raise: by then the artifacts are converted and written."""

    def fail_with(error: BaseException) -> None:
        def measure(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("hcr_export.bundle.measure", measure)

    return fail_with


FAILURES = [
    RuntimeError("a bug"),
    ImageError("an image"),
    OSError(28, "No space left on device"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_failing_export_leaves_nothing(
    error: BaseException, export: Export, failing, tmp_path: Path
) -> None:
    failing(error)
    expected = BundleError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        export(tmp_path / "made" / "for" / "it" / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_failing_overwrite_keeps_the_old_bundle(
    error: BaseException, bundle, export: Export, failing, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle.path, out)
    failing(error)
    with pytest.raises((Exception, KeyboardInterrupt)):
        export(out, overwrite=True)
    assert tree(out) == tree(bundle.path)
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]


def test_failing_leaves_parents_that_were_there(export: Export, failing, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    failing(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "mine" / "new" / "bundle")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_a_converter_that_fails_is_named(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*_: object) -> None:
        raise ValueError("operator Foo\nand fifty lines more")

    monkeypatch.setattr("hcr_export.onnx.convert", convert)
    with pytest.raises(BundleError, match=r"^float32\.onnx cannot be made: operator Foo; name"):
        export(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def gelu(spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> KerasFile:
    """A network with an operator that TensorFlow Lite Micro lacks."""
    pytest.importorskip("tflite_micro")
    layers = keras.layers
    flat = [layers.Conv2D(4, 5, strides=4, activation="gelu"), layers.Flatten()]
    model = keras.Sequential([keras.Input((32, 32, 1)), *flat, layers.Dense(len(spec.labels))])
    path = tmp_path_factory.mktemp("gelu") / "tiny.keras"
    save_keras(model, spec, path)
    return load_keras(path)


def test_what_a_target_alone_asks_for_may_be_left_out(
    export: Export, gelu: KerasFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = plan(choose(["int8.tflite", "int8.c"]), targets=["microcontroller"])
    report = export(tmp_path / "bundle", source=gelu, plan=asked, limits=Limits(100, 0))
    assert [item.kind for item in report.artifacts] == ["int8.tflite"]
    assert "left out: int8.c cannot be made: TensorFlow Lite Micro cannot run" in caplog.text
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest["left_out"].keys() == {"int8.c"}
    assert {path.suffix for path in (tmp_path / "bundle").glob("tiny-*")} == {".tflite"}


def test_loops_are_left_out_where_they_cannot_be_quantized(
    export: Export, spec: ModelSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """TensorFlow's calibration of such a network would end the process."""
    layers = keras.layers
    rows = [layers.Reshape((32, 32)), layers.GRU(4), layers.Dense(len(spec.labels))]
    path = tmp_path / "tiny.keras"
    save_keras(keras.Sequential([keras.Input((32, 32, 1)), *rows]), spec, path)
    kinds = ["float32.tflite", "int8.tflite", "float32.onnx", "int8.onnx"]
    report = export(
        tmp_path / "bundle", source=load_keras(path), plan=plan(choose(kinds)), limits=None
    )
    assert [item.kind for item in report.artifacts] == ["float32.tflite", "float32.onnx"]
    assert caplog.text.count("cannot") >= 2
    assert caplog.text.count("(of recurrent layers: unroll=True)") == 2
    named = plan(choose(kinds), named=["int8.tflite"])
    with pytest.raises(ArtifactError, match=r"int8\.tflite cannot be made: .* loops"):
        export(tmp_path / "other", source=load_keras(path), plan=named)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "asked",
    [
        plan(choose(["int8.tflite", "int8.c"]), targets=["microcontroller"], named=["int8.c"]),
        plan(choose(["int8.c"]), targets=["microcontroller"]),  # nothing else would be left
    ],
)
def test_what_was_named_is_not_left_out(
    asked: Plan, export: Export, gelu: KerasFile, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"^int8\.c cannot be made: .*--artifact"):
        export(tmp_path / "bundle", source=gelu, plan=asked)
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_refused_without_overwrite(
    bundle, export: Export, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle.path, out)
    with pytest.raises(BundleError, match="exists") as caught:
        export(out)
    assert "--overwrite" in caught.value.hint
    assert tree(out) == tree(bundle.path)


def test_overwrite_replaces_a_bundle_wholly(bundle, export: Export, tmp_path: Path) -> None:
    """Nothing of the old one stays: five of its artifacts are not in the new one."""
    out = tmp_path / "bundle"
    shutil.copytree(bundle.path, out)
    export(out, overwrite=True)
    kinds = [item["kind"] for item in read_manifest(out)["files"] if item["role"] == "artifact"]
    assert kinds == ["float32.onnx"]
    assert len(list(out.glob("tiny-*"))) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_made_meanwhile_is_not_lost(tmp_path: Path, overwrite: bool) -> None:
    """Exporting takes minutes; what appears at `out` in that time is no bundle to be replaced."""
    out = tmp_path / "bundle"

    def write() -> None:
        with whole_folder(out, overwrite) as folder:
            (folder / "manifest.json").write_text("{}", encoding="utf-8")
            out.mkdir()
            (out / "thesis.txt").write_text("years of work", encoding="utf-8")

    with pytest.raises(BundleError):
        write()
    assert (out / "thesis.txt").read_text(encoding="utf-8") == "years of work"
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]


def test_empty_folder_is_used_with_overwrite(export: Export, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    out.mkdir()
    export(out, overwrite=True)
    assert read_manifest(out)["model"] == "tiny"


def _documents(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")


def _web_application(out: Path) -> None:
    """Its manifest.json is the W3C's, not ours."""
    out.mkdir()
    (out / "manifest.json").write_text(json.dumps({"name": "shop"}), encoding="utf-8")
    (out / "index.html").write_text("<html>", encoding="utf-8")


def _plain_file(out: Path) -> None:
    out.write_text("a file", encoding="utf-8")


@pytest.mark.parametrize("make", [_documents, _web_application, _plain_file])
def test_overwrite_leaves_what_is_no_bundle(
    make: Callable[[Path], None], export: Export, tmp_path: Path, tree: Tree
) -> None:
    make(tmp_path / "mine")
    before = tree(tmp_path)
    with pytest.raises(BundleError, match="is no bundle"):
        export(tmp_path / "mine", overwrite=True)
    assert tree(tmp_path) == before


def test_a_link_to_nowhere_is_in_the_way(export: Export, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for overwrite in (False, True):
        with pytest.raises(BundleError):
            export(tmp_path / "link", overwrite=overwrite)
    assert (tmp_path / "link").is_symlink()


def test_a_report_that_cannot_take_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "matrix.md").mkdir()
    with pytest.raises(BundleError, match="cannot write into"):
        add_reports(tmp_path, {"matrix.md": b"| engine |"})
    assert [item.name for item in tmp_path.iterdir()] == ["matrix.md"]


@pytest.mark.parametrize("below", ["bundle", "deeper/bundle"])
def test_a_file_where_a_folder_is_needed(below: str, export: Export, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(BundleError, match="cannot write"):
        export(tmp_path / "file" / below)
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_file_system_that_takes_no_folders(export: Export) -> None:
    with pytest.raises(BundleError, match="cannot write /proc/bundle"):
        export(Path("/proc/bundle"))


def test_old_bundle_survives_when_the_new_one_cannot_take_its_place(
    bundle, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle.path, out)
    rename = Path.rename

    def failing_rename(self: Path, target: Path) -> Path:
        if Path(target) == out and (self / "new").exists():
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing_rename)

    def write() -> None:
        with whole_folder(out, overwrite=True) as folder:
            (folder / "new").write_text("x", encoding="utf-8")

    with pytest.raises(BundleError, match="cannot write"):
        write()
    assert tree(out) == tree(bundle.path)
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]


def test_relative_path(export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export(Path("build/../bundle"))
    assert [item.name for item in tmp_path.iterdir()] == ["bundle"]
    assert read_manifest(tmp_path / "bundle")["model"] == "tiny"


def test_failed_parity_still_writes_the_bundle(
    source: KerasFile, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report in it says why; the exit code is the caller's."""
    convert, good = onnx_format.convert, source.model.get_weights()
    worse = [weight.copy() for weight in good]
    worse[-1][0] = -1000.0  # the bias of the first letter

    def damaging(wanted: KerasFile, border: Border) -> object:
        wanted.model.set_weights(worse)
        try:
            return convert(wanted, border)
        finally:
            wanted.model.set_weights(good)

    monkeypatch.setattr(onnx_format, "convert", damaging)
    report = export(tmp_path / "bundle")
    assert not report.passed
    document = json.loads((tmp_path / "bundle" / "parity.json").read_text(encoding="utf-8"))
    assert document["passed"] is False
    assert document["artifacts"][0]["lost"][0]["label"] == source.spec.labels[0].text


@pytest.mark.parametrize("name", ["../../escape", "a/b", ""])
def test_model_name_cannot_leave_the_bundle(name: str, source: KerasFile) -> None:
    """Files are called after the model; a name out of a stranger's file is not a path."""
    with pytest.raises(SpecError, match="name"):
        replace(source.spec, name=name)
