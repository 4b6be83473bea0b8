"""How a model is quantized to int8, as a file that can be run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from hcr_runtime import HcrError
from hcr_runtime.errors import nearest

Granularity = Literal["channel", "tensor"]
Activations = Literal["uint8", "int8"]
Calibration = Literal["minmax", "percentile", "entropy"]


class QuantizationError(HcrError):
    """A quantization recipe that cannot be read, or does not fit its model."""


@dataclass(frozen=True, slots=True)
class QuantizationRecipe:
    """How int8 artifacts are made.

    The defaults serve every engine. ONNX follows all of it, TFLite `granularity` and `compensate`:
    its converter knows one calibration, and its specification fixes the rest.

    Attributes:
        granularity: One scale for each output channel of a weight, or one for all of it.
        activations: ``uint8`` is fast on x86-64 with VNNI, and meant for arm64, where its speed is
            not measured; ``int8`` suits accelerators that know nothing else. Weights are int8.
        reduce_range: Weights of 7 bits. On x86-64 without VNNI two products of 8 bits saturate
            their 16-bit sum; of 7 bits they cannot.
        calibration: What becomes of the values an activation takes on the calibration images:
            their extremes, a percentile, or the range that loses the least information.
        percentile: Share of the values that stay in the range, 50–100, for ``percentile``.
        compensate: Weights and biases are rounded so that later ones make up for earlier ones
            (`hcr_export.compensation`); otherwise each to the nearest.
        exclude: Layers that stay in float32, called as in ``conv_1``, ``gemm_1``: the operator
            and its number in the order of the graph.
        artifacts: Which artifacts it was made for; those that an export makes by default.

    Raises:
        QuantizationError: A value is not allowed.
    """

    granularity: Granularity = "channel"
    activations: Activations = "uint8"
    reduce_range: bool = True
    calibration: Calibration = "minmax"
    percentile: float = 99.99
    compensate: bool = True
    exclude: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choices = {
            "granularity": Granularity,
            "activations": Activations,
            "calibration": Calibration,
        }
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                _refuse(name, getattr(self, name), ", ".join(get_args(kind)))
        for name in ("reduce_range", "compensate"):
            if not isinstance(getattr(self, name), bool):
                _refuse(name, getattr(self, name), "true, false")
        number = isinstance(self.percentile, int | float) and not isinstance(self.percentile, bool)
        if not number or not 50 <= self.percentile <= 100:
            _refuse("percentile", self.percentile, "50 to 100")
        for name in ("exclude", "artifacts"):
            if not all(isinstance(item, str) for item in getattr(self, name)):
                _refuse(name, getattr(self, name), "a list of names")

    def for_tflite(self) -> QuantizationRecipe:
        """Return what TFLite follows of it; the rest is as by default."""
        return QuantizationRecipe(granularity=self.granularity, compensate=self.compensate)

    def to_yaml(self, remarks: Iterable[str] = ()) -> str:
        """Return the recipe as YAML, with `remarks` as comments before it."""
        fields = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return "".join(f"# {line}\n" for line in remarks) + yaml.safe_dump(fields, sort_keys=False)

    @classmethod
    def from_dict(cls, data: object) -> QuantizationRecipe:
        """Build a recipe from a mapping; what it does not name keeps its default.

        Raises:
            QuantizationError: A field is unknown, or its value not allowed.
        """
        if not isinstance(data, Mapping):
            raise QuantizationError(f"a quantization recipe is {data!r}", allowed="name: value")
        known = [field.name for field in dataclasses.fields(cls)]
        fields = dict(data)
        for name in fields:
            if name not in known:
                raise QuantizationError(
                    f"the quantization recipe has a field {name!r}",
                    allowed=nearest(str(name), known),
                )
        for name in ("exclude", "artifacts"):
            value = fields.get(name)
            if isinstance(value, list):
                fields[name] = tuple(value)
            elif value is not None:
                _refuse(name, value, "a list of names")
        return cls(**{name: value for name, value in fields.items() if value is not None})


def read_recipe(given: str) -> QuantizationRecipe:
    """Read a recipe from a YAML file, or from settings such as ``granularity=tensor``.

    Several settings are joined by commas; a list within one by ``+``.

    Raises:
        QuantizationError: There is no such file, or it is no recipe.

    >>> read_recipe("granularity=tensor,exclude=conv_1+gemm_1").exclude
    ('conv_1', 'gemm_1')
    """
    try:
        if "=" in given and not Path(given).is_file():
            return QuantizationRecipe.from_dict(_settings(given))
        return QuantizationRecipe.from_dict(
            yaml.safe_load(Path(given).read_text(encoding="utf-8")) or {}
        )
    except OSError as error:
        raise QuantizationError(
            f"cannot read the quantization recipe {given} ({error.strerror or error})",
            allowed="a YAML file, or settings such as granularity=tensor,activations=int8",
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        line = str(error).partition("\n")[0]
        raise QuantizationError(f"the quantization recipe {given} is no YAML ({line})") from error


def _settings(given: str) -> dict[str, Any]:
    settings = {}
    for part in given.split(","):
        name, sign, text = (word.strip() for word in part.partition("="))
        if not (name and sign and text):
            known = ", ".join(field.name for field in dataclasses.fields(QuantizationRecipe))
            raise QuantizationError(
                f"--quantization: {part!r} is no setting",
                allowed=f"name=value, with commas between them; names: {known}",
            )
        if name in settings:
            raise QuantizationError(f"--quantization: {name} is given twice", allowed="once")
        several = [item.strip() for item in text.split("+")]
        if "" in several:
            raise QuantizationError(
                f"--quantization: {part!r} names nothing on one side of a +", allowed="name+name"
            )
        settings[name] = several if name in ("exclude", "artifacts") else _value(text)
    return settings


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:  # the field says what it takes
        return text


def _refuse(name: str, received: object, allowed: str) -> None:
    raise QuantizationError(f"the quantization recipe: {name} is {received!r}", allowed=allowed)
