"""AHCD, the Arabic Handwritten Characters Dataset (El-Sawy, Loey, El-Bakry 2017).

Read from its publisher's CSV files, zipped or unpacked: 1024 grey values a row (ink bright on 0),
labels 1 to 28. The rows are stored transposed. Labels run in 60 blocks of writers, 8 images of
each letter to a block in the training file and 2 in the test file, so that the official split
shares its writers.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.base import Dataset, join
from hcr_edge.errors import DataError
from hcr_edge.labels import ARABIC_LETTERS

ZIP_NAME = "Arabic Handwritten Characters Dataset CSV.zip"
SOURCE = "GitHub: mloey/Arabic-Handwritten-Characters-Dataset"
LICENCE = "no licence stated by the publisher"
SIDE = 32
# Split: file of images, file of labels, rows, images of one block of writers.
_FILES = {
    "train": ("csvTrainImages 13440x1024.csv", "csvTrainLabel 13440x1.csv", 13440, 224),
    "test": ("csvTestImages 3360x1024.csv", "csvTestLabel 3360x1.csv", 3360, 56),
}


def is_present(data_dir: Path) -> bool:
    """Whether `data_dir` holds the data set."""
    return _find(data_dir) is not None


def load(data_dir: Path, split: str) -> Dataset:
    """Read ``train``, ``test`` or ``all`` (both) from `data_dir`.

    Raises:
        DataError: Files are missing, cut short, or not what their names say.
    """
    if split == "all":
        return join(load(data_dir, "train"), load(data_dir, "test"), "all")
    if split not in _FILES:
        raise DataError(f"ahcd has no split {split!r}", allowed="train, test, all")
    reader = _find(data_dir)
    if reader is None:
        raise DataError(
            f"AHCD is not in {data_dir}",
            allowed=f"{ZIP_NAME!r}, or the CSV files from it, there or in its folder ahcd/",
            hint=f"get it from {SOURCE}",
        )
    images_name, labels_name, rows, block = _FILES[split]
    pixels = _table(reader, images_name, rows, SIDE * SIDE)
    labels = _table(reader, labels_name, rows, 1)[:, 0]
    _check_range(images_name, pixels, 0, 255)
    _check_range(labels_name, labels, 1, len(ARABIC_LETTERS))
    upright = pixels.astype(np.uint8).reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
    return Dataset(
        name="ahcd",
        split=split,
        images=list(np.ascontiguousarray(upright)),
        labels=labels.astype(np.int64) - 1,
        label_set=ARABIC_LETTERS,
        writers=np.arange(rows, dtype=np.int64) // block,
        licence=LICENCE,
    )


def _find(data_dir: Path) -> Callable[[str], bytes] | None:
    """Return a function that reads one CSV file by its name, or None."""
    for folder in (data_dir / "ahcd", data_dir):
        archive = folder / ZIP_NAME
        if archive.is_file():
            return lambda name, archive=archive: _read_zipped(archive, name)  # type: ignore[misc]
        if (folder / _FILES["test"][0]).is_file() or (folder / _FILES["train"][0]).is_file():
            return lambda name, folder=folder: _read_plain(folder / name)  # type: ignore[misc]
    return None


def _read_zipped(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as files:
            return files.read(name)
    except KeyError as error:
        raise DataError(f"{archive} does not hold {name!r}") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise DataError(f"{archive} is damaged ({error})", hint="get it again") from error


def _read_plain(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _table(reader: Callable[[str], bytes], name: str, rows: int, columns: int) -> NDArray[np.int16]:
    data = reader(name)
    if not data.strip():
        raise DataError(f"{name} is empty", hint="get it again")
    try:
        table = np.loadtxt(io.BytesIO(data), delimiter=",", dtype=np.int16, ndmin=2)
    except ValueError as error:
        raise DataError(f"{name}: {str(error).splitlines()[0]}") from error
    if table.shape != (rows, columns):
        raise DataError(
            f"{name} has {table.shape[0]} rows of {table.shape[1]} columns",
            allowed=f"{rows} rows of {columns}",
            hint="it is cut short or another file",
        )
    return table


def _check_range(name: str, values: NDArray[np.int16], low: int, high: int) -> None:
    wrong = np.argwhere((values < low) | (values > high))
    if len(wrong):
        row = int(wrong[0][0])
        raise DataError(
            f"{name}: {len(wrong)} values out of range, the first in row {row + 1}"
            f" ({int(values[tuple(wrong[0])])})",
            allowed=f"{low} to {high}",
        )
