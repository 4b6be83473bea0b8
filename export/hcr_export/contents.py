"""What a bundle on disk holds, for measurements that are made on it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hcr_export.artifacts import KINDS, Kind
from hcr_export.manifest import BundleError, check_files, read_manifest, record_reports
from hcr_runtime import ModelError, ModelSpec
from hcr_runtime.carrier import read_zip_spec


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file for an engine."""

    kind: Kind
    path: Path


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
    files = {i.get("kind"): i["file"] for i in manifest["files"] if i["role"] == "artifact"}
    artifacts = tuple(
        Artifact(kind, folder / files[kind.name]) for kind in KINDS if kind.name in files
    )
    if not artifacts:
        raise ModelError(f"{folder} holds no artifacts")
    (source,) = (item["file"] for item in manifest["files"] if item["role"] == "keras source")
    return Contents(folder, read_zip_spec(folder / source), folder / source, artifacts)


def add_reports(folder: Path, reports: Mapping[str, bytes]) -> None:
    """Write reports, name and bytes of each, into a bundle, and record them in its manifest.

    Raises:
        BundleError: They cannot be written.
    """
    try:
        for name, data in reports.items():
            partial = folder / f".{name}"
            partial.write_bytes(data)
            partial.replace(folder / name)
        record_reports(folder, tuple(reports))
    except OSError as error:
        raise BundleError(f"cannot write into {folder}: {error.strerror or error}") from error
