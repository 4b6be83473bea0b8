from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hcr_edge.compare import Compared, is_recipe, measure_model, write_comparison
from hcr_edge.datasets import load_dataset
from hcr_edge.datasets.splits import make_split
from hcr_edge.errors import RecipeError

PNG = b"\x89PNG"


def test_a_run_and_a_shipped_model_side_by_side(base_run, data_dir: Path, tmp_path: Path) -> None:
    run = Compared.of_run(base_run.path, "ahcd-baseline")
    shipped = measure_model("arabic-letters", "ahcd", data_dir)
    assert run.accuracy == base_run.result["test"]["accuracy"]
    assert run.parameters == 1_720_220
    assert run.published == "92 % on AHCD"
    assert (shipped.total, shipped.validation) == (3360, None)
    assert shipped.accuracy > run.accuracy
    low, high = shipped.interval
    assert low < shipped.accuracy < high

    out = tmp_path / "compared"
    document = write_comparison(out, [run, shipped])
    assert document == json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in document["systems"]] == ["ahcd-baseline", "arabic-letters"]
    lines = (out / "compare.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1, "a table"
    for name in ("accuracy.png", "curves.png"):
        assert (out / name).read_bytes().startswith(PNG)
    write_comparison(out, [shipped])
    assert not (out / "curves.png").exists(), "nothing was trained"


def test_the_command_trains_goes_on_and_measures(cli, data_dir: Path, tmp_path: Path) -> None:
    command = ("compare", "--recipes", "lenet5,arabic-letters", "--dataset", "ahcd", "--out")
    limits = ("--epochs", "1", "--limit", "500", "--json")
    answer = cli(*command, tmp_path / "out", *limits, data=data_dir)
    assert answer.code == 0, answer.err
    names = [item["name"] for item in answer.json["systems"]]
    assert names == ["lenet5", "arabic-letters"]
    model = tmp_path / "out" / "lenet5" / "model.keras"
    trained = model.stat().st_mtime_ns
    again = cli(*command, tmp_path / "out", *limits, data=data_dir)
    assert again.json == answer.json
    assert model.stat().st_mtime_ns == trained, "a finished run is not run again"


def test_models_of_other_classes(cli, tmp_path: Path) -> None:
    """What the model lacks is named, and which of the models it is, before anything is trained."""
    command = ("compare", "--recipes", "lenet5,arabic-letters,persian-digits", "--dataset")
    answer = cli(*command, f"folder:{_two_letters(tmp_path, 'ا', 'ب')}", "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.errors[-1].startswith("error: persian-digits, which reads ۰ ۱ ۲ ۳ ")
    assert "(found: ا, ب)" in answer.errors[-1]
    assert not (tmp_path / "out").exists()


def test_classes_that_one_model_lacks(cli, tmp_path: Path) -> None:
    mine = f"folder:{_two_letters(tmp_path, 'ا', 'A')}"
    command = ("compare", "--recipes", "arabic-letters,latin-letters", "--dataset", mine)
    answer = cli(*command, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    tests = {item["name"]: item["test_set"] for item in answer.json["systems"]}
    assert tests == {
        "arabic-letters": "folder letters all without A",
        "latin-letters": "folder letters all without ا",
    }
    assert "not all were measured on the same images" in answer.err


def _two_letters(folder: Path, *letters: str) -> Path:
    root = folder / "letters"
    for letter in letters:
        (root / letter).mkdir(parents=True)
        paper = np.full((40, 40), 255, np.uint8)
        paper[8:32, 18:22] = 0
        cv2.imencode(".png", paper)[1].tofile(root / letter / "1.png")
    return root


def test_recipes_are_trained_and_models_measured(tmp_path: Path) -> None:
    assert is_recipe("lenet5")
    assert is_recipe("mine.yaml")
    assert not is_recipe("arabic-letters"), "what ships is measured"
    assert not is_recipe(str(tmp_path))


def test_an_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished run folder"):
        Compared.of_run(tmp_path, "mine")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("lenet5,lennet5", "there is no model 'lennet5', and no recipe"),
        ("lenet5,lennet5", "did you mean lenet5"),
        ("lenet5,arabic-letters", "measure arabic-letters"),  # on what?
        ("a/mine.yaml,b/mine.yaml", "in one folder, mine"),
    ],
)
def test_mistakes_show_before_the_first_training(
    names: str, says: str, cli, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text("name: mine\narch: lenet5\n", encoding="utf-8")
    answer = cli("compare", "--recipes", names, "--out", tmp_path / "out", data=data_dir)
    assert answer.code == 2
    assert says in answer.errors[0]
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_folders_place(cli, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    answer = cli("compare", "--recipes", "lenet5", "--dataset", "absent", "--out", tmp_path / "out")
    assert (answer.code, answer.errors) == (
        2,
        [f"error: {tmp_path / 'out'} is a file; allowed: a folder"],
    )


def test_nothing_to_compare(cli, tmp_path: Path) -> None:
    answer = cli("compare", "--recipes", " , ", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "nothing is to be compared" in answer.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def split_recipes(own: str, tmp_path: Path) -> tuple[Path, Path]:
    """Two recipes of one data set, each with a split file of its own of one name."""
    recipes = tmp_path / "first.yaml", tmp_path / "second.yaml"
    for recipe in recipes:
        (tmp_path / recipe.stem).mkdir()
        split = tmp_path / recipe.stem / "split.json"
        recipe.write_text(
            f"name: {recipe.stem}\narch: lenet5\nepochs: 1\ndataset: '{own}'\nsplit: {split}\n",
            encoding="utf-8",
        )
        _write_split(tmp_path, split, seed=5)
    return recipes


def _write_split(folder: Path, file: Path, **options: float) -> None:
    data = load_dataset(f"folder:{folder / 'own'}", "all")
    split = make_split(data, "random", **options)  # type: ignore[arg-type]
    file.write_text(json.dumps(split.to_dict()), encoding="utf-8")


def test_other_images_are_told(cli, split_recipes: tuple[Path, Path], tmp_path: Path) -> None:
    """Of one data set, in a file of one name, as many: told by which they are."""
    names = ",".join(map(str, split_recipes))
    (tmp_path / "second/split.json").rename(tmp_path / "second/list.json")
    text = split_recipes[1].read_text(encoding="utf-8")
    split_recipes[1].write_text(text.replace("split.json", "list.json"), encoding="utf-8")
    alike = cli("compare", "--recipes", names, "--out", tmp_path / "alike", "--json")
    assert alike.code == 0, alike.err
    assert "same images" not in alike.err, "the same parts, in files of two names"
    split_recipes[1].write_text(text, encoding="utf-8")
    _write_split(tmp_path, tmp_path / "second/split.json", seed=6)
    answer = cli("compare", "--recipes", names, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    assert [item["test_set"] for item in answer.json["systems"]] == 2 * [
        "folder own test of split.json"
    ]
    assert "not all were measured on the same images" in answer.err
    assert "listed" not in answer.json["systems"][0]


@pytest.mark.parametrize(
    ("content", "dataset", "says"),
    [
        (None, (), "cannot read"),
        ("{}", (), "is no split file"),
        ("", ("--dataset", "samples"), "other images than samples"),
    ],
)
def test_split_files_are_read_before_the_first_training(
    content: str | None,
    dataset: tuple[str, ...],
    says: str,
    cli,
    split_recipes: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    first, second = split_recipes
    if content is None:
        (tmp_path / "second/split.json").unlink()
    elif content:
        (tmp_path / "second/split.json").write_text(content, encoding="utf-8")
    else:
        first.write_text("name: first\narch: lenet5\nepochs: 1\n", encoding="utf-8")
    names = f"{first},{second}"
    answer = cli("compare", "--recipes", names, *dataset, "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.errors[-1].startswith(f"error: {second}: ")
    assert says in answer.errors[-1]
    assert not (tmp_path / "out").exists()
