"""Streams over HTTP, from a real server on the loopback that cuts, damages and refuses."""

from __future__ import annotations

import base64
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import hcr_runtime.live
import hcr_runtime.mjpeg
from hcr_runtime import CameraError, Classifier, LiveSource, frames, watch


class Camera(ThreadingHTTPServer):
    """Sends `pictures` over and over; each connection gets `per_connection` of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pictures: list[bytes] = []
        self.per_connection = 10
        self.connections = 0
        self.silent = threading.Event()
        self.asked: list[str] = []
        self.sent = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        self.server.connections += 1
        self.server.asked.append(f"{self.path} {self.headers.get('Authorization')}")
        if self.path == "/none":
            self.send_error(404)
            return
        if self.path in ("/moved", "/locked"):
            self.send_response(302 if self.path == "/moved" else 401)
            self.send_header("Location", "/video?password=secret")
            self.end_headers()
            return
        if self.path == "/page":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            return
        if self.path.startswith("/snapshot"):
            data = self.server.pictures[self.server.sent % len(self.server.pictures)]
            self.server.sent += 1
            self.send_response(200)
            self.send_header("Content-Type", f"image/{self.path.rpartition('.')[2]}")
            if "chunked" in self.path:  # the end of the last chunk never comes
                self.send_header("Transfer-Encoding", "chunked")
                data = b"%x\r\n" % (len(data) + 1) + data
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        self.end_headers()
        for _ in range(self.server.per_connection):
            data = self.server.pictures[self.server.sent % len(self.server.pictures)]
            self.server.sent += 1
            self.wfile.write(b"--cut\r\nContent-Type: image/jpeg\r\n\r\n" + data + b"\r\n")
            time.sleep(0.01)
        if self.path == "/silent":
            self.server.silent.wait(20)
        # In the middle of a picture: the cable is pulled.
        self.wfile.write(b"--cut\r\n\r\n" + self.server.pictures[0][:100])

    def log_message(self, *_: object) -> None:
        pass


def jpeg(level: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((32, 32, 3), level, np.uint8))[1])


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    monkeypatch.setattr(hcr_runtime.live, "FIRST_PAUSE", 0.01)
    server = Camera()
    server.pictures = [jpeg(level) for level in range(10, 250, 10)]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.silent.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_stream_goes_on_where_the_connection_was_cut(camera: Camera) -> None:
    with LiveSource(camera.url + "/video") as live:
        read = list(islice(live, 25))
    assert camera.connections >= 3
    assert live.reopened >= 2
    # Latest frames, none twice, in the order in which they were sent, as they came: one that came
    # too late would be a whole round of the pictures further on.
    places = [camera.pictures.index(frame.encoded) for frame in read]
    steps = [(b - a) % len(camera.pictures) for a, b in pairwise(places)]
    assert min(steps) > 0
    assert sum(steps) < camera.sent
    assert [frame.index for frame in read] == sorted({frame.index for frame in read})


def test_snapshots_are_fetched_again_at_their_rate(
    camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    """One picture for each request: no stream that broke off, and not as fast as it goes."""
    start = time.monotonic()
    with LiveSource(camera.url + "/snapshot.jpeg") as live:
        read = list(islice(live, 4))
        assert (live.state, live.reopened) == ("live", 0)
    assert time.monotonic() - start >= 3 * hcr_runtime.mjpeg.SNAPSHOT_SECONDS
    assert [frame.encoded for frame in read] == camera.pictures[:4]
    assert camera.connections <= 5
    assert not caplog.records


def test_letters_are_read_from_snapshots(
    camera: Camera, samples_dir: Path, classifier: Classifier
) -> None:
    camera.pictures = [(samples_dir / "photos" / "waw-red-pen.jpg").read_bytes()]
    events = islice(watch(camera.url + "/snapshot.jpeg", classifier), 2)
    assert [(event.event, event.label) for event in events] == [("looking", "و"), ("stable", "و")]


def test_a_snapshot_that_is_due_later_is_not_waited_for(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hcr_runtime.mjpeg, "SNAPSHOT_SECONDS", 60.0)
    monkeypatch.setattr(hcr_runtime.live, "STOP_SECONDS", 10.0)
    with LiveSource(camera.url + "/snapshot.jpeg") as live:
        next(iter(live))
        start = time.monotonic()
    assert time.monotonic() - start < 8


@pytest.mark.parametrize("stall", ["backlog", "answer", "late"])
def test_a_server_that_stalls_is_left_at_once(
    stall: str, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the next snapshot is asked for: before it is let in, and before it is answered."""
    stalled = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = stalled.getsockname()
    waiting, going_on = threading.Event(), threading.Event()
    others = []
    if stall == "backlog":
        for _ in range(4):  # they wait where the next would be let in
            others.append(socket.socket())
            others[-1].setblocking(False)
            others[-1].connect_ex(address)

    def find(*_: object, **__: object) -> list[tuple[object, ...]]:
        if camera.connections:
            waiting.set()
            if stall == "late":
                going_on.wait(10)
        to = address if camera.connections else camera.server_address
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", to)]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    stream = hcr_runtime.mjpeg.MjpegStream(camera.url + "/snapshot.jpeg")
    assert stream.read()[0] is not None
    ended = []

    def read() -> None:
        with pytest.raises(CameraError) as caught:
            stream.read()
        ended.append(caught.value)

    reader = threading.Thread(target=read)
    reader.start()
    waiting.wait(10)
    time.sleep(0.2)
    start = time.monotonic()
    stream.interrupt()
    going_on.set()
    reader.join()
    assert ended
    assert time.monotonic() - start < 5  # of the 10 s for which a camera may say nothing
    stream.close()
    for opened in (stalled, *others):
        opened.close()


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (b"\x89PNG\r\n\x1a\n", 1),
        (jpeg(90)[:-200], hcr_runtime.mjpeg.MOST_CUT),
        (b"", hcr_runtime.mjpeg.MOST_CUT),
    ],
)
def test_a_snapshot_that_is_no_picture(camera: Camera, data: bytes, asked: int) -> None:
    camera.pictures = [data]
    with pytest.raises(CameraError, match="answers with image/png, and no whole JPEG in it"):
        next(frames(camera.url + "/snapshot.png"))
    assert camera.connections == asked


