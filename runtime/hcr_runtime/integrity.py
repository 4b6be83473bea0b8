"""Whether a model file is the one that was meant: checksums, manifests, signatures."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from hcr_runtime.arguments import received
from hcr_runtime.errors import EngineError, ModelError

SIGNATURE_SUFFIX = ".sig"
MANIFEST, MANIFEST_VERSION = "manifest.json", 1
# Roles of files that are written again after the export, and so have no checksum.
REWRITTEN = ("parity report", "report")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# Of the artifacts in a bundle, the first of its engine that is there.
_PREFERRED = {
    "onnxruntime": (
        "int8.onnx",
        "dynamic-int8.onnx",
        "float32.onnx",
        "int8.ort",
        "float32.ort",
        "float16.onnx",
    ),
    "litert": (
        "int8.tflite",
        "dynamic-int8.tflite",
        "float32.tflite",
        "float16.tflite",
        "int16x8.tflite",
    ),
    "opencv": ("float32.onnx",),
}


def check_sha256(data: bytes, expected: str, name: str) -> None:
    """Raise `ModelError` unless `data` has the SHA-256 `expected` (hexadecimal, either case)."""
    import hashlib  # loads OpenSSL, which nobody needs who asks for no checksum

    if not isinstance(expected, str) or not _SHA256.fullmatch(expected.strip()):
        raise ModelError(
            f"the SHA-256 is given as {received(expected)}", allowed="64 hexadecimal digits"
        )
    found = hashlib.sha256(data).hexdigest()
    if found != expected.strip().lower():
        raise ModelError(
            f"{name} has the SHA-256 {found}",
            allowed=expected,
            hint="it was altered, or another file is meant",
        )


def bundle_file(folder: Path, engine: str) -> tuple[Path, str]:
    """Return the file of a bundle that `engine` shall run, and its SHA-256 in the manifest.

    Raises:
        ModelError: `folder` is no bundle, its manifest is damaged, or it has no such file.
    """
    kinds = {item["kind"]: item for item in manifest_files(folder) if item["role"] == "artifact"}
    item = next((kinds[kind] for kind in _PREFERRED[engine] if kind in kinds), None)
    if item is None:
        raise ModelError(
            f"the bundle {folder} holds nothing for {engine}",
            allowed=f"one of {', '.join(_PREFERRED[engine])}",
            hint=f"it holds {', '.join(kinds) or 'no artifacts'}",
        )
    return folder / item["file"], item["sha256"]


def manifest_files(folder: Path) -> list[dict[str, Any]]:
    """Return what a bundle's manifest says of its files, none of which lies outside.

    Raises:
        ModelError: `folder` is no bundle, or its manifest is malformed or of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["schema_version"] != MANIFEST_VERSION:
            raise ValueError(f"of schema version {received(manifest['schema_version'])}")
        files: list[dict[str, Any]] = manifest["files"]
        for item in files:
            artifact, name = item["role"] == "artifact", item["file"]
            needed = ["role", "file"] + ["sha256"] * (item["role"] not in REWRITTEN)
            if not all(isinstance(item[field], str) for field in needed + ["kind"] * artifact):
                raise ValueError(f"{name!r} is not described")
            # Artifacts lie beside the manifest.
            beside = Path(name).name == name or not artifact
            if not (name and beside) or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} lies outside")
    except OSError as error:
        raise ModelError(
            f"{folder} is no bundle (no {MANIFEST})", hint="'hcr-edge export' makes one"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({error})", hint="export the model again") from error
    return files


def check_signature(data: bytes, path: Path, public_key: str | os.PathLike[str] | bytes) -> None:
    """Verify the Ed25519 signature (RFC 8032) that lies beside a model file, ``FILE.sig``.

    Args:
        data: The model file's bytes.
        path: Its path; the signature of 64 bytes lies beside it.
        public_key: PEM (SubjectPublicKeyInfo, RFC 8410): the path of a file, or its bytes.

    Raises:
        ModelError: The signature is missing or not of this file and key, or the key is none.
        EngineError: The package ``cryptography`` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise EngineError(
            "verifying a signature needs the package cryptography",
            hint="install 'hcr-edge-runtime[signature]'",
        ) from error
    if not isinstance(public_key, str | os.PathLike | bytes):
        raise ModelError(
            f"public_key is {received(public_key)}", allowed="a path, or the bytes of a PEM file"
        )
    signature = path.with_name(path.name + SIGNATURE_SUFFIX)
    try:
        pem = public_key if isinstance(public_key, bytes) else Path(public_key).read_bytes()
        signed = signature.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {error.filename}: {error.strerror}",
            hint="'hcr-edge sign' writes the signature beside the model file",
        ) from error
    except (ValueError, TypeError) as error:  # no path: a zero byte, or a path of bytes
        raise ModelError(f"public_key is {received(public_key)}", allowed="a path") from error
    try:
        key = load_pem_public_key(pem)
    except Exception as error:
        raise ModelError("the public key is no PEM", allowed="a PEM file of Ed25519") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"the public key is {type(key).__name__}", allowed="Ed25519")
    try:
        key.verify(signed, data)
    except InvalidSignature as error:
        raise ModelError(
            f"{path.name} is not what was signed with this key",
            hint="it was altered, or signed by someone else",
        ) from error
