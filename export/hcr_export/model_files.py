"""Opening anyone's Keras model: ``.keras``, ``.h5``, a SavedModel folder, of Keras 2 and 3.

What a file is, is read from its content. Nothing in it is executed unless the caller says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.keras_legacy import modernise
from hcr_export.keras_operations import name_operations
from hcr_export.saved_model import is_saved_model, load_saved_model, trusting_graphs
from hcr_runtime import HcrError, ModelError

ACCEPTED = "a .keras or .h5 file, or a SavedModel folder"
MAX_CONFIG_BYTES = 64 << 20
# Layers that carry code, or load it from elsewhere.
_CODE = ("Lambda", "__lambda__", "TFSMLayer")
# Kinds of networks in HDF5 files, and their classes; others are somebody's own.
_NETWORKS = {"Functional": "Model", "Model": "Model", "Sequential": "Sequential"}
_OWN_MODULES = ("keras", "tf_keras", "builtins")
_UNKNOWN_CLASS = re.compile(
    r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|activation function|[a-z]+):?)"
    r" '?([\w>.]+)|Could not deserialize '(?:keras\.layers\.)?(\w+)' because"
)


@dataclass(frozen=True)
class OpenedModel:
    """A model from a file that says nothing of its use.

    Attributes:
        model: The Keras model, not compiled.
        kind: What the file is, for people.
        loss: Name of the loss that it was compiled with; empty where the file does not say.
        from_logits: Whether that loss takes logits.
    """

    model: Any
    kind: str
    loss: str = ""
    from_logits: bool = False


def open_model_file(path: Path, allow_unsafe: bool = False) -> OpenedModel:
    """Open a model file or folder.

    Args:
        path: It.
        allow_unsafe: Execute code that it carries (Lambda layers).

    Raises:
        ModelError: It is missing, damaged, no Keras model, or needs code.
    """
    if is_saved_model(path):
        return OpenedModel(load_saved_model(path, allow_unsafe), "SavedModel")
    if not path.is_file():
        raise ModelError(f"there is no model {path}", allowed=ACCEPTED)
    try:
        if h5py.is_hdf5(path):
            return _open_h5(path, allow_unsafe)
        if zipfile.is_zipfile(path):
            with trusting_graphs(allow_unsafe):
                return _open_keras(path, allow_unsafe)
    except HcrError:
        raise
    except Exception as error:  # Keras raises whatever the file makes it meet
        raise _explain(path, error) from error
    raise ModelError(
        f"{path.name} is cut short, or no Keras model"
        + (" (no HDF5 file)" if path.suffix in (".h5", ".hdf5") else ""),
        allowed=ACCEPTED,
    )


def model_sha256(path: Path) -> str:
    """SHA-256 of a model file; of a folder, of its files' names and checksums in order."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    digest = hashlib.sha256()
    for item in sorted(path.rglob("*")):
        if item.is_file():
            digest.update(f"{item.relative_to(path).as_posix()} {model_sha256(item)}\n".encode())
    return digest.hexdigest()


def _open_h5(path: Path, allow_unsafe: bool) -> OpenedModel:
    with h5py.File(path, "r") as file:
        attributes = {
            name: value.decode() if isinstance(value, bytes) else str(value)
            for name in ("model_config", "training_config", "keras_version")
            if (value := file.attrs.get(name)) is not None
        }
    if "model_config" not in attributes:
        raise ModelError(
            f"{path.name} holds weights, but no network",
            hint="save the whole model: model.save('model.keras')",
        )
    config = name_operations(json.loads(attributes["model_config"]))
    check_code(path, config, allow_unsafe)
    training = json.loads(attributes.get("training_config", "null"))
    version = attributes.get("keras_version", "2")
    with quiet():
        if _is_new(version) and config["class_name"] not in _NETWORKS:
            model = keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
        else:
            build = _from_new if _is_new(version) else _from_old
            model = build(config, allow_unsafe)
            model.load_weights(path)
    return OpenedModel(model, f"HDF5 file of Keras {version}", *_loss(training))


