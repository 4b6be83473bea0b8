"""`ModelSpec`: the one description of a model, and the only copy of it.

It travels inside every model file (`carrier.py`), as JSON. New fields have defaults, so that older
files stay readable; a reader refuses fields that it does not know, because ignoring one could
change what the model is shown. A change of meaning raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from hcr_runtime.arguments import check_type, received
from hcr_runtime.errors import SpecError
from hcr_runtime.spec_json import Typed, build, mapping

# Of `hcr_runtime.preprocess`: models name the version that they were trained with.
NEWEST_PREPROCESS = 2
SCHEMA_VERSION = 1

# A name becomes part of file names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_FORM = "letters, digits, '.', '_', '-'; 64 at most"

Direction = Literal["ltr", "rtl"]
OutputKind = Literal["logits", "softmax"]
Fit = Literal["center", "stretch", "pad"]
FITS: tuple[Fit, ...] = get_args(Fit)
Polarity = Literal["bright", "dark", "as-is"]
POLARITIES: tuple[Polarity, ...] = get_args(Polarity)
Interpolation = Literal["area", "bilinear", "nearest"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
# One number, or one for each channel.
Levels: TypeAlias = "float | tuple[float, float, float]"


@dataclass(frozen=True, slots=True)
class Label(Typed):
    """One class: a character as it is written, and its names.

    Attributes:
        text: The character, as Unicode text.
        name: Short lower-case name, e.g. ``beh``.
        transliteration: Latin transliteration (DIN 31635 for Arabic); may be empty.
        script: ISO 15924 code, e.g. ``Arab``.
        direction: Writing direction of the script, ``ltr`` or ``rtl``.

    Raises:
        SpecError: A field is no text; `ModelSpec` checks the direction.

    >>> Label("ب", "beh", "b", "Arab", "rtl").codepoint
    'U+0628'
    """

    text: str
    name: str
    transliteration: str = ""
    script: str = "Zyyy"
    direction: Direction = "ltr"

    @property
    def codepoint(self) -> str:
        """Code points as ``U+0628``; joined by a space where the text has several."""
        return " ".join(f"U+{ord(character):04X}" for character in self.text)


@dataclass(frozen=True, slots=True)
class InputSpec(Typed):
    """The input tensor, without its batch axis.

    Attributes:
        height: In pixels.
        width: In pixels.
        channels: 1 (grey), or 3 (red, green, blue).
        dtype: What the file takes: ``float32``, preprocessed; or ``uint8``, pixels of
            0–255 that are normalised inside. Files whose border is quantized say ``float32``
            and carry its scale themselves.
        layout: ``NHWC`` or ``NCHW``.

    Raises:
        SpecError: A field has another type; `ModelSpec` checks the ranges.

    >>> InputSpec(height=64, width=64).channels
    1
    """

    height: int = 32
    width: int = 32
    channels: int = 1
    dtype: str = "float32"
    layout: str = "NHWC"


@dataclass(frozen=True, slots=True)
class PreprocessSpec(Typed):
    """Parameters of `hcr_runtime.preprocess`.

    Lengths are fractions of the tensor's side, so that they hold for any input size.

    Attributes:
        version: Version of the algorithm, 1 or 2; a change of its behaviour is a new one.
        zoom: Magnification of the writing box. The box is the whole image: glyphs keep their
            size relative to it, because د and ر differ in size as much as in shape. This and the
            next three are for the fit ``center``.
        min_side: Smallest longer side of a glyph; a smaller one is enlarged to it.
        max_side: Largest longer side of a glyph; a larger one is shrunk to it.
        min_stroke: Strokes that would shrink below this width are thickened first.
        mean: Subtracted from the pixels in 0–1; one number, or one for each channel.
        std: The difference is divided by it; 1/255 leaves pixels in 0–255.
        fit: ``center`` finds the ink and centres the glyph; ``stretch`` resizes the whole image,
            as most notebooks do; ``pad`` does so without changing its proportions, and fills the
            rest with the level of its rim.
        polarity: What the network is shown: ``bright`` ink, ``dark`` ink, or each image ``as-is``.
        interpolation: Of the fits ``stretch`` and ``pad``. ``area`` averages where it shrinks,
            and is ``bilinear`` where it enlarges.

    Raises:
        SpecError: A field has another type; `ModelSpec` checks the ranges.

    >>> PreprocessSpec(fit="stretch", polarity="as-is", mean=0.5, std=0.5).interpolation
    'area'
    """

    version: int = 1
    zoom: float = 1.35
    min_side: float = 0.44
    max_side: float = 0.82
    min_stroke: float = 0.056
    mean: Levels = 0.0
    std: Levels = 1.0
    fit: Fit = "center"
    polarity: Polarity = "bright"
    interpolation: Interpolation = "area"


@dataclass(frozen=True, slots=True)
class RejectionSpec(Typed):
    """When a prediction is refused.

    Attributes:
        min_confidence: Least calibrated confidence of an accepted prediction, 0–1.

    Raises:
        SpecError: It is no number; `ModelSpec` checks the range.

    >>> RejectionSpec(0.9)
    RejectionSpec(min_confidence=0.9)
    """

    min_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Provenance(Typed):
    """Where a model comes from.

    Attributes:
        training_data: Name of the data set.
        data_licence: Its licence, in words.
        architecture: Name of the network.
        recipe: How it was trained, with its seed.
        confusions: Its commonest mistakes on the test set, e.g. ``ز→ر 8, ض→ص 5``.
        source_sha256: SHA-256 of the Keras file it was exported from; empty in that file itself.
        versions: Versions of the libraries that made the file.
        min_engine: Oldest engine known to run it, e.g. ``onnxruntime>=1.22``.
        quantization: E.g. ``float32`` or ``int8 QDQ U8S8 per-channel``.
        calibration: Which images calibrated the quantization.
        figures: Measured shares of the Keras source, by what was measured; 0-1.

    Raises:
        SpecError: A field has another type; `ModelSpec` checks the figures.

    >>> Provenance(training_data="ahcd", figures={"AHCD, official test": 0.977}).quantization
    ''
    """

    training_data: str = ""
    data_licence: str = ""
    architecture: str = ""
    recipe: str = ""
    confusions: str = ""
    source_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    min_engine: str = ""
    quantization: str = ""
    calibration: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec(Typed):
    """Everything a program must know to use a model file.

    Attributes:
        name: The model's name, e.g. ``arabic-letters``.
        labels: One per output, in the order of the outputs.
        input: The input tensor.
        preprocess: Parameters of the one preprocessing.
        output: What the model gives: ``logits``, or probabilities (``softmax``).
        temperature: Logits are divided by it before softmax (Guo et al. 2017).
        rejection: When a prediction is refused.
        provenance: Where the model comes from.
        schema_version: Version of this description.

    Raises:
        SpecError: A value is out of its range.

    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")))
    >>> ModelSpec.from_json(spec.to_json()) == spec
    True
    """

    name: str
    labels: tuple[Label, ...]
    input: InputSpec = InputSpec()
    preprocess: PreprocessSpec = PreprocessSpec()
    output: OutputKind = "softmax"
    temperature: float = 1.0
    rejection: RejectionSpec = RejectionSpec()
    provenance: Provenance = Provenance()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        Typed.__post_init__(self)  # slots make another class of it, which super() does not know
        for name, part in _PARTS.items():
            check_type(f"ModelSpec.{name}", getattr(self, name), part, SpecError)
        check_type("ModelSpec.labels", self.labels, tuple, SpecError)
        for label in self.labels:
            check_type("one of ModelSpec.labels", label, Label, SpecError)
        if self.schema_version != SCHEMA_VERSION:
            raise SpecError(
                f"the model's description has schema version {received(self.schema_version)}",
                allowed=str(SCHEMA_VERSION),
                hint="install the hcr-edge-runtime that belongs to the model",
            )
        checks: tuple[Check, ...] = (
            ("name", repr(self.name), bool(NAME.fullmatch(self.name)), NAME_FORM),
            ("labels", len(self.labels), len(self.labels) >= 2, "2 labels or more"),
            ("labels", "repeated text", len(set(self.texts)) == len(self.labels), "each once"),
            ("labels", "a text that cannot be written", _writable(self.texts), "Unicode text"),
            (
                "labels",
                "a direction",
                {label.direction for label in self.labels} <= {"ltr", "rtl"},
                "direction ltr, rtl",
            ),
            ("input.height", self.input.height, 8 <= self.input.height <= 1024, "8 to 1024"),
            ("input.width", self.input.width, 8 <= self.input.width <= 1024, "8 to 1024"),
            ("input.channels", self.input.channels, self.input.channels in (1, 3), "1, 3"),
            (
                "input.dtype",
                self.input.dtype,
                self.input.dtype in ("float32", "uint8"),
                "float32, uint8",
            ),
            (
                "input.layout",
                self.input.layout,
                self.input.layout in ("NHWC", "NCHW"),
                "NHWC, NCHW",
            ),
            ("output", self.output, self.output in ("logits", "softmax"), "logits, softmax"),
            ("temperature", self.temperature, 0.01 <= self.temperature <= 100, "0.01 to 100"),
            *_preprocess_checks(self.preprocess, self.input),
            (
                "provenance.figures",
                dict(self.provenance.figures),
                all(0 <= share <= 1 for share in self.provenance.figures.values()),
                "0 to 1",
            ),
            (
                "rejection.min_confidence",
                self.rejection.min_confidence,
                0 <= self.rejection.min_confidence <= 1,
                "0 to 1",
            ),
        )
        for name, value, passed, allowed in checks:
            if not passed:
                shown = value if isinstance(value, str) else received(value)
                raise SpecError(f"the model's description: {name} is {shown}", allowed=allowed)

    @property
    def texts(self) -> tuple[str, ...]:
        """The labels' characters, in the order of the outputs."""
        return tuple(label.text for label in self.labels)

    @property
    def direction(self) -> Direction:
        """In which most of the labels are written."""
        leftward = sum(label.direction == "rtl" for label in self.labels)
        return "rtl" if 2 * leftward > len(self.labels) else "ltr"

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain JSON types; each label also names its code point."""
        data: dict[str, Any] = dataclasses.asdict(self)
        data["labels"] = [
            {**dataclasses.asdict(label), "codepoint": label.codepoint} for label in self.labels
        ]
        for name in ("mean", "std"):
            value = data["preprocess"][name]
            data["preprocess"][name] = list(value) if isinstance(value, tuple) else value
        return data

    def to_json(self) -> str:
        """Return `to_dict` as JSON text with sorted keys and no blanks: small files hold it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, data: object) -> ModelSpec:
        """Build a description from what `to_dict` gave.

        Raises:
            SpecError: A field is missing, unknown, of a wrong type or out of its range.
        """
        fields = dict(mapping(data, "ModelSpec"))
        version = fields.get("schema_version")
        if version != SCHEMA_VERSION:
            raise SpecError(
                f"the model's description has schema version {received(version)}",
                allowed=str(SCHEMA_VERSION),
                hint="install the hcr-edge-runtime that belongs to the model",
            )
        labels = fields.get("labels")
        if not isinstance(labels, list):
            raise SpecError("the model's description has no list of labels")
        fields["labels"] = tuple(_label(item) for item in labels)
        for name, part in _PARTS.items():
            if name in fields:
                fields[name] = build(part, fields[name])
        return build(cls, fields)

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelSpec:
        """Build a description from JSON text; raises `SpecError` like `from_dict`."""
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise SpecError(f"the model's description is not JSON ({error})") from error
        return cls.from_dict(data)


