from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hcr_edge.checkpoints
import hcr_runtime.models
from hcr_edge.checkpoints import find_checkpoint
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import load_recipe
from hcr_edge.shipping import ship
from hcr_export.keras_file import load_keras
from hcr_export.parity import measure
from hcr_export.parity_report import ParityReport
from hcr_runtime import Classifier

NAME = "arabic-letters"
# Folds learn without teachers, who may have seen their writers.
FOLD: dict[str, Any] = {"protocol": "writers", "fold": 1, "teachers": (), "distill": 0.0}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the two packages' folders, each with what shipped before."""
    for module, file in (
        (hcr_edge.checkpoints, f"{NAME}.keras"),
        (hcr_runtime.models, f"{NAME}.onnx"),
    ):
        folder = tmp_path / module.__name__
        folder.mkdir()
        (folder / file).write_bytes(b"what shipped before")
        monkeypatch.setattr(module, "__file__", str(folder / "__init__.py"))
    return tmp_path


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Path]:
    """A run folder and a cross-validation."""
    folder, crossval = tmp_path / "run", tmp_path / "crossval"
    folder.mkdir()
    crossval.mkdir()
    shutil.copyfile(find_checkpoint(NAME), folder / "model.keras")
    summary = {"dataset": "ahcd", "folds": 5, "accuracy": 0.4321}
    (crossval / "crossval.json").write_text(json.dumps(summary), encoding="utf-8")
    for where, changes in ((folder, {}), (crossval / "fold-1", FOLD)):
        where.mkdir(exist_ok=True)
        recipe = load_recipe("arabic-letters", **changes)
        (where / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    return folder, crossval


def test_ships_a_pair_that_belongs_together(run: tuple[Path, Path], packages: Path) -> None:
    checkpoint, model = ship(*run, dataset="samples")
    assert checkpoint == packages / "hcr_edge.checkpoints" / f"{NAME}.keras"
    assert model == packages / "hcr_runtime.models" / f"{NAME}.onnx"
    source, shipped = load_keras(checkpoint), Classifier.load(model)
    assert shipped.spec.provenance.source_sha256 == source.sha256
    assert 0.4321 in source.spec.provenance.figures.values()
    assert shipped.spec.provenance.figures == source.spec.provenance.figures
    assert shipped.spec.provenance.quantization.startswith("int8")


def test_what_fails_parity_does_not_ship(
    run: tuple[Path, Path], packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither file: the old pair stays together."""

    def failing(*arguments: object, **options: object) -> ParityReport:
        report = measure(*arguments, **options)
        worse = replace(report.artifacts[0], failures=("made to fail",))
        return replace(report, artifacts=(worse,))

    monkeypatch.setattr("hcr_export.bundle.measure", failing)
    with pytest.raises(RecipeError, match="fails parity"):
        ship(*run, dataset="samples")
    for path in packages.glob("hcr_*/*"):
        assert path.read_bytes() == b"what shipped before", path.name


def test_figures_of_another_recipe_are_refused(run: tuple[Path, Path], packages: Path) -> None:
    folder, crossval = run
    recipe = load_recipe("arabic-letters", epochs=3, **FOLD)
    (crossval / "fold-1" / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    with pytest.raises(RecipeError, match="one recipe"):
        ship(folder, crossval, dataset="samples")
