"""A minute of frames as fast as they go: memory stays flat, and no thread is left over."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_a_minute_of_frames_leaves_nothing_behind() -> None:
    spec = importlib.util.spec_from_file_location("soak", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    grown, events, left = module.soak(1800)
    # Three letters in each turn of the clip, three events each, but for what is lost at its cut.
    assert 150 <= events <= 200
    assert grown <= module.LIMIT_MB
    assert left == 0
