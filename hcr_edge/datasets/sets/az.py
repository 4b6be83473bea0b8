"""The Kaggle A–Z set: rows of ``label,784 pixels``, 0 for A, made from NIST SD19 and MNIST."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hcr_edge.datasets.content import Content
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet
from hcr_edge.datasets.sets.emnist import read_labelled_rows
from hcr_edge.labels import LATIN_CAPITALS

# Kaggle's blanks become underscores in some downloads; excerpts put a word after "Data".
_CSV = re.compile(r"(?:^|/)a_z[ _]handwritten[ _]data[^/]*\.csv(?:\.gz)?$", re.IGNORECASE)


def _select(names: Sequence[str], part: str) -> list[str]:
    return [name for name in names if _CSV.search(name)][:1]


def _read(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
    return read_labelled_rows(files, members[0], 0, len(LATIN_CAPITALS), pixels, transposed=False)


AZ = PublishedSet(
    name="az",
    label_set=LATIN_CAPITALS,
    layouts=(Layout("csv", ("all",), _select, _read),),
    bright_ink=True,
    archives=r"(?i)a_?z.?handwritten|handwritten.alphabets",
    folders=("latin",),
    tops=r"(?i)^a_z[ _]handwritten",
)
