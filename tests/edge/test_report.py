from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hcr_edge.labels import ARABIC_LETTERS
from hcr_edge.report import draw_curves, write_reports

HISTORY = """epoch,learning_rate,loss,accuracy,val_loss,val_accuracy
1,0.001,2.0,0.5,1.5,0.6
2,0.001,1.0,0.8,0.9,0.75
"""
Answers = tuple[NDArray[np.int64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """280 letters, a fifth of them read as another; yeh is never shown, alef never answered."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 27, 280)
    wrong = rng.random(280) < 0.2
    predicted = np.where(wrong, rng.integers(1, 28, 280), labels)
    predicted[labels == 0] = 5
    return labels, predicted


@pytest.fixture(scope="module")
def reports(answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports")
    (out / "history.csv").write_text(HISTORY, encoding="utf-8")
    write_reports(out, ARABIC_LETTERS, *answers)
    return out


def _confusion(reports: Path) -> tuple[list[str], list[str], NDArray[np.int64]]:
    with (reports / "confusion.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    return rows[0][1:], [row[0] for row in rows[1:]], np.array([row[1:] for row in rows[1:]], int)


def test_confusion_sums_to_what_was_read(reports: Path, answers: Answers) -> None:
    labels, predicted = answers
    columns, rows, matrix = _confusion(reports)
    assert columns == rows == [label.text for label in ARABIC_LETTERS]
    assert matrix.sum(axis=1).tolist() == np.bincount(labels, minlength=28).tolist()
    assert matrix.sum(axis=0).tolist() == np.bincount(predicted, minlength=28).tolist()
    assert np.trace(matrix) == (labels == predicted).sum()
    for true, answered in list(zip(labels, predicted, strict=True))[:20]:
        assert matrix[true, answered] > 0, "rows are the true letters"


def test_report_has_every_letter_and_four_figures(reports: Path, answers: Answers) -> None:
    labels, predicted = answers
    table = json.loads((reports / "classification_report.json").read_text(encoding="utf-8"))
    for index, label in enumerate(ARABIC_LETTERS):
        row = table[f"{label.text} {label.name}"]
        right = int(((labels == index) & (predicted == index)).sum())
        shown, answered = int((labels == index).sum()), int((predicted == index).sum())
        assert row["support"] == shown
        assert row["recall"] == pytest.approx(right / shown if shown else 0)
        assert row["precision"] == pytest.approx(right / answered if answered else 0)
    expected = f1_score(labels, predicted, labels=range(28), average="macro", zero_division=0)
    assert table["macro avg"]["f1-score"] == pytest.approx(expected)
    text = (reports / "classification_report.txt").read_text(encoding="utf-8")
    for word in ("precision", "recall", "f1-score", "support", "ا alef", "ي yeh"):
        assert word in text


@pytest.mark.parametrize("name", ["confusion.png", "curves.png"])
def test_pictures_decode_and_show_something(name: str, reports: Path) -> None:
    image = cv2.imread(str(reports / name))
    assert image is not None
    assert min(image.shape[:2]) >= 300
    assert image.std() > 5, "not one colour"


def test_confusion_picture_shows_the_mistakes(reports: Path, tmp_path: Path) -> None:
    """Another matrix, another picture."""
    perfect = np.arange(28).repeat(10)
    write_reports(tmp_path, ARABIC_LETTERS, perfect, perfect)
    first, second = (cv2.imread(str(path / "confusion.png")) for path in (reports, tmp_path))
    assert (first != second).any()
    assert not (tmp_path / "curves.png").exists(), "there was no history to draw"


def test_curves_of_a_single_epoch(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text("".join(HISTORY.splitlines(True)[:2]), encoding="utf-8")
    draw_curves(tmp_path / "curves.png", history)
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_pictures_of_a_run(base_run) -> None:
    """Of a real training, on the whole test part."""
    for name in ("confusion.png", "curves.png"):
        assert cv2.imread(str(base_run.path / name)) is not None
    _, _, matrix = _confusion(base_run.path)
    assert matrix.sum() == 3360
    assert matrix.sum(axis=1).tolist() == [120] * 28
    assert np.trace(matrix) == base_run.result["test"]["correct"]


@pytest.mark.filterwarnings("error")
def test_no_letter_lacks_its_glyph(answers: Answers, tmp_path: Path) -> None:
    """Matplotlib warns where a font has none; sklearn, where a class was never shown."""
    write_reports(tmp_path, ARABIC_LETTERS, *answers)
