"""A camera on the network, for the tests: the sample clip, over and over, at its own pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2

from hcr_runtime import frames


@contextmanager
def network_camera(clip: Path, rate: float = 30.0) -> Iterator[str]:
    """Serve a clip as Motion JPEG while the context lasts; gives the address."""
    pictures = [bytes(cv2.imencode(".jpg", frame.image)[1]) for frame in frames(str(clip))]
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
            self.end_headers()
            start, sent = time.monotonic(), 0
            while not stop.is_set():
                head = b"--cut\r\nContent-Type: image/jpeg\r\n\r\n"
                try:
                    self.wfile.write(head + pictures[sent % len(pictures)] + b"\r\n")
                except OSError:
                    return
                sent += 1
                stop.wait(max(0.0, start + sent / rate - time.monotonic()))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/video"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
