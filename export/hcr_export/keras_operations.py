"""Operations between layers (``x * 2``, ``keras.ops.mean``) in ``.h5`` files of Keras 3.

Keras writes their names there without the module, and takes them for the layers that are called
alike when it reads them again: ``Multiply`` takes no number, and there is no layer ``TrueDivide``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hcr_export._keras import keras

# What every layer writes of itself, and no operation does.
_OF_LAYERS = "trainable"


def name_operations(config: Any) -> Any:
    """Return a model's description in which every operation has its module.

    Args:
        config: As in the file, at any depth.

    >>> lone = {"class_name": "Multiply", "config": {"name": "multiply"}, "inbound_nodes": []}
    >>> name_operations(lone)["module"].startswith("keras")
    True
    >>> name_operations({**lone, "config": {"name": "multiply", "trainable": True}}).get("module")
    """
    if isinstance(config, list):
        return [name_operations(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    named = {key: name_operations(value) for key, value in config.items()}
    if module := _module(config):
        named |= {"module": module, "registered_name": config["class_name"]}
    return named


def _module(item: Mapping[str, Any]) -> str | None:
    """The module of an operation; None of anything else."""
    if "module" in item or "inbound_nodes" not in item:
        return None
    inner = item.get("config")
    if not isinstance(inner, Mapping) or _OF_LAYERS in inner or "dtype" in inner:
        return None
    return _operations().get(str(item.get("class_name")))


@cache
def _operations() -> dict[str, str]:
    """Module of each of Keras' operations that is no layer, by the name of its class."""
    return {
        kind.__name__: kind.__module__
        for kind in _descendants(keras.Operation)
        if not issubclass(kind, keras.layers.Layer) and kind.__module__.startswith("keras.")
    }


def _descendants(kind: Any) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)
