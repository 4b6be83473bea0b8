"""Anyone's Keras classifier, made into one of ours: a fixed image input, one vector out, a spec.

What a model says of itself is read from it; what it cannot say, its owner gives as `ModelFacts`.
What is missing then is asked for at once.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hcr_export.classifier_head import as_classifier
from hcr_export.keras_file import KerasFile, flat_layers, load_keras, save_keras
from hcr_export.model_files import model_sha256, open_model_file
from hcr_export.saved_model import counted
from hcr_runtime import (
    InputSpec,
    Label,
    ModelError,
    ModelSpec,
    PreprocessSpec,
    Provenance,
    SpecError,
)
from hcr_runtime.carrier import SPEC_ENTRY
from hcr_runtime.spec import Fit, Interpolation, Levels, Polarity

RANGES: dict[str, tuple[Levels, Levels]] = {
    "0-1": (0.0, 1.0),
    "-1-1": (0.5, 0.5),
    "0-255": (0.0, 1 / 255),
}
NORMALIZE_FORM = "0-1, -1-1, 0-255, or mean,std of pixels in 0-1 (a/b/c for each channel)"
FOREIGN_RECIPE = "trained elsewhere"
"""The recipe in the description of a model that is not ours."""
# The ZIP format's first day: a file written twice is the same.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
# What Keras writes otherwise each time, and what stands for it; shared objects are told apart by
# their address, and are none but settings in a network.
_UNREPEATABLE = (
    ("metadata.json", re.compile(rb'("date_saved": ")[^"]*"'), rb'\g<1>1980-01-01@00:00:00"'),
    ("config.json", re.compile(rb', "shared_object_id": \d+'), b""),
)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the owner of a model says of it; None where nothing.

    Attributes:
        labels: One per output, in their order.
        name: What to call it; else its file's name.
        input_size: Height and width of the input, in pixels.
        channels: 1 (grey) or 3 (RGB).
        normalize: What pixels were brought to: `NORMALIZE_FORM`.
        fit: How images were brought to the input's size; ``stretch`` by default.
        polarity: What they showed; ``as-is`` by default, ``bright`` for the fit ``center``.
        interpolation: How they were resized; ``area`` by default.
        training_data: What it was trained on.
        data_licence: The licence of that.
        min_confidence: Answers less sure than this are refused, 0-1.
    """

    labels: tuple[Label, ...] | None = None
    name: str | None = None
    input_size: tuple[int, int] | None = None
    channels: int | None = None
    normalize: str | None = None
    fit: Fit | None = None
    polarity: Polarity | None = None
    interpolation: Interpolation | None = None
    training_data: str | None = None
    data_licence: str | None = None
    min_confidence: float | None = None


@dataclass(frozen=True)
class ForeignModel:
    """A model that was made into one of ours.

    Attributes:
        source: It, in a file of its own.
        filled: What was read from the model or taken by default, for people.
    """

    source: KerasFile
    filled: tuple[str, ...]


