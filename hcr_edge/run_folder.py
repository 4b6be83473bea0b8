"""The run folder: what training leaves, and from what an interrupted run goes on.

``recipe.yaml``, ``environment.json``, ``history.csv``, the reports of `report.py`, and when the run
is finished ``model.keras`` (the best epoch by validation) and ``result.json``. Until then
``best.keras``, one folder ``epoch-NNNN`` with the last weights and the state, and run folders
``branch-N`` (`branches.py`).
"""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe, load_recipe
from hcr_edge.report import REPORTS
from hcr_edge.versions import library_versions
from hcr_edge.whole_file import write_json, write_whole
from hcr_export._keras import keras

_AGAIN = "train again with --overwrite"
# Folders of the run; whatever else is called alike is somebody's own.
_EPOCH, _BRANCH = re.compile("epoch-([0-9]{4,})"), re.compile("branch-([0-9]+)")


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One line of ``history.csv``."""

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(slots=True)
class State:
    """What a resumed run must know, beside the weights.

    Attributes:
        epoch: Epochs done.
        best_accuracy: The validation accuracy of the best epoch.
        best_loss: Its validation loss.
        best_epoch: The best epoch; of equals the last, whose weights are more settled.
        improved_epoch: The first of these equals, from which patience counts.
        plateau_epoch: When the learning rate was last lowered.
        learning_rate: The present one (schedule ``plateau``).
        averaged_steps: Steps that the moving average has seen.
    """

    epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    best_epoch: int = 0
    improved_epoch: int = 0
    plateau_epoch: int = 0
    learning_rate: float = 0.0
    averaged_steps: int = 0

    def judge(self, row: EpochRow, by_loss: bool) -> bool:
        """Note what an epoch reached; True when it is as good as the best.

        Args:
            row: The epoch.
            by_loss: The least validation loss is best, not the highest accuracy.
        """
        loss = row.val_loss if math.isfinite(row.val_loss) else math.inf
        reached, best = row.val_accuracy, self.best_accuracy
        if by_loss:
            reached, best = -loss, -self.best_loss
        if reached > best:
            self.improved_epoch = row.epoch
        if reached >= best:
            self.best_accuracy, self.best_loss = row.val_accuracy, loss
            self.best_epoch = row.epoch
        return reached >= best


class RunFolder:
    """Reads and writes one run folder; every file is replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self, recipe: Recipe, resume: bool, overwrite: bool) -> dict[str, Any] | None:
        """See whether a run of `recipe` may begin or go on here.

        Returns:
            The result, when `resume` finds the run finished.

        Raises:
            RecipeError: The folder is in the way, or holds a run of another recipe.
        """
        path = self.path
        if not os.path.lexists(path):
            return None
        if not path.is_dir():
            raise RecipeError(f"{path} is a file, not a run folder")
        stored = path / "recipe.yaml"
        if any(path.iterdir()) and not stored.is_file():
            raise RecipeError(f"{path} is no run folder", hint="choose another, or an empty one")
        if not stored.is_file() or (overwrite and not resume):
            return None
        if not resume:
            raise RecipeError(f"{path} exists", hint="give --resume to go on, or --overwrite")
        # As recipes: a file from before a field was added means its default.
        begun = load_recipe(stored)
        if begun != recipe:
            name = next(
                field.name
                for field in fields(recipe)
                if getattr(begun, field.name) != getattr(recipe, field.name)
            )
            raise RecipeError(
                f"the run in {path} was begun with another recipe: {name} is"
                f" {getattr(recipe, name)!r}",
                allowed=repr(getattr(begun, name)),
                hint="--resume alone goes on with the run's own",
            )
        return self.result()

    def branch(self, number: int) -> Path:
        """Return where a branch of the run lies, counted from 1; see `hcr_edge.branches`."""
        return self.path / f"branch-{number}"

    def open(self, recipe: Recipe, resume: bool, split: Mapping[str, str] | None = None) -> State:
        """Make the folder ready and return the state from which to go on.

        Args:
            recipe: What is trained.
            resume: Go on from the last epoch, if there is one.
            split: The checksum of each part of the recipe's split file.

        Raises:
            RecipeError: The folder cannot be written, what it holds is damaged, or it was begun
                with another content of the split file.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            last = self._last()
            if resume and last is not None:
                try:
                    state = State(**json.loads(_read(last / "state.json")))
                except (ValueError, TypeError) as error:
                    raise RecipeError(f"{last}/state.json is damaged", hint=_AGAIN) from error
                if split is not None:
                    self._check_split(recipe, split)
                self._cut_history(state.epoch)
                if math.isinf(state.best_loss):  # a run begun before losses were noted
                    state.best_loss = self._val_loss(state.best_epoch)
                return state
            self._clear()
            write_whole(self.path / "recipe.yaml", recipe.to_yaml().encode())
            environment = {
                "python": platform.python_version(),
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "backend": keras.config.backend(),
                "libraries": library_versions(),
            }
            if split is not None:
                environment["split"] = dict(split)
            write_json(self.path / "environment.json", environment)
        except OSError as error:
            raise RecipeError(f"cannot write {self.path}: {error.strerror or error}") from error
        return State()

    def split(self) -> dict[str, str]:
        """Return the checksum of each part of the split file that the run was begun with.

        None are known of a run without one, or from before they were noted.
        """
        path = self.path / "environment.json"
        try:
            return dict(json.loads(_read(path)).get("split", {}))
        except (ValueError, TypeError, AttributeError) as error:
            raise RecipeError(f"{path} is damaged", hint=_AGAIN) from error

    def _check_split(self, recipe: Recipe, split: Mapping[str, str]) -> None:
        """See that what trained before is what trains now: the file may have been replaced."""
        begun = self.split()
        changed = [name for name in {**begun, **split} if begun.get(name) != split.get(name)]
        if begun and changed:
            raise RecipeError(
                f"{recipe.split} has changed since the run in {self.path} was begun: other images"
                f" are in {', '.join(changed)}",
                hint="bring the file back as it was, or train again with --overwrite",
            )

    def result(self) -> dict[str, Any] | None:
        """Return what ``result.json`` holds, None while the run is not finished."""
        path = self.path / "result.json"
        if not path.is_file():
            return None
        try:
            return dict(json.loads(_read(path)))
        except (ValueError, TypeError) as error:
            raise RecipeError(f"{path} is damaged", hint=_AGAIN) from error

    def save_last(
        self, model: Any, averages: Sequence[NDArray[np.float32]], state: State, row: EpochRow
    ) -> None:
        """Keep the weights, their average and the state of the epoch that `row` tells of."""
        last = self._last()
        partial = self.path / ".epoch"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        model.save(partial / "last.keras")
        np.savez(partial / "average.npz", *averages)
        write_json(partial / "state.json", asdict(state))
        self._append_history(row)
        partial.rename(self.path / f"epoch-{state.epoch:04d}")
        if last is not None:
            shutil.rmtree(last)

    def load_last(self, state: State) -> tuple[Any, list[NDArray[np.float32]]]:
        """Return the model with its optimizer, and the averages, as `save_last` kept them."""
        folder = self.path / f"epoch-{state.epoch:04d}"
        model = self.load_model(folder / "last.keras")
        try:
            with np.load(folder / "average.npz", allow_pickle=False) as stored:
                return model, [stored[name] for name in stored.files]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise RecipeError(f"{folder}/average.npz is damaged", hint=_AGAIN) from error

    def load_model(self, path: Path) -> Any:
        """Load a ``.keras`` file of this run; raises `RecipeError` when it is damaged."""
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # Keras raises whatever the damaged part caused
            raise RecipeError(f"{path} is missing or damaged", hint=_AGAIN) from error

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result and remove what only resuming needed."""
        write_json(self.path / "result.json", result)
        (self.path / "best.keras").unlink(missing_ok=True)
        for folder in (*self._numbered(_EPOCH), *self._numbered(_BRANCH)):
            shutil.rmtree(folder)

    def _last(self) -> Path | None:
        folders = self._numbered(_EPOCH)
        return folders[-1] if folders else None

    def _numbered(self, kind: re.Pattern[str]) -> list[Path]:
        """The folders of one kind, by their number."""
        found = {
            path: int(named[1])
            for path in self.path.iterdir()
            if (named := kind.fullmatch(path.name)) and path.is_dir()
        }
        return sorted(found, key=found.__getitem__)

    def _clear(self) -> None:
        """Remove what an earlier run left: nothing of it may stand beside the new recipe."""
        resuming = (*self._numbered(_EPOCH), *self._numbered(_BRANCH))
        for folder in (*resuming, self.path / ".epoch"):
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("history.csv", "result.json", "best.keras", "model.keras", *REPORTS):
            (self.path / name).unlink(missing_ok=True)

    def _append_history(self, row: EpochRow) -> None:
        fields = asdict(row)
        path = self.path / "history.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(fields))
            if new:
                writer.writeheader()
            writer.writerow(fields)

    def _val_loss(self, epoch: int) -> float:
        """The validation loss of an epoch; infinite where it is no number, or there is none."""
        path = self.path / "history.csv"
        rows = list(csv.DictReader(_read(path).splitlines()))
        try:
            loss = float(rows[epoch - 1]["val_loss"]) if 0 < epoch <= len(rows) else math.inf
        except (KeyError, TypeError, ValueError) as error:
            raise RecipeError(f"{path} is damaged", hint=_AGAIN) from error
        return loss if math.isfinite(loss) else math.inf

    def _cut_history(self, epochs: int) -> None:
        """Drop the line of an epoch that was interrupted between its line and its state."""
        path = self.path / "history.csv"
        lines = _read(path).splitlines(keepends=True)[: epochs + 1]
        write_whole(path, "".join(lines).encode())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read {path}", hint=_AGAIN) from error
