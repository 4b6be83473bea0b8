"""A bundle's ``manifest.json``: what each file is, and its checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hcr_export.artifacts import KINDS
from hcr_export.conversion import Facts
from hcr_export.keras_file import file_sha256
from hcr_export.parity_report import SHEET
from hcr_export.plan import Plan, Planned
from hcr_runtime import HcrError, ModelSpec, __version__

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


class BundleError(HcrError):
    """A bundle that exists already, cannot be written, or is not whole."""


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


def write_manifest(folder: Path, spec: ModelSpec, plan: Plan, facts: dict[str, Facts]) -> None:
    """Write the manifest of all files in `folder`.

    Args:
        folder: The bundle, complete but for its manifest.
        spec: The model's description.
        plan: Which artifacts were made, and why.
        facts: What is to be said of each artifact, by its file's name.
    """
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
        "left_out": dict(plan.left_out),
        "files": files,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    replace_file(folder / "manifest.json", text.encode())


def record_reports(folder: Path, names: Sequence[str]) -> None:
    """Record in a bundle's manifest the reports `names` that were written into it."""
    manifest = read_manifest(folder)
    known = {item["file"] for item in manifest["files"]}
    manifest["files"] += [{"file": name, "role": REPORT} for name in names if name not in known]
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    replace_file(folder / "manifest.json", text.encode())


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


def replace_file(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    partial = path.with_name(f".{path.name}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
