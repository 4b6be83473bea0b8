"""Accuracy on unseen writers, from runs whose test sets are fifths of the writers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hcr_edge.whole_file import write_json
from hcr_export.statistics import wilson_interval


def write_summary(out: Path, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the folds' test results and write them to ``crossval.json`` in `out`."""
    tests = [result["test"] for result in results]
    correct = sum(test["correct"] for test in tests)
    total = sum(test["total"] for test in tests)
    shares = [test["accuracy"] for test in tests]
    summary = {
        "name": results[0]["name"],
        "dataset": results[0]["dataset"],
        "folds": len(results),
        "accuracy": correct / total,
        "correct": correct,
        "total": total,
        "interval": list(wilson_interval(correct, total)),
        "lowest": min(shares),
        "highest": max(shares),
        "per_fold": tests,
    }
    write_json(out / "crossval.json", summary)
    return summary
