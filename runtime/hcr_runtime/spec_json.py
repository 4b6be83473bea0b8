"""From parsed JSON to frozen dataclasses: names and plain types are checked, nothing is guessed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from hcr_runtime.arguments import received
from hcr_runtime.errors import SpecError

_T = TypeVar("_T")


def mapping(data: object, name: str) -> Mapping[str, Any]:
    """Return `data` if it is a JSON object; raises `SpecError`, which calls it `name`, if not."""
    if not isinstance(data, Mapping):
        raise SpecError(f"the model's description: {name} is {type(data).__name__}, not an object")
    return data


def build(cls: type[_T], data: object) -> _T:
    """Make the dataclass `cls` from a JSON object.

    Raises:
        SpecError: A field is missing, unknown, or not of its plain type.
    """
    fields = dict(mapping(data, cls.__name__))
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(map(str, set(fields) - set(known))):
        raise SpecError(f"{cls.__name__}: unknown fields {unknown}", allowed=", ".join(known))
    missing = [
        name
        for name, item in known.items()
        if name not in fields
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise SpecError(f"{cls.__name__}: missing fields {missing}")
    for name, value in fields.items():
        if isinstance(value, list) and known[name].type == "Levels":
            fields[name] = tuple(value)
    return cls(**fields)


class Typed:
    """A dataclass whose fields hold what their annotations say; `SpecError` where they do not."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, item.name), str(item.type)
            if not _has_type(value, kind):
                raise SpecError(
                    f"{type(self).__name__}.{item.name} is {received(value)}",
                    allowed=_PLAIN_TYPES[kind][1],
                )


def _has_type(value: object, kind: str) -> bool:
    if kind == "Levels" and isinstance(value, tuple):
        return len(value) == 3 and all(_is_plain(item, (int, float)) for item in value)
    if kind not in _PLAIN_TYPES:
        return True
    values = value.values() if isinstance(value, Mapping) else ()
    return _is_plain(value, _PLAIN_TYPES[kind][0]) and all(
        _is_plain(item, _ITEM_TYPES.get(kind, ())) for item in values
    )


def _is_plain(value: object, wanted: tuple[type, ...]) -> bool:
    finite = not isinstance(value, float) or math.isfinite(value)
    return finite and not isinstance(value, bool) and isinstance(value, wanted)


_ITEM_TYPES: dict[str, tuple[type, ...]] = {
    "Mapping[str, str]": (str,),
    "Mapping[str, float]": (int, float),
}
# By annotation: what is taken, and how a message calls it.
_PLAIN_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "Levels": ((int, float), "a number, or a tuple of three"),
    "Direction": ((str,), "a text"),
    "OutputKind": ((str,), "a text"),
    "Fit": ((str,), "a text"),
    "Polarity": ((str,), "a text"),
    "Interpolation": ((str,), "a text"),
    "Mapping[str, str]": ((Mapping,), "texts by their names"),
    "Mapping[str, float]": ((Mapping,), "numbers by their names"),
}
