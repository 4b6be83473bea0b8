"""What an earlier report holds that a new one of the same things did not measure again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hcr_export.artifacts import KINDS
from hcr_export.benchmark import RIVALS, Benchmark, Speed
from hcr_export.contents import Contents
from hcr_export.engines import engines
from hcr_export.keras_file import file_sha256
from hcr_export.matrix import Answer, Cell, EngineMatrix, Native

# What has to be the same, so that measurements may stand side by side.
_SAME = ("images", "machine", "threads")
_NUMBER = int | float


def read_report(path: Path) -> Mapping[str, Any] | None:
    """Read a report in JSON; None where there is none, or no whole one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def with_earlier_cells(
    matrix: EngineMatrix, document: Mapping[str, Any], contents: Contents
) -> EngineMatrix | None:
    """Add the cells of an earlier report on files that the bundle still holds.

    Args:
        matrix: What was measured now; its cells win, but for those of engines that are not here.
        document: The earlier report.
        contents: The bundle.

    Returns:
        None where the report is of other images, another machine or other threads, or damaged.
    """
    if not _same(matrix.to_dict(), document):
        return None
    present = _checksums(contents)
    missing = {engine.name: engine.missing for engine in engines() if engine.missing}
    cells = {
        (cell.engine, cell.kind): cell
        for cell in matrix.cells
        if cell.answer or cell.words != missing.get(cell.engine)
    }
    try:
        for entry in document["cells"]:
            if present.get(entry["file"]) == entry["sha256"]:
                cells.setdefault((entry["engine"], entry["kind"]), _cell(entry))
    except (KeyError, TypeError, AttributeError):
        return None
    for cell in matrix.cells:
        cells.setdefault((cell.engine, cell.kind), cell)
    order = ["keras", *(engine.name for engine in engines())]
    kinds = ["keras", *(kind.name for kind in KINDS)]
    if not all(engine in order and kind in kinds for engine, kind in cells):
        return None
    places = sorted(cells, key=lambda name: (order.index(name[0]), kinds.index(name[1])))
    return replace(matrix, cells=tuple(cells[place] for place in places))


def with_earlier_subjects(
    benchmark: Benchmark, document: Mapping[str, Any], contents: Contents
) -> Benchmark | None:
    """Add the subjects of an earlier benchmark, with the ratios of its own run.

    Args:
        benchmark: What was timed now; its subjects win.
        document: The earlier report.
        contents: The bundle.

    Returns:
        None where the report is of other images, another machine or other threads, or damaged.
    """
    if not _same(benchmark.to_dict(), document):
        return None
    present = {*_checksums(contents).values(), None}
    speeds = {speed.name: speed for speed in benchmark.speeds}
    try:
        for entry in document["subjects"]:
            if entry["sha256"] in present and entry["name"] not in benchmark.skipped:
                speeds.setdefault(entry["name"], _speed(entry))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    order = [*(kind.name for kind in KINDS), *RIVALS]
    if not all(name in order for name in speeds):
        return None
    return replace(
        benchmark, speeds=tuple(sorted(speeds.values(), key=lambda s: order.index(s.name)))
    )


def _same(new: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether two reports are of one kind, and of the same images on the same machine."""
    return all(new[key] == document.get(key) for key in ("schema_version", "model", *_SAME))


def _checksums(contents: Contents) -> dict[str, str]:
    source = {contents.source.name: file_sha256(contents.source)}
    return {item.path.name: item.sha256 for item in contents.artifacts} | source


def _speed(entry: Mapping[str, Any]) -> Speed:
    latency = {int(size): _numbers(shares) for size, shares in entry["latency_us"].items()}
    for shares in latency.values():
        _check(shares, p50=_NUMBER, p95=_NUMBER, p99=_NUMBER)
    _check(
        entry,
        name=str,
        engine=str,
        bytes=int | None,
        accuracy=_NUMBER,
        throughput=_NUMBER,
        load_ms=_NUMBER | None,
        memory_bytes=int | None,
        times_as_fast=dict,
    )
    ratios = _numbers(entry["times_as_fast"])
    return Speed(**{**entry, "latency_us": latency, "times_as_fast": ratios})


def _cell(entry: Mapping[str, Any]) -> Cell:
    _check(entry, engine=str, emulated=bool, kind=str, file=str, sha256=str, words=str, runs=bool)
    name = {key: entry[key] for key in ("engine", "emulated", "kind", "file", "sha256", "words")}
    if not entry["runs"]:
        return Cell(**name, answer=None)
    measured = {field.name: entry[field.name] for field in fields(Answer)}
    _check(
        measured,
        version=str,
        correct=int,
        accuracy=_NUMBER,
        drop=_NUMBER,
        agreement=_NUMBER,
        max_difference=_NUMBER | None,
        latency_us=dict | None,
        load_ms=_NUMBER,
        memory_bytes=int | None,
        native=dict | None,
        failures=list,
    )
    measured["failures"] = tuple(str(failure) for failure in measured["failures"])
    if measured["max_difference"] is None:
        measured["max_difference"] = float("nan")
    if measured["latency_us"] is not None:
        _check(_numbers(measured["latency_us"]), p50=_NUMBER, p95=_NUMBER)
    if measured["native"] is not None:
        _check(measured["native"], version=str, changed=int, max_difference=_NUMBER, differing=int)
        measured["native"] = Native(**measured["native"])
    return Cell(**name, answer=Answer(**measured))


def _check(entry: Mapping[str, Any], **kinds: Any) -> None:
    """Raise `TypeError` where a value is of another kind, `KeyError` where it is missing."""
    for name, kind in kinds.items():
        if not isinstance(entry[name], kind):
            raise TypeError(f"{name} is {entry[name]!r}")


def _numbers(entry: Mapping[str, Any]) -> Mapping[str, float]:
    _check(entry, **dict.fromkeys(entry, _NUMBER))
    return entry
