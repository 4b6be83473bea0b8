"""The bundle: a folder with every artifact and the proof, written whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxslim
from numpy.typing import NDArray

from hcr_export import conversion
from hcr_export._keras import keras
from hcr_export._tensorflow import tf, tf2onnx
from hcr_export.artifacts import EXACT, KINDS, Kind, Limits
from hcr_export.conversion import Conversion, Facts
from hcr_export.disagreements import draw_disagreements
from hcr_export.image_manifest import apart, describe_images
from hcr_export.keras_file import KerasFile, file_sha256, load_keras
from hcr_export.model_card import model_card
from hcr_export.parity import SHEET, LabelledImages, ParityReport, measure
from hcr_export.plan import Plan, Planned
from hcr_export.plan import plan as make_plan
from hcr_runtime import HcrError, ModelError, ModelSpec, __version__, preprocess
from hcr_runtime.engines import SUFFIXES
from hcr_runtime.golden import write_golden

MANIFEST_VERSION = 1
# The roles whose files hold measured times, and are written again after the export: the manifest
# has no checksums of them, so that the same input gives the same bundle but for them.
PARITY_REPORT = "parity report"
REPORT = "report"
MEASURED = (PARITY_REPORT, REPORT)
RECIPE_FILE = "quantization.yaml"
IMAGES_FILE = "images.json"
# What the manifest says of every other file.
_ENTRY = ("file", "role", "sha256")

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


class BundleError(HcrError):
    """A bundle that exists already, cannot be written, or is not whole."""


@dataclass(frozen=True)
class CalibrationImages:
    """Images from which the quantization learns the range of each activation.

    Attributes:
        description: Which images these are, for the report.
        images: The bytes of image files.
        labels: int64 of shape (N,): index of each image's class, -1 where unknown; or None.
        writers: int64 of shape (N,): who wrote each, -1 where unknown; or None.
    """

    description: str
    images: Sequence[bytes]
    labels: NDArray[np.int64] | None = None
    writers: NDArray[np.int64] | None = None


def export_bundle(
    source: KerasFile,
    out: Path,
    *,
    plan: Plan | None = None,
    calibration: CalibrationImages,
    images: LabelledImages,
    golden: Sequence[bytes],
    limits: Limits | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> ParityReport:
    """Convert a model, measure every artifact, and write the bundle `out`.

    The bundle is written also when an artifact exceeds its limits: its report says why.

    Args:
        source: The Keras classifier.
        out: The folder to make.
        plan: Which artifacts, and how; the usual ones if None.
        calibration: For the integer ones.
        images: What parity is measured on.
        golden: The bytes of PNG files for the golden vectors.
        limits: For all artifacts but the float32 ones; the defaults of `Limits` if None.
        overwrite: Replace a bundle that is there.
        progress: Is told what is being done.

    Raises:
        BundleError: `out` exists, or cannot be written.
    """
    calibration, images = _disjoint(calibration, images)
    with whole_folder(out, overwrite) as folder:
        name = source.spec.name
        keras_file = folder / f"{name}.keras"
        shutil.copyfile(source.path, keras_file)
        tensors = np.stack([preprocess(image, source.spec) for image in calibration.images])
        plan = plan or make_plan()
        job = Conversion(source, tensors)
        facts: dict[str, Facts] = {}
        for item in plan.artifacts:
            progress(f"converting to {item.kind.name}")
            spec = _artifact_spec(source, item, calibration)
            path = folder / item.kind.file_name(name)
            facts[path.name] = _convert(job, item, spec, path)
        measurable = _measurable(folder, name, plan.kinds, limits)
        report = measure(source, measurable, images, lambda what: progress(f"measuring {what}"))
        progress("writing the golden vectors")
        paths = {path.name: path for _, path, _ in measurable if path.suffix in SUFFIXES}
        write_golden(folder / "golden", source.spec, golden, paths)
        (folder / "labels.txt").write_text(
            "".join(f"{text}\n" for text in source.spec.texts), encoding="utf-8"
        )
        (folder / "MODEL_CARD.md").write_text(
            model_card(source.spec, report, calibration.description), encoding="utf-8"
        )
        write_report(folder, report)
        _write_images(folder, source.spec, calibration, images)
        text = plan.recipe.to_yaml(plan.remarks)
        (folder / RECIPE_FILE).write_text(text, encoding="utf-8")
        _write_manifest(folder, source.spec, plan, facts)
    return report


def _disjoint(
    calibration: CalibrationImages, images: LabelledImages
) -> tuple[CalibrationImages, LabelledImages]:
    """Leave out of the calibration what judges too; where nothing is left, say so in the report."""
    kept = apart(calibration.images, images.images)
    shared = len(calibration.images) - len(kept)
    if not shared:
        return calibration, images
    if not kept:
        log.warning("all images that calibrate int8 judge it too: give other ones to calibrate")
        return calibration, replace(
            images, description=f"{images.description}, which calibrated int8 too"
        )
    log.warning("%d images that are to judge int8 do not calibrate it", shared)
    labels, writers = calibration.labels, calibration.writers
    left = CalibrationImages(
        f"{calibration.description}, without {shared} that judge",
        [calibration.images[place] for place in kept],
        None if labels is None else labels[kept],
        None if writers is None else writers[kept],
    )
    return left, images


def _write_images(
    folder: Path, spec: ModelSpec, calibration: CalibrationImages, images: LabelledImages
) -> None:
    """Write ``images.json``: which images calibrated, and which judged."""
    listing = {"schema_version": 1} | {
        what: describe_images(part.description, part.images, spec, part.labels, part.writers)
        for what, part in (("calibration", calibration), ("parity", images))
    }
    text = json.dumps(listing, indent=1, ensure_ascii=False) + "\n"
    (folder / IMAGES_FILE).write_text(text, encoding="utf-8")


def verify_bundle(
    bundle: Path,
    images: LabelledImages,
    *,
    limits: Limits | None = None,
    allow_unsafe: bool = False,
    progress: Progress = lambda _: None,
) -> ParityReport:
    """Measure a bundle's artifacts again and rewrite its ``parity.json`` and ``parity.md``.

    A report on synthetic images does not replace one on real images.

    Args:
        bundle: The folder.
        images: What parity is measured on.
        limits: As for `export_bundle`.
        allow_unsafe: Execute code that the Keras source carries.
        progress: Is told what is being done.

    Raises:
        BundleError: `bundle` is no bundle, a file in it is missing or altered, or the reports
            cannot be written.
    """
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    known = {kind.name: kind for kind in KINDS}
    roles = {item["file"]: item for item in manifest["files"]}
    kinds = [known[item["kind"]] for item in roles.values() if item["role"] == "artifact"]
    source_name = next(name for name, item in roles.items() if item["role"] == "keras source")
    progress("loading Keras")
    source = load_keras(bundle / source_name, allow_unsafe)
    measurable = _measurable(bundle, manifest["model"], kinds, limits)
    report = measure(source, measurable, images, lambda what: progress(f"measuring {what}"))
    if report.synthetic and _has_real_report(bundle):
        log.warning("the bundle keeps its report on real images; this one is not written into it")
        return report
    try:
        write_report(bundle, report)
    except OSError as error:
        raise BundleError(f"cannot write into {bundle}: {error.strerror or error}") from error
    return report


def _has_real_report(bundle: Path) -> bool:
    try:
        report = json.loads((bundle / "parity.json").read_text(encoding="utf-8"))
        return not report["images"]["synthetic"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_manifest(bundle: Path) -> dict[str, Any]:
    """Read a bundle's ``manifest.json``; raises `BundleError` when there is none."""
    path = bundle / "manifest.json"
    damaged = BundleError(f"{path} is damaged", hint="export the model again")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"{bundle} is no bundle (no manifest.json)", hint="'hcr-edge export' makes one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise damaged
    if manifest.get("schema_version") != MANIFEST_VERSION:
        raise BundleError(f"{path} was made by another version", hint="export the model again")
    known = {kind.name for kind in KINDS}
    for item in manifest["files"]:
        fields = item if isinstance(item, dict) else {}
        needed = ("file", "role") if fields.get("role") in MEASURED else _ENTRY
        texts = [fields.get(name) for name in needed]
        if not all(isinstance(text, str) for text in texts) or not _is_inside(fields["file"]):
            raise damaged
        if fields["role"] == "artifact" and fields.get("kind") not in known:
            raise damaged
    roles = [item["role"] for item in manifest["files"]]
    if not isinstance(manifest.get("model"), str) or roles.count("keras source") != 1:
        raise damaged
    return manifest