_PARTS: dict[str, type[Any]] = {
    "input": InputSpec,
    "preprocess": PreprocessSpec,
    "rejection": RejectionSpec,
    "provenance": Provenance,
}


def _label(data: object) -> Label:
    fields = dict(mapping(data, "Label"))
    codepoint = fields.pop("codepoint", None)
    label = build(Label, fields)
    if codepoint not in (None, label.codepoint):
        raise SpecError(
            f"label {label.text!r} claims to be {codepoint}", allowed=f"{label.codepoint}"
        )
    return label


# What is checked, what was received, whether it passed, what is allowed.
Check: TypeAlias = "tuple[str, object, bool, str]"


def _preprocess_checks(params: PreprocessSpec, shape: InputSpec) -> tuple[Check, ...]:
    sides = params.min_side, params.max_side
    # Finding the ink is what the fit `center` is, and it finds it in a square.
    centred = params.fit == "center"
    polarities = POLARITIES[:2] if centred else POLARITIES
    lengths = {len(value) for value in (params.mean, params.std) if isinstance(value, tuple)}
    return (
        (
            "preprocess.version",
            params.version,
            1 <= params.version <= NEWEST_PREPROCESS,
            f"1 to {NEWEST_PREPROCESS}; a newer model needs a newer hcr-edge-runtime",
        ),
        ("preprocess.fit", params.fit, params.fit in FITS, ", ".join(FITS)),
        (
            "input.width",
            shape.width,
            shape.width == shape.height or not centred,
            "as the height, for the fit center",
        ),
        (
            "preprocess.polarity",
            params.polarity,
            params.polarity in polarities,
            f"{', '.join(polarities)} for the fit {params.fit}",
        ),
        (
            "preprocess.interpolation",
            params.interpolation,
            params.interpolation in INTERPOLATIONS,
            ", ".join(INTERPOLATIONS),
        ),
        (
            "preprocess.mean, std",
            (params.mean, params.std),
            lengths <= {shape.channels},
            "one number, or one for each channel",
        ),
        (
            "preprocess.std",
            params.std,
            all(1e-6 <= x <= 1e6 for x in _each(params.std)),
            "1e-6 to 1e6",
        ),
        (
            "preprocess.mean",
            params.mean,
            all(abs(x) <= 1e6 for x in _each(params.mean)),
            "-1e6 to 1e6",
        ),
        ("preprocess.zoom", params.zoom, 0.01 <= params.zoom <= 100, "0.01 to 100"),
        ("preprocess.min_stroke", params.min_stroke, 0 <= params.min_stroke <= 1, "0 to 1"),
        (
            "preprocess.min_side, max_side",
            sides,
            0.01 <= params.min_side <= params.max_side <= 1,
            "0.01 <= min_side <= max_side <= 1",
        ),
    )


def _each(levels: Levels) -> tuple[float, ...]:
    return levels if isinstance(levels, tuple) else (levels,)


def _writable(texts: tuple[str, ...]) -> bool:
    return all(texts) and not any("\ud800" <= c <= "\udfff" for text in texts for c in text)
