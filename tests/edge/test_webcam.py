"""The command ``webcam``: what it writes, keeps and shows, and how it stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hcr_edge import uncertain
from hcr_edge.datasets import load_dataset
from hcr_runtime import Classifier, Frame
from hcr_runtime.recording import Recorder
from tests.edge.live_camera import network_camera

COMMAND = [sys.executable, "-c", "from hcr_edge.cli import main; main()", "webcam"]


@pytest.fixture
def clip(samples_dir: Path) -> Path:
    return samples_dir / "photos" / "clip.avi"


def test_json_tells_each_letter_once(cli, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    # There is no window with --json, also where there is no screen.
    answer = cli("webcam", "--source", clip, "--json")
    assert answer.code == 0
    events = [json.loads(line) for line in answer.out.splitlines()]
    keys = {"event", "glyph", "label", "name", "confidence", "box", "t", "first", "last", "line"}
    assert all(event.keys() == keys for event in events)
    kinds = ["looking", "stable", "gone"]
    expected = [(kind, label) for label in "بسو" for kind in kinds]
    assert [(event["event"], event["label"]) for event in events] == expected
    times = [event["t"] for event in events]
    assert times == sorted(times)


def test_people_read_what_is_stable(cli, clip: Path) -> None:
    answer = cli("webcam", "--source", clip, "--no-window")
    assert [line.split()[3] for line in answer.out.splitlines()] == ["beh", "seen", "waw"]


def test_text_grows(cli, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "letters.txt"
    for _ in range(2):
        assert cli("webcam", "--source", clip, "--no-window", "--text", text).code == 0
    assert text.read_text(encoding="utf-8") == "بسوبسو"


def test_text_has_the_lines_of_a_page(cli, samples_dir: Path, tmp_path: Path) -> None:
    """In guide mode letters follow one another; of a page their lines are kept, and of another."""
    letters = samples_dir / "arabic-letters" / "test"

    def page(**places: tuple[int, int]) -> Any:
        paper = np.full((480, 640), 235, np.uint8)
        for letter, (left, top) in places.items():
            file = letters / f"U+{ord(letter):04X}" / "03.png"
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            image = cv2.bitwise_not(image) if np.median(image) < 100 else image
            part = paper[top : top + 110, left : left + 110]
            part[:] = np.minimum(part, cv2.resize(image, (110, 110)))
        return cv2.cvtColor(paper, cv2.COLOR_GRAY2BGR)

    first = {"س": (450, 60), "ب": (260, 60)}
    pages = [
        *[page(**first)] * 15,
        *[page(**first, و=(450, 300), ك=(260, 300))] * 15,
        *[page()] * 20,
        *[page(ح=(260, 60))] * 15,
    ]
    recording, text = tmp_path / "pages.tar", tmp_path / "letters.txt"
    with Recorder(recording) as recorder:
        for index, image in enumerate(pages):
            recorder.add(Frame(index, index / 10, image))
    for _ in range(2):
        options = ("--source", recording, "--no-window", "--mode", "page", "--text", text)
        assert cli("webcam", *options).code == 0
    assert text.read_text(encoding="utf-8") == "\n".join(2 * ["سب", "وك", "ح"])


def test_text_that_cannot_be_written_is_told_at_once(cli, tmp_path: Path) -> None:
    recording = tmp_path / "recording.tar"
    with Recorder(recording) as recorder:  # nothing is ever stable in it
        recorder.add(Frame(0, 0.0, np.full((120, 160, 3), 230, np.uint8)))
    place = tmp_path / "absent" / "letters.txt"
    answer = cli("webcam", "--source", recording, "--no-window", "--text", place)
    assert (answer.code, f"cannot write {place}" in answer.errors[0]) == (2, True)


@pytest.mark.parametrize(
    "options", [("--serve", "nowhere"), ("--source", "absent.avi"), ("--source", "http://[::1]:1/")]
)
def test_mistakes_leave_no_recording(cli, clip: Path, tmp_path: Path, options: tuple) -> None:
    recording = tmp_path / "recording.tar"
    answer = cli("webcam", "--source", clip, "--no-window", "--record", recording, *options)
    assert (answer.code, recording.exists()) == (2, False)


def test_record_and_replay(cli, clip: Path, tmp_path: Path) -> None:
    recording = tmp_path / "morning.tar"
    options = ("--no-window", "--json")
    first = cli("webcam", "--source", clip, *options, "--record", recording)
    assert first.out
    assert cli("webcam", "--source", recording, *options).out == first.out
    again = cli("webcam", "--source", clip, *options, "--record", recording)
    assert (again.code, "exists" in again.errors[0]) == (2, True)


def test_live_is_recorded_and_replayed_to_the_same_events(cli, clip: Path, tmp_path: Path) -> None:
    recording, told = tmp_path / "live.tar", tmp_path / "told.jsonl"
    with network_camera(clip) as camera, told.open("w") as stdout:
        process = start(
            "--source", camera, "--no-window", "--json", "--record", recording, stdout=stdout
        )
        deadline = time.monotonic() + 60
        while told.read_text(encoding="utf-8").count("\n") < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        stop(process, signal.SIGINT)
    events = told.read_text(encoding="utf-8")
    assert '"stable"' in events
    assert cli("webcam", "--source", recording, "--no-window", "--json").out == events


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_at_once(clip: Path, signum: int) -> None:
    with network_camera(clip) as camera:
        process = start("--source", camera, "--no-window", "--serve", "127.0.0.1:0")
        process.stdout.readline()
        stop(process, signum)
    assert process.returncode == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_it_in_a_hole_of_a_recording(tmp_path: Path, signum: int) -> None:
    recording = tmp_path / "hole.tar"
    with Recorder(recording) as recorder:
        for index, seconds in enumerate((0.0, 60.0, 60.1)):
            recorder.add(Frame(index, seconds, np.full((120, 160, 3), 230, np.uint8)))
    process = start("--source", recording, "--serve", "127.0.0.1:0")
    url = process.stderr.readline().split()[-1]
    while urllib.request.urlopen(url + "healthz", timeout=5).read().find(b'"frames": 2') < 0:
        time.sleep(0.05)
    stop(process, signum)
    assert process.returncode == 0


def start(
    *options: object, stdout: Any = subprocess.PIPE, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )


def stop(process: subprocess.Popen[str], signum: int) -> str:
    """Stop a process, whose source would go on; returns what it still says.

    How soon it stops on a quiet machine is what benchmarks/soak.py measures.
    """
    process.send_signal(signum)
    out, problems = process.communicate(timeout=20)
    assert "stopped" in problems
    assert "Traceback" not in problems
    return out


def test_uncertain_crops_become_a_data_set(cli, tmp_path: Path, samples_dir: Path) -> None:
    """The loop: what is not read is kept, sorted by a person, and read as data."""
    images = tmp_path / "frames"
    images.mkdir()
    # A letter of another script lies there: the model sees it, and does not answer.
    frame = np.full((240, 320, 3), 230, np.uint8)
    cv2.putText(frame, "X", (120, 160), cv2.FONT_HERSHEY_SIMPLEX, 4, (40, 40, 40), 6)
    for number in range(60):
        cv2.imwrite(str(images / f"{number:03d}.png"), frame)
    kept = tmp_path / "kept"
    answer = cli("webcam", "--source", images, "--no-window", "--json", "--save-uncertain", kept)
    assert (answer.code, answer.out) == (0, "")
    assert f"1 crop kept in {kept}" in answer.err
    (crop,) = kept.glob("*/*.png")
    head, row = (kept / "suggestions.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("file,suggestion,confidence")
    assert row.startswith(crop.relative_to(kept).as_posix())
    # A person says that it is a lam.
    (kept / "U+0644").mkdir(exist_ok=True)
    crop.rename(kept / "U+0644" / crop.name)
    data = load_dataset(f"folder:{kept}", label_set=Classifier.load("arabic-letters").spec.labels)
    assert [data.label_set[i].text for i in data.labels.tolist()] == ["ل"]
    assert cli("data", "validate", f"folder:{kept}").code == 0


def test_full_folder_of_crops_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uncertain, "MOST", 1)
    uncertain.UncertainFolder(tmp_path)
    assert caplog.text == ""
    (tmp_path / "U+0644").mkdir()
    (tmp_path / "U+0644" / "00000.png").touch()
    uncertain.UncertainFolder(tmp_path)
    assert "no more are kept" in caplog.text


def test_photographs_are_not_watched(cli, samples_dir: Path, tmp_path: Path) -> None:
    answer = cli("webcam", "--source", samples_dir / "photos", "--no-window")
    assert (answer.code, answer.out) == (0, "")
    assert "no character was told in 8 frames" in answer.err
    assert "hcr-edge classify" in answer.err


def test_video_and_recording_cut_short_are_told(
    cli, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tape = tmp_path / "tape"
    cli("webcam", "--source", clip, "--json", "--record", tape)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tape.read_bytes()[: tape.stat().st_size // 2])
    broken = tmp_path / "broken.avi"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    for path, says in ((cut, "is cut short after"), (broken, "is it whole?")):
        caplog.clear()
        assert cli("webcam", "--source", path, "--json").code == 0
        assert says in caplog.text


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--mode", "line"), "no mode 'line'"),
        (("--serve", "nowhere"), "is no address"),
        (("--model", "absent"), "absent"),
        (("--token", "s3cret"), "--token was given without --serve"),
    ],
)
def test_mistakes_are_one_line(cli, clip: Path, options: tuple[str, str], problem: str) -> None:
    answer = cli("webcam", "--source", clip, "--no-window", *options)
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert problem in answer.errors[0]


def test_without_a_screen_the_message_says_what_to_use(
    cli, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for asked in ((), ("--json", "--window")):
        answer = cli("webcam", "--source", clip, *asked)
        assert answer.code == 2
    assert "--no-window" in answer.errors[0]
    assert "--serve" in answer.errors[0]


@pytest.fixture
def screen() -> Iterator[str]:
    """A virtual screen; where the tools that press its keys are missing, skip."""
    if any(shutil.which(tool) is None for tool in ("Xvfb", "openbox", "xdotool", "xwd")):
        pytest.skip("Xvfb, openbox, xdotool and xwd are needed")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        display = f":{pipe.readline().strip()}"
    manager = subprocess.Popen(
        ["openbox"], env={**os.environ, "DISPLAY": display}, stderr=subprocess.DEVNULL
    )
    yield display
    for process in (manager, server):
        process.terminate()
        process.wait()


def xdotool(display: str, *arguments: str) -> str:
    done = subprocess.run(
        ["xdotool", *arguments],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip()


def screenshot(display: str) -> np.ndarray:
    data = subprocess.run(
        ["xwd", "-root", "-silent", "-display", display], capture_output=True, check=True
    ).stdout
    head = struct.unpack(">25I", data[:100])
    start, width, height, bits, row = head[0] + 12 * head[19], head[4], head[5], head[11], head[12]
    rows = np.frombuffer(data[start : start + row * height], np.uint8).reshape(height, row)
    return rows[:, : width * bits // 8].reshape(height, width, bits // 8)[:, :, :3]


@pytest.mark.parametrize("how", ["key", "close"])
def test_window(screen: str, clip: Path, how: str) -> None:
    with network_camera(clip) as camera:
        process = start("--source", camera, DISPLAY=screen)
        process.stdout.readline()  # the first stable letter
        window = ""
        for _ in range(100):
            window = xdotool(screen, "search", "--name", "^hcr-edge$").split("\n")[-1]
            if window:
                break
            time.sleep(0.1)
        process.stdout.readline()
        for _ in range(50):
            picture = screenshot(screen)
            if picture.any():
                break
            time.sleep(0.1)
        # The clip's paper, and the green box of what was read.
        assert (picture.min(axis=2) > 150).sum() > 20_000
        assert (np.abs(picture.astype(int) - (70, 110, 0)).max(axis=2) < 12).sum() > 300
        # Through the window manager: alt+F4 closes what it holds to be active.
        xdotool(screen, "windowactivate", "--sync", window)
        xdotool(screen, "key", "q" if how == "key" else "alt+F4")
        _, problems = process.communicate(timeout=20)
        assert (process.returncode, "Traceback" in problems) == (0, False)
