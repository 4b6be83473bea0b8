"""The Keras checkpoints that ship with the package, and how a name or path finds one."""

from __future__ import annotations

from pathlib import Path

from hcr_runtime import ModelError
from hcr_runtime.carrier import read_model
from hcr_runtime.errors import nearest
from hcr_runtime.integrity import MANIFEST, bundle_file, check_sha256
from hcr_runtime.models import find_model, shipped_models

_FOLDER = Path(__file__).parent
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


def shipped_checkpoints() -> dict[str, Path]:
    """Name and file of each checkpoint inside the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.keras"))}


def find_checkpoint(model: str) -> Path:
    """Return the model of a shipped name, a run folder, or a path.

    A path may be a ``.keras`` or ``.h5`` file, or a SavedModel folder.

    Raises:
        ModelError: It is none of them; the message names the nearest known.
    """
    shipped = shipped_checkpoints()
    if model in shipped:
        return shipped[model]
    path = Path(model)
    if path.is_dir():
        return path if (path / "saved_model.pb").is_file() else _trained(path)
    if not path.exists():
        raise ModelError(
            f"there is no model {model!r}",
            allowed="a .keras or .h5 file, a SavedModel, a run folder, or one of "
            + nearest(path.stem, shipped),
        )
    if path.suffix not in _KERAS_SUFFIXES:
        raise ModelError(
            f"{path} is no Keras model",
            allowed=f"{', '.join(_KERAS_SUFFIXES)} files, SavedModel folders, run folders, shipped"
            " names",
        )
    return path


def model_file(model: Path | str) -> Path:
    """Return the file to run for a shipped name, a run folder, a bundle, or any model file.

    A shipped name means the int8 model that devices run, and a bundle what onnxruntime would run.

    Raises:
        ModelError: It is none of them; the message names the nearest known.
    """
    path = Path(model)
    if str(model) not in shipped_models() and path.is_dir():
        return _of_bundle(path) if (path / MANIFEST).is_file() else _trained(path)
    if path.suffix == ".keras":
        if not path.is_file():
            raise ModelError(f"there is no model file {path}")
        return path
    return find_model(model)


def _of_bundle(folder: Path) -> Path:
    """The file of a bundle that onnxruntime runs, which is as its manifest says."""
    path, sha256 = bundle_file(folder, "onnxruntime")
    check_sha256(read_model(path), sha256, path.name)
    return path


def _trained(run: Path) -> Path:
    """The model of a finished run."""
    if (run / "model.keras").is_file():
        return run / "model.keras"
    if (run / "recipe.yaml").is_file():
        raise ModelError(
            f"the run in {run} is not finished", hint="go on with hcr-edge train --resume"
        )
    if (run / MANIFEST).is_file():
        raise ModelError(f"{run} is a bundle", hint="name one of its files")
    raise ModelError(
        f"{run} is no run folder (it has no model.keras), and no SavedModel (no saved_model.pb)"
    )
