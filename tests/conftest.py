"""Fixtures that every suite shares."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples everywhere; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests, and the processes they start, away from the developer's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HCR_EDGE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """Return the sample images that the project drew itself."""
    return Path(__file__).resolve().parents[1] / "samples"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of the public data sets; skip where there is none."""
    where = os.environ.get("HCR_EDGE_DATA")
    if not where:
        pytest.skip("HCR_EDGE_DATA is not set; it names the folder of the public data sets")
    folder = Path(where)
    if not folder.is_dir():
        pytest.skip(f"HCR_EDGE_DATA names {where}, which is no folder")
    return folder


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """Return a function: every path below a folder, with the checksum of what it holds."""

    def read(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else "folder"
            for path in sorted(folder.rglob("*"))
        }

    return read
