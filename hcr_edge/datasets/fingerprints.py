"""Measures the fingerprints: ``python -m hcr_edge.datasets.fingerprints``.

Their images were looked at, sheet by sheet, before their shapes became the measure of others:
AHCD's training part, Hijja's hamza, Hoda, MNIST, CoMNIST, and capital and small Latin letters of
NIST SD19. Of each character only its mean distribution of ink over an 8×8 grid is kept.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from hcr_edge.datasets.library import load_published
from hcr_edge.datasets.orientation import FINGERPRINTS, fingerprints, ink_grid
from hcr_edge.datasets.sets import SETS
from hcr_edge.labels import RUSSIAN_CAPITALS, RUSSIAN_SMALL
from hcr_runtime import HcrError

# Set, part. Later ones do not replace what an earlier one has measured.
SOURCES = (
    ("ahcd", "train"),
    ("hijja", "all"),
    ("hoda", "train"),
    ("mnist", "test"),
    ("comnist-cyrillic", "all"),
    ("sd19", "all"),
)
_EACH = 400
# Small Russian letters that are written as their capitals are, only smaller.
_LIKE_CAPITALS = "вгежзийклмнопрстуфхцчшщъыьэюя"


def measure_grids() -> dict[str, list[int]]:
    """Return each character's mean grid, 64 whole numbers row by row."""
    grids: dict[str, list[int]] = {}
    for name, part in SOURCES:
        data = load_published(SETS[name], "", part, None)
        for index, label in enumerate(data.label_set):
            members = np.flatnonzero(data.labels == index)
            chosen = members[:: max(len(members) // _EACH, 1)][:_EACH].tolist()
            found = [grid for i in chosen if (grid := ink_grid(data.images[i])) is not None]
            if label.text in grids or len(found) < 20:
                continue
            mean = np.mean(found, axis=0).ravel()
            grids[label.text] = np.rint(mean * 10_000).astype(int).tolist()
    for capital, small in zip(RUSSIAN_CAPITALS, RUSSIAN_SMALL, strict=True):
        if small.text in _LIKE_CAPITALS and capital.text in grids:
            grids[small.text] = grids[capital.text]
    return grids


if __name__ == "__main__":
    try:
        measured = measure_grids()
    except HcrError as error:
        sys.exit(f"error: {error}")
    rows = ",\n".join(
        f"    {json.dumps(text, ensure_ascii=False)}: {json.dumps(grid)}"
        for text, grid in sorted(measured.items())
    )
    FINGERPRINTS.write_text(f'{{\n  "grids": {{\n{rows}\n  }}\n}}\n', encoding="utf-8")
    fingerprints.cache_clear()
    sys.stdout.write(f"{FINGERPRINTS}: {len(fingerprints())} characters\n")
