"""`frames` and `LiveSource`: files, folders, and cameras that stall, drop, resize and die."""

from __future__ import annotations

import math
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import hcr_runtime.live
from hcr_runtime import CameraError, Frame, LiveSource, frames
from hcr_runtime.address import is_live

Image = NDArray[np.uint8]


class FakeCapture:
    """A camera that plays a script: pictures, None for a damaged one, functions to call.

    At the script's end it dies, as one that is unplugged does.
    """

    def __init__(self, script: list[Image | Callable[[], None] | None]) -> None:
        self.script = iter(script)
        self.closed = False

    def read(self) -> tuple[Image | None, bytes]:
        for step in self.script:
            if not callable(step):
                return step, b""
            step()
        raise CameraError("unplugged")

    def interrupt(self) -> None:
        free.set()

    def close(self) -> None:
        self.closed = True


# Set when the reader has taken what came last: how busy the machine is decides nothing.
free = threading.Event()


def picture(level: int, side: int = 8) -> Image:
    return np.full((side, side, 3), level, np.uint8)


def slowly(level: int, side: int = 8) -> list[Image | Callable[[], None] | None]:
    """Show a picture when the one before has been taken."""

    def wait() -> None:
        free.wait(30)
        free.clear()

    return [wait, picture(level, side)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Open again at once, and leave no thread behind."""
    take = LiveSource.next

    def take_and_tell(live: LiveSource, timeout: float) -> Frame | None:
        frame = take(live, timeout)
        if frame is not None:
            free.set()
        return frame

    free.set()
    monkeypatch.setattr(LiveSource, "next", take_and_tell)
    monkeypatch.setattr(hcr_runtime.live, "STOP_SECONDS", 30.0)
    monkeypatch.setattr(hcr_runtime.live, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(hcr_runtime.live, "LONGEST_PAUSE", 0.05)
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def clip(samples_dir: Path) -> Path:
    return samples_dir / "photos" / "clip.avi"


def test_clip_gives_all_its_frames_in_order(clip: Path) -> None:
    read = list(frames(str(clip)))
    assert [frame.index for frame in read] == list(range(90))
    # 30 frames a second, by the clip's own clock and not the reader's.
    assert [frame.seconds for frame in read] == pytest.approx([i / 30 for i in range(90)], abs=1e-6)
    assert all(frame.image.shape == (240, 320, 3) for frame in read)
    # Each is a picture of its own: no buffer is used twice.
    assert len({frame.image.tobytes() for frame in read}) > 80


def test_video_of_varying_rate_keeps_its_own_times(tmp_path: Path) -> None:
    # A phone takes longer exposures in the dark: 10 frames at 15 a second, then 20 at 60.
    path = tmp_path / "dark.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (64, 48))
    for number in range(30):
        writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    writer.release()
    path.write_bytes(with_durations(path.read_bytes(), (10, 2), (20, 0.5)))
    expected = [min(i, 10) / 15 + max(i - 10, 0) / 60 for i in range(30)]
    assert [frame.seconds for frame in frames(str(path))] == pytest.approx(expected, abs=1e-4)


def with_durations(mp4: bytes, *runs: tuple[int, float]) -> bytes:
    """Give an MP4's frames other durations: runs of frames, and shares of the old one.

    ISO/IEC 14496-12: ``stts`` holds counts and durations, in the boxes around it, which lie behind
    the pictures. The whole must last as long as before.
    """
    place = mp4.index(b"stts")
    (unit,) = struct.unpack(">I", mp4[place + 16 : place + 20])
    table = b"".join(struct.pack(">II", count, round(times * unit)) for count, times in runs)
    new = b"stts" + struct.pack(">II", 0, len(runs)) + table
    grown = len(table) - 8
    data = bytearray(mp4[:place] + new + mp4[place + 20 :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        head = data.index(name) - 4
        size = int.from_bytes(data[head : head + 4], "big")
        data[head : head + 4] = (size + grown).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("rate", "stamps", "expected"),
    [
        (10.0, [0, 0, 0], [0, 0.1, 0.2]),  # none are told
        (10.0, [500, 600, math.nan, 900], [0, 0.1, 0.2, 0.4]),  # one is damaged
        (10.0, [0, 300, 100, 150], [0, 0.3, 0.4, 0.5]),  # they jump back: two films in one file
        (0.0, [-1, -1], [0, 1 / 30]),
    ],
)
def test_video_without_sound_times_goes_on_at_its_rate(
    monkeypatch: pytest.MonkeyPatch,
    clip: Path,
    rate: float,
    stamps: list[float],
    expected: list[float],
) -> None:
    class Stamped:
        def __init__(self, _: str) -> None:
            self.left = list(stamps)
            self.stamp = 0.0

        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, Image | None]:
            if not self.left:
                return False, None
            self.stamp = self.left.pop(0)
            return True, picture(1)

        def get(self, what: int) -> float:
            return rate if what == cv2.CAP_PROP_FPS else self.stamp

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Stamped)
    read = list(frames(str(clip)))
    assert [frame.seconds for frame in read] == pytest.approx(expected, abs=1e-6)


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
    assert "a camera's number" in caught.value.allowed


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


def test_folder_gives_its_images_by_name(tmp_path: Path, samples_dir: Path) -> None:
    for name in ("beh-blue-pen.jpg", "kaf-marker.jpg"):
        shutil.copy(samples_dir / "photos" / name, tmp_path)
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xffno more")
    (tmp_path / "notes.txt").write_text("no image")
    read = list(frames(str(tmp_path)))
    expected = [cv2.imread(str(tmp_path / name)) for name in ("beh-blue-pen.jpg", "kaf-marker.jpg")]
    assert [(a.image == b).all() for a, b in zip(read, expected, strict=True)] == [True, True]
    # The damaged one has its time too.
    assert [frame.seconds for frame in read] == pytest.approx([0, 2 / 30], abs=1e-6)


def test_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no images"):
        next(frames(str(tmp_path)))


def test_what_is_live() -> None:
    cameras = "0", "/dev/video1", "/dev/v4l/by-id/usb-cam-index0"
    assert all(map(is_live, (*cameras, "rtsp://a/b", "http://a/b", "https://a")))
    assert not any(map(is_live, ("clip.avi", "0.avi", "folder", "ftp://a", "", "/dev/shm/frames")))


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


def test_slow_reader_gets_the_latest_frame_and_the_count_of_the_others() -> None:
    go = threading.Event()
    script = [picture(1), lambda: go.wait(5) and None, *(picture(i) for i in range(2, 12))]
    rest = threading.Event()
    capture = FakeCapture([*script, lambda: rest.wait(5) and None])
    with LiveSource("0", open_capture=lambda: capture) as live:
        first = live.next(5)
        go.set()
        while live._count < 11:
            time.sleep(0.005)
        latest = live.next(5)
        rest.set()
    assert first is not None
    assert latest is not None
    assert (first.image[0, 0, 0], latest.image[0, 0, 0]) == (1, 11)
    assert (latest.index, live.dropped) == (10, 9)


def test_camera_that_dies_is_opened_again_and_damaged_frames_are_left_out() -> None:
    captures: list[FakeCapture] = []

    def open_capture() -> FakeCapture:
        if len(captures) == 1 and not refused:
            refused.append(True)
            raise CameraError("not there")
        start = 10 * len(captures)
        script = [*slowly(start), None, np.zeros((0, 0, 3), np.uint8), *slowly(start + 1)]
        captures.append(FakeCapture(script))
        return captures[-1]

    refused: list[bool] = []
    with LiveSource("0", open_capture=open_capture) as live:
        read = list(islice(live, 6))
        state = live.state
    assert [int(frame.image[0, 0, 0]) for frame in read] == [0, 1, 10, 11, 20, 21]
    assert [frame.index for frame in read] == list(range(6))
    times = [frame.seconds for frame in read]
    assert times == sorted(times)
    assert state in ("live", "reopening")
    assert (live.reopened >= 3, live.damaged >= 4) == (True, True)
    assert all(capture.closed for capture in captures)


def test_camera_that_hangs_in_its_driver_is_left_behind() -> None:
    unhang = threading.Event()
    scripts = iter([[picture(1), lambda: unhang.wait(10) and None], [*slowly(2), *slowly(3)]])
    captures: list[FakeCapture] = []

    def open_capture() -> FakeCapture:
        captures.append(FakeCapture(list(next(scripts, slowly(9)))))
        return captures[-1]

    live = LiveSource("0", stall_seconds=1.0, open_capture=open_capture)
    with live:
        read = list(islice(live, 3))
        assert [int(frame.image[0, 0, 0]) for frame in read] == [1, 2, 3]
        unhang.set()
    # What came out of the driver at last is closed as well, and gave no frame.
    assert captures[0].closed


def test_many_hanging_readers_are_not_added_to() -> None:
    unhang = threading.Event()
    opened: list[bool] = []

    def open_capture() -> FakeCapture:
        opened.append(True)
        first = [picture(1)] if len(opened) == 1 else []
        return FakeCapture([*first, lambda: unhang.wait(10) and None])

    with LiveSource("0", stall_seconds=0.03, open_capture=open_capture) as live:
        assert live.next(30) is not None
        while len(opened) < hcr_runtime.live.MOST_STUCK:
            assert live.next(0.03) is None
        for _ in range(10):
            assert live.next(0.03) is None
        assert live.state == "stalled"
        assert len(opened) == hcr_runtime.live.MOST_STUCK
        unhang.set()


def test_pauses_grow() -> None:
    class Pauses(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            asked.append(timeout)
            enough.release()
            return super().wait(0.001)

    def open_capture() -> FakeCapture:
        opened.append(True)
        if len(opened) > 1:
            raise CameraError("not there")
        return FakeCapture(slowly(1))

    asked: list[float | None] = []
    opened: list[bool] = []
    enough = threading.Semaphore(0)
    live = LiveSource("0", open_capture=open_capture)
    live._closed = Pauses()
    with live:
        assert live.next(30) is not None
        assert all(enough.acquire(timeout=30) for _ in range(6))
    # The first after the frame that came; then each twice as long, to the longest.
    assert asked[:6] == [0.01, 0.02, 0.04, 0.05, 0.05, 0.05]


def test_camera_that_opens_and_gives_nothing() -> None:
    # What a camera does that another program uses.
    unhang = threading.Event()
    capture = FakeCapture([lambda: unhang.wait(10) and None])
    with LiveSource("0", stall_seconds=0.1, open_capture=lambda: capture) as live:
        with pytest.raises(CameraError, match="0 gives no frames"):
            next(iter(live))
        unhang.set()


def test_size_may_change() -> None:
    capture = FakeCapture([*slowly(1), *slowly(2, side=16), *slowly(3)])
    with LiveSource("0", open_capture=lambda: capture) as live:
        sides = [frame.image.shape[0] for frame in islice(live, 3)]
    assert sides == [8, 16, 8]


def test_reader_that_stops_early_frees_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FakeCapture([step for i in range(500) for step in slowly(i % 250)])
    monkeypatch.setattr(hcr_runtime.live, "_open_capture", lambda _: capture)
    reader = frames("0")
    assert isinstance(next(reader), Frame)
    assert not capture.closed
    reader.close()  # type: ignore[attr-defined]
    assert capture.closed


def test_folder_with_odd_entries_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"f_{number}.png"), picture(number))
    (tmp_path / "sub.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent")
    assert [int(frame.image[0, 0, 0]) for frame in frames(str(tmp_path))] == [1, 2, 10]


def test_jpeg_with_a_film_behind_it_is_read(tmp_path: Path) -> None:
    data = bytes(cv2.imencode(".jpg", picture(90))[1])
    (tmp_path / "motion.jpg").write_bytes(data + bytes(5000))
    assert len(list(frames(str(tmp_path)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "http://[bad",
        "http://me:secret@127.0.0.1:9/video?pwd=secret",
        "http://me:secret/1@127.0.0.1:9/",
        "rtsp://me:secret@127.0.0.1:9/1?pwd=secret",
        "rtsp://127.0.0.1:9/user=me&password=secret",
    ],
)
def test_no_password_is_shown(source: str) -> None:
    with pytest.raises(CameraError, match="cannot be opened") as caught:
        next(frames(source))
    assert "secret" not in str(caught.value)
    assert not any("secret" in thread.name for thread in threading.enumerate())


def test_any_error_of_a_driver_is_told_or_survived(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise RuntimeError("at me:secret@camera")

    with (
        LiveSource("0", open_capture=lambda: FakeCapture([fails])) as live,
        pytest.raises(CameraError, match="camera 0 cannot be opened"),
    ):
        live.next(30)
    with LiveSource("0", open_capture=lambda: FakeCapture([*slowly(1), fails])) as live:
        assert len(list(islice(live, 3))) == 3
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_stalled_reader_is_interrupted_and_counted_once() -> None:
    class Waiting(FakeCapture):
        def interrupt(self) -> None:
            interrupted.set()

    interrupted, rest = threading.Event(), threading.Event()
    first = Waiting([picture(1), lambda: interrupted.wait(30) and None])
    second = FakeCapture([*slowly(2), lambda: rest.wait(30) and None])
    captures = iter([first, second])
    with LiveSource("0", stall_seconds=1.0, open_capture=lambda: next(captures)) as live:
        assert len(list(islice(live, 2))) == 2
        live._readers[0].join(30)
        assert (first.closed, live.reopened) == (True, 1)
        rest.set()


def test_closed_while_a_frame_comes_it_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader has its frame, and is about to tell of it, as another thread closes the source."""
    live = LiveSource("0", open_capture=lambda: FakeCapture([picture(9), picture(9)]))
    real, asked = live._current, []

    def current(turn: int) -> bool:
        answer = real(turn)
        asked.append(turn)
        if len(asked) == 3:  # with the frame in hand
            live._closed.set()
            live.state = "closed"
        return answer

    monkeypatch.setattr(live, "_current", current)
    live._begin()
    live._readers[0].join(5)
    assert not live._readers[0].is_alive()
    assert live._latest is not None, "the frame came"
    assert live.state == "closed"
