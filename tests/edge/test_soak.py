"""Frames as fast as they go: memory stays flat, and no thread is left over."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


# Three letters in each turn of the clip, of 90 frames, with three events each, but for what is
# lost at its cut; a page shows four at a time. Of a network camera frames are dropped.
# A process of its own: this one's memory also moves with what other tests left in it.
@pytest.mark.parametrize(
    ("part", "count", "least", "most"),
    [
        ("guide", 1800, 150, 200),
        ("page", 270, 54, 135),
        ("recorder", 270, 23, 30),
        ("web page", 270, 23, 30),
        ("MJPEG", 270, 1, 300),
    ],
)
def test_frames_leave_nothing_behind(part: str, count: int, least: int, most: int) -> None:
    options = ["--only", part, "--frames", str(count), "--stops", "0", "--json"]
    run = subprocess.run(
        [sys.executable, SOAK, *options], capture_output=True, text=True, check=False, timeout=300
    )
    # 1 where memory grew or a thread is left.
    assert run.returncode == 0, run.stdout + run.stderr
    assert least <= json.loads(run.stdout)["events"] <= most


def test_an_error_leaves_nothing_behind_either(
    soak: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Recorder(soak.Recorder):  # type: ignore[misc, name-defined]
        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr(soak, "Recorder", Recorder)
    before = threading.active_count()
    for use in (soak.recordings, soak.looked_at):
        with pytest.raises(ZeroDivisionError), use():
            raise ZeroDivisionError
    assert len(closed) == 1
    assert threading.active_count() == before
