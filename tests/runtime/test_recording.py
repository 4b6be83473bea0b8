"""Recordings give back what was recorded: pictures, times, events."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hcr_runtime import CameraError, Classifier, Frame, frames, watch
from hcr_runtime.recording import Recorder


def record(path: Path, *given: Frame) -> None:
    with Recorder(path) as recorder:
        for frame in given:
            recorder.add(frame)


def test_recording_is_replayed_to_the_same_events(
    tmp_path: Path, samples_dir: Path, classifier: Classifier
) -> None:
    clip = str(samples_dir / "photos" / "clip.avi")
    path = tmp_path / "clip.tar"
    record(path, *frames(clip))
    events = [event.to_dict() for event in watch(str(path), classifier)]
    assert events == [event.to_dict() for event in watch(clip, classifier)]
    assert [e["label"] for e in events if e["event"] == "stable"] == ["ب", "س", "و"]


def test_times_sizes_and_jpegs_are_kept_exactly(tmp_path: Path, samples_dir: Path) -> None:
    jpeg = (samples_dir / "photos" / "kaf-marker.jpg").read_bytes()
    shutil.copy(samples_dir / "photos" / "kaf-marker.jpg", tmp_path)
    (decoded,) = frames(str(tmp_path))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (33, 57, 3), dtype=np.uint8)
    path = tmp_path / "mixed.rec"
    given = [
        Frame(0, 0.0, noise),
        Frame(5, 1.000001, decoded.image, jpeg),
        Frame(6, 86400.5, noise),
    ]
    record(path, *given)
    read = list(frames(str(path)))
    assert [frame.seconds for frame in read] == [0.0, 1.000001, 86400.5]
    assert all((a.image == b.image).all() for a, b in zip(read, given, strict=True))
    assert read[1].encoded == jpeg
    # Any tar program opens it.
    with tarfile.open(path) as archive:
        assert [name.rpartition(".")[2] for name in archive.getnames()] == ["png", "jpg", "png"]


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_recording_cut_short_is_good_up_to_the_cut(
    tmp_path: Path, samples_dir: Path, share: float
) -> None:
    given = list(frames(str(samples_dir / "photos" / "clip.avi")))[:20]
    path = tmp_path / "cut.tar"
    record(path, *given)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    read = list(frames(str(path)))
    assert 0.4 * len(given) <= len(read) <= len(given)
    assert all((a.image == b.image).all() for a, b in zip(read, given, strict=False))


def test_other_archives_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("letter.png")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    with pytest.raises(CameraError, match=r"cannot be opened|gives no frames"):
        list(frames(str(path)))


def test_recording_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "there.tar"
    path.write_bytes(b"precious")
    with pytest.raises(CameraError, match="exists"):
        Recorder(path)
    assert path.read_bytes() == b"precious"
