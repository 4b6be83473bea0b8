"""What a training run leaves for people: report, confusion matrix, curves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix

from hcr_runtime import Label

mpl.use("Agg")

from matplotlib import pyplot as plt

# What `write_reports` writes.
REPORTS = (
    "classification_report.txt",
    "classification_report.json",
    "confusion.csv",
    "confusion.png",
    "curves.png",
)


def write_reports(
    out: Path,
    label_set: tuple[Label, ...],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
) -> None:
    """Write ``classification_report.txt`` and ``.json``, ``confusion.csv`` and ``.png``.

    Args:
        out: The run folder; its ``history.csv`` becomes ``curves.png``.
        label_set: The classes.
        labels: True classes, shape (N,).
        predicted: Predicted classes, shape (N,).
    """
    numbers = list(range(len(label_set)))
    names = [f"{label.text} {label.name}" for label in label_set]
    options = {"labels": numbers, "target_names": names, "zero_division": 0.0}
    text = classification_report(labels, predicted, digits=4, **options)
    (out / "classification_report.txt").write_text(text, encoding="utf-8")
    table = classification_report(labels, predicted, output_dict=True, **options)
    (out / "classification_report.json").write_text(
        json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    matrix = confusion_matrix(labels, predicted, labels=numbers)
    with (out / "confusion.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["true \\ predicted", *(label.text for label in label_set)])
        for label, row in zip(label_set, matrix.tolist(), strict=True):
            writer.writerow([label.text, *row])
    draw_confusion(out / "confusion.png", label_set, matrix)
    if (out / "history.csv").is_file():
        draw_curves(out / "curves.png", out / "history.csv")


def draw_confusion(path: Path, label_set: tuple[Label, ...], matrix: NDArray[np.int64]) -> None:
    """Draw a confusion matrix; rows are the true classes, in shares of each row."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(11, 10.5), layout="constrained")
    # Mistakes are few: a scale that ends at 10 % makes them visible.
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=0.1)
    ticks = range(len(label_set))
    axes.set_xticks(ticks, [label.text for label in label_set], fontsize=13)
    axes.set_yticks(ticks, [f"{label.name} {label.text}" for label in label_set], fontsize=11)
    axes.tick_params(top=True, labeltop=True)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.05 else "black",
        )
    figure.colorbar(image, ax=axes, shrink=0.6, extend="max", label="share of the true class")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_curves(path: Path, history: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs of a ``history.csv``."""
    table = np.genfromtxt(history, delimiter=",", names=True, ndmin=1)
    figure, panes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axes, name in zip(panes, ("accuracy", "loss"), strict=False):
        axes.plot(table["epoch"], table[name], label="training")
        axes.plot(table["epoch"], table[f"val_{name}"], label="validation (other writers)")
        axes.set_title(name)
        axes.legend()
    panes[2].plot(table["epoch"], table["learning_rate"], color="gray")
    panes[2].set_title("learning rate")
    panes[2].set_yscale("log")
    for axes in panes:
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    plt.close(figure)