def _is_inside(name: str) -> bool:
    """Whether a file's name in a manifest stays inside the bundle."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


@contextmanager
def whole_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes `out` on success and vanishes otherwise.

    Raises:
        BundleError: `out` exists and may not be replaced, or its parent cannot be written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link at `out`
    check_out(out, overwrite)
    made: list[Path] = []
    try:
        for parent in reversed([out.parent, *out.parent.parents]):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        _remove_empty(made)
        raise BundleError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        folder = partial / out.name
        folder.mkdir()
        yield folder
        _put_in_place(folder, out, partial / "replaced", overwrite)
        made.clear()
    except OSError as error:
        raise BundleError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(made)


def _put_in_place(folder: Path, out: Path, replaced: Path, overwrite: bool) -> None:
    """Rename `folder` to `out`; what was there goes to `replaced`, or stays if that fails."""
    check_out(out, overwrite)
    try:
        if out.exists():
            out.rename(replaced)
        folder.rename(out)
    except BaseException:
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        raise


def check_out(out: Path, overwrite: bool) -> None:
    """Raise `BundleError` when `out` is in the way of a bundle."""
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise BundleError(f"{out} exists", hint="give --overwrite to replace it")
    # Only what a bundle is, or an empty folder, is replaced: never somebody's home.
    try:
        if not out.is_dir() or any(out.iterdir()):
            read_manifest(out)
    except BundleError as error:
        raise BundleError(f"{out} exists and is no bundle", hint="choose another folder") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _remove_empty(made: list[Path]) -> None:
    for parent in reversed(made):
        try:
            parent.rmdir()
        except OSError:
            return


def _convert(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    try:
        return conversion.write(job, planned, spec, path)
    except HcrError:
        raise
    except Exception as error:  # converters raise whatever their native code does
        raise BundleError(f"{planned.kind.name} cannot be made: {_first_line(error)}") from error


def _artifact_spec(
    source: KerasFile, planned: Planned, calibration: CalibrationImages
) -> ModelSpec:
    modules = {
        "keras": keras,
        "tensorflow": tf,
        "tf2onnx": tf2onnx,
        "onnx": onnx,
        "onnxslim": onnxslim,
        "onnxruntime": onnxruntime,
    }
    versions = {
        **source.spec.provenance.versions,
        **{name: str(module.__version__) for name, module in modules.items()},
        "hcr-edge": __version__,
    }
    provenance = replace(
        source.spec.provenance,
        source_sha256=source.sha256,
        versions=versions,
        quantization=f"{planned.kind.quantization}: {planned.description}",
        calibration=calibration.description if planned.kind.calibrated else "",
    )
    shape = planned.input_spec(source.spec.input)
    return replace(source.spec, input=shape, provenance=provenance)


def _measurable(
    folder: Path, name: str, kinds: Sequence[Kind], limits: Limits | None
) -> list[tuple[Kind, Path, Limits]]:
    quantized = limits or Limits()
    return [
        (
            kind,
            folder / kind.file_name(name),
            EXACT if kind.quantization == "float32" else quantized,
        )
        for kind in kinds
    ]


def write_report(folder: Path, report: ParityReport) -> None:
    """Write ``parity.json``, ``parity.md`` and its picture into `folder`, each atomically."""
    texts = {
        "parity.json": json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n",
        "parity.md": report.to_markdown(),
    }
    for name, text in texts.items():
        _write_text(folder / name, text)
    if report.disagreements:
        _write_bytes(folder / SHEET, draw_disagreements(report.disagreements))
    else:
        (folder / SHEET).unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode())


def _write_bytes(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(data)
    partial.replace(path)


def _write_manifest(folder: Path, spec: ModelSpec, plan: Plan, facts: dict[str, Facts]) -> None:
    artifacts = {item.kind.file_name(spec.name): item for item in plan.artifacts}
    parts = {part for item in plan.artifacts for part in item.kind.part_names(spec.name)}
    files = []
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == "manifest.json":
            continue
        entry: dict[str, Any] = {
            "file": name,
            "role": _role(name, spec.name, artifacts, parts),
        }
        if entry["role"] != PARITY_REPORT:
            entry |= {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        if name in artifacts:
            entry |= _artifact_entry(artifacts[name], spec.name) | facts[name]
            entry["reason"] = plan.reasons.get(artifacts[name].kind.name, "")
        files.append(entry)
    manifest = {
        "schema_version": MANIFEST_VERSION,
        "model": spec.name,
        "hcr_edge": __version__,
        "targets": list(plan.targets),
        "files": files,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    _write_text(folder / "manifest.json", text)


def record_reports(folder: Path, names: Sequence[str]) -> None:
    """Record in a bundle's manifest the reports `names` that were written into it."""
    manifest = read_manifest(folder)
    known = {item["file"] for item in manifest["files"]}
    manifest["files"] += [{"file": name, "role": REPORT} for name in names if name not in known]
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    _write_text(folder / "manifest.json", text)


