"""Finds the smallest artifact that loses no more accuracy than allowed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hcr_export import conversion, onnx_quantization
from hcr_export import onnx as onnx_format
from hcr_export._quiet import quiet
from hcr_export.artifacts import Kind, Limits
from hcr_export.comparison import judge
from hcr_export.conversion import Conversion
from hcr_export.labelled_images import LabelledImages
from hcr_export.plan import Border, plan
from hcr_export.quantization import QuantizationError, QuantizationRecipe
from hcr_runtime import preprocess, probabilities

# Tried in this order: from the fewest scales to more, and from the quickest calibration on.
RECIPES = tuple(
    QuantizationRecipe(granularity=granularity, calibration=calibration)
    for granularity in ("tensor", "channel")
    for calibration in ("minmax", "percentile", "entropy")
)
# By size: what follows is not tried once one has passed.
_GROUPS = (("int8", "dynamic-int8", "int16x8"), ("float16",), ("float32",))
# Images that tell which layer loses most; few, as each layer is quantized without.
_RANKING_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """One artifact that was tried.

    Attributes:
        kind: What it is.
        recipe: How it was quantized.
        bytes: Its size on a device.
        drop: Points of accuracy lost against Keras.
        agreement: Share of images with the same first answer.
        failures: Limits that are exceeded, in words.
    """

    kind: Kind
    recipe: QuantizationRecipe
    bytes: int
    drop: float
    agreement: float
    failures: tuple[str, ...]

    @property
    def line(self) -> str:
        """For people."""
        said = [self.kind.name]
        if self.kind.quantization in ("int8", "dynamic-int8"):
            said.append(f"per {self.recipe.granularity}")
        if self.kind.quantization == "int8" and self.kind.format not in ("tflite", "c"):
            said.append(self.recipe.calibration)
        if self.recipe.exclude:
            said.append(f"without {' '.join(self.recipe.exclude)}")
        return (
            f"{', '.join(said)}: {self.bytes} bytes, {self.drop:+.2f} points lost,"
            f" {self.agreement:.2%} agreement, {'; '.join(self.failures) or 'passed'}"
        )


class Search:
    """Tries artifacts of one model on images that neither calibrate nor judge it in the end."""

    def __init__(
        self,
        job: Conversion,
        border: Border,
        tuning: LabelledImages,
        limits: Limits,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare a search.

        Args:
            job: The model, with its calibration images.
            border: In what form the artifact takes its images.
            tuning: What it is tried on.
            limits: What may be lost.
            progress: Is told what is being tried.
        """
        self._job, self._border, self._limits = job, border, limits
        self._labels, self._progress = tuning.labels, progress
        spec = job.source.spec
        self._tensors = np.stack([preprocess(image, spec) for image in tuning.images])
        self._expected = job.source.scores(self._tensors).argmax(axis=1)
        self.trials: list[Trial] = []

    def smallest(self, kinds: Iterable[Kind]) -> Trial:
        """Return the smallest of `kinds` that passes; `trials` then tells all that were tried.

        Raises:
            QuantizationError: None does.
        """
        kinds = tuple(kinds)
        for group in _GROUPS:
            members = [kind for kind in kinds if kind.quantization in group]
            for kind in members:
                for recipe in _recipes(kind):
                    self._try(kind, recipe)
            for kind in members:
                if kind.name == "int8.onnx" and not self._passed(kind):
                    self._exclude(kind)
            if passed := [trial for trial in self.trials if not trial.failures]:
                return min(passed, key=lambda trial: trial.bytes)
        best = min(self.trials, key=lambda trial: trial.drop)
        raise QuantizationError(
            f"no artifact is within the limits; the nearest is {best.line}",
            hint="allow a larger --max-drop, or more kinds of artifact",
        )

    def _passed(self, kind: Kind) -> bool:
        return any(trial.kind == kind and not trial.failures for trial in self.trials)

    def _try(self, kind: Kind, recipe: QuantizationRecipe) -> Trial:
        what = f"trying {kind.name} {recipe.granularity} {recipe.calibration}"
        self._progress(" ".join([what, *recipe.exclude]))
        source = self._job.source
        (planned,) = plan([kind], self._border, recipe).artifacts
        spec = replace(source.spec, input=planned.input_spec(source.spec.input))
        with tempfile.TemporaryDirectory(prefix="hcr-edge-") as folder:
            path = Path(folder, kind.file_name("trial"))
            conversion.write(self._job, planned, spec, path)
            size = conversion.artifact_bytes(path)
            with quiet():  # LiteRT tells of its delegate on the first run
                engine = conversion.open_artifact(path)
                rows = [engine.run(tensor[None]) for tensor in self._tensors]
        scores = probabilities(np.concatenate(rows), source.spec)
        answered = scores.argmax(axis=1)
        lost = (self._expected == self._labels).sum() - (answered == self._labels).sum()
        drop = 100 * float(lost) / len(self._labels)
        agreement = float((answered == self._expected).mean())
        failures = judge(self._limits, drop, agreement, 0.0, len(self._labels))
        trial = Trial(kind, planned.recipe, size, drop, agreement, failures)
        self.trials.append(trial)
        return trial

    def _exclude(self, kind: Kind) -> None:
        """Leave one layer after another in float32, those that lose most first."""
        best = max(
            (trial for trial in self.trials if trial.kind == kind),
            key=lambda trial: (-trial.drop, trial.agreement),
        )
        excluded: tuple[str, ...] = ()
        for layer in self._by_loss(best.recipe):
            excluded = (*excluded, layer)
            if not self._try(kind, replace(best.recipe, exclude=excluded)).failures:
                return

    def _by_loss(self, recipe: QuantizationRecipe) -> list[str]:
        """Layers, by how far the answers come back when they alone stay in float32."""
        spec = self._job.source.spec
        few = Conversion(self._job.source, self._job.calibration[:_RANKING_IMAGES])
        exact = few.source.model(few.calibration, training=False)
        distance = {}
        for layer in onnx_quantization.layers(few.folded(Border())):
            self._progress(f"quantizing without {layer}")
            changed = onnx_quantization.quantize(
                few.folded(Border()), replace(recipe, exclude=(layer,)), few.calibration
            )
            answers = onnx_format.run(changed, few.calibration)
            distance[layer] = float(
                np.square(
                    probabilities(answers, spec) - probabilities(np.asarray(exact), spec)
                ).sum()
            )
        return sorted(distance, key=lambda layer: distance[layer])


def _recipes(kind: Kind) -> Iterator[QuantizationRecipe]:
    """The recipes that make a difference to a kind."""
    if kind.quantization == "int8" and kind.format not in ("tflite", "c"):
        yield from RECIPES
    elif kind.quantization in ("int8", "dynamic-int8") and kind.name != "dynamic-int8.tflite":
        yield from (RECIPES[0], RECIPES[3])
    else:
        yield QuantizationRecipe()
