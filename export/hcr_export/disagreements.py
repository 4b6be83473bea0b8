"""A picture of the images that an artifact reads otherwise than Keras."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl

from hcr_export.parity_report import Disagreement
from hcr_runtime.image import to_gray

mpl.use("Agg")

from matplotlib import pyplot as plt

COLUMNS = 6
# The picture shows so many, those first on which most artifacts differ.
SHOWN = 36


def draw_disagreements(found: Sequence[Disagreement]) -> bytes:
    """Return a PNG: each image, what it shows, and who read what."""
    shown = sorted(found, key=lambda item: (-len(item.answers), item.number))[:SHOWN]
    rows = -(-len(shown) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(2.1 * COLUMNS, 2.5 * rows), squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, item in zip(axes.flat, shown, strict=False):
        place.imshow(to_gray(item.image), cmap="gray")
        # The letter last: in the midst of a line, one from the right would turn its order round.
        readings = [f"{kind} reads {text}" for kind, text in item.answers.items()]
        known = [f"shows {item.label}"] if item.label else []
        lines = [f"#{item.number}", *known, f"Keras reads {item.keras}", *readings]
        place.set_title("\n".join(lines), fontsize=7)
    more = f", {len(shown)} shown" if len(shown) < len(found) else ""
    figure.suptitle(f"read otherwise than by Keras: {len(found)} images{more}", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100, metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()