def _artifact_entry(planned: Planned, model: str) -> dict[str, Any]:
    kind, border = planned.kind, planned.border
    return {
        "kind": kind.name,
        "engine": kind.engine,
        "quantization": kind.quantization,
        "description": planned.description,
        "input": {
            "dtype": planned.integers if planned.full_integer else border.dtype,
            "layout": border.layout,
            "batch": border.batch,
        },
        "parts": list(kind.part_names(model)),
    }


def _role(name: str, model: str, artifacts: Mapping[str, object], parts: set[str]) -> str:
    if name in artifacts:
        return "artifact"
    if name in parts:
        return "artifact part"
    if name.startswith("golden/"):
        return "golden vector"
    roles = {
        f"{model}.keras": "keras source",
        "labels.txt": "labels",
        "MODEL_CARD.md": "model card",
        "parity.json": PARITY_REPORT,
        "parity.md": PARITY_REPORT,
        SHEET: PARITY_REPORT,
        RECIPE_FILE: "quantization recipe",
        IMAGES_FILE: "images",
    }
    return roles.get(name, "other")


def check_files(bundle: Path, manifest: dict[str, Any]) -> None:
    """Raise `BundleError` when a file that the export wrote is missing or altered."""
    wrong = []
    for item in manifest["files"]:
        path = bundle / item["file"]
        if item["role"] in MEASURED:
            continue
        if not path.is_file():
            wrong.append(f"{item['file']} is missing")
        elif file_sha256(path) != item["sha256"]:
            wrong.append(f"{item['file']} was altered")
    if wrong:
        raise BundleError(
            f"{bundle} is not whole: {', '.join(wrong[:4])}"
            + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""),
            hint="export the model again",
        )


def keras_source(bundle: Path) -> Path:
    """The Keras file in a bundle, whose description every artifact has, whatever runs it.

    Raises:
        BundleError: `bundle` is no bundle.
    """
    files = read_manifest(bundle)["files"]
    return bundle / next(item["file"] for item in files if item["role"] == "keras source")


def artifact_files(bundle: Path) -> dict[str, Path]:
    """Kind and file of each artifact in a bundle, e.g. ``int8.onnx``.

    Raises:
        BundleError: `bundle` is no bundle.
        ModelError: It holds no artifacts.
    """
    manifest = read_manifest(bundle)
    files = {
        item["kind"]: bundle / item["file"]
        for item in manifest["files"]
        if item["role"] == "artifact"
    }
    if not files:
        raise ModelError(f"{bundle} holds no artifacts")
    return files
