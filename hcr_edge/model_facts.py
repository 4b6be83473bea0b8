"""What the owner of a foreign model says of it: from a YAML file, a file of labels, and options."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hcr_edge.errors import RecipeError
from hcr_edge.label_maps import label_maps
from hcr_edge.labels import find_label
from hcr_export.foreign import ModelFacts
from hcr_runtime import Label
from hcr_runtime.errors import nearest
from hcr_runtime.spec import FITS, INTERPOLATIONS, POLARITIES

CHOICES = {"fit": FITS, "polarity": POLARITIES, "interpolation": INTERPOLATIONS}
KEYS = (
    *("labels", "name", "input-size", "channels", "normalize", "fit", "polarity", "interpolation"),
    *("training-data", "data-licence", "min-confidence"),
)
_SIZE = re.compile(r"(\d{1,4})(?:x(\d{1,4}))?")
_CODEPOINT = re.compile(r"U\+([0-9A-Fa-f]{4,6})")


def read_facts(file: Path | None, options: Mapping[str, Any]) -> ModelFacts:
    """Put together what a YAML file and the command line say; the command line wins.

    Args:
        file: The YAML file, with keys of `KEYS`; None without one.
        options: By the same keys; None where an option is not given.

    Raises:
        RecipeError: A file cannot be read, or holds something unknown.
    """
    given: dict[str, Any] = {} if file is None else _read_yaml(file)
    given |= {key: value for key, value in options.items() if value is not None}
    for key, allowed in CHOICES.items():
        if key in given and given[key] not in allowed:
            raise RecipeError(f"{key} is {given[key]!r}", allowed=", ".join(allowed))
    texts: dict[str, Any] = {
        key.replace("-", "_"): _text(key, given[key])
        for key in ("name", "normalize", *CHOICES, "training-data", "data-licence")
        if key in given
    }
    channels = given.get("channels")
    if channels not in (None, 1, 3) or isinstance(channels, bool):
        raise RecipeError(f"channels is {channels!r}", allowed="1 (grey), 3 (RGB)")
    confidence = given.get("min-confidence")
    if confidence is not None and not isinstance(confidence, int | float):
        raise RecipeError(f"min-confidence is {confidence!r}", allowed="0 to 1")
    return ModelFacts(
        labels=read_labels(given["labels"]) if "labels" in given else None,
        input_size=_size(given["input-size"]) if "input-size" in given else None,
        channels=channels,
        min_confidence=confidence,
        **texts,
    )


def read_labels(source: Any) -> tuple[Label, ...]:
    """Return labels from a list, or a file: a text one a line, or JSON.

    A JSON file holds a list, or an object from label to index (Keras' ``class_indices``) or from
    index to label. Where there is no such file, a label map of that name is taken. A label is a
    character, its code point (``U+0628``), or any text.

    Raises:
        RecipeError: There is none, or it is not of this form.

    >>> [label.name for label in read_labels(["ب", "U+0634"])]
    ['beh', 'sheen']
    """
    if isinstance(source, list):
        return _labels(source, "labels")
    path = Path(_text("labels", source))
    if not path.is_file():
        known = label_maps()
        if str(source) in known:
            return known[str(source)].classes
        raise RecipeError(
            f"there is no file of labels {path}", allowed=f"a file, or {', '.join(known)}"
        )
    text = _read(path)
    if path.suffix != ".json":
        return _labels([line.strip() for line in text.strip().splitlines()], str(path))
    try:
        return _labels(_ordered(json.loads(text)), str(path))
    except ValueError as error:
        raise RecipeError(
            f"{path} is no list of labels ({error})",
            allowed='["a", "b"], {"a": 0, "b": 1} or {"0": "a", "1": "b"}',
        ) from error


def _ordered(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    if not isinstance(data, dict):
        raise ValueError(type(data).__name__)
    if all(isinstance(index, int) for index in data.values()):
        data = {index: label for label, index in data.items()}
    indices = sorted(int(index) for index in data)
    if indices != list(range(len(data))):
        raise ValueError(f"its indices are {indices}")
    return [label for _, label in sorted(data.items(), key=lambda item: int(item[0]))]


def _labels(items: list[Any], where: str) -> tuple[Label, ...]:
    texts = []
    for number, item in enumerate(items, 1):
        if isinstance(item, bool) or not isinstance(item, str | int) or str(item) == "":
            raise RecipeError(f"{where}: label {number} is {item!r}", allowed="a text, in quotes")
        code = _CODEPOINT.fullmatch(str(item))
        if code and not _is_character(int(code[1], 16)):
            raise RecipeError(
                f"{where}: label {number} is {item}, which is no character",
                allowed="U+0000 to U+10FFFF, without the surrogates U+D800 to U+DFFF",
            )
        texts.append(chr(int(code[1], 16)) if code else str(item))
    return tuple(find_label(text) for text in texts)


def _is_character(code: int) -> bool:
    return code <= sys.maxunicode and not 0xD800 <= code <= 0xDFFF


def _size(value: Any) -> tuple[int, int]:
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise RecipeError(f"input-size is {value!r}", allowed="pixels, e.g. 28, or 32x48 (height)")
    return int(found[1]), int(found[2] or found[1])


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(_read(path))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} holds no fields", allowed=", ".join(KEYS))
    for key in data:
        if key not in KEYS:
            raise RecipeError(f"{path}: there is no field {key!r}", allowed=nearest(str(key), KEYS))
    # A file of labels is named from where the YAML lies.
    if isinstance(data.get("labels"), str) and (path.parent / data["labels"]).is_file():
        data["labels"] = str(path.parent / data["labels"])
    return data


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no text in UTF-8") from error


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{key} is {value!r}", allowed="a text")
    return value
