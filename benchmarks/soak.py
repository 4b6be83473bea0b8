"""Frames by the hour, as fast as they go, and stops by signal: ``make soak``.

Each part watches ``--frames`` frames (an hour's worth by default) of the sample clip, from a source
that dies after every 5,000. Memory at the end is compared with that after a tenth of the frames,
but at least one turn of the clip: by then all is loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.overlay import annotate
from hcr_edge.serve import WebPage
from hcr_runtime import CameraError, Classifier, Frame, LiveSource, Watcher, frames
from hcr_runtime.recording import Recorder
from hcr_runtime.watching import Mode

CLIP = Path(__file__).parents[1] / "samples" / "photos" / "clip.avi"
HOUR = 30 * 3600
TURN = 90  # frames of the clip
LIMIT_MB = 5.0
STOP_SECONDS = 1.0
LIFE = 5000
COMMAND = [sys.executable, "-c", "from hcr_edge.cli import main; main()", "webcam"]

Image = NDArray[np.uint8]
Use = Callable[[Frame, Watcher], None]


@dataclass(frozen=True)
class Part:
    """What is soaked: a mode, its source, and what becomes of the frames besides."""

    mode: Mode = "guide"
    mjpeg: bool = False
    record: bool = False
    serve: bool = False


PARTS = {
    "guide": Part(),
    "page": Part(mode="page"),
    "recorder": Part(record=True),
    "web page": Part(serve=True),
    "MJPEG": Part(mjpeg=True),
}


@dataclass(frozen=True)
class Soaked:
    """What was left: MB grown, threads left over; and how many events, dropped frames, deaths."""

    grown: float
    threads: int
    events: int
    dropped: int
    reopened: int


class Looping:
    """A camera that shows pictures over and over, waits for its reader, and dies at times."""

    def __init__(self, pictures: list[Image], taken: threading.Semaphore) -> None:
        self.pictures, self.taken = pictures, taken
        self.shown = 0

    def read(self) -> tuple[Image | None, bytes]:
        self.taken.acquire(timeout=1.0)
        self.shown += 1
        if self.shown % LIFE == 0:
            raise CameraError("unplugged")
        return self.pictures[self.shown % len(self.pictures)].copy(), b""

    def interrupt(self) -> None:
        self.taken.release()

    def close(self) -> None:
        pass


@contextmanager
def network_camera(pictures: list[Image], pause: float) -> Iterator[str]:
    """Send pictures as Motion JPEG, and break off at times; gives the address."""
    files = [bytes(cv2.imencode(".jpg", picture)[1]) for picture in pictures]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
            self.end_headers()
            with suppress(OSError):
                for number in range(LIFE):
                    data = files[number % len(files)]
                    head = f"--cut\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                    self.wfile.write(head + data + b"\r\n")
                    time.sleep(pause)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # then closing waits for them
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def recordings() -> Iterator[Use]:
    """Record frames, in one file after another, which are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "0.tar")

        def record(frame: Frame, _: Watcher) -> None:
            nonlocal recorder
            if frame.index % LIFE == LIFE - 1:
                recorder.close()
                for old in Path(folder).iterdir():
                    old.unlink()
                recorder = Recorder(Path(folder) / f"{frame.index}.tar")
            recorder.add(frame)

        try:
            yield record
        finally:
            recorder.close()


@contextmanager
def looked_at() -> Iterator[Use]:
    """Show frames on a web page, whose picture and events somebody reads."""
    page = WebPage("127.0.0.1", 0, lambda: {"status": "ok"})

    def read(path: str) -> None:
        with suppress(OSError), urllib.request.urlopen(page.url + path, timeout=30) as answer:
            while answer.read1(65536):
                pass

    readers = [threading.Thread(target=read, args=(path,)) for path in ("stream.mjpg", "events")]
    for reader in readers:
        reader.start()

    def show(frame: Frame, watcher: Watcher) -> None:
        page.board.show(annotate(frame, watcher, "soak"))

    try:
        yield show
    finally:
        page.close()
        for reader in readers:
            reader.join()


