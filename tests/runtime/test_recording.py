"""Recordings give back what was recorded: pictures, times, events."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

import hcr_runtime.recording
from hcr_runtime import CameraError, Classifier, Frame, frames, watch
from hcr_runtime.limits import Limits
from hcr_runtime.recording import Recorder, decode, read


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


def test_recording_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r.tar"):
        pass
    assert not list(tmp_path.iterdir())


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.tar"
    with Recorder(path) as recorder:
        for index in range(2):
            recorder.add(Frame(index, index / 10, np.full((8, 8, 3), index, np.uint8)))
    data = bytearray(path.read_bytes())
    place = data.index(b"00000001-")
    data[place : place + 4] = b"oops"
    path.write_bytes(data)
    with pytest.raises(CameraError, match=f"is damaged at byte {place}"):
        list(read(path))


def test_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])
    assert decode(data) is not None
    monkeypatch.setattr(hcr_runtime.recording, "DEFAULT_LIMITS", Limits(max_pixels=63))
    assert decode(data) is None
