"""Names and paths of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hcr_runtime import Classifier, ModelError, shipped_models
from hcr_runtime.models import find_model


def test_shipped_model_is_a_file_named_after_itself() -> None:
    models = shipped_models()
    assert "arabic-letters" in models
    for name, path in models.items():
        assert path.is_file()
        assert Classifier.load(name).spec.name == name


def test_shipped_model_is_small_enough_for_a_device(model_file: Path) -> None:
    assert model_file.stat().st_size <= 150_000


def test_name_and_path_find_the_same_file(model_file: Path) -> None:
    for form in ("arabic-letters", model_file, str(model_file)):
        assert find_model(form) == model_file


def test_path_relative_to_the_working_folder(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(model_file, tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)
    assert Classifier.load("mine.onnx").spec.name == "arabic-letters"


def test_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `hcr-edge export arabic-letters --out arabic-letters` leaves such a folder.
    (tmp_path / "arabic-letters").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("arabic-letters") == model_file


@pytest.mark.parametrize(
    ("name", "says"),
    [
        # The usual slip: one letter too few.
        ("arabic-leters", "(did you mean arabic-letters or"),
        ("Arabic-Letters", "did you mean arabic-letters or"),
        # The suffix of a file that lies elsewhere.
        ("arabic-letters.onnx", "no model file 'arabic-letters.onnx'; allowed: arabic-letters"),
        ("arabic-letters.tflite", "no model file 'arabic-letters.tflite'"),
        # Nothing alike: all that is known.
        ("zzz", "'zzz'; allowed: arabic-letters"),
        ("../models/zzz.onnx", "no model file '../models/zzz.onnx'"),
        # What no file system takes.
        ("a\0b", "no model"),
        ("a\0b.onnx", "no model file"),
        ("x" * 300, "no model"),
        ("x" * 300 + ".onnx", "no model file"),
    ],
    ids=lambda part: part[:24].replace("\0", "NUL"),
)
def test_unknown_name_is_answered_with_what_is_known(name: str, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        Classifier.load(name)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "bundle", "bundle/labels.txt"])
def test_path_that_is_no_model_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "labels.txt").write_text("ا\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"is no model file; allowed: \.onnx, \.ort, \.tflite"):
        Classifier.load(name)