def has_spec(path: Path) -> bool:
    """Whether a model file carries its `ModelSpec`: then it is one of ours."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return SPEC_ENTRY in archive.namelist()


def adopt(path: Path, facts: ModelFacts, folder: Path, allow_unsafe: bool = False) -> ForeignModel:
    """Make a model file one of ours.

    Args:
        path: A ``.keras`` or ``.h5`` file, or a SavedModel folder.
        facts: What its owner says of it.
        folder: Where its new ``.keras`` file goes.
        allow_unsafe: Execute code that the file carries.

    Raises:
        ModelError: The file is no Keras classifier of images, or needs code.
        SpecError: ModelFacts are missing, or contradict the model.
    """
    opened = open_model_file(path, allow_unsafe)
    for layer in flat_layers(opened.model):
        policy = layer.dtype_policy
        if policy.quantization_mode is not None:
            raise ModelError(
                f"{path.name} is quantized already (layer {layer.name!r}: {policy.name})",
                allowed="a model in float32",
                hint="save it before model.quantize",
            )
        if policy.variable_dtype in ("float16", "bfloat16", "float64"):
            raise ModelError(
                f"{path.name} is of {policy.variable_dtype} (layer {layer.name!r})",
                allowed="weights in float32; mixed precision has such",
                hint="build it with keras.config.set_dtype_policy('float32'), load the weights"
                " into it, and save it",
            )
        # Mixed precision speeds up training; what is exported computes in float32.
        if policy.name.startswith("mixed_"):
            layer.dtype_policy = "float32"
    shape, found = _input_shape(path, opened.model, facts)
    labels, normalize = _complete(path, facts, shape, _range_inside(opened.model))
    if facts.normalize is None:
        found.append(f"pixels in {normalize}: the model scales them itself")
    preprocess, taken = _preprocessing(facts, normalize)
    model, output, said = as_classifier(path, opened, shape, len(labels))
    spec = ModelSpec(
        name=facts.name or _name(path),
        labels=labels,
        input=InputSpec(*shape),
        preprocess=preprocess,
        output=output,
        provenance=Provenance(
            training_data=facts.training_data or "not known",
            data_licence=facts.data_licence or "not known",
            architecture=f"{opened.kind}, {model.count_params()} parameters",
            recipe=FOREIGN_RECIPE,
            source_sha256=model_sha256(path),
        ),
    )
    if facts.min_confidence is not None:
        spec = replace(spec, rejection=replace(spec.rejection, min_confidence=facts.min_confidence))
    file = folder / f"{spec.name}.keras"
    save_keras(model, spec, file)
    make_repeatable(file)
    return ForeignModel(load_keras(file, allow_unsafe), (*found, *taken, said))


def _complete(
    path: Path, facts: ModelFacts, shape: tuple[int, int, int], inside: str | None
) -> tuple[tuple[Label, ...], str]:
    """Return the labels and what pixels were brought to; all that is missing is asked for at once.

    Args:
        path: The model file.
        facts: What its owner says.
        shape: Height, width and channels, 0 where they are not known.
        inside: What the model scales itself, if it is seen to.
    """
    normalize = facts.normalize or inside
    missing = [
        text
        for text, known in (
            ("--labels FILE (one a line, in the order of the outputs)", facts.labels),
            ("--input-size (pixels, e.g. 28 or 32x48)", shape and shape[0]),
            ("--channels (1 grey, 3 RGB)", shape and shape[2]),
            (f"--normalize ({NORMALIZE_FORM})", normalize),
        )
        if not known
    ]
    if missing or facts.labels is None or normalize is None:
        raise SpecError(
            f"{path.name} does not say all that is needed; missing: {', '.join(missing)}",
            hint="give them as options, or in a file with --spec",
        )
    if inside and parse_normalize(normalize) != RANGES[inside]:
        raise SpecError(
            f"normalize is {normalize!r}, and {path.name} scales pixels itself",
            allowed=f"{inside}, which it takes",
            hint="leave --normalize out: pixels would be scaled twice",
        )
    return facts.labels, normalize


def _preprocessing(facts: ModelFacts, normalize: str) -> tuple[PreprocessSpec, list[str]]:
    """What the model was shown; and what of that was taken by default, for people."""
    mean, std = parse_normalize(normalize)
    fit: Fit = facts.fit or "stretch"
    polarity: Polarity = facts.polarity or ("bright" if fit == "center" else "as-is")
    taken = [
        f"{what} {value} (by default)"
        for what, value, given in (("fit", fit, facts.fit), ("polarity", polarity, facts.polarity))
        if given is None
    ]
    interpolation = facts.interpolation or "area"
    return PreprocessSpec(
        mean=mean, std=std, fit=fit, polarity=polarity, interpolation=interpolation
    ), taken


def parse_normalize(text: str) -> tuple[Levels, Levels]:
    """Return mean and standard deviation, of pixels in 0-1.

    Raises:
        SpecError: It is not of `NORMALIZE_FORM`.

    >>> parse_normalize("-1-1"), parse_normalize("0.1307,0.3081")
    ((0.5, 0.5), (0.1307, 0.3081))
    >>> parse_normalize("0.485/0.456/0.406,0.229/0.224/0.225")[0]
    (0.485, 0.456, 0.406)
    """
    if text in RANGES:
        return RANGES[text]
    try:
        mean, std = (tuple(float(x) for x in part.split("/")) for part in text.split(","))
    except ValueError as error:
        raise SpecError(f"normalize is {text!r}", allowed=NORMALIZE_FORM) from error
    if {len(mean), len(std)} - {1, 3} or not all(math.isfinite(x) for x in (*mean, *std)):
        raise SpecError(f"normalize is {text!r}", allowed=NORMALIZE_FORM)
    return _levels(mean), _levels(std)


def _levels(values: tuple[float, ...]) -> Levels:
    return values[0] if len(values) == 1 else (values[0], values[1], values[2])


def make_repeatable(path: Path) -> None:
    """Write a ``.keras`` file again without the time, and without addresses in memory."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in sorted(archive.namelist())}
    for name, pattern, replacement in _UNREPEATABLE:
        entries[name] = pattern.sub(replacement, entries[name])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)


