"""Model descriptions that Keras 2 wrote (``.h5`` and ``.keras``), in the words of Keras 3.

Keras 3 reads few of them: layers lost arguments, ``input_shape`` stood on the first layer, and
arithmetic on tensors was a layer of its own (``TFOpLambda``).
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from hcr_export._keras import keras
from hcr_runtime import ModelError

# Functions of TensorFlow that an image network may call between its layers: no files, no Python.
_OP_MODULES = ("math", "nn", "__operators__", "image", "linalg")
_OPS = frozenset(
    (
        *("abs", "cast", "clip_by_value", "concat", "convert_to_tensor", "exp", "expand_dims"),
        *("identity", "maximum", "minimum", "pad", "repeat", "reshape", "reverse", "round"),
        *("shape", "sigmoid", "split", "sqrt", "square", "squeeze", "stack", "tanh", "tile"),
        *("transpose", "unstack"),
    )
)
_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}
_MODELS = ("Functional", "Model", "Sequential")
# What only training uses, on layers that no longer take it.
_TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
_NEUTRAL: tuple[object, ...] = (None, False, 1, "", [])


@keras.saving.register_keras_serializable("hcr_edge")
class TensorFlowOp(keras.layers.Layer):
    """A function of TensorFlow between two layers, which Keras 2 kept as ``TFOpLambda``.

    Args:
        function: Its name below ``tf``, e.g. ``math.subtract``.
        arguments: What it is called with; ``{"tensor": 0}`` stands for the layer's first input,
            and so on.
        options: The same, by name.
        **kwargs: As for every layer.

    Raises:
        ModelError: It is none of those that an image network needs.
    """

    def __init__(
        self, function: str, arguments: Any = (), options: Any = None, **kwargs: Any
    ) -> None:
        module, _, name = function.rpartition(".")
        if not (function in _OPS or (module in _OP_MODULES and not name.startswith("_"))):
            raise ModelError(
                f"the model calls tf.{function} between its layers",
                allowed="arithmetic on images",
                hint="save it as a SavedModel folder",
            )
        super().__init__(**kwargs)
        self.function, self.arguments, self.options = function, arguments, options or {}

    def call(self, *tensors: Any) -> Any:
        """Call the function."""
        from hcr_export._tensorflow import tf

        def fill(value: Any) -> Any:
            if isinstance(value, Mapping):
                if "tensor" in value:
                    return tensors[value["tensor"]]
                return slice(value["start"], value["stop"], value["step"])
            return [fill(item) for item in value] if isinstance(value, list | tuple) else value

        function: Any = tf
        for name in self.function.split("."):
            function = getattr(function, name)
        options = {name: fill(value) for name, value in self.options.items()}
        return function(*fill(self.arguments), **options)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        given = {"arguments": self.arguments, "options": self.options}
        return {**super().get_config(), "function": self.function, **given}


def modernise(item: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrite the description of a layer or a model, and of all layers in it.

    Args:
        item: ``class_name``, ``config``, and what else Keras 2 wrote beside them.

    >>> old = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 8, 8, 1]}}
    >>> modernise(old)["config"]
    {'batch_shape': [None, 8, 8, 1]}
    """
    name = _RENAMED.get(item["class_name"], item["class_name"])
    # Before 2.3 a Sequential model was the bare list of its layers.
    config = item["config"] if isinstance(item["config"], Mapping) else {"layers": item["config"]}
    if name in _MODELS:
        module, name = "keras", "Sequential" if name == "Sequential" else "Model"
        config = _sequential(config) if name == "Sequential" else _functional(config)
    elif name in ("TFOpLambda", "SlicingOpLambda"):
        return _operation(item, config)
    else:
        module, config = "keras.layers", _layer(name, config)
    return {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": None,
        **_place(item),
    }


def _sequential(config: Mapping[str, Any]) -> dict[str, Any]:
    layers = [modernise(layer) for layer in config["layers"]]
    first = config["layers"][0]
    shape = _given_shape(first)
    if shape is not None and first["class_name"] != "InputLayer":
        # The input's shape stood on the first layer.
        layers.insert(
            0, modernise({"class_name": "InputLayer", "config": {"batch_input_shape": shape}})
        )
    return {"name": config.get("name", "sequential"), "layers": layers}


def _given_shape(item: Mapping[str, Any]) -> Any:
    config = item["config"] if isinstance(item["config"], Mapping) else {"layers": item["config"]}
    if item["class_name"] in _MODELS:
        return None
    return config.get("batch_input_shape")


