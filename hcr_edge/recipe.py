"""Training recipes: a file says what is run, and what was run can be run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hcr_edge.augment import Augmentation
from hcr_edge.errors import RecipeError
from hcr_runtime.errors import nearest

_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: The model's name.
        arch: See `architectures.ARCHITECTURES`.
        dataset: See `datasets.load_dataset`.
        protocol: ``official``: the data set's own split. ``writers``: its parts joined and
            split anew, a fifth of the writers being the test set.
        fold: Which fifth, 0 to 4 (protocol ``writers``).
        epochs: At most this many.
        batch_size: Images in a step.
        learning_rate: The highest.
        schedule: ``plateau``: divided by 3 when validation has not improved for
            `plateau_patience` epochs. ``cosine``: falls to 2 % of it over the epochs.
        plateau_patience: In epochs.
        stop_patience: Training ends when validation has not improved for so many epochs.
        weight_decay: Decoupled (AdamW); 0 means plain Adam.
        label_smoothing: 0 to 1.
        average: Decay of the moving average of the weights per step; 0 means none.
        augmentation: None, or the strengths.
        validation_share: One writer in so many validates.
        seed: For weights, shuffling and augmentation.
    """

    name: str
    arch: str
    dataset: str = "ahcd"
    protocol: Literal["official", "writers"] = "official"
    fold: int = 0
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.001
    schedule: Literal["plateau", "cosine"] = "plateau"
    plateau_patience: int = 3
    stop_patience: int = 8
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    average: float = 0.0
    augmentation: Augmentation | None = None
    validation_share: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, object, bool, str], ...] = (
            ("protocol", self.protocol, self.protocol in PROTOCOLS, ", ".join(PROTOCOLS)),
            ("schedule", self.schedule, self.schedule in SCHEDULES, ", ".join(SCHEDULES)),
            ("fold", self.fold, 0 <= self.fold < FOLDS, f"0 to {FOLDS - 1}"),
            ("epochs", self.epochs, 1 <= self.epochs <= 100_000, "1 or more"),
            ("batch_size", self.batch_size, 1 <= self.batch_size <= 65536, "1 or more"),
            ("learning_rate", self.learning_rate, 0 < self.learning_rate <= 10, "above 0"),
            ("validation_share", self.validation_share, self.validation_share >= 2, "2 or more"),
            ("average", self.average, 0 <= self.average < 1, "0 to 1"),
        )
        for name, received, passed, allowed in checks:
            if not passed:
                raise RecipeError(f"recipe: {name} is {received!r}", allowed=allowed)

    def to_yaml(self) -> str:
        """Return the recipe as a file's text; `load_recipe` reads it."""
        data = dataclasses.asdict(self)
        if self.augmentation is not None:
            data["augmentation"]["resolution"] = list(self.augmentation.resolution)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


PROTOCOLS = ("official", "writers")
SCHEDULES = ("plateau", "cosine")
FOLDS = 5


def shipped_recipes() -> dict[str, Path]:
    """Name and file of each recipe inside the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def load_recipe(source: str | Path, **changes: Any) -> Recipe:
    """Read a recipe.

    Args:
        source: A shipped recipe's name, or a YAML file.
        changes: Fields to replace; those that are None are left.

    Raises:
        RecipeError: No such recipe, or a field is unknown or out of range.
    """
    shipped = shipped_recipes()
    path = shipped.get(str(source), Path(source))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(
            f"there is no recipe {str(source)!r}", allowed=nearest(str(source), shipped)
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML ({str(error).splitlines()[0]})") from error
    fields = {**_mapping(path, data), **{k: v for k, v in changes.items() if v is not None}}
    if isinstance(fields.get("augmentation"), Mapping):
        strengths = dict(fields["augmentation"])
        if "resolution" in strengths:
            strengths["resolution"] = tuple(strengths["resolution"])
        fields["augmentation"] = _build(path, Augmentation, strengths)
    recipe: Recipe = _build(path, Recipe, fields)
    return recipe


def _mapping(path: Path, data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise RecipeError(f"{path} holds no recipe")
    return data


def _build(path: Path, cls: type[Any], fields: Mapping[str, Any]) -> Any:
    known = [item.name for item in dataclasses.fields(cls)]
    if unknown := sorted(set(fields) - set(known)):
        raise RecipeError(f"{path}: unknown fields {unknown}", allowed=", ".join(known))
    try:
        return cls(**fields)
    except TypeError as error:
        raise RecipeError(f"{path}: {error}") from error
