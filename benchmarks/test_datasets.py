"""Cost of reading data sets, against the plain ways in one process: ``make bench``."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset

ZIP = "Arabic Handwritten Characters Dataset CSV.zip"
# EMNIST Letters' training part.
IMAGES, SIDE = 124_800, 28


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HCR_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def ahcd() -> Path:
    where = os.environ.get("HCR_EDGE_DATA", "")
    path = Path(where) / "ahcd" / ZIP
    if not path.is_file():
        pytest.skip(f"HCR_EDGE_DATA names no folder with {ZIP}")
    return Path(where)


@pytest.fixture(scope="module")
def emnist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """IDX files of EMNIST's size: strokes on 0, which pack as handwriting does, about 4 to 1."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    glyphs = np.zeros((512, SIDE, SIDE), np.uint8)
    glyphs[:, 5:23, 8:20] = rng.integers(0, 256, (512, 18, 12)) * (rng.random((512, 18, 12)) < 0.6)
    images = glyphs[rng.integers(0, 512, IMAGES)]
    labels = rng.integers(1, 27, IMAGES, np.uint8)
    for name, array, kind in (("images-idx3", images, 3), ("labels-idx1", labels, 1)):
        header = bytes([0, 0, 8, kind]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        path = root / f"emnist-letters-train-{name}-ubyte.gz"
        with gzip.open(path, "wb", compresslevel=6) as file:
            file.write(header + array.tobytes())
    yield root
    shutil.rmtree(root)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _first(spec: str, part: str, data_dir: Path, cache: Path) -> float:
    shutil.rmtree(cache, ignore_errors=True)
    return _seconds(lambda: load_dataset(spec, part, data_dir=data_dir))


def _read_whole(spec: str, part: str, data_dir: Path) -> Dataset:
    """Touch every pixel: a mapped file costs nothing until it is read."""
    data = load_dataset(spec, part, data_dir=data_dir)
    for image in data.images:
        image.max()
    return data


def _loadtxt(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            np.loadtxt(io.BytesIO(archive.read(name)), delimiter=",", dtype=np.int16)


def test_ahcd_against_loadtxt(ahcd: Path, cache: Path) -> None:
    plain = min(_seconds(lambda: _loadtxt(ahcd / "ahcd" / ZIP)) for _ in range(3))
    first = min(_first("ahcd", "all", ahcd, cache) for _ in range(3))
    later = min(_seconds(lambda: load_dataset("ahcd", "all", data_dir=ahcd)) for _ in range(9))
    touched = min(_seconds(lambda: _read_whole("ahcd", "all", ahcd)) for _ in range(3))
    print(
        f"\nAHCD, 16,800 images from the CSV zip: first read {first:.2f} s (at most 2),"
        f" checked, turned and kept in {first / plain:.1f} times numpy.loadtxt's {plain:.2f} s;"
        f" later {later * 1000:.0f} ms (at most 50), {later / plain:.2f} times;"
        f" with every pixel looked at {touched * 1000:.0f} ms"
    )


def test_idx_against_gzip(emnist: Path, cache: Path) -> None:
    path = emnist / "emnist-letters-train-images-idx3-ubyte.gz"
    plain = min(_seconds(lambda: gzip.decompress(path.read_bytes())) for _ in range(3))
    first = min(_first("emnist-letters", "train", emnist, cache) for _ in range(3))
    later = min(
        _seconds(lambda: load_dataset("emnist-letters", "train", data_dir=emnist)) for _ in range(9)
    )
    print(
        f"\n124,800 images from IDX gz: first read {first:.2f} s (at most 3),"
        f" {first / plain:.1f} times a plain gzip read ({plain:.2f} s); later {later * 1000:.0f} ms"
    )


@pytest.mark.parametrize(("name", "fixture"), [("ahcd", "ahcd"), ("emnist-letters", "emnist")])
def test_memory(name: str, fixture: str, cache: Path, request: pytest.FixtureRequest) -> None:
    """What is allocated while the file of pixels is written; afterwards that file is mapped."""
    where = request.getfixturevalue(fixture)
    _first(name, "train", where, cache)
    shutil.rmtree(cache)
    tracemalloc.start()
    try:
        data = load_dataset(name, "train", data_dir=where)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    array = sum(image.nbytes for image in data.images)
    print(
        f"\n{name}: the array has {array / 1e6:.0f} MB; reading it allocates at most"
        f" {peak / 1e6:.1f} MB, {peak / array:.2f} times (at most 1.5)"
    )
