"""Accuracy on unseen writers, from runs whose test sets are fifths of the writers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hcr_edge.recipe import Recipe
from hcr_export.statistics import wilson_interval


def finished_result(recipe: Recipe, folder: Path) -> dict[str, Any] | None:
    """Return the result of the run in `folder` when it is finished and of this recipe."""
    stored, result = folder / "recipe.yaml", folder / "result.json"
    if not result.is_file() or stored.read_text(encoding="utf-8") != recipe.to_yaml():
        return None
    return dict(json.loads(result.read_text(encoding="utf-8")))


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
    (out / "crossval.json").write_text(
        json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return summary
