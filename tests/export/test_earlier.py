"""What an earlier report adds to a new one, and what it does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hcr_export.benchmark import Benchmark, Speed
from hcr_export.contents import Contents
from hcr_export.earlier import with_earlier_cells, with_earlier_subjects
from hcr_export.engines import engines
from hcr_export.keras_file import file_sha256
from hcr_export.machine import this_machine
from hcr_export.matrix import Answer, Cell, EngineMatrix
from hcr_export.matrix_report import to_markdown

IMAGES = {"description": "28 letters", "total": 28, "synthetic": True, "labelled": True}
TIMES = {"p50": 200.0, "p95": 250.0}
ANSWER = Answer("1.0", 27, 0.96, 0.0, 1.0, 1e-6, TIMES, 20.0, 10_000_000, None, ())


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    source = tmp_path / "m.keras"
    source.write_bytes(b"a model")
    files = [
        SimpleNamespace(path=tmp_path / f"m-{kind}", sha256=kind)
        for kind in ("float32.onnx", "int8.onnx")
    ]
    return SimpleNamespace(source=source, artifacts=files)  # type: ignore[return-value]


def _stored(report: EngineMatrix | Benchmark) -> dict[str, Any]:
    """What a reader finds in the report's file."""
    return dict(json.loads(json.dumps(report.to_dict())))


def _matrix(contents: Contents, *cells: Cell) -> EngineMatrix:
    source = contents.source
    keras = Cell("keras", False, "keras", source.name, file_sha256(source), ANSWER)
    return EngineMatrix("m", IMAGES, this_machine(), 1, (keras, *cells))


def _cell(engine: str, kind: str, answer: Answer | None = ANSWER, words: str = "") -> Cell:
    return Cell(engine, False, kind, f"m-{kind}", kind, answer, words)


def test_a_new_cell_wins_and_others_stay(contents: Contents) -> None:
    early = _matrix(contents, _cell("onnxruntime", "int8.onnx"), _cell("opencv", "float32.onnx"))
    slower = replace(ANSWER, load_ms=99.0)
    new = _matrix(contents, _cell("onnxruntime", "int8.onnx", slower))
    joined = with_earlier_cells(new, _stored(early), contents)
    assert joined is not None
    assert joined.cells == (*new.cells, early.cells[2])
    assert "| opencv |  | 100.00% |" in to_markdown(joined)


def test_a_file_that_changed_is_forgotten(contents: Contents) -> None:
    early = _matrix(contents, replace(_cell("opencv", "float32.onnx"), sha256="another"))
    new = _matrix(contents, _cell("onnxruntime", "int8.onnx"))
    assert with_earlier_cells(new, _stored(early), contents) == new


def test_an_engine_that_is_not_here_takes_nothing_away(contents: Contents) -> None:
    absent = next(engine for engine in engines() if engine.missing)
    measured, refused = (
        _matrix(contents, _cell(absent.name, "int8.onnx", answer, words))
        for answer, words in ((ANSWER, ""), (None, "Assertion failed"))
    )
    not_here = _matrix(contents, _cell(absent.name, "int8.onnx", None, absent.missing))
    assert with_earlier_cells(not_here, _stored(measured), contents) == measured
    assert with_earlier_cells(refused, _stored(measured), contents) == refused
    nothing = _matrix(contents)
    assert with_earlier_cells(not_here, _stored(nothing), contents) == not_here


@pytest.mark.parametrize("key", ["images", "threads", "machine", "model", "schema_version"])
def test_a_report_of_something_else_is_none(contents: Contents, key: str) -> None:
    new = _matrix(contents, _cell("onnxruntime", "int8.onnx"))
    assert with_earlier_cells(new, {**_stored(new), key: "other"}, contents) is None


def _set(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry.__setitem__(name, value)


@pytest.mark.parametrize(
    "damage",
    [
        _set("accuracy", None),
        _set("latency_us", {}),
        _set("latency_us", {"p50": "fast", "p95": 1}),
        _set("words", None),
        _set("max_difference", "x"),
        _set("native", {"version": 3}),
        _set("failures", None),
        _set("engine", ["opencv"]),
        _set("engine", "no engine"),
        lambda entry: entry.pop("sha256"),
        lambda entry: entry.pop("correct"),
    ],
)
def test_a_damaged_cell_makes_no_report(
    contents: Contents, damage: Callable[[dict[str, Any]], None]
) -> None:
    early = _stored(_matrix(contents, _cell("opencv", "float32.onnx")))
    new = _matrix(contents, _cell("onnxruntime", "int8.onnx"))
    assert with_earlier_cells(new, copy.deepcopy(early), contents) is not None
    damage(early["cells"][1])
    assert with_earlier_cells(new, early, contents) is None
    assert with_earlier_cells(new, {**early, "cells": 5}, contents) is None


def _speed(name: str) -> Speed:
    times = {size: {**TIMES, "p99": 300.0} for size in (1, 8)}
    ratios = {"keras": 200.0}
    return Speed(name, "onnxruntime 1", 9000, 0.96, times, 4000.0, 20.0, 10_000_000, ratios, name)


def _benchmark(*speeds: Speed, **skipped: str) -> Benchmark:
    return Benchmark("m", IMAGES, this_machine(), 1, speeds, skipped)


def test_earlier_subjects_stay(contents: Contents) -> None:
    early = _benchmark(_speed("float32.onnx"), _speed("int8.onnx"))
    new = _benchmark(_speed("int8.onnx"))
    joined = with_earlier_subjects(new, _stored(early), contents)
    assert joined is not None
    assert [speed.name for speed in joined.speeds] == ["float32.onnx", "int8.onnx"]
    assert joined.speeds[0] == early.speeds[0]


def test_a_subject_that_does_not_run_any_more_is_not_kept(contents: Contents) -> None:
    early = _stored(_benchmark(_speed("float32.onnx")))
    new = _benchmark(_speed("int8.onnx"), **{"float32.onnx": "died of SIGSEGV"})
    assert with_earlier_subjects(new, early, contents) == new


@pytest.mark.parametrize(
    "damage",
    [
        _set("accuracy", None),
        _set("throughput", "many"),
        _set("latency_us", {"1": {"p50": 3}}),
        _set("times_as_fast", {"keras": "twice"}),
        _set("unknown", 1),
        _set("name", "nothing"),
    ],
)
def test_a_damaged_subject_makes_no_report(
    contents: Contents, damage: Callable[[dict[str, Any]], None]
) -> None:
    early = _stored(_benchmark(_speed("float32.onnx")))
    new = _benchmark(_speed("int8.onnx"))
    damage(early["subjects"][0])
    assert with_earlier_subjects(new, early, contents) is None
