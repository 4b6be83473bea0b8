"""What a bundle on disk holds, for measurements that are made on it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hcr_export.artifacts import KINDS, Kind
from hcr_export.manifest import (
    BundleError,
    check_files,
    read_manifest,
    record_reports,
    replace_file,
)
from hcr_runtime import ModelError, ModelSpec
from hcr_runtime.carrier import read_zip_spec


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file for an engine.

    Attributes:
        kind: What it is.
        path: Where it lies.
        sha256: Its checksum.
        batch: Images that it takes at a time; None for any number.
    """

    kind: Kind
    path: Path
    sha256: str
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """A bundle's model files.

    Attributes:
        folder: The bundle.
        spec: The model's description.
        source: The Keras file.
        artifacts: In the order of `KINDS`.
    """

    folder: Path
    spec: ModelSpec
    source: Path
    artifacts: tuple[Artifact, ...]


def read_contents(folder: Path) -> Contents:
    """Read what the bundle `folder` holds; its files are checked against their checksums.

    Raises:
        BundleError: It is no bundle, or a file in it is missing or altered.
        ModelError: It holds no artifacts.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    entries = {item["kind"]: item for item in manifest["files"] if item["role"] == "artifact"}
    artifacts = tuple(
        _artifact(folder, kind, entries[kind.name]) for kind in KINDS if kind.name in entries
    )
    if not artifacts:
        raise ModelError(f"{folder} holds no artifacts")
    (source,) = (item["file"] for item in manifest["files"] if item["role"] == "keras source")
    return Contents(folder, read_zip_spec(folder / source), folder / source, artifacts)


def _artifact(folder: Path, kind: Kind, entry: Mapping[str, Any]) -> Artifact:
    # LiteRT gives its files another batch; those of other engines have theirs for good.
    batch = None if kind.format in ("tflite", "c") else entry.get("input", {}).get("batch")
    return Artifact(kind, folder / entry["file"], entry["sha256"], batch)


def add_reports(folder: Path, reports: Mapping[str, bytes]) -> None:
    """Write reports, name and bytes of each, into a bundle, and record them in its manifest.

    Raises:
        BundleError: They cannot be written.
    """
    try:
        for name, data in reports.items():
            replace_file(folder / name, data)
        record_reports(folder, tuple(reports))
    except OSError as error:
        raise BundleError(f"cannot write into {folder}: {error.strerror or error}") from error
