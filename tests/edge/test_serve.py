"""The web page: who may see it, what it gives, in a real browser."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import hcr_edge.serve
from hcr_edge.errors import DataError
from hcr_edge.serve import MOST_CLIENTS, MOST_CONNECTIONS, REQUEST_BURST, WebPage, parse_address
from hcr_runtime import Box, Event
from tests.edge.live_camera import network_camera


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebPage]:
    # Nothing wakes a stream that waits but the page's close.
    monkeypatch.setattr(hcr_edge.serve, "HEARTBEAT_SECONDS", 60.0)
    served = WebPage("127.0.0.1", 0, lambda: {"status": "ok"}, "s3cret")
    yield served
    start = time.monotonic()
    served.close()
    assert time.monotonic() - start < 20
    assert not [t for t in threading.enumerate() if "process_request" in t.name]


def get(page: WebPage, path: str, token: str = "s3cret", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{page.port}{path}", headers=headers)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read(600)
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_address_that_all_can_reach_is_one_to_open() -> None:
    page = WebPage("0.0.0.0", 0, lambda: {"status": "ok"})
    try:
        assert page.url == f"http://{socket.gethostname()}:{page.port}/?token={page.token}"
    finally:
        page.close()


@pytest.mark.parametrize("path", ["/", "/stream.mjpg", "/events"])
@pytest.mark.parametrize("token", ["", "wrong", "s3cre", "s3crets", "é"])
def test_nothing_is_shown_without_the_token(page: WebPage, path: str, token: str) -> None:
    address = f"{path}?token={urllib.request.quote(token)}"
    assert get(page, address, token="")[0] == 403


def test_page_and_health(page: WebPage) -> None:
    status, body = get(page, "/?token=s3cret", token="")
    assert (status, b"<!doctype html>" in body) == (200, True)
    assert get(page, "/absent")[0] == 404
    assert json.loads(get(page, "/healthz", token="")[1]) == {"status": "ok"}


def test_pictures_and_events_are_streamed(page: WebPage) -> None:
    event = Event("stable", 1, "ب", "beh", 0.99, Box(1, 2, 3, 4), 0.5, 0.1, 0.5)
    page.board.tell(event)
    size = len(json.dumps(event.to_dict(), ensure_ascii=False).encode()) + 14
    status, body = read_some(page, "/events", size)
    assert status == 200
    assert body.startswith(b"id: 1\ndata: ")
    assert json.loads(body.split(b"data: ")[1].split(b"\n")[0]) == event.to_dict()
    done = threading.Event()

    def show() -> None:
        while not done.wait(0.02):
            page.board.show(np.full((48, 64, 3), 90, np.uint8))

    shower = threading.Thread(target=show)
    shower.start()
    status, body = read_some(page, "/stream.mjpg", 900)
    done.set()
    shower.join()
    picture = cv2.imdecode(np.frombuffer(body[body.index(b"\xff\xd8") :], np.uint8), 1)
    assert picture.shape == (48, 64, 3)


def read_some(page: WebPage, path: str, size: int) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{page.port}{path}?token=s3cret"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, answer.read(size)


def test_pictures_cost_nothing_while_nobody_looks(page: WebPage) -> None:
    page.board.show(np.zeros((48, 64, 3), np.uint8))
    assert page.board.picture == (0, b"")


def test_clients_are_limited(page: WebPage) -> None:
    url = f"http://127.0.0.1:{page.port}/events?token=s3cret"
    page.board.tell(Event("gone", 1, "ب", "beh", 0.9, Box(1, 2, 3, 4), 0.5, 0.1, 0.5))
    streams = [urllib.request.urlopen(url, timeout=5) for _ in range(MOST_CLIENTS)]
    assert all(stream.read(4) == b"id: " for stream in streams)
    assert get(page, "/events")[0] == 503
    for stream in streams:
        stream.close()


def test_events_go_on_after_the_one_that_is_named(page: WebPage) -> None:
    for number in (1, 2):
        page.board.tell(Event("gone", number, "ب", "beh", 0.9, Box(1, 2, 3, 4), 0.5, 0.1, 0.5))
    url = f"http://127.0.0.1:{page.port}/events?token=s3cret&after=1"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.read(5) == b"id: 2"


def test_connections_are_limited(page: WebPage) -> None:
    address = ("127.0.0.1", page.port)
    idle = [socket.create_connection(address, timeout=5) for _ in range(MOST_CONNECTIONS)]
    with socket.create_connection(address, timeout=5) as refused:
        assert refused.recv(1) == b""
    for connection in idle:
        connection.close()
    until = time.monotonic() + 5
    while (status := answers(page)) != 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert status == 200


def answers(page: WebPage) -> int:
    try:
        return get(page, "/healthz")[0]
    except OSError:
        return 0


def test_health_that_is_not_ok_and_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    states = iter(["ok", "stalled"])
    page = WebPage("127.0.0.1", 0, lambda: {"status": next(states)})
    try:
        assert get(page, "/healthz") == (200, b'{"status": "ok"}')
        assert get(page, "/healthz") == (503, b'{"status": "stalled"}')
        with pytest.raises(http.client.RemoteDisconnected):
            get(page, "/healthz")
    finally:
        page.close()
    assert "StopIteration" in caplog.text


def test_rate_is_limited(page: WebPage) -> None:
    answers = [get(page, "/healthz")[0] for _ in range(REQUEST_BURST + 30)]
    assert answers[:REQUEST_BURST] == [200] * REQUEST_BURST
    assert 429 in answers


def test_other_names_for_this_machine_are_refused() -> None:
    """A stranger's page must not reach the camera by a name that it points here."""
    page = WebPage("127.0.0.1", 0, dict)
    try:
        assert page.token == ""
        assert get(page, "/", token="", Host="evil.example:80")[0] == 421
        for host in ("127.evil.example", "[::1", "[evil]", ""):
            assert get(page, "/", token="", Host=host)[0] == 421
        for host in ("localhost", f"localhost:{page.port}", "127.0.0.1", "[::1]", "[::1]:80"):
            assert get(page, "/", token="", Host=host)[0] == 200
    finally:
        page.close()


