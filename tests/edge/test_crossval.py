from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hcr_edge.crossval import write_summary
from hcr_export.statistics import wilson_interval


def _result(correct: int, total: int) -> dict[str, Any]:
    test = {"accuracy": correct / total, "correct": correct, "total": total}
    return {"name": "m", "dataset": "ahcd", "test": test}


def test_summary_counts_letters_not_folds(tmp_path: Path) -> None:
    """A small fold must not weigh as much as a large one."""
    summary = write_summary(tmp_path, [_result(90, 100), _result(10, 20)])
    assert summary["accuracy"] == pytest.approx(100 / 120)
    assert (summary["correct"], summary["total"], summary["folds"]) == (100, 120, 2)
    assert (summary["lowest"], summary["highest"]) == (0.5, 0.9)
    assert summary["interval"] == list(wilson_interval(100, 120))
    assert json.loads((tmp_path / "crossval.json").read_text(encoding="utf-8")) == summary
