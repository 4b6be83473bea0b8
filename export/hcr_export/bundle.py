"""The bundle: a folder with every artifact and the proof, written whole or not at all."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxslim
from numpy.typing import NDArray

from hcr_export import conversion
from hcr_export._keras import keras
from hcr_export._tensorflow import tf, tf2onnx
from hcr_export.artifacts import EXACT, KINDS, Kind, Limits, UnsupportedError
from hcr_export.conversion import Conversion, Facts
from hcr_export.disagreements import draw_disagreements
from hcr_export.image_manifest import apart, describe_images
from hcr_export.keras_file import KerasFile, load_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.manifest import (
    IMAGES_FILE,
    RECIPE_FILE,
    BundleError,
    check_files,
    read_manifest,
    replace_file,
    write_manifest,
)
from hcr_export.model_card import model_card
from hcr_export.parity import measure
from hcr_export.parity_report import SHEET, ParityReport
from hcr_export.plan import Plan, Planned
from hcr_export.plan import plan as make_plan
from hcr_export.quantization import QuantizationError
from hcr_export.whole_folder import whole_folder
from hcr_runtime import ModelSpec, __version__, preprocess
from hcr_runtime.engines import SUFFIXES
from hcr_runtime.golden import write_golden

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


class ArtifactError(BundleError):
    """An artifact that a network cannot become, because its engine lacks an operator, say."""


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
        ArtifactError: An artifact cannot be made that may not be left out (`Plan.may_lack`).
    """
    calibration, images = _disjoint(calibration, images)
    with whole_folder(out, overwrite) as folder:
        name = source.spec.name
        keras_file = folder / f"{name}.keras"
        shutil.copyfile(source.path, keras_file)
        tensors = np.stack([preprocess(image, source.spec) for image in calibration.images])
        job = Conversion(source, tensors)
        plan, facts = _convert_all(job, plan or make_plan(), calibration, folder, progress)
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
        write_manifest(folder, source.spec, plan, facts)
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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _convert_all(
    job: Conversion, plan: Plan, calibration: CalibrationImages, folder: Path, progress: Progress
) -> tuple[Plan, dict[str, Facts]]:
    """Write every artifact; return the plan as far as it was possible, and facts by file name."""
    name = job.source.spec.name
    facts: dict[str, Facts] = {}
    for item in plan.artifacts:
        progress(f"converting to {item.kind.name}")
        path = folder / item.kind.file_name(name)
        try:
            facts[path.name] = _convert(
                job, item, _artifact_spec(job.source, item, calibration), path
            )
        except ArtifactError as error:
            plan = plan.without(item.kind, error.message)
            known = isinstance(error.__cause__, UnsupportedError)
            if not plan.artifacts or not plan.may_lack(item.kind, known):
                raise
            log.warning("left out: %s", error.message)
            for part in (path.name, *item.kind.part_names(name)):
                (folder / part).unlink(missing_ok=True)
    return plan, facts


def _convert(job: Conversion, planned: Planned, spec: ModelSpec, path: Path) -> Facts:
    fails = f"{planned.kind.name} cannot be made"
    try:
        return conversion.write(job, planned, spec, path)
    except QuantizationError as error:  # the recipe's fault, not the network's
        raise BundleError(
            f"{fails}: {error.message}", allowed=error.allowed, hint=error.hint
        ) from error
    except OSError as error:
        raise BundleError(f"{fails}: {_first_line(error)}") from error
    except Exception as error:  # converters raise whatever their native code does
        raise ArtifactError(
            f"{fails}: {_first_line(error)}",
            hint="name those that you want with --artifact, without this one",
        ) from error


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
        replace_file(folder / name, text.encode())
    if report.disagreements:
        replace_file(folder / SHEET, draw_disagreements(report.disagreements))
    else:
        (folder / SHEET).unlink(missing_ok=True)
