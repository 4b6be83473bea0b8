"""Options of the command export that say which files are made, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hcr_edge.cli.console import say, warn
from hcr_runtime import ModelError

if TYPE_CHECKING:
    from hcr_export.artifacts import Kind, Limits
    from hcr_export.bundle import CalibrationImages
    from hcr_export.keras_file import KerasFile
    from hcr_export.labelled_images import LabelledImages
    from hcr_export.plan import Border, Plan
    from hcr_export.quantization import QuantizationRecipe

FILES = "Which files, and how"


def _target_help() -> str:
    """Every target with what it chooses and why; the export package knows them."""
    try:
        from hcr_export.targets import TARGETS
    except ModuleNotFoundError:
        return "What suits a kind of device; may be repeated."
    lines = ["What suits a kind of device; may be repeated."]
    for name, target in TARGETS.items():
        if name == "all":
            lines.append(f"[bold]all[/]: {target.title}.")
            continue
        reasons = "; ".join(f"{kind} ({why})" for kind, why in target.reasons.items())
        lines.append(f"[bold]{name}[/]: {reasons}.")
    return "\n\n".join(lines)


ArtifactOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this artifact, e.g. int8.onnx; may be repeated.", rich_help_panel=FILES
    ),
]
TargetOption = Annotated[list[str] | None, typer.Option(help=_target_help(), rich_help_panel=FILES)]
InputOption = Annotated[
    Literal["float32", "uint8"],
    typer.Option(
        "--input",
        help="What files take: preprocessed float32, or uint8 pixels that they normalise inside.",
        rich_help_panel=FILES,
    ),
]
LayoutOption = Annotated[
    Literal["NHWC", "NCHW"],
    typer.Option(help="Order of the axes; TFLite has NHWC alone.", rich_help_panel=FILES),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Images at a time; by default any number.", rich_help_panel=FILES
    ),
]
QuantizationOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|SETTINGS",
        help="How int8 is made: a bundle's quantization.yaml, or settings such as"
        " granularity=tensor,activations=int8,reduce_range=false,calibration=entropy,"
        "exclude=conv_1+gemm_1.",
        rich_help_panel=FILES,
    ),
]
AutoOption = Annotated[
    bool,
    typer.Option(
        "--auto",
        help="Find the smallest artifact within --max-drop, and write it alone.",
        rich_help_panel=FILES,
    ),
]


def chosen_kinds(
    artifacts: Sequence[str], targets: Sequence[str], recipe: QuantizationRecipe | None, auto: bool
) -> tuple[Kind, ...]:
    """Return the artifacts that are named, or suit the targets; those of the recipe otherwise.

    Raises:
        ModelError: A name is unknown, or its package not installed.
    """
    from hcr_export.artifacts import KINDS, choose
    from hcr_export.targets import installed, target_kinds

    named = list(artifacts) + [kind.name for name in targets for kind in target_kinds(name)]
    if not named and auto:
        # What runs on this machine in little time; the others are asked for by name.
        return tuple(kind for kind in KINDS if kind.format in ("tflite", "onnx"))
    kinds = choose(named or (recipe.artifacts if recipe else ()))
    for kind in set(kinds) - set(installed(kinds)):
        missing = f"{kind.name} needs {kind.module}"
        hint = f"pip install 'hcr-edge-export[{kind.module}]'"
        if kind.name in artifacts:
            raise ModelError(missing, hint=hint)
        warn(f"left out: {missing}, which is not installed ({hint})")
    return installed(kinds)


def find_smallest(
    source: KerasFile,
    kinds: Sequence[Kind],
    border: Border,
    calibration: CalibrationImages,
    tuning: LabelledImages,
    limits: Limits,
    progress: Callable[[str], None],
) -> Plan:
    """Try recipes on the images `tuning`, and plan the smallest artifact within the limits.

    Raises:
        QuantizationError: None is.
    """
    import numpy as np

    from hcr_export.conversion import Conversion
    from hcr_export.plan import plan
    from hcr_export.search import Search
    from hcr_runtime import preprocess

    tensors = np.stack([preprocess(image, source.spec) for image in calibration.images])
    search = Search(Conversion(source, tensors), border, tuning, limits, progress)
    found = search.smallest(kinds)
    remarks = (f"tried on {tuning.description}:", *(trial.line for trial in search.trials))
    recipe = replace(found.recipe, artifacts=(found.kind.name,))
    return plan([found.kind], border, recipe, remarks=remarks)


def say_choice(plan: Plan, made: Iterable[str]) -> None:
    """Say why each artifact that was made was chosen, or what was tried."""
    for name in made:
        if why := plan.reasons.get(name):
            say(f"{name}: {why}")
    for line in plan.remarks:
        say(line)
