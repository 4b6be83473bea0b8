"""The search for the smallest artifact within the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hcr_export.artifacts import Limits, choose
from hcr_export.conversion import Conversion
from hcr_export.labelled_images import LabelledImages
from hcr_export.plan import Border
from hcr_export.quantization import QuantizationError
from hcr_export.search import RECIPES, Search, Trial
from hcr_runtime import preprocess

GENEROUS = Limits(max_drop=100.0, min_agreement=0.0)


@pytest.fixture(scope="module")
def job(source, calibration) -> Conversion:
    images = [preprocess(image, source.spec) for image in calibration.images]
    return Conversion(source, np.stack(images))


@pytest.fixture
def search(job: Conversion, drawn: LabelledImages):
    def make(limits: Limits) -> Search:
        return Search(job, Border(), drawn, limits)

    return make


def test_takes_the_smallest_that_passes(search) -> None:
    found = search(GENEROUS)
    winner = found.smallest(choose(["int8.onnx", "int8.tflite", "float32.onnx"]))
    assert winner.bytes == min(trial.bytes for trial in found.trials)
    tried = [
        (t.recipe.granularity, t.recipe.calibration) for t in found.trials if "onnx" in t.kind.name
    ]
    assert tried == [(recipe.granularity, recipe.calibration) for recipe in RECIPES]
    assert not any(trial.kind.name == "float32.onnx" for trial in found.trials), "int8 passed"


def test_goes_on_to_larger_kinds_where_no_integer_passes(search, monkeypatch) -> None:
    """As if every integer file lost a point."""
    found = search(Limits(max_drop=0.0, min_agreement=1.0))
    honest = found._try

    def worse(kind, recipe) -> Trial:
        trial = honest(kind, recipe)
        if kind.quantization != "float16":
            trial = replace(trial, drop=1.0, failures=("1.00 points of accuracy lost",))
        found.trials[-1] = trial
        return trial

    monkeypatch.setattr(found, "_try", worse)
    assert found.smallest(choose(["int8.tflite", "float16.onnx", "float16.tflite"])).kind.name in (
        "float16.onnx",
        "float16.tflite",
    )


def test_excludes_layers_until_it_passes(search, monkeypatch) -> None:
    """As if only a file with two layers in float32 were good enough."""
    found = search(Limits(max_drop=0.0, min_agreement=1.0))
    honest = found._try

    def strict(kind, recipe) -> Trial:
        trial = honest(kind, recipe)
        failures = () if len(recipe.exclude) == 2 else ("0.50 points of accuracy lost",)
        found.trials[-1] = trial = replace(trial, failures=failures)
        return trial

    monkeypatch.setattr(found, "_try", strict)
    winner = found.smallest(choose(["int8.onnx"]))
    excluded = [trial.recipe.exclude for trial in found.trials[len(RECIPES) :]]
    assert [len(layers) for layers in excluded] == [1, 2]
    assert winner.recipe.exclude == excluded[1]
    assert set(excluded[0]) < set(excluded[1]) < {"conv_1", "conv_2", "gemm_1"}
    assert winner.bytes > found.trials[0].bytes, "layers in float32 take more"
    assert "without" in winner.line


def test_says_what_came_nearest_where_nothing_passes(search) -> None:
    # More can be gained than all: no file can.
    found = search(Limits(max_drop=-100.0))
    with pytest.raises(QuantizationError, match="no artifact is within the limits; the nearest is"):
        found.smallest(choose(["int8.tflite"]))
