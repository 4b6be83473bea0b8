"""A web page for devices without a screen: live picture, events, health.

``/`` the page, ``/stream.mjpg`` the picture (Motion JPEG), ``/events`` server-sent events,
``/healthz`` JSON.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import secrets
import socket
import sys
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.errors import DataError
from hcr_runtime import Event

_log = logging.getLogger(__name__)

MOST_CLIENTS = 8
# Connections that are open at once, of any kind.
MOST_CONNECTIONS = 32
# Pictures a second to each client; requests a second, in a burst of so many.
PICTURE_RATE = 15.0
REQUEST_RATE, REQUEST_BURST = 10.0, 40
QUALITY = 75
# Events that a page gets that was opened, or came back, after them.
KEPT_EVENTS = 100
HEARTBEAT_SECONDS = 2.0
EVERYWHERE = "0.0.0.0", "::"
_BOUNDARY = "hcr-edge-frame"
_POLICY = "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "


def parse_address(text: str) -> tuple[str, int]:
    """Read ``[HOST:]PORT``; without a host, this machine alone is served.

    >>> parse_address("8080"), parse_address("0.0.0.0:80"), parse_address("[::1]:80")
    (('127.0.0.1', 8080), ('0.0.0.0', 80), ('::1', 80))

    Raises:
        DataError: It is something else.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise DataError(f"--serve {text} is no address", allowed="PORT or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Board:
    """What clients are shown: the last picture, and the last events."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.closed = False
        self.viewers = 0
        self.picture: tuple[int, bytes] = (0, b"")
        self.events: deque[tuple[int, str]] = deque(maxlen=KEPT_EVENTS)
        self._told = 0

    def show(self, image: NDArray[np.uint8]) -> None:
        """Put up a picture (BGR); it costs nothing while nobody looks."""
        if not self.viewers:
            return
        data = bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
        with self.news:
            self.picture = (self.picture[0] + 1, data)
            self.news.notify_all()

    def tell(self, event: Event) -> None:
        """Put up an event."""
        with self.news:
            self._told += 1
            self.events.append((self._told, json.dumps(event.to_dict(), ensure_ascii=False)))
            self.news.notify_all()

    def close(self) -> None:
        """End all streams."""
        with self.news:
            self.closed = True
            self.news.notify_all()

    def pictures(self) -> Iterator[bytes]:
        """Give each new picture, not more often than `PICTURE_RATE`, until closed."""
        seen = self.picture[0]
        while not self.closed:
            seen, data = self._later_picture(seen)
            if data:
                yield data
                time.sleep(1 / PICTURE_RATE)

    def happenings(self, after: int) -> Iterator[tuple[int, str]]:
        """Give each event after number `after`, and (0, "") when there was none for a while."""
        after = min(after, self._told)  # the number may be of an earlier run
        while not self.closed:
            fresh = self._later_events(after)
            yield from fresh or [(0, "")]
            after = fresh[-1][0] if fresh else after

    def _later_picture(self, seen: int) -> tuple[int, bytes]:
        with self.news:
            self.news.wait_for(lambda: self.closed or self.picture[0] > seen, HEARTBEAT_SECONDS)
            return self.picture if self.picture[0] > seen else (seen, b"")

    def _later_events(self, after: int) -> list[tuple[int, str]]:
        with self.news:
            self.news.wait_for(lambda: self.closed or self._told > after, HEARTBEAT_SECONDS)
            return [item for item in self.events if item[0] > after]


class WebPage:
    """Serves a `Board` from threads of its own until `close`.

    Args:
        host: Address to bind to.
        port: 0 takes a free one.
        health: What ``/healthz`` answers, with 503 where its ``status`` is not ``ok``.
        token: What clients must present where others than this machine can reach the page; by
            default a random one there, and none otherwise.

    Raises:
        DataError: The address cannot be bound to.
    """

    def __init__(
        self, host: str, port: int, health: Callable[[], dict[str, Any]], token: str = ""
    ) -> None:
        self.board = Board()
        self.token = token or ("" if is_local(host) else secrets.token_urlsafe(16))
        try:
            self._server = _Server((host, port), self.board, health, self.token)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"cannot serve on {host}:{port}: {reason}") from error
        self.port = int(self._server.server_address[1])
        # Nobody can open the address that stands for all of this machine's.
        name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="web page"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving; clients are cut off."""
        self.board.close()
        self._server.shutdown()
        self._server.cut_off()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A browser, or a probe, opens several connections at once.
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        board: Board,
        health: Callable[[], dict[str, Any]],
        token: str,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.board, self.health, self.token = board, health, token
        self.local = is_local(address[0])
        self.requests: dict[str, tuple[float, float]] = {}
        self.lock = threading.Lock()
        self.clients: dict[socket.socket, threading.Thread | None] = {}
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection; else it is closed."""
        with self.lock:
            if len(self.clients) >= MOST_CONNECTIONS:
                return False
            # Counted from here on: its thread may begin late.
            self.clients[request] = None
            return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one client, and remember its thread while that lasts."""
        with self.lock:
            self.clients[request] = threading.current_thread()
        super().process_request_thread(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection, also one that was refused."""
        super().shutdown_request(request)
        with self.lock:
            self.clients.pop(request, None)

    def cut_off(self) -> None:
        """End all connections, and the threads that serve them."""
        with self.lock:
            clients = list(self.clients.items())
        for request, _ in clients:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
        for _, thread in clients:
            if thread is not None:
                thread.join(0.5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what failed; clients that go away as they please are no error."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("cannot answer %s", client_address[0], exc_info=error)

    def allows(self, client: str) -> bool:
        """Whether a client's rate of requests is within limits."""
        now = time.monotonic()
        with self.lock:
            if len(self.requests) > 1000:
                self.requests.clear()
            tokens, then = self.requests.get(client, (float(REQUEST_BURST), now))
            tokens = min(tokens + (now - then) * REQUEST_RATE, REQUEST_BURST)
            self.requests[client] = (max(tokens - 1, 0.0), now)
        return tokens >= 1


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "hcr-edge"
    sys_version = ""
    # A client that takes nothing for so long is dropped (seconds).
    timeout = 10

    def do_GET(self) -> None:
        """Answer a request."""
        path, _, query = self.path.partition("?")
        if not self.server.allows(self.client_address[0]):
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "slower, please")
        elif not self._host_is_ours():
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "another host")
        elif path == "/healthz":
            health = self.server.health()
            ok = health.get("status") == "ok"
            status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer("application/json", json.dumps(health).encode(), status)
        elif not self._token_is_right(query):
            self._refuse(HTTPStatus.FORBIDDEN, "the token is missing or wrong")
        elif path == "/":
            page = files("hcr_edge").joinpath("serve.html").read_bytes()
            self._answer("text/html; charset=utf-8", page)
        elif path == "/stream.mjpg":
            self._stream(self._send_pictures)
        elif path == "/events":
            self._stream(lambda: self._send_events(query))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def _host_is_ours(self) -> bool:
        """A page of somebody else's must not reach this machine under a name of its own."""
        if not self.server.local or self.server.token:
            return True
        with suppress(ValueError):
            return is_local(urllib.parse.urlsplit(f"//{self.headers.get('Host')}").hostname or "")
        return False

    def _token_is_right(self, query: str) -> bool:
        if not self.server.token:
            return True
        given = urllib.parse.parse_qs(query).get("token", [""])[0]
        given = given or (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self.server.token.encode())

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        body = f"{reason}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        script = "script-src 'unsafe-inline'"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY + script)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, send: Callable[[], None]) -> None:
        board = self.server.board
        with board.news:
            full = board.viewers >= MOST_CLIENTS
            board.viewers += not full
        if full:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many are looking")
            return
        try:
            with suppress(OSError):
                send()
        finally:
            with board.news:
                board.viewers -= 1

    def _begin(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _send_pictures(self) -> None:
        self._begin(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        for data in self.server.board.pictures():
            head = (
                f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            self.wfile.write(head.encode() + data + b"\r\n")

    def _send_events(self, query: str) -> None:
        self._begin("text/event-stream")
        # A browser sends the number by itself, until a refusal; then the page asks for it.
        asked = urllib.parse.parse_qs(query).get("after", [""])[0]
        last = self.headers.get("Last-Event-ID") or asked
        for number, data in self.server.board.happenings(int(last) if last.isdecimal() else 0):
            text = f"id: {number}\ndata: {data}\n\n" if number else ": still here\n\n"
            self.wfile.write(text.encode())
            self.wfile.flush()