def soak(part: Part, count: int) -> Soaked:
    """Watch so many frames."""
    cv2.setNumThreads(1)
    pictures = [frame.image for frame in frames(str(CLIP))]
    if part.mode == "page":  # four at a time
        pictures = [np.tile(picture, (2, 2, 1)) for picture in pictures]
    watcher = Watcher(Classifier.load("arabic-letters"), part.mode)
    before = threading.active_count()
    taken = threading.Semaphore(1)
    loaded = max(count // 10, TURN)
    events, seen, base = 0, 0, 0.0
    with ExitStack() as stack:
        uses: list[Use] = []
        if part.record:
            uses.append(stack.enter_context(recordings()))
        if part.serve:
            uses.append(stack.enter_context(looked_at()))
        if part.mjpeg:
            live = LiveSource(stack.enter_context(network_camera(pictures, 0.005)))
        else:
            live = LiveSource("0", open_capture=lambda: Looping(pictures, taken))
        stack.enter_context(live)
        while seen < count:
            frame = live.next(2.0)
            taken.release()
            if frame is None:
                continue
            # As the camera's clock would have it, however fast they come.
            frame = replace(frame, index=seen, seconds=round(seen / 30, 6))
            told = watcher.see(frame)
            events += len(told)
            for use in uses:
                use(frame, watcher)
            seen += 1
            if seen == loaded:
                base = resident_mb()
        grown = resident_mb() - base
    return Soaked(grown, threading.active_count() - before, events, live.dropped, live.reopened)


def resident_mb() -> float:
    """Return this process's resident memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def stop_seconds(signum: signal.Signals) -> float:
    """How long the command takes to stop, with everything on that can be on."""
    pictures = [np.tile(frame.image, (2, 2, 1)) for frame in frames(str(CLIP))]
    with tempfile.TemporaryDirectory() as folder, network_camera(pictures, 1 / 30) as camera:
        options = ("--mode", "page", "--json", "--serve", "127.0.0.1:0")
        files = ("--record", f"{folder}/r.tar", "--text", f"{folder}/t.txt")
        process = subprocess.Popen(
            [*COMMAND, "--source", camera, *options, *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if process.stdout is None or not process.stdout.readline():
            raise SystemExit("the command told no event")
        start = time.monotonic()
        process.send_signal(signum)
        process.communicate(timeout=30)
        taken = time.monotonic() - start
        if process.returncode != 0:
            raise SystemExit(f"the command ended with {process.returncode}")
        return taken


def main() -> int:
    """Soak what is asked for; 1 where a limit was passed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=HOUR, help="for each part")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--stops", type=int, default=3, help="stops by each signal")
    parser.add_argument("--json", action="store_true", help="parts as lines of JSON")
    options = parser.parse_args()
    if options.frames < 2 * TURN:
        parser.error(f"--frames {options.frames}: at least {2 * TURN}, two turns of the clip")
    beyond = False
    for name in options.only or PARTS:
        start = time.monotonic()
        done = soak(PARTS[name], options.frames)
        text = (
            f"{name}: {options.frames} frames in {time.monotonic() - start:.0f} s, {done.events}"
            f" events, {done.dropped} dropped, reopened {done.reopened} times; resident memory"
            f" {done.grown:+.1f} MB (at most {LIMIT_MB:g}), {done.threads} threads left over"
        )
        print(json.dumps(asdict(done)) if options.json else text, flush=True)
        beyond |= done.grown > LIMIT_MB or done.threads > 0
    for signum in (signal.SIGINT, signal.SIGTERM) if options.stops else ():
        longest = max(stop_seconds(signum) for _ in range(options.stops))
        print(f"{signum.name}: stopped within {longest:.2f} s (at most {STOP_SECONDS:g})")
        beyond |= longest > STOP_SECONDS
    return int(beyond)


if __name__ == "__main__":
    raise SystemExit(main())