def test_others_need_a_token_that_is_made_up() -> None:
    pages = [WebPage("0.0.0.0", 0, dict) for _ in range(2)]
    try:
        tokens = [page.token for page in pages]
        assert len(set(tokens)) == 2
        assert all(len(token) >= 20 for token in tokens)
        assert get(pages[0], "/", token="")[0] == 403
        assert get(pages[0], "/", token=tokens[0])[0] == 200
    finally:
        for page in pages:
            page.close()


@pytest.mark.parametrize("text", ["", "a", "1:", "99999", "host:port", "-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(DataError, match="is no address"):
        parse_address(text)


def test_address_that_is_taken(page: WebPage) -> None:
    with pytest.raises(DataError, match="cannot serve on"):
        WebPage("127.0.0.1", page.port, dict)


def test_in_a_browser(samples_dir: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium")
    command = "from hcr_edge.cli import main; main()"
    options = ("--serve", "127.0.0.1:0", "--token", "s3cret")
    with network_camera(samples_dir / "photos" / "clip.avi") as camera:
        process = subprocess.Popen(
            [*(sys.executable, "-c", command, "webcam", "--source", camera), *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stderr is not None
            found = re.search(r"http\S+", process.stderr.readline())
            assert found is not None
            look_at(playwright, chromium, found[0], tmp_path)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def look_at(playwright: object, chromium: str, url: str, folder: Path) -> None:
    """See the picture move and an event appear; see nothing with a wrong token."""
    with playwright.sync_playwright() as runner:  # type: ignore[attr-defined]
        browser = runner.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 900, "height": 520})
        problems: list[str] = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        assert tab.goto(url.replace("s3cret", "wrong")).status == 403
        assert tab.goto(url).status == 200
        tab.wait_for_selector("li.stable", timeout=20_000)
        pictures = set()
        for _ in range(20):
            pictures.add(tab.locator("#picture").screenshot())
            tab.wait_for_timeout(150)
        assert len(pictures) > 3
        assert set(tab.inner_text("#text").strip()) <= set("بسو")
        assert tab.inner_text("#state") == "live"
        tab.screenshot(path=folder / "page.png")
        assert problems == []
        browser.close()
