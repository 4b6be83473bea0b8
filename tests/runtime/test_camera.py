"""`frames`: a video file, a camera, and what is neither."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hcr_runtime.camera
from hcr_runtime import CameraError, Frame, frames


class FakeCapture:
    """A camera that opens, gives `count` frames and dies, as one that is unplugged does.

    What drivers report of their rate (nothing, or nonsense) is `rate`.
    """

    made: list[FakeCapture]
    count = 3
    rate = 0.0

    def __init__(self, source: int | str) -> None:
        self.source = source
        self.left = self.count
        self.released = False
        self.made.append(self)

    def isOpened(self) -> bool:
        return True

    def get(self, _property: int) -> float:
        return self.rate

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        if self.left == 0:
            return False, None
        self.left -= 1
        return True, np.full((4, 6, 3), self.left, np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeCapture]]:
    class Capture(FakeCapture):
        made: list[FakeCapture] = []  # noqa: RUF012 - one list for each test

    monkeypatch.setattr(hcr_runtime.camera.cv2, "VideoCapture", Capture)
    yield Capture
    assert all(capture.released for capture in Capture.made)


@pytest.fixture
def clip(samples_dir: Path) -> Path:
    return samples_dir / "photos" / "clip.avi"


def test_clip_gives_all_its_frames_in_order(clip: Path) -> None:
    read = list(frames(str(clip)))
    assert [frame.index for frame in read] == list(range(90))
    # 30 frames a second, by the clip's own clock and not the reader's.
    assert [frame.seconds for frame in read] == pytest.approx([i / 30 for i in range(90)])
    assert all(frame.image.shape == (240, 320, 3) for frame in read)
    assert all(frame.image.dtype == np.uint8 for frame in read)
    # Each is a picture of its own: no buffer is used twice.
    assert len({frame.image.tobytes() for frame in read}) > 80


def test_clip_cut_short_gives_what_is_there(tmp_path: Path, clip: Path) -> None:
    # A recording that was interrupted, as when the battery dies.
    path = tmp_path / "cut.avi"
    whole = clip.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    read = list(frames(str(path)))
    assert 30 < len(read) < 60
    # But for the last, through which the cut may go, they are what they were.
    expected = islice(frames(str(clip)), len(read) - 1)
    assert all((a.image == b.image).all() for a, b in zip(read, expected, strict=False))


@pytest.mark.parametrize("source", ["absent.avi", "", "absent/", "a\0b", "-1", "0.5", "x" * 300])
def test_missing_video_is_named(source: str) -> None:
    with pytest.raises(CameraError, match="there is no video") as caught:
        next(frames(source))
    assert source in str(caught.value)
    assert "a camera's number, or a video file" in caught.value.allowed


def test_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="there is no video"):
        next(frames(str(tmp_path)))


@pytest.mark.parametrize(
    "data",
    [b"", b"This is a text file.\n" * 100, b"RIFF\xff\xff\xff\x7fAVI LIST", bytes(5000)],
    ids=["empty", "text", "header", "zeros"],
)
def test_file_that_is_no_video_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "notes.avi"
    path.write_bytes(data)
    with pytest.raises(CameraError, match=r"notes\.avi (cannot be opened|gives no frames)"):
        next(frames(str(path)))


@pytest.mark.parametrize(
    "number",
    [
        "97",  # a device that no machine has
        "9999999999",  # beyond what OpenCV takes for a number
        "9" * 30,
    ],
)
def test_missing_camera_is_named(number: str) -> None:
    with pytest.raises(CameraError, match=f"camera {number} cannot be opened") as caught:
        next(frames(number))
    assert caught.value.hint


def test_camera_is_opened_by_its_number_and_timed_by_the_wall_clock(
    fake: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cameras report a rate that they do not keep.
    fake.rate = 1000.0
    clock = iter([5.0, 5.25, 5.5, 6.75])
    monkeypatch.setattr(hcr_runtime.camera.time, "monotonic", lambda: next(clock))
    read = []
    with pytest.raises(CameraError, match="camera 2 stopped after 3 frames"):
        read.extend(frame for frame in frames("2"))
    assert fake.made[0].source == 2
    assert [(frame.index, frame.seconds) for frame in read] == [(0, 0.25), (1, 0.5), (2, 1.75)]


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_video_without_a_rate_is_timed_by_the_wall_clock(
    fake: type[FakeCapture], clip: Path, rate: float
) -> None:
    fake.rate = rate
    seconds = [frame.seconds for frame in frames(str(clip))]
    assert len(seconds) == 3
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < seconds[-1] < 60


def test_camera_that_opens_and_gives_nothing(fake: type[FakeCapture]) -> None:
    # What a camera does that another program uses.
    fake.count = 0
    with pytest.raises(CameraError, match="0 gives no frames"):
        list(frames("0"))


def test_reader_that_stops_early_frees_the_camera(fake: type[FakeCapture]) -> None:
    reader = frames("0")
    assert isinstance(next(reader), Frame)
    assert not fake.made[0].released
    reader.close()
    assert fake.made[0].released


def test_nothing_is_opened_before_the_first_frame_is_asked_for(fake: type[FakeCapture]) -> None:
    frames("0")
    assert fake.made == []
