"""Proves a bundle on this machine, without a data set and without Keras.

Every file is checked against the manifest's checksum, ``labels.txt`` against the labels inside the
models, and every model that an engine here can run against the golden vectors: from the bytes of
an image to the label that the exporter saw. A device needs not all of a bundle: what is not there
is skipped, and so is a model whose engine is not installed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hcr_runtime.engines import SUFFIXES, open_engine
from hcr_runtime.errors import EngineError, ModelError
from hcr_runtime.golden import GoldenResult, check_golden
from hcr_runtime.integrity import REWRITTEN, manifest_files

_LABELS = "labels.txt"


def selftest(bundle: Path) -> tuple[GoldenResult, ...]:
    """Check a bundle.

    Returns:
        One result for each model file, then one for each other file that is missing or altered.

    Raises:
        ModelError: `bundle` is none, or holds no model file.
        SpecError: A model file has no valid description inside.
        EngineError: No engine here runs any of the models.
    """
    entries = manifest_files(bundle)
    models = [entry for entry in entries if entry["role"] == "artifact"]
    if not any((bundle / entry["file"]).is_file() for entry in models):
        raise ModelError(f"{bundle} holds no model files", allowed="a bundle")
    others = [entry for entry in entries if entry["role"] not in ("artifact", *REWRITTEN)]
    checked = [_check_file(bundle, entry) for entry in others]
    results = [_check_model(bundle, entry) for entry in models]
    if all(result.skipped for result in results):
        raise EngineError(
            f"no model of {bundle} can be run here",
            hint="; ".join(f"{result.file}: {result.skipped}" for result in results),
        )
    return (*results, *(result for result in checked if result.failures))


def _check_file(bundle: Path, entry: dict[str, Any]) -> GoldenResult:
    path = bundle / entry["file"]
    if not path.is_file():
        needed = entry["role"] in ("labels", "golden vector")
        return _result(entry, ("is missing",) if needed else ())
    if _sha256(path) != entry["sha256"]:
        return _result(entry, ("was altered: its checksum is another",))
    return _result(entry)


def _check_model(bundle: Path, entry: dict[str, Any]) -> GoldenResult:
    path = bundle / entry["file"]
    if not path.is_file():
        return _result(entry, skipped="not on this machine")
    if (found := _check_file(bundle, entry)).failures:
        return found
    if path.suffix not in SUFFIXES:
        return _result(entry, skipped=f"no engine of the runtime reads {path.suffix}")
    try:
        spec = open_engine(path).spec
    except EngineError as error:
        return _result(entry, skipped=str(error))
    result = check_golden(bundle / "golden", path)
    labels = bundle / _LABELS
    if labels.is_file() and labels.read_text(encoding="utf-8").split("\n")[:-1] != list(spec.texts):
        failure = f"{_LABELS} names other labels than the model"
        return GoldenResult(
            result.file, result.cases, result.exact_tensors, (*result.failures, failure)
        )
    return result


def _result(
    entry: dict[str, Any], failures: tuple[str, ...] = (), skipped: str = ""
) -> GoldenResult:
    return GoldenResult(entry["file"], 0, 0, failures, skipped)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