def _functional(config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {layer["config"].get("name"): layer["class_name"] for layer in _named(config["layers"])}

    def renumber(value: Any, kinds: Collection[str]) -> Any:
        """Count the calls of models inside the model from 0: Keras 2 counted from 1."""
        if isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str) and value[0] in kinds:
                return [value[0], max(value[1] - 1, 0), *(renumber(v, kinds) for v in value[2:])]
            return [renumber(entry, kinds) for entry in value]
        if isinstance(value, Mapping):
            return {key: renumber(entry, kinds) for key, entry in value.items()}
        return value

    models = {name for name, kind in kinds.items() if kind in _MODELS}
    # Of a model's outputs Keras 3 counts functional ones itself.
    sequential = {name for name in models if kinds[name] == "Sequential"}
    kept: dict[str, Any] = {key: config[key] for key in ("name", "trainable") if key in config}
    for key in ("input_layers", "output_layers"):
        ends = renumber(config[key], sequential)
        # A list of one would make the model give a list of one.
        kept[key] = ends[0] if len(ends) == 1 and isinstance(ends[0], list) else ends
    layers = [
        modernise({**dict(layer), "inbound_nodes": renumber(layer["inbound_nodes"], models)})
        for layer in config["layers"]
    ]
    return {**kept, "layers": layers}


def _named(layers: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (layer for layer in layers if isinstance(layer["config"], Mapping))


def _layer(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(config)
    shape = result.pop("batch_input_shape", None)
    if name == "InputLayer":
        result = {key: result[key] for key in ("name", "dtype") if key in result}
        return {"batch_shape": shape if shape is not None else config.get("batch_shape"), **result}
    if name == "BatchNormalization" and isinstance(result.get("axis"), list):
        result["axis"] = result["axis"][0]
    if isinstance(result.get("layer"), Mapping):  # TimeDistributed and its like
        result["layer"] = modernise(result["layer"])
    if "dtype" in result:
        result["dtype"] = _full_precision(result["dtype"])
    known = _arguments(name)
    if known is None:
        return result
    return {
        key: value
        for key, value in result.items()
        if key in known or not (value in _NEUTRAL or key.endswith(_TRAINING_ONLY))
    }


def _arguments(name: str) -> set[str] | None:
    """Names of what a layer's constructor takes; None where Keras has no such layer."""
    layer = getattr(keras.layers, name, None)
    if layer is None:
        return None
    return {
        argument
        for cls in inspect.getmro(layer)
        if "__init__" in vars(cls)
        for argument in inspect.signature(vars(cls)["__init__"]).parameters
    }


def _full_precision(dtype: Any) -> Any:
    """Mixed precision speeds up training; exported networks compute in float32."""
    if isinstance(dtype, Mapping):
        dtype = dtype.get("config", {}).get("name", "float32")
    return "float32" if str(dtype).startswith("mixed_") else dtype


def _place(item: Mapping[str, Any]) -> dict[str, Any]:
    """The name of a layer in a functional model, and the calls of it."""
    if "inbound_nodes" not in item:
        return {}
    return {"name": item["name"], "inbound_nodes": [_call(node) for node in item["inbound_nodes"]]}


def _call(node: list[Any]) -> dict[str, Any]:
    """One call of a layer: a list of inputs, each ``[name, node, tensor, options]``."""
    inputs = [node] if isinstance(node[0], str) else node
    tensors = [_tensor(entry) for entry in inputs]
    options = dict(inputs[-1][3]) if len(inputs[-1]) > 3 else {}
    # Keras 2 wrote it down also for layers that no longer take it.
    options.pop("training", None)
    return {"args": [tensors[0] if len(tensors) == 1 else tensors], "kwargs": options}


def _tensor(entry: list[Any]) -> dict[str, Any]:
    history = {"shape": [], "dtype": "float32", "keras_history": list(entry[:3])}
    return {"class_name": "__keras_tensor__", "config": history}


def _operation(item: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A `TensorFlowOp` for one call of a function, with its numbers and slices."""
    tensors: list[list[Any]] = []

    def template(value: Any) -> Any:
        if isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
                if value[0] == "_CONSTANT_VALUE":
                    return value[2]
                tensors.append(value)
                return {"tensor": len(tensors) - 1}
            return [template(entry) for entry in value]
        return value

    (node,) = item["inbound_nodes"]
    single = isinstance(node[0], str)
    last = node if single else node[-1]
    arguments = [template(node) if single else [template(entry) for entry in node]]
    options = {
        name: template(value)
        for name, value in (last[3] if len(last) > 3 else {}).items()
        if name != "name" and value is not None
    }
    return {
        "module": __name__,
        "class_name": "TensorFlowOp",
        "config": {
            "name": config["name"],
            "function": config["function"],
            "arguments": arguments,
            "options": options,
        },
        "registered_name": "hcr_edge>TensorFlowOp",
        "name": item["name"],
        "inbound_nodes": [{"args": [_tensor(entry) for entry in tensors], "kwargs": {}}],
    }
