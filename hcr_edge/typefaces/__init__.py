"""Letters of free typefaces, written with pens of every width: forms that a data set lacks.

AHCD's writers wrote أ for alef and هـ for heh; a stranger writes ا, إ and ه. The middle lines of
typefaces hold every form; `tools/typefaces.py` made the pictures of them, and what names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from hcr_edge.label_maps import label_maps

Ink = NDArray[np.uint8]

SCRIPTS = "arabic", "latin"

_FOLDER = files("hcr_edge.typefaces")
_JOINED = "\u200d"  # asks a typeface for the form that joins its neighbour
_BAR = 10  # pixels: what is narrower is a bar
_WIDTHS = 2, 9  # of the pen, pixels of a tile of 96: from the least to below the last


class Typefaces:
    """Writes those of the typefaces' forms that are, or count as, one of `texts`.

    Args:
        texts: The characters of a label set, in its order.

    >>> Typefaces(["0", "1"]).forms
    ()
    >>> Typefaces(["ا", "ب"]).forms
    ('ا', 'أ', 'إ', 'آ', 'ب')
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._tiles: dict[str, tuple[NDArray[np.uint8], int]] = {}
        for script in SCRIPTS:
            about = yaml.safe_load((_FOLDER / f"{script}.yaml").read_text(encoding="utf-8"))
            labels = [_label(form.removesuffix(_JOINED), texts) for form in about["forms"]]
            if all(label is None for label in labels):
                continue
            side, rows, columns = about["tile"], len(about["typefaces"]), len(labels)
            with as_file(_FOLDER / f"{script}.png") as path:
                sheet = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)
            tiles = sheet.reshape(rows, side, columns, side).transpose(2, 0, 1, 3)
            for form, label, column in zip(about["forms"], labels, tiles, strict=True):
                if label is not None:
                    self._tiles[form] = column[_shown(column, form, texts[label])], label

    @property
    def forms(self) -> tuple[str, ...]:
        """What can be written: letters, their variants, and forms that join a neighbour."""
        return tuple(self._tiles)

    def write(self, form: str, rng: np.random.Generator) -> tuple[Ink, int]:
        """Write one of `forms` in a typeface of chance.

        Returns:
            Uint8 (96, 96), bright on 0; and which of the label set it is.
        """
        typefaces, label = self._tiles[form]
        line = typefaces[rng.integers(len(typefaces))]
        width = int(rng.integers(*_WIDTHS))
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        ink = cv2.GaussianBlur(cv2.dilate(line, pen), (0, 0), 0.7)
        return np.asarray(ink, np.uint8), label


def _shown(tiles: NDArray[np.uint8], form: str, text: str) -> NDArray[np.bool_]:
    """Which typefaces know the form, and write it as no other letter is written: (typefaces,)."""
    columns = tiles.any(axis=1).sum(axis=1)
    # A small l that is a bar is no L: most bars are an I.
    return np.asarray(columns >= _BAR if (form, text) == ("l", "L") else columns > 0, np.bool_)


def _label(letter: str, texts: Sequence[str]) -> int | None:
    """The place in `texts` of a letter, or of what it counts as in a label map."""
    known = [letter, *(table.fold.get(letter) for table in label_maps().values())]
    return next((texts.index(text) for text in known if text in texts), None)
