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
from hcr_runtime.spec import NAME, NAME_FORM, NEWEST_PREPROCESS

_FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name: The model's name.
        arch: See `architectures.ARCHITECTURES`.
        dataset: See `datasets.load_dataset`.
        test_dataset: Another set, all of which is the test: then all of `dataset` trains. So a
            source that training never saw is measured.
        split: A file that ``hcr-edge data split`` wrote: its parts ``train`` and ``test`` are
            taken, and ``val`` where it has one.
        protocol: ``official``: the data set's own split, or that of `split`. ``writers``: its parts
            joined and split anew, a fifth of the writers being the test set.
        fold: Which fifth, 0 to 4 (protocol ``writers``).
        side: Pixels of the network's square input; glyphs are centred in it.
        preprocess: Version of the preprocessing, 1 or 2: the second keeps faint dots (see
            `hcr_runtime.preprocess`).
        epochs: At most this many.
        batch_size: Images in a step.
        learning_rate: The highest.
        schedule: ``plateau``: divided by 3 when validation has not improved for
            `plateau_patience` epochs; the epoch of the highest accuracy is kept. ``cosine``: falls
            to 2 % of it over the epochs; the epoch of the least validation loss is kept.
        plateau_patience: In epochs.
        stop_patience: Training ends when validation has not improved for so many epochs.
        weight_decay: Decoupled (AdamW); 0 means plain Adam.
        label_smoothing: 0 to 1.
        average: Decay of the moving average of the weights per step; 0 means none.
        augmentation: None, or the strengths.
        views: Each letter is augmented in so many ways, which then come again, with the teachers'
            answers to them: a long schedule for the price of a short one's augmentation. They are
            kept in memory: 1 KB for each image of 32x32 pixels, and for each drawing that joins
            it. 0: another way each epoch. Needs `augmentation`.
        source: What lends its trained body to `transfer`: a shipped checkpoint, a run folder, a
            ``.keras`` file, or ``imagenet:NAME`` for one of `architectures.APPLICATIONS`
            (``random:NAME`` without its weights).
        frozen_epochs: The body stays as it was for so many epochs; then all is fine-tuned, at a
            tenth of the learning rate.
        teachers: Checkpoints, run folders or ``.keras`` files of the same classes, whose mean
            answer to each augmented image is learned (Hinton, Vinyals, Dean 2015).
        distill: The teachers' share in the target, 0 to 1; the rest is the label's. Teachers are
            smooth enough: set `label_smoothing` to 0.
        outliers: So many drawings that are no character join each letter of a batch, at least one
            where it is not 0; their target is uniform (Hendrycks, Mazeika, Dietterich 2019).
        neighbours: As `outliers`, of the letters that `neighbours.COMPOSITIONS` composes from those
            of the training set; none where it lacks their parts.
        crossed: As `outliers`, of the training set's letters, crossed out (`crossed.cross_out`).
        lent: The share of letters that are written with a stroke of their family, letters that
            differ in their dots alone, their own class among them (`siblings.Siblings`); none
            where the classes have no families, as digits and Latin letters. Needs `augmentation`.
        typefaces: So many letters that `typefaces.Typefaces` writes join each letter of a batch,
            under their label; none where the typefaces know none of the classes.
        validation_share: One writer in so many validates.
        limit: Use at most so many training images, for trials; None means all.
        seed: For weights, shuffling and augmentation.
        branches: Training goes on so many times from the best epoch, and ends with the mean of the
            weights that come of it, where its validation loss is lower (`hcr_edge.branches`).
        branch_epochs: Epochs of each.
        published: What its authors reported, in words; empty for ours.
    """

    name: str
    arch: str
    dataset: str = "ahcd"
    test_dataset: str | None = None
    split: str | None = None
    protocol: Literal["official", "writers"] = "official"
    fold: int = 0
    side: int = 32
    preprocess: int = 1
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
    views: int = 0
    source: str | None = None
    frozen_epochs: int = 0
    teachers: tuple[str, ...] = ()
    distill: float = 0.0
    outliers: float = 0.0
    neighbours: float = 0.0
    crossed: float = 0.0
    lent: float = 0.0
    typefaces: float = 0.0
    validation_share: int = 10
    limit: int | None = None
    seed: int = 0
    branches: int = 0
    branch_epochs: int = 8
    published: str = ""

    def __post_init__(self) -> None:
        self._check_split()
        checks: tuple[tuple[str, type | tuple[type, ...], Any, str], ...] = (
            ("name", str, NAME.fullmatch, NAME_FORM),
            ("arch", str, bool, "a network's name"),
            ("dataset", str, bool, "a data set's name"),
            ("test_dataset", (str, type(None)), lambda v: v != "", "a data set's name, or null"),
            (
                "split",
                (str, type(None)),
                lambda v: v is None or v.endswith(".json"),
                "FILE.json, without a part, or null",
            ),
            ("protocol", str, PROTOCOLS.__contains__, ", ".join(PROTOCOLS)),
            ("fold", int, lambda v: 0 <= v < FOLDS, f"0 to {FOLDS - 1}"),
            ("side", int, lambda v: 16 <= v <= 128, "16 to 128"),
            ("preprocess", int, range(1, NEWEST_PREPROCESS + 1).__contains__, "1 or 2"),
            ("epochs", int, lambda v: 1 <= v <= 100_000, "1 to 100000"),
            ("batch_size", int, lambda v: 1 <= v <= 65536, "1 to 65536"),
            ("learning_rate", (int, float), lambda v: 0 < v <= 10, "a number above 0, to 10"),
            ("schedule", str, SCHEDULES.__contains__, ", ".join(SCHEDULES)),
            ("plateau_patience", int, lambda v: v >= 1, "1 or more"),
            ("stop_patience", int, lambda v: v >= 1, "1 or more"),
            ("weight_decay", (int, float), lambda v: 0 <= v <= 1, "0 to 1"),
            ("label_smoothing", (int, float), lambda v: 0 <= v < 1, "0 to below 1"),
            ("average", (int, float), lambda v: 0 <= v < 1, "0 to below 1"),
            ("views", int, lambda v: v >= 0, "0 or more"),
            ("source", (str, type(None)), lambda v: v is None or bool(v), "a checkpoint, or null"),
            ("frozen_epochs", int, lambda v: 0 <= v <= 100_000, "0 to 100000"),
            ("teachers", tuple, lambda v: all(type(t) is str and t for t in v), "checkpoints"),
            ("distill", (int, float), lambda v: 0 <= v <= 1, "0 to 1"),
            ("outliers", (int, float), lambda v: 0 <= v <= 0.5, "0 to 0.5"),
            ("neighbours", (int, float), lambda v: 0 <= v <= 0.5, "0 to 0.5"),
            ("crossed", (int, float), lambda v: 0 <= v <= 0.5, "0 to 0.5"),
            ("lent", (int, float), lambda v: 0 <= v <= 1, "0 to 1"),
            ("typefaces", (int, float), lambda v: 0 <= v <= 0.5, "0 to 0.5"),
            ("validation_share", int, lambda v: 2 <= v <= 1000, "2 to 1000"),
            ("limit", (int, type(None)), lambda v: v is None or v >= 1, "1 or more, or null"),
            ("seed", int, lambda v: 0 <= v < 2**31, "0 to 2147483647"),
            ("branches", int, lambda v: 0 <= v <= 100, "0 to 100"),
            ("branch_epochs", int, lambda v: 1 <= v <= 100_000, "1 to 100000"),
            ("published", str, lambda v: True, "words"),
            ("augmentation", (Augmentation, type(None)), lambda v: True, "strengths, or null"),
        )
        for name, kinds, allows, allowed in checks:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds) or not allows(value):
                raise RecipeError(f"recipe: {name} is {value!r}", allowed=allowed)
        for wrong, received, allowed in (
            (
                (self.arch == "transfer") != (self.source is not None),
                f"arch is {self.arch!r} and source is {self.source!r}",
                "transfer with a source, or another network without one",
            ),
            (
                self.frozen_epochs > 0 and self.source is None,
                f"frozen_epochs is {self.frozen_epochs} without a source",
                "0",
            ),
            (
                self.frozen_epochs >= self.epochs,
                f"frozen_epochs is {self.frozen_epochs} of {self.epochs} epochs",
                "fewer than epochs: then all is fine-tuned",
            ),
            (
                self.branches > 0 and self.source is not None,
                f"branches is {self.branches} with a source",
                "0",
            ),
            (
                self.lent > 0 and self.augmentation is None,
                f"lent is {self.lent} without augmentation",
                "strengths of augmentation, or lent: 0",
            ),
            (
                self.views > 0 and self.augmentation is None,
                f"views are {self.views} without augmentation",
                "strengths of augmentation, or views: 0",
            ),
            (
                bool(self.teachers) != (self.distill > 0),
                f"teachers are {list(self.teachers)} and distill is {self.distill}",
                "both, or neither",
            ),
            (
                bool(self.teachers) and self.protocol == "writers",
                f"protocol is {self.protocol!r} with teachers, who saw those writers",
                "no teachers",
            ),
            (
                bool(self.teachers) and self.test_dataset is not None,
                "there are teachers beside a test_dataset, which they may have seen",
                "no teachers",
            ),
            (
                bool(self.teachers) and self.split is not None,
                "there are teachers beside a split, whose test they may have seen",
                "no teachers",
            ),
            (
                self.split is not None and self.test_dataset is not None,
                "there is a split beside a test_dataset",
                "one of them",
            ),
            (
                self.split is not None and self.protocol != "official",
                f"protocol is {self.protocol!r} beside a split",
                "official, or 'split: null' in the recipe: crossval divides dataset itself",
            ),
            (
                self.test_dataset is not None and self.protocol != "official",
                f"protocol is {self.protocol!r} beside a test_dataset",
                "official, or no test_dataset: crossval divides dataset itself",
            ),
        ):
            if wrong:
                raise RecipeError(f"recipe: {received}", allowed=allowed)

    def _check_split(self) -> None:
        """Tell what to drop of a part of a split file, as other commands take."""
        if isinstance(self.split, str):
            file, end, part = self.split.rpartition(".json:")
            if end and not part.endswith(".json"):
                raise RecipeError(
                    f"recipe: split is {self.split!r}",
                    allowed=f"{file}.json, whose train, val and test are taken",
                    hint=f"drop ':{part}'",
                )

    @property
    def all_epochs(self) -> int:
        """At most so many epochs, those of the branches among them."""
        return self.epochs + self.branches * self.branch_epochs

    def to_yaml(self) -> str:
        """Return the recipe as a file's text; `load_recipe` reads it."""
        data = dataclasses.asdict(self)
        data["teachers"] = list(self.teachers)
        if self.augmentation is not None:
            data["augmentation"]["resolution"] = list(self.augmentation.resolution)
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


