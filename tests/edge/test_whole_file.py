"""Files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from hcr_edge.whole_file import write_whole


def test_what_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    """Not by the name of the file that stands in for it, which nobody knows."""
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "absent" / "x.png", tmp_path / "folder"):
        with pytest.raises(OSError, match=r".") as caught:
            write_whole(place, b"x")
        assert caught.value.filename == str(place)
        assert caught.value.strerror
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]