def _open_keras(path: Path, allow_unsafe: bool) -> OpenedModel:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" not in names:
            raise ModelError(f"{path.name} is no Keras model (a ZIP file without config.json)")
        config = json.loads(_read(archive, "config.json"))
        metadata = json.loads(_read(archive, "metadata.json")) if "metadata.json" in names else {}
        version = str(metadata.get("keras_version", "3"))
        check_code(path, config, allow_unsafe)
        with quiet():
            if _is_new(version):
                model = keras.saving.load_model(path, compile=False, safe_mode=not allow_unsafe)
            else:
                model = _from_old(config, allow_unsafe)
                with tempfile.TemporaryDirectory(prefix="hcr-edge-") as folder:
                    model.load_weights(archive.extract("model.weights.h5", folder))
    return OpenedModel(model, f"file of Keras {version}", *_loss(config.get("compile_config")))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_CONFIG_BYTES:
        raise ModelError(f"{name} takes {archive.getinfo(name).file_size} bytes")
    return archive.read(name)


def _is_new(version: str) -> bool:
    return version.partition(".")[0] not in ("0", "1", "2")


def _from_new(config: Mapping[str, Any], allow_unsafe: bool) -> Any:
    """Build a network from the description in an HDF5 file of Keras 3."""
    kind = _NETWORKS[config["class_name"]]
    described = {**config, "module": "keras", "class_name": kind, "registered_name": None}
    return keras.saving.deserialize_keras_object(described, safe_mode=not allow_unsafe)


def _from_old(config: Mapping[str, Any], allow_unsafe: bool) -> Any:
    return keras.saving.deserialize_keras_object(modernise(config), safe_mode=not allow_unsafe)


def check_code(path: Path, config: Any, allow_unsafe: bool) -> None:
    """Refuse Lambda layers, and layers whose code is not here, before anything is built.

    Args:
        path: The model file.
        config: Its description of the network, as JSON holds it.
        allow_unsafe: Lambda layers may be.

    Raises:
        ModelError: It names what carries code, or lacks it.
    """
    for name in _lambdas(config):
        raise ModelError(
            f"{path.name} has Python code in place of the name of its {name}",
            hint="save the model with model.export('folder'), which keeps the graph alone",
        )
    for item in _objects(config):
        name, inner = item["class_name"], item.get("config")
        if name in _CODE and not allow_unsafe:
            called = inner.get("name", "") if isinstance(inner, Mapping) else ""
            kind = name.strip("_").capitalize()
            raise ModelError(
                f"{path.name} holds a {kind} layer {called!r}: code that runs when it is loaded",
                hint="--allow-unsafe runs it, if you trust its author; or save the model with"
                " model.export('folder'), which keeps the graph alone",
            )
        module = item.get("module")
        registered = item.get("registered_name")
        foreign = isinstance(module, str) and module.partition(".")[0] not in _OWN_MODULES
        if (foreign or (registered and ">" in registered)) and not (
            keras.saving.get_registered_object(registered or name)
        ):
            raise _needs_code(path, name)


def _lambdas(config: Any) -> Iterator[str]:
    """What is given as a Python function of its own: its code, defaults and closure."""
    for item in _mappings(config):
        for name, value in item.items():
            # A named object has a class; its configuration is called so.
            bare = isinstance(value, Mapping) and value.keys() == {"value"} and name != "config"
            code = value["value"] if bare else None
            if isinstance(code, list) and len(code) == 3 and isinstance(code[0], str):
                yield name


def _objects(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every object described in a configuration, at any depth."""
    return (item for item in _mappings(config) if isinstance(item.get("class_name"), str))


def _mappings(config: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _needs_code(path: Path, name: str) -> ModelError:
    return ModelError(
        f"{path.name} needs the code of {name!r}, which Keras does not have",
        hint="where that code is, save the model with model.export('folder'): a SavedModel needs"
        " no code",
    )


def _explain(path: Path, error: Exception) -> ModelError:
    """Say what of a file Keras could not read."""
    text = str(error).strip()
    if found := _UNKNOWN_CLASS.search(text):
        return _needs_code(path, found[1] or found[2])
    reason = text.partition("\n")[0][:160] or type(error).__name__
    return ModelError(f"{path.name} is damaged, or no Keras model ({reason})")


def _loss(training: Any) -> tuple[str, bool]:
    """Name of a loss in a compilation's configuration, and whether it takes logits."""
    loss = training.get("loss") if isinstance(training, Mapping) else None
    if isinstance(loss, Mapping) and "class_name" in loss:
        inner = loss.get("config")
        options = inner if isinstance(inner, Mapping) else {}
        # An instance, or a function's name.
        name = options.get("name") or (inner if isinstance(inner, str) else loss["class_name"])
        return str(name), bool(options.get("from_logits"))
    return (loss, False) if isinstance(loss, str) else ("", False)
