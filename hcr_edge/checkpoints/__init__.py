"""The Keras checkpoints that ship with the package, and how a name or path finds one."""

from __future__ import annotations

from pathlib import Path

from hcr_runtime import ModelError
from hcr_runtime.errors import nearest

_FOLDER = Path(__file__).parent


def shipped_checkpoints() -> dict[str, Path]:
    """Name and file of each checkpoint inside the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.keras"))}


def find_checkpoint(model: str) -> Path:
    """Return the ``.keras`` file of a shipped name, a run folder, or a path.

    Raises:
        ModelError: It is none of them; the message names the nearest known.
    """
    shipped = shipped_checkpoints()
    path = Path(model)
    if model in shipped:
        return shipped[model]
    if path.is_dir():
        if (path / "model.keras").is_file():
            return path / "model.keras"
        raise ModelError(f"{path} is no run folder (it has no model.keras)")
    if not path.exists():
        raise ModelError(f"there is no model {model!r}", allowed=nearest(path.stem, shipped))
    if path.suffix != ".keras":
        raise ModelError(
            f"{path} is no Keras checkpoint with a description",
            allowed=".keras files from hcr-edge train, run folders, shipped names",
        )
    return path
