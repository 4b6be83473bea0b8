"""Letters of printed typefaces, written with pens of every width: forms that a data set lacks.

AHCD's writers wrote أ for alef and هـ for heh; a stranger writes ا, إ and ه. The middle lines of 43
free typefaces (`arabic.yaml` names them; `tools/typefaces.py` made both files) hold every form.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from hcr_edge.label_maps import find_label_map

Ink = NDArray[np.uint8]

_JOINED = "\u200d"  # asks a typeface for the form that joins its neighbour
_WIDTHS = 2, 9  # of the pen, pixels of a tile of 96: from the least to below the last


class Typefaces:
    """Writes those of the typefaces' forms whose letter is among `texts`.

    Args:
        texts: The characters of a label set, in its order.

    >>> Typefaces(["0", "1"]).forms
    ()
    >>> Typefaces(["ا", "ب"]).forms
    ('ا', 'أ', 'إ', 'آ', 'ب')
    """

    def __init__(self, texts: Sequence[str]) -> None:
        folder = files("hcr_edge.typefaces")
        about = yaml.safe_load((folder / "arabic.yaml").read_text(encoding="utf-8"))
        folds = find_label_map("arabic-letters").fold
        letters = {form: form.removesuffix(_JOINED) for form in about["forms"]}
        self._labels = {
            form: texts.index(folds.get(letter, letter))
            for form, letter in letters.items()
            if folds.get(letter, letter) in texts
        }
        self._columns = {form: about["forms"].index(form) for form in self._labels}
        self._tile = int(about["tile"])
        self._rows = len(about["typefaces"])
        with as_file(folder / "arabic.png") as path:
            self._sheet = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)

    @property
    def forms(self) -> tuple[str, ...]:
        """What can be written: letters, their variants, and forms that join a neighbour."""
        return tuple(self._labels)

    def write(self, form: str, rng: np.random.Generator) -> tuple[Ink, int]:
        """Write one of `forms` in a typeface of chance.

        Returns:
            Uint8 (96, 96), bright on 0; and which of the label set it is.
        """
        side, column = self._tile, self._columns[form]
        row = int(rng.integers(self._rows))
        line = self._sheet[row * side : (row + 1) * side, column * side : (column + 1) * side]
        width = int(rng.integers(*_WIDTHS))
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        ink = cv2.GaussianBlur(cv2.dilate(line, pen), (0, 0), 0.7)
        return np.asarray(ink, np.uint8), self._labels[form]
