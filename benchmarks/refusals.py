"""What the limits in `hcr_runtime.prediction` rest on: ``python benchmarks/refusals.py``.

Every third letter of AHCD's test set (HCR_EDGE_DATA), shrunk to smaller and smaller writing
boxes: how many are sure enough, and how many of those are wrong, by the size of the glyph. Then
the reasons of what is refused: of letters, and of drawings that are no character.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from hcr_edge.datasets import load_dataset
from hcr_edge.outliers import KINDS, draw_outliers
from hcr_runtime import Classifier, to_gray
from hcr_runtime.preprocess import prepare

SIDES = (32, 24, 20, 16, 14, 12, 10, 8, 6)
SIZES = (0, 5, 6, 8, 10, 12, 16, 33)


def main() -> None:
    """Print both tables."""
    classifier = Classifier.load("arabic-letters")
    data = load_dataset("ahcd", split="test", data_dir=Path(os.environ["HCR_EDGE_DATA"]))
    chosen = range(0, len(data), 3)
    letters = [to_gray(data.encoded(i)) for i in chosen]
    rows = []
    for side in SIDES:
        images = [
            cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in letters
        ]
        scores = classifier.scores(images)
        sure = scores.max(axis=1) >= classifier.spec.rejection.min_confidence
        right = scores.argmax(axis=1) == data.labels[list(chosen)]
        longer = [prepare(image, classifier.spec)[1].longer for image in images]
        rows.append(np.stack([longer, sure, right], axis=1))
    size, sure, right = np.concatenate(rows).T
    print("glyph, pixels  images  read right  sure enough  of those wrong")
    for low, high in pairwise(SIZES):
        among = (size >= low) & (size < high)
        taken = among & (sure == 1)
        print(
            f"{low:3d} to {high - 1:3d}  {among.sum():10d}  {right[among].mean():10.1%}"
            f"  {sure[among].mean():11.1%}  {1 - right[taken].mean():14.1%}"
        )
    outliers = draw_outliers(tuple(KINDS), 60, 1)
    truth = [classifier.spec.texts[label] for label in data.labels[list(chosen)]]
    answers = [classifier.classify(image) for image in letters]
    pairs = [text in a.between for text, a in zip(truth, answers, strict=True) if a.between]
    print("letters:", dict(Counter(answer.reason or "accepted" for answer in answers)))
    print(f"ambiguous: the letter is one of the two for {np.mean(pairs):.1%} of {len(pairs)}")
    strange = Counter(classifier.classify(image).reason or "accepted" for image in outliers)
    print("no characters:", dict(strange))


if __name__ == "__main__":
    main()
