"""What an owner says of a foreign model, in a YAML file, a file of labels, and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hcr_edge.errors import RecipeError
from hcr_edge.model_facts import read_facts, read_labels


def texts(source: Any) -> list[str]:
    return [label.text for label in read_labels(source)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.txt", "ب\nت\nlam-alef\n"),
        ("l.txt", "\ufeffU+0628\r\nU+062A\r\nlam-alef\r\n\r\n"),  # from a Windows editor
        ("l.json", '["ب", "ت", "lam-alef"]'),
        ("l.json", '{"ت": 1, "lam-alef": 2, "ب": 0}'),  # Keras' class_indices
        ("l.json", '{"2": "lam-alef", "0": "ب", "1": "ت"}'),
    ],
)
def test_labels_in_every_form(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert texts(str(tmp_path / name)) == ["ب", "ت", "lam-alef"]


def test_labels_by_a_map_s_name() -> None:
    assert len(texts("arabic-letters")) == 28


def test_indices_of_ten_and_more_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    path.write_text(json.dumps({str(i): chr(65 + i) for i in range(12)}), encoding="utf-8")
    assert "".join(texts(str(path))) == "ABCDEFGHIJKL"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 0, "b": 2}', "its indices are"),
        ('"a"', "str"),
        ("[1, ", "no list of labels"),
        ('["a", null]', "label 2 is None"),
        ('["a", "U+FFFFFF"]', "label 2 is U.FFFFFF, which is no character"),
        ('["U+D800"]', "label 1 is U.D800, which is no character"),
    ],
)
def test_labels_that_are_none(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match=says):
        read_labels(str(tmp_path / "l.json"))


def test_an_empty_line_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a\n\nb\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="label 2 is ''"):
        read_labels(str(tmp_path / "l.txt"))


YAML = """
labels: labels.txt
input-size: 32x48
channels: 3
normalize: -1-1
fit: pad
training-data: my own
min-confidence: 0.5
"""


def test_options_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "m.yaml").write_text(YAML, encoding="utf-8")
    facts = read_facts(tmp_path / "m.yaml", {"channels": 1, "fit": None, "name": "mine"})
    assert facts.labels is not None, "found beside the YAML file"
    assert (facts.input_size, facts.channels, facts.normalize) == ((32, 48), 1, "-1-1")
    assert (facts.fit, facts.name, facts.training_data) == ("pad", "mine", "my own")
    assert facts.min_confidence == 0.5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("label: x.txt", "(did you mean labels"),
        ("labels: [yes, no]", "label 1 is True"),  # YAML's booleans
        ("input-size: big", "input-size is 'big'"),
        ("channels: 2", "channels is 2"),
        ("fit: crop", "fit is 'crop'"),
        ("normalize: 1", "normalize is 1"),
        ("min-confidence: high", "min-confidence is 'high'"),
        ("- labels", "holds no fields"),
        ("a: [", "is no YAML"),
    ],
)
def test_file_that_says_something_else(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_facts(tmp_path / "m.yaml", {})
    assert says in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        read_facts(tmp_path / "absent.yaml", {})
    with pytest.raises(RecipeError, match="no file of labels"):
        read_labels("absent.txt")
