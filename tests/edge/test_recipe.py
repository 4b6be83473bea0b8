from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from hcr_edge.architectures import ARCHITECTURES
from hcr_edge.augment import Augmentation
from hcr_edge.checkpoints import shipped_checkpoints
from hcr_edge.errors import RecipeError
from hcr_edge.recipe import Recipe, load_recipe, shipped_recipes

LEAST = "name: mine\narch: edge-s\n"


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.arch in ARCHITECTURES
    assert load_recipe(_write(tmp_path, recipe.to_yaml())) == recipe


def test_there_is_a_recipe_for_every_architecture() -> None:
    """`--arch NAME` takes the recipe of that name."""
    assert set(shipped_recipes()) >= set(ARCHITECTURES)
    for name in ARCHITECTURES:
        assert load_recipe(name).arch == name


def test_there_is_a_recipe_for_everything_that_ships() -> None:
    for name in shipped_checkpoints():
        assert load_recipe(name).name == name


def test_reference_systems_say_what_was_published() -> None:
    found = {name: load_recipe(name) for name in ("ahcd-bn", "custom-cnn", "vgg", "transfer")}
    assert all("%" in recipe.published for recipe in found.values())
    assert found["ahcd-bn"].epochs == 50
    assert found["ahcd-bn"].schedule == "plateau"
    for name in ("custom-cnn", "vgg", "transfer"):
        assert found[name].epochs == 30
    assert found["transfer"].frozen_epochs > 0
    assert load_recipe("lenet5").dataset == "hoda"


def test_baseline_is_the_published_one() -> None:
    """El-Sawy, Loey, El-Bakry 2017: Adam, batch 32, 10 epochs, no augmentation."""
    recipe = load_recipe("ahcd-baseline")
    assert (recipe.arch, recipe.dataset, recipe.protocol) == ("ahcd-baseline", "ahcd", "official")
    assert (recipe.batch_size, recipe.epochs, recipe.weight_decay) == (32, 10, 0.0)
    assert (recipe.augmentation, recipe.schedule, recipe.average) == (None, "plateau", 0.0)


def test_an_empty_augmentation_means_the_usual_strengths() -> None:
    recipe = load_recipe("edge-xs")
    assert recipe.augmentation == Augmentation()


def test_a_whole_recipe_round_trips(tmp_path: Path) -> None:
    recipe = Recipe(
        *("mine", "edge-s", "folder:letters/ب", "writers"),
        fold=3,
        epochs=7,
        learning_rate=0.0025,
        augmentation=Augmentation(resolution=(32, 40), shear=0.5),
        outliers=0.1,
        neighbours=0.05,
        lent=0.2,
        views=3,
        seed=11,
    )
    again = load_recipe(_write(tmp_path, recipe.to_yaml()))
    assert again == recipe
    assert again.augmentation is not None
    assert isinstance(again.augmentation.resolution, tuple)
    assert again.to_yaml() == recipe.to_yaml()


def test_teachers_round_trip(tmp_path: Path) -> None:
    recipe = Recipe("mine", "edge-s", teachers=("arabic-letters", "runs/other"), distill=0.5)
    again = load_recipe(_write(tmp_path, recipe.to_yaml()))
    assert again == recipe
    assert again.teachers == ("arabic-letters", "runs/other")


@pytest.mark.parametrize(
    "seen",
    [{"protocol": "writers"}, {"dataset": "ahcd", "test_dataset": "hijja"}, {"split": "a.json"}],
)
def test_teachers_do_not_pass_on_what_the_test_holds(seen: dict[str, str]) -> None:
    """They were trained on it, or may have been."""
    with pytest.raises(RecipeError, match="teachers"):
        Recipe("mine", "edge-s", teachers=("arabic-letters",), distill=0.5, **seen)


def test_a_body_that_would_never_be_tuned() -> None:
    with pytest.raises(RecipeError, match="frozen_epochs is 5 of 5"):
        Recipe("m", "transfer", source="arabic-letters", frozen_epochs=5, epochs=5)


def test_the_file_is_plain_yaml() -> None:
    """Others read it without this package."""
    data = yaml.safe_load(load_recipe("edge-s").to_yaml())
    assert set(data) == {field.name for field in dataclasses.fields(Recipe)}
    assert data["augmentation"]["resolution"] == list(Augmentation().resolution)