def _input_shape(
    path: Path, model: Any, facts: ModelFacts
) -> tuple[tuple[int, int, int], list[str]]:
    """Height, width and channels, 0 where they are not known; and what the model said of them."""
    # A subclassed model has neither.
    inputs: Sequence[Any] = getattr(model, "inputs", None) or ()
    outputs: Sequence[Any] = getattr(model, "outputs", None) or ()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path.name} has {counted(len(inputs), 'input')}"
            f" ({', '.join(x.name for x in inputs)}) and {counted(len(outputs), 'output')}",
            allowed="a classifier of one image, with one output",
        )
    size = facts.input_size or (0, 0)
    own = _image_axes(path, tuple(inputs[0].shape[1:]), size, facts.channels or 0)
    given = (*size, facts.channels or 0)
    for name, mine, wanted in zip(("height", "width", "channels"), own, given, strict=True):
        if mine is not None and wanted and mine != wanted:
            raise SpecError(f"{path.name}: {name} is {wanted}", allowed=f"{mine}, as in the model")
    height, width, channels = (mine or wanted for mine, wanted in zip(own, given, strict=True))
    if channels not in (0, 1, 3):
        raise ModelError(f"{path.name} takes {channels} channels", allowed="1 (grey), 3 (RGB)")
    read = [f"input {height}x{width}x{channels}"] if None not in own else []
    return (height, width, channels), read


def _image_axes(
    path: Path, own: tuple[int | None, ...], size: tuple[int, int], channels: int
) -> tuple[int | None, int | None, int | None]:
    """Height, width and channels of a model's input; None where any will do."""
    match own:
        case (int(length),):
            return _unflatten(path, length, size, channels)
        case (height, width):
            return height, width, 1
        # Channels first would be (1, 28, 28).
        case (height, width, depth) if height not in (1, 3) or depth in (1, 3, None):
            return height, width, depth
    raise ModelError(
        f"{path.name} takes {(None, *own)}",
        allowed="images: (N, height, width, channels), channels last",
    )


def _unflatten(
    path: Path, length: int, size: tuple[int, int], channels: int
) -> tuple[int, int, int]:
    """The image that was flattened into a vector: as told, or square."""
    for depth in [channels] if channels else [1, 3]:
        side = math.isqrt(length // depth)
        for height, width in [size] if size[0] else [(side, side)]:
            if height * width * depth == length:
                return height, width, depth
    raise SpecError(
        f"{path.name} takes vectors of {length} numbers",
        allowed="a square image's pixels, or what --input-size and --channels multiply to",
    )


def _range_inside(model: Any) -> str | None:
    """What pixels a model was shown that scales them itself; None where none is seen to."""
    for layer in flat_layers(model):
        kind = type(layer).__name__
        if kind == "Rescaling":
            return "0-255" if np.max(np.abs(layer.scale)) < 1 / 32 else "0-1"
        if kind == "Normalization":
            return "0-255" if float(np.max(layer.mean)) > 1 else "0-1"
        if kind == "TensorFlowOp" and layer.function in ("math.truediv", "__operators__.truediv"):
            return "0-255"
        if layer.weights and not kind.startswith("Random"):
            return None
    return None


def _name(path: Path) -> str:
    """A model's name from its file's: letters, digits and a few signs."""
    stem = path.name if path.is_dir() else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "model"
