"""What an export will make, as data: each file, its border, and how it is quantized."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hcr_export.artifacts import USUAL, Kind
from hcr_export.quantization import QuantizationRecipe
from hcr_export.targets import TARGETS
from hcr_runtime.spec import InputSpec


@dataclass(frozen=True, slots=True)
class Border:
    """In what form a file takes its images.

    Attributes:
        dtype: ``float32``, preprocessed; or ``uint8``, pixels that are normalised inside.
        layout: Order of the axes. TFLite has ``NHWC`` alone.
        batch: How many images at a time; None for any number. TFLite takes one.
    """

    dtype: Literal["float32", "uint8"] = "float32"
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One artifact to be made.

    Attributes:
        kind: What it is.
        border: In what form it takes its images, as far as its format allows.
        recipe: How it is quantized, as far as its format allows.
    """

    kind: Kind
    border: Border
    recipe: QuantizationRecipe

    @property
    def full_integer(self) -> bool:
        """Whether integers come in and go out, with a scale of their own."""
        return self.kind.calibrated and self.kind.format in ("tflite", "c")

    @property
    def description(self) -> str:
        """For people: what sets the file apart, e.g. ``QDQ, uint8 activations, ...``."""
        said = [self.kind.description]
        if self.kind.quantization == "int8":
            weights = f"int8 per-{self.recipe.granularity} weights"
            if self.full_integer:
                said += [f"{self.integers} input and output", weights]
            else:
                said += [
                    f"{self.recipe.activations} activations",
                    weights + (" of 7 bits" if self.recipe.reduce_range else ""),
                    f"{self.recipe.calibration} calibration",
                ]
                if self.recipe.exclude:
                    said.append(f"{' '.join(self.recipe.exclude)} in float32")
        if self.border.dtype == "uint8" and not self.full_integer:
            said.append("uint8 input")
        if self.border.layout != "NHWC":
            said.append(self.border.layout)
        if self.border.batch is not None and self.kind.format not in ("tflite", "c"):
            said.append(f"batch {self.border.batch}")
        return ", ".join(said)

    @property
    def integers(self) -> str:
        """Type at the border of a full integer file."""
        if self.kind.quantization == "int16x8":
            return "int16"
        return "uint8" if self.border.dtype == "uint8" else "int8"

    def input_spec(self, source: InputSpec) -> InputSpec:
        """Return how the file's description names its input, given its source's.

        A full integer file tells its border itself, in its quantization parameters.
        """
        dtype = "float32" if self.full_integer else self.border.dtype
        return replace(source, dtype=dtype, layout=self.border.layout)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole export.

    Attributes:
        artifacts: What is made.
        recipe: How int8 is made, as it was asked for; the bundle keeps it.
        remarks: How that was found: comments before it.
        targets: The devices it was asked for.
        reasons: Why, by the name of each artifact that a target asked for.
        named: Artifacts that were asked for by name: an export without them is none.
        left_out: Why not, by the name of each artifact that this network cannot become.
    """

    artifacts: tuple[Planned, ...]
    recipe: QuantizationRecipe
    remarks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is made, in short."""
        return tuple(item.kind for item in self.artifacts)

    def may_lack(self, kind: Kind, known: bool) -> bool:
        """Whether an artifact that cannot be made may be left out.

        Args:
            kind: Which.
            known: Whether it is known that the network cannot become it; what fails otherwise is
                left out only where a target alone asked for it.
        """
        return kind.name not in self.named and (known or kind.name in self.reasons)

    def without(self, kind: Kind, why: str) -> Plan:
        """Return the plan without an artifact."""
        return replace(
            self,
            artifacts=tuple(item for item in self.artifacts if item.kind != kind),
            left_out={**self.left_out, kind.name: why},
        )


def plan(
    kinds: Iterable[Kind] = USUAL,
    border: Border | None = None,
    recipe: QuantizationRecipe | None = None,
    *,
    remarks: Iterable[str] = (),
    targets: Iterable[str] = (),
    named: Iterable[str] = (),
) -> Plan:
    """Decide how each artifact is made.

    >>> from hcr_export.artifacts import choose
    >>> plan(choose(["int8.tflite"]), Border("uint8", "NCHW")).artifacts[0].description
    'full integer, uint8 input and output, int8 per-channel weights'
    """
    border, recipe = border or Border(), recipe or QuantizationRecipe()
    planned = []
    for kind in kinds:
        in_tflite = kind.format in ("tflite", "c")
        planned.append(
            Planned(
                kind,
                replace(border, layout="NHWC", batch=1) if in_tflite else border,
                recipe.for_tflite() if in_tflite else recipe,
            )
        )
    targets = tuple(targets)
    reasons = {
        item.kind.name: "; ".join(
            f"{target}: {TARGETS[target].reasons[item.kind.name]}"
            for target in targets
            if item.kind.name in TARGETS[target].reasons
        )
        for item in planned
    }
    return Plan(
        tuple(planned),
        recipe,
        tuple(remarks),
        targets,
        {name: why for name, why in reasons.items() if why},
        frozenset(named),
    )