def test_changes_replace_fields_and_none_does_not(tmp_path: Path) -> None:
    path = _write(tmp_path, LEAST + "epochs: 5\nseed: 3\n")
    recipe = load_recipe(path, epochs=9, seed=0, batch_size=None)
    assert (recipe.epochs, recipe.seed, recipe.batch_size) == (9, 0, Recipe("a", "b").batch_size)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("epoch: 5", "epoch"),  # a slip
        ("augmentation: {rotate: 0.1}", "rotate"),
        ("epochs: 0", "epochs"),
        ("epochs: -3", "epochs"),
        ("epochs: ten", "epochs"),
        ("epochs: 2.5", "epochs"),
        ("epochs: [5]", "epochs"),
        ("epochs: true", "epochs"),  # YAML's true counts as 1
        ("epochs:", "epochs"),  # a value forgotten
        ("batch_size: 0", "batch_size"),
        ("side: 8", "side"),
        ("preprocess: 3", "preprocess is 3"),
        ("preprocess: true", "preprocess"),
        ("side: [32, 32]", "side"),
        ("batch_size: 1e9", "batch_size"),
        ("learning_rate: 0", "learning_rate"),
        ("learning_rate: -0.1", "learning_rate"),
        ("learning_rate: fast", "learning_rate"),
        ("learning_rate: .nan", "learning_rate"),
        ("learning_rate: 1e-3", "learning_rate"),  # YAML 1.1 reads it as text: 1.0e-3 is a number
        ("schedule: linear", "schedule"),
        ("schedule: [cosine]", "schedule"),
        ("protocol: random", "protocol"),
        ("split: 3", "split is 3"),
        ("split: a.json:test", "split is 'a.json:test'"),
        ("split: a.json\nprotocol: writers", "protocol is 'writers' beside a split"),
        ("split: a.json\ntest_dataset: hijja", "a split beside a test_dataset"),
        ("fold: 5", "fold"),
        ("fold: -1", "fold"),
        ("validation_share: 1", "validation_share"),
        ("average: 1.0", "average"),
        ("average: .nan", "average"),
        ("seed: -1", "seed"),
        ("seed: now", "seed"),
        ("stop_patience: 0", "stop_patience"),  # would stop before the first epoch
        ("stop_patience: long", "stop_patience"),
        ("plateau_patience: 0", "plateau_patience"),
        ("label_smoothing: 2", "label_smoothing"),
        ("weight_decay: -1", "weight_decay"),
        ("weight_decay: some", "weight_decay"),
        ("outliers: 0.9", "outliers"),
        ("outliers: many", "outliers"),
        ("neighbours: -0.1", "neighbours"),
        ("lent: 2\naugmentation: {}", "lent"),
        ("lent: 0.3", "without augmentation"),
        ("views: 4", "without augmentation"),
        ("views: -1", "views is -1"),
        ("teachers: [7]", "teachers"),
        ("teachers: arabic-letters", "teachers"),  # a list is wanted
        ("distill: 0.5", "distill"),  # of whom?
        ("teachers: [arabic-letters]", "distill"),  # how much?
        ("distill: 2", "distill"),
        ("source: arabic-letters", "source"),  # of a network that takes none
        ("source: ''", "source"),
        ("frozen_epochs: -1", "frozen_epochs"),
        ("frozen_epochs: 3", "frozen_epochs"),  # of what body?
        ("test_dataset: ''", "test_dataset"),
        ("published: 92", "published"),
        ("augmentation: 3", "augmentation"),
        ("augmentation: yes", "augmentation"),
        ("augmentation: [0.1]", "augmentation"),
        ("augmentation: {rotation: much}", "rotation"),
        ("augmentation: {resolution: 48}", "resolution"),
        ("augmentation: {coarse: 0.8, broken: 0.5}", "coarse and broken"),
        ("augmentation: {coarse: 2}", "coarse and broken"),
        ("augmentation: {joined: 5}", "joined"),
        ("augmentation: {stroke: 1.5}", "stroke"),
        ("augmentation: {blur: 1.5}", "blur"),
        ("augmentation: {noise: 1.5}", "noise"),
        ("augmentation: {tight: 1.5}", "tight"),
        ("augmentation: {soft: 0.5}", "soft"),  # of no coarse pictures
        ("typefaces: 0.8", "typefaces"),
        ("augmentation: {resolution: [96, 48]}", "resolution"),  # the wrong way round
        ("augmentation: {resolution: [48]}", "resolution"),
        ("dataset: [ahcd]", "dataset"),
        ("name: 7", "name"),
        ("name: ''", "name"),
        ("name: ../elsewhere", "name"),  # files are called after it
        ("1: 2", "1"),  # a field that is no word
    ],
)
def test_wrong_field_is_named(line: str, says: str, tmp_path: Path) -> None:
    least = "".join(row for row in LEAST.splitlines(True) if row[:4] != line[:4])
    path = _write(tmp_path, f"{least}{line}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["name: mine", "arch: edge-s"])
def test_what_has_no_default_must_be_there(line: str, tmp_path: Path) -> None:
    missing = "arch" if line.startswith("name") else "name"
    with pytest.raises(
        RecipeError, match=f"does not say its {missing}; allowed: at least name, arch"
    ):
        load_recipe(_write(tmp_path, line))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no recipe"),
        ("- name: mine\n", "holds no recipe"),
        ("just words\n", "holds no recipe"),
        ("name: [unclosed\n", "is not YAML"),
        ("name: mine\n\tarch: edge-s\n", "is not YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not YAML"),  # not executed
        ("a: &a [*a]\n", ""),
    ],
)
def test_file_that_is_no_recipe(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(_write(tmp_path, text))
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: m\xe9\narch: edge-s\n")  # Latin-1
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(path)


def test_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("ahcd-baselin")
    assert "did you mean ahcd-baseline" in caught.value.allowed
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(tmp_path)  # a folder


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"split": "a.json:train"}, "allowed: a.json, .*; drop ':train'$"),
        ({"split": "a.json", "protocol": "writers"}, "'split: null' in the recipe: crossval"),
    ],
)
def test_what_to_do_about_a_split_is_told(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RecipeError, match=remedy):
        load_recipe("edge-nano", teachers=(), distill=0.0, **changes)
