"""Puts a trained model in place: ``python -m hcr_edge.shipping RUN [CROSSVAL]``.

The run's Keras file becomes the checkpoint that the package ships, with the figures on unseen
writers beside the official ones; its int8 ONNX becomes the model inside the runtime.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import hcr_edge.checkpoints
import hcr_runtime.models
from hcr_edge.datasets import load_samples
from hcr_edge.errors import RecipeError
from hcr_edge.proof_images import calibration_images, parity_images
from hcr_edge.recipe import FOLDS, load_recipe
from hcr_export.artifacts import choose
from hcr_export.bundle import export_bundle
from hcr_export.keras_file import load_keras, save_keras
from hcr_export.plan import plan
from hcr_runtime import HcrError, ModelSpec

# What calibrates a model, where it is not all that trained it: so small a network is nearer to
# float32 on AHCD's training letters, whose test it is held to, with those alone (an image's
# probabilities are off by 0.0037 instead of 0.0041).
CALIBRATES = {"arabic-letters-nano": "ahcd"}


def ship(run: Path, crossval: Path | None = None, dataset: str | None = None) -> list[Path]:
    """Copy a run's model into the packages; return the files that were written.

    Args:
        run: A finished run folder.
        crossval: The folder that ``hcr-edge crossval`` made with the same recipe.
        dataset: What calibrates int8 (but see `CALIBRATES`), and on what it must pass parity; the
            recipe's by default.

    Raises:
        RecipeError: The int8 model fails parity, or the recipes differ.
    """
    folds = [] if crossval is None else sorted(crossval.glob("fold-*"))
    recipes = {_without_split(path) for path in (run, *folds)}
    if len(recipes) != 1:
        raise RecipeError(f"{run} and {crossval} were not trained with one recipe")
    dataset = dataset or load_recipe(run / "recipe.yaml").dataset
    checkpoints = Path(hcr_edge.checkpoints.__file__).parent
    trained = load_keras(run / "model.keras")
    name = trained.spec.name
    golden = load_samples("test").limit(len(trained.spec.labels))
    order = plan(choose(["int8.onnx"]))
    with tempfile.TemporaryDirectory(prefix="hcr-edge-") as folder:
        source_file = Path(folder) / f"{name}.keras"
        save_keras(trained.model, _with_crossval(trained.spec, crossval), source_file)
        source = load_keras(source_file)
        bundle = Path(folder) / name
        report = export_bundle(
            source,
            bundle,
            plan=order,
            calibration=calibration_images(CALIBRATES.get(name, dataset), None, source.spec),
            images=parity_images(dataset, "test", None, source.spec),
            golden=[golden.encoded(i) for i in range(len(golden))],
        )
        if not report.passed:
            raise RecipeError(f"{name}: the int8 model fails parity\n{report.to_markdown()}")
        checkpoint = checkpoints / source_file.name
        model = Path(hcr_runtime.models.__file__).parent / f"{name}.onnx"
        pairs = ((source_file, checkpoint), (bundle / order.kinds[0].file_name(name), model))
        partial = [target.with_name(f".{target.name}.partial") for _, target in pairs]
        # Both are written before either replaces what shipped before.
        for (made, _), beside in zip(pairs, partial, strict=True):
            shutil.copyfile(made, beside)
        for (_, target), beside in zip(pairs, partial, strict=True):
            beside.replace(target)
    return [checkpoint, model]


def _without_split(run: Path) -> str:
    """The recipe of a run, but for which writers it was tested on, and for its teachers.

    Teachers saw the writers on whom folds are tested, so that folds learn without.
    """
    plain = load_recipe(run / "recipe.yaml", protocol="official", fold=0, teachers=(), distill=0.0)
    return plain.to_yaml()


def _with_crossval(spec: ModelSpec, crossval: Path | None) -> ModelSpec:
    if crossval is None:
        return spec
    summary = json.loads((crossval / "crossval.json").read_text(encoding="utf-8"))
    what = f"{summary['dataset']} unseen writers ({summary['folds']} of {FOLDS} folds)"
    figures = {**spec.provenance.figures, what: summary["accuracy"]}
    return replace(spec, provenance=replace(spec.provenance, figures=figures))


if __name__ == "__main__":
    try:
        run, *crossval = map(Path, sys.argv[1:])
        for path in ship(run, crossval[0] if crossval else None):
            sys.stdout.write(f"{path}\n")
    except (HcrError, OSError, KeyError, ValueError) as error:
        sys.exit(f"error: {error}")