PROTOCOLS = ("official", "writers")
SCHEDULES = ("plateau", "cosine")
FOLDS = 5


def shipped_recipes() -> dict[str, Path]:
    """Name and file of each recipe inside the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def load_recipe(source: str | Path, /, **changes: Any) -> Recipe:
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
        fields["augmentation"] = _augmentation(path, fields["augmentation"])
    if isinstance(fields.get("teachers"), list):
        fields["teachers"] = tuple(fields["teachers"])
    recipe: Recipe = _build(path, Recipe, fields)
    return recipe


def _augmentation(path: Path, strengths: Mapping[str, Any]) -> Augmentation:
    fields = dict(strengths)
    low_high = fields.setdefault("resolution", Augmentation().resolution)
    fields["resolution"] = tuple(low_high) if isinstance(low_high, list | tuple) else low_high
    wrong = [
        name
        for name, value in fields.items()
        if name != "resolution"
        and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10)
    ]
    if wrong:
        raise RecipeError(
            f"{path}: augmentation: {wrong[0]} is {fields[wrong[0]]!r}", allowed="0 to 10"
        )
    shares = fields.get("coarse", 0.0), fields.get("broken", 0.0)
    if sum(shares) > 1:
        raise RecipeError(
            f"{path}: augmentation: coarse and broken are {shares[0]} and {shares[1]}",
            allowed="probabilities, together at most 1",
        )
    chances = ("stroke", "blur", "noise", "tight", "joined", "blot", "soft")
    over = [name for name in chances if fields.get(name, 0.0) > 1]
    if over:
        raise RecipeError(
            f"{path}: augmentation: {over[0]} is {fields[over[0]]!r}", allowed="a probability"
        )
    if fields.get("soft", 0.0) > 0 and shares[0] == 0:
        raise RecipeError(
            f"{path}: augmentation: soft is {fields['soft']!r}, but no picture is coarse",
            hint="give coarse too: soft is the share of coarse pictures that are out of focus",
        )
    sides = fields["resolution"]
    whole = isinstance(sides, tuple) and all(type(side) is int for side in sides)
    if not (whole and len(sides) == 2 and 8 <= sides[0] <= sides[1] <= 1024):
        raise RecipeError(
            f"{path}: augmentation: resolution is {low_high!r}", allowed="[low, high], 8 to 1024"
        )
    built: Augmentation = _build(path, Augmentation, fields)
    return built


def _mapping(path: Path, data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise RecipeError(f"{path} holds no recipe")
    return data


def _build(path: Path, cls: type[Any], fields: Mapping[str, Any]) -> Any:
    known = [item.name for item in dataclasses.fields(cls)]
    if unknown := sorted(map(str, set(fields) - set(known))):
        raise RecipeError(f"{path}: unknown fields {unknown}", allowed=", ".join(known))
    needed = [item.name for item in dataclasses.fields(cls) if item.default is dataclasses.MISSING]
    if absent := [name for name in needed if name not in fields]:
        raise RecipeError(
            f"{path} does not say its {' and '.join(absent)}",
            allowed=f"at least {', '.join(needed)}",
        )
    try:
        return cls(**fields)
    except TypeError as error:
        raise RecipeError(f"{path}: {error}") from error