@pytest.mark.parametrize("path", ["/snapshot.jpeg", "/snapshot/chunked.jpeg"])
def test_a_snapshot_that_came_without_its_end_is_damaged(
    path: str, camera: Camera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a stream: it is left out and counted, and the camera is not lost for it."""
    monkeypatch.setattr(hcr_runtime.mjpeg, "SNAPSHOT_SECONDS", 0.01)
    whole = jpeg(90)
    most = hcr_runtime.mjpeg.MOST_CUT - 1  # in a row
    camera.pictures = [*most * [whole[:-200]], whole]
    with LiveSource(camera.url + path) as live:
        read = list(islice(live, 3))
        assert (live.state, live.reopened) == ("live", 0)
    assert [frame.encoded for frame in read] == 3 * [whole]
    assert live.damaged >= 3 * most
    assert not caplog.records


def test_damaged_pictures_are_counted_and_left_out(camera: Camera) -> None:
    whole = jpeg(90)
    camera.pictures = [whole, whole[:-200] + b"\xff\xd9", b"\xff\xd8\xff\xe0 nonsense \xff\xd9"]
    with LiveSource(camera.url + "/video") as live:
        read = list(islice(live, 5))
    assert live.damaged > 0
    assert all(frame.image.shape == (32, 32, 3) for frame in read)


@pytest.mark.parametrize("path", ["/none", "/page"])
def test_what_is_no_stream_is_refused(camera: Camera, path: str) -> None:
    with pytest.raises(CameraError, match="answers"):
        next(frames(camera.url + path))


def test_what_to_do_about_another_answer_is_told(camera: Camera) -> None:
    with pytest.raises(CameraError, match="answers 302") as moved:
        next(frames(camera.url + "/moved"))
    assert moved.value.hint == f"it sends on to {camera.url}/video: name that"
    with pytest.raises(CameraError, match="answers 401") as locked:
        next(frames(camera.url + "/locked"))
    assert "USER:PASSWORD@" in locked.value.hint


def test_nobody_there() -> None:
    with pytest.raises(CameraError, match="cannot be opened"):
        next(frames("http://127.0.0.1:9/video"))


def test_password_is_sent_and_not_shown(camera: Camera) -> None:
    url = camera.url.replace("http://", "http://me:s%40cret@")
    reader = frames(url + "/video?size=2")
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    expected = base64.b64encode(b"me:s@cret").decode()
    assert camera.asked[0] == f"/video?size=2 Basic {expected}"
    with pytest.raises(CameraError) as caught:
        next(frames(url + "/none"))
    assert "cret" not in str(caught.value)


def test_silent_stream_is_left_at_once(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hcr_runtime.live, "STOP_SECONDS", 10.0)
    camera.per_connection = 1
    reader = frames(camera.url + "/silent")
    next(reader)
    start = time.monotonic()
    reader.close()  # type: ignore[attr-defined]
    # The camera says nothing for 20 s more.
    assert time.monotonic() - start < 8
    assert not [t for t in threading.enumerate() if t.name.startswith("frames of")]


def test_letters_are_read_from_a_stream(
    camera: Camera, samples_dir: Path, classifier: Classifier
) -> None:
    photo = (samples_dir / "photos" / "waw-red-pen.jpg").read_bytes()
    camera.pictures = [photo]
    camera.per_connection = 1000
    events = islice(watch(camera.url + "/video", classifier), 2)
    assert [(event.event, event.label) for event in events] == [("looking", "و"), ("stable", "و")]


@pytest.mark.parametrize("head", [b"", b"Content-Length: %d\r\n", b"Content-Length: 9\r\n"])
def test_thumbnail_is_not_taken_for_the_picture(head: bytes) -> None:
    whole, small = jpeg(90), bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1])
    segment = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    picture = whole[:2] + segment + whole[2:]
    head = head % len(picture) if b"%" in head else head
    sent = b"--cut\r\nContent-Type: image/jpeg\r\n" + head + b"\r\n" + picture + b"\r\n"
    rest, found = b"", []
    for place in range(0, 2 * len(sent), 50):  # as it comes from a network
        rest += (sent + sent)[place : place + 50]
        cut, rest = hcr_runtime.mjpeg._next_picture(rest)
        found += [cut] if cut else []
    assert found == [picture, picture]
