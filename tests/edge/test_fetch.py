"""Downloads against a server that misbehaves in every way it can."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hcr_edge.cli import data_fetch
from hcr_edge.cli.app import guarded
from hcr_edge.datasets.catalogue import Entry, Manual, RemoteFile
from hcr_edge.datasets.download import Patience
from hcr_edge.datasets.fetch import fetch, plan
from hcr_edge.errors import DataError

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
HALF = 150_000
CHUNK = 65_536  # what is read at once
NAME = "letters v1.zip"
QUICK = Patience(retries=2, pause=0.01, connect=1.0, read=0.3)


@dataclass(frozen=True)
class Reply:
    """What a server answers to one request.

    Attributes:
        data: The file as it has it.
        status: Instead of 200 or 206.
        cut: Closes the connection after so many bytes of the body.
        reset: Does not close the connection in order, but drops it.
        stall: Falls silent there for so many seconds.
        length: Content-Length as it claims; None leaves it out.
        chunked: Sends chunks, which are cut without an end.
        ranges: ``yes``, ``no`` (gives all), ``blind`` (does not look at If-Range),
            ``shifted`` (gives another part than it was asked for).
        headers: Further ones; a value of None takes one out.
    """

    data: bytes = BODY
    status: int | None = None
    cut: int | None = None
    reset: bool = False
    stall: float = 0.0
    length: int | str | None = "right"
    chunked: bool = False
    ranges: str = "yes"
    headers: dict[str, str | None] = field(default_factory=dict)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        headers: dict[str, str | None] = {"ETag": '"v1"', "Connection": "close", **self.headers}
        status, start = self.status or 200, 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        unchanged = handler.headers.get("If-Range") in (
            None, headers["ETag"], headers.get("Last-Modified"),
        )  # fmt: skip
        if asked and status == 200 and self.ranges != "no" and (unchanged or self.ranges != "yes"):
            status, start = 206, int(asked[1])
            start -= 7 if self.ranges == "shifted" else 0
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        body = self.data[start:]
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif self.length is not None:
            headers["Content-Length"] = str(len(body) if self.length == "right" else self.length)
        handler.send_response(status)
        for name, value in headers.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        sent = body if self.cut is None else body[: self.cut]
        if self.chunked:
            handler.wfile.write(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
            handler.wfile.write(b"0\r\n\r\n" if self.cut is None else b"")
        else:
            handler.wfile.write(sent)
        if self.stall:
            handler.wfile.flush()
            time.sleep(self.stall)
        if self.reset:
            handler.wfile.flush()
            time.sleep(0.05)  # a reset also drops what has arrived but was not read
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.connection.close()
        handler.close_connection = True


@dataclass
class Site:
    """A server: its address, what it will answer in turn (the last again and again), its log."""

    url: str = ""
    replies: list[Reply] = field(default_factory=lambda: [Reply()])
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append((handler.path, dict(handler.headers.items())))
        reply.send(handler)

    @property
    def ranges(self) -> list[str]:
        """The Range of each request."""
        return [headers.get("Range", "") for _, headers in self.asked]


def _serve() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                site.answer(self)
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield site
    server.shutdown()
    server.server_close()


_site = pytest.fixture(_serve, name="site")
_second_site = pytest.fixture(_serve, name="second_site")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _entry(*urls: str, **changes: Any) -> Entry:
    file: dict[str, Any] = {"bytes": len(BODY), "sha256": _sha256(BODY), **changes}
    return Entry(
        name="letters",
        title="Letters",
        script="Latin letters",
        classes=26,
        images=100,
        citation="Somebody, 1999",
        source="https://published.invalid/letters",
        licence="none [stated]",
        terms="For research only.",
        folder="letters",
        files=(
            RemoteFile(name=NAME, urls=tuple(f"{url}/letters%20v1.zip" for url in urls), **file),
        ),
    )


class Folder:
    """The set's folder below a data folder, by what lies in it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "letters"
        self.file, self.part = self.path / NAME, self.path / f"{NAME}.part"

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.glob("*")) if self.path.is_dir() else []

    def put(self, path: Path, data: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def test_downloads_once(site: Site, folder: Folder) -> None:
    told: list[tuple[str, int, int]] = []
    entry = _entry(site.url)
    ask = {"patience": QUICK, "progress": lambda *report: told.append(report)}
    assert fetch(entry, folder.data_dir, **ask) == [folder.file]
    assert folder.file.read_bytes() == BODY
    assert folder.names == [NAME], "nothing else is left"
    path, headers = site.asked[0]
    assert path == "/letters%20v1.zip"
    assert re.fullmatch(r"hcr-edge/\d+\.\d+\S*", headers["User-Agent"])
    assert headers["Accept-Encoding"] == "identity"
    done = [report[1] for report in told]
    assert {report[::2] for report in told} == {(NAME, len(BODY))}
    assert (done[0], done[-1]) == (0, len(BODY))
    assert done == sorted(done)
    told.clear()
    assert fetch(entry, folder.data_dir, **ask) == [folder.file]
    assert (len(site.asked), told) == (1, []), "the second run asks for nothing"


CUT = Reply(cut=HALF)
FROM_HALF = f"bytes={HALF}-"


def _redirect(status: int, where: str) -> Reply:
    return Reply(b"", status, headers={"Location": where})


UNNAMED: dict[str, str | None] = {"ETag": None}
LAST_MODIFIED = {"ETag": None, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


@pytest.mark.parametrize(
    ("replies", "ranges"),
    [
        ([CUT, Reply()], ["", FROM_HALF]),
        ([CUT, Reply(cut=1000), Reply()], ["", FROM_HALF, f"bytes={HALF + 1000}-"]),
        ([Reply(cut=2 * CHUNK, reset=True), Reply()], ["", f"bytes={2 * CHUNK}-"]),
        ([Reply(cut=0), Reply()], ["", ""]),  # nothing came: nothing to go on with
        # Servers without ranges, or which changed their mind, give the whole file.
        ([CUT, Reply(ranges="no")], ["", FROM_HALF]),
        ([CUT, Reply(ranges="no", cut=HALF), Reply(ranges="no")], ["", FROM_HALF, FROM_HALF]),
        ([CUT, Reply(status=416, data=b""), Reply()], ["", FROM_HALF, ""]),
        ([CUT, Reply(ranges="shifted"), Reply()], ["", FROM_HALF, ""]),
        # Another version on the server: told by it (If-Range), or seen by its tag alone.
        ([Reply(OTHER, cut=HALF, headers={"ETag": '"v0"'}), Reply()], ["", FROM_HALF]),
        (
            [Reply(OTHER, cut=HALF, headers={"ETag": '"v0"'}), Reply(ranges="blind"), Reply()],
            ["", FROM_HALF, ""],
        ),
        # Versions by date; by a tag that promises too little; by nothing at all.
        ([Reply(cut=HALF, headers=LAST_MODIFIED), Reply(headers=LAST_MODIFIED)], ["", FROM_HALF]),
        ([Reply(cut=HALF, headers={"ETag": 'W/"v1"'}), Reply()], ["", FROM_HALF]),
        ([Reply(cut=HALF, headers=UNNAMED), Reply(headers=UNNAMED)], ["", FROM_HALF]),
        # Without any sign of version the parts of two files are joined: the checksum tells.
        (
            [Reply(OTHER, cut=HALF, headers=UNNAMED), Reply(headers=UNNAMED), Reply()],
            ["", FROM_HALF, ""],
        ),
        ([Reply(status=500, data=b"oops"), Reply()], ["", ""]),
        ([Reply(status=503, data=b""), Reply(status=429, data=b""), Reply()], ["", "", ""]),
        # Falls silent midway.
        ([Reply(cut=2 * CHUNK, stall=1.0), Reply()], ["", f"bytes={2 * CHUNK}-"]),
        ([Reply(cut=0, stall=1.0), Reply()], ["", ""]),
        ([Reply(chunked=True)], [""]),  # size not said beforehand
        ([Reply(chunked=True, cut=HALF), Reply()], ["", FROM_HALF]),
        ([Reply(length=None)], [""]),  # the end of the connection is the end of the file
        ([Reply(length=None, cut=HALF), Reply()], ["", FROM_HALF]),
        # Calls a file that is compressed in itself a compressed transfer: it is not unpacked.
        ([Reply(headers={"Content-Encoding": "gzip"})], [""]),
        ([_redirect(302, "/a"), _redirect(307, "b"), Reply()], ["", "", ""]),
    ],
)  # fmt: skip
def test_gets_the_file_all_the_same(
    replies: list[Reply], ranges: list[str], site: Site, folder: Folder
) -> None:
    site.replies = replies
    fetch(_entry(site.url), folder.data_dir, patience=QUICK)
    assert folder.file.read_bytes() == BODY
    assert folder.names == [NAME]
    assert site.ranges == ranges


PAGE = b"<html>log in</html>"


@pytest.mark.parametrize(
    ("reply", "says", "requests", "kept"),
    [
        (Reply(b"gone", 404), "answered 404 Not Found", 1, 0),
        (Reply(b"no", 403), "answered 403 Forbidden", 1, 0),
        (Reply(b"no", 401), "answered 401", 1, 0),
        (Reply(b"", 304), "answered 304", 1, 0),  # to a question that was not asked
        (Reply(b"oops", 500), "the server answered 500", 3, 0),
        (Reply(b"later", 503), "the server answered 503", 3, 0),
        (_redirect(302, "/letters%20v1.zip"), "Exceeded 10 redirects", 11, 0),
        (_redirect(302, "http://[x/y"), "cannot be followed", 1, 0),
        (_redirect(302, "ftp://x/y"), "ftp://x/y", 1, 0),
        (Reply(PAGE), f"offers {len(PAGE)} bytes", 1, 0),  # a login page with status 200
        (Reply(BODY[:-1]), "offers 299999 bytes; allowed: 300000 bytes", 1, 0),
        (Reply(BODY + b"x"), "offers 300001 bytes", 1, 0),
        (Reply(BODY + b"x", chunked=True), "more than the published file", 1, 0),
        (Reply(BODY[:-1], chunked=True), "299999 of 300000", 3, 299_999),
        (Reply(OTHER), f"another (SHA-256 {_sha256(OTHER)})", 1, 0),
        (Reply(OTHER), f"allowed: SHA-256 {_sha256(BODY)}", 1, 0),
        (Reply(cut=HALF, ranges="no"), "150000 of 300000 bytes are kept", 3, HALF),
        (Reply(cut=0), "try again later", 3, 0),
        (Reply(cut=0, stall=1.0), "nothing arrived any more", 3, 0),
        (Reply(cut=2 * CHUNK, ranges="no", stall=0.6), "any more", 3, 2 * CHUNK),
        (Reply(length=-5, cut=0), "", 3, 0),  # nonsense instead of a length
    ],
)
def test_gives_up_in_one_line(
    reply: Reply, says: str, requests: int, kept: int, site: Site, folder: Folder
) -> None:
    site.replies = [reply]
    with pytest.raises(DataError) as caught:
        fetch(_entry(site.url), folder.data_dir, patience=QUICK)
    message = str(caught.value)
    assert says in message
    assert f"{site.url}/letters%20v1.zip" in message
    assert "\n" not in message
    assert len(site.asked) == requests
    assert not folder.file.exists()
    # What may be gone on with is kept, and nothing else: no temporary file either.
    assert folder.names == ([f"{NAME}.part", f"{NAME}.part.json"] if kept else [])
    assert not kept or len(folder.part.read_bytes()) == kept


def test_trickling_server_is_waited_for(
    site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as each connection gains ground, breaking off does not count."""
    monkeypatch.setattr("hcr_edge.datasets.download._GAINED", 50_000)
    site.replies = [Reply(cut=50_000)]
    fetch(_entry(site.url), folder.data_dir, patience=QUICK)
    assert folder.file.read_bytes() == BODY
    assert len(site.asked) == 6 > QUICK.retries + 1


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_refused_connection(folder: Folder) -> None:
    with pytest.raises(DataError, match="refused") as caught:
        fetch(_entry(f"http://127.0.0.1:{_closed_port()}"), folder.data_dir)
    assert "Connection(" not in str(caught.value), "no inner workings of a library"


def test_unknown_host(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"Failed to resolve 'published\.invalid'"):
        fetch(_entry("http://published.invalid"), folder.data_dir)
    assert time.monotonic() - start < 1.0, "nobody is there: no use trying again"


def test_no_trusted_connection(site: Site, folder: Folder) -> None:
    """The server does not speak TLS at all."""
    with pytest.raises(DataError, match="no trusted connection"):
        fetch(_entry(site.url.replace("http:", "https:")), folder.data_dir, patience=QUICK)


def test_proxy_of_the_environment(
    site: Site, second_site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", site.url)
    monkeypatch.setenv("http_proxy", site.url)
    fetch(_entry("http://published.invalid"), folder.data_dir, patience=QUICK)
    assert [path for path, _ in site.asked] == ["http://published.invalid/letters%20v1.zip"]
    folder.file.unlink()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetch(_entry(second_site.url), folder.data_dir, patience=QUICK)
    assert (len(site.asked), len(second_site.asked)) == (1, 1)


def test_proxy_that_is_not_there(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{_closed_port()}")
    with pytest.raises(DataError, match=r"the proxy: .*refused"):
        fetch(_entry("http://published.invalid"), folder.data_dir, patience=QUICK)


def test_offline_opens_nothing(site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = _entry(site.url)
    fetch(entry, folder.data_dir, patience=QUICK)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert fetch(entry, folder.data_dir, offline=True) == [folder.file]
    folder.file.unlink()
    with pytest.raises(DataError, match="not complete") as caught:
        fetch(entry, folder.data_dir, offline=True)
    for part in (str(folder.path), NAME, entry.files[0].urls[0], "--offline"):
        assert part in str(caught.value)


def test_interrupted_run_is_gone_on_with(site: Site, folder: Folder) -> None:
    def interrupt(name: str, done: int, total: int) -> None:
        if done > HALF:
            raise KeyboardInterrupt

    entry = _entry(site.url)
    with pytest.raises(KeyboardInterrupt):
        fetch(entry, folder.data_dir, progress=interrupt)
    kept = len(folder.part.read_bytes())
    assert kept > HALF
    assert folder.names == [f"{NAME}.part", f"{NAME}.part.json"]
    assert [(step.state, step.done) for step in plan(entry, folder.path)] == [("partial", kept)]
    seen: list[int] = []
    fetch(entry, folder.data_dir, progress=lambda name, done, total: seen.append(done))
    assert folder.file.read_bytes() == BODY
    assert site.ranges == ["", f"bytes={kept}-"]
    assert site.asked[1][1]["If-Range"] == '"v1"'
    assert seen[0] == kept


def test_interrupted_checksum_costs_no_second_download(
    site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(_entry(site.url), folder.data_dir)
    assert folder.names == [f"{NAME}.part", f"{NAME}.part.json"]
    fetch(_entry(site.url), folder.data_dir)
    assert (folder.file.read_bytes(), folder.names) == (BODY, [NAME])
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("part", "version", "ranges"),
    [
        (BODY[:HALF], None, [FROM_HALF]),  # nobody knows from which version: the checksum tells
        (OTHER[:HALF], None, [FROM_HALF, ""]),
        (bytes(HALF), {"url": "", "version": '"v1"'}, [FROM_HALF, ""]),  # spoiled by a crash
        (BODY[:HALF], {"url": "", "version": '"v0"'}, [FROM_HALF]),  # the server gives all
        (BODY[:HALF], {"url": "https://elsewhere", "version": '"v0"'}, [FROM_HALF]),
        (BODY[:HALF], ["no", "version"], [FROM_HALF]),
        (b"", None, [""]),
        (BODY, None, []),  # whole, but never checked
        (OTHER, None, [""]),
        (BODY + b"x", None, [""]),
    ],
)
def test_part_of_an_earlier_run(
    part: bytes, version: Any, ranges: list[str], site: Site, folder: Folder
) -> None:
    entry = _entry(site.url)
    folder.put(folder.part, part)
    if version is not None:
        if isinstance(version, dict):
            version["url"] = version["url"] or entry.files[0].urls[0]
        folder.put(Path(f"{folder.part}.json"), json.dumps(version).encode())
    fetch(entry, folder.data_dir, patience=QUICK)
    assert (folder.file.read_bytes(), folder.names) == (BODY, [NAME])
    assert site.ranges == ranges


def test_other_file_is_not_replaced_unasked(site: Site, folder: Folder) -> None:
    entry = _entry(site.url)
    folder.put(folder.file, b"mine")
    assert [step.state for step in plan(entry, folder.path)] == ["wrong"]
    for offline in (False, True):
        with pytest.raises(DataError, match="another file") as caught:
            fetch(entry, folder.data_dir, offline=offline)
        for part in (str(folder.file), _sha256(b"mine"), _sha256(BODY), "--overwrite"):
            assert part in str(caught.value)
    assert (folder.file.read_bytes(), site.asked) == (b"mine", [])
    site.replies = [Reply(OTHER)]
    with pytest.raises(DataError, match="does not give the file"):
        fetch(entry, folder.data_dir, overwrite=True, patience=QUICK)
    assert folder.file.read_bytes() == b"mine", "kept until there is something better"
    site.replies = [Reply()]
    fetch(entry, folder.data_dir, overwrite=True, patience=QUICK)
    assert (folder.file.read_bytes(), folder.names) == (BODY, [NAME])


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"gone", 404),
        Reply(OTHER),  # another file under the name
        Reply(PAGE),
        Reply(cut=HALF, ranges="no"),  # never gets through
    ],
)
def test_second_place_helps(reply: Reply, site: Site, second_site: Site, folder: Folder) -> None:
    site.replies = [reply]
    fetch(_entry(site.url, second_site.url), folder.data_dir, patience=QUICK)
    assert (folder.file.read_bytes(), folder.names) == (BODY, [NAME])
    assert len(second_site.asked) == 1


def test_no_place_helps(site: Site, second_site: Site, folder: Folder) -> None:
    site.replies, second_site.replies = [Reply(b"gone", 404)], [Reply(OTHER)]
    with pytest.raises(DataError, match="none of its 2 places") as caught:
        fetch(_entry(site.url, second_site.url), folder.data_dir, patience=QUICK)
    for part in (NAME, "404", site.url, _sha256(OTHER), second_site.url):
        assert part in str(caught.value)


def test_relative_folder_with_a_tilde(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell has not replaced it: it is a name like any other, for pooch too."""
    monkeypatch.chdir(tmp_path)
    (path,) = fetch(_entry(site.url), Path("~data"))
    assert path.read_bytes() == BODY
    assert Folder(tmp_path / "~data").names == [NAME]


def test_file_with_md5_alone(site: Site, folder: Folder) -> None:
    md5 = hashlib.md5(BODY).hexdigest()
    fetch(_entry(site.url, sha256="", md5=md5), folder.data_dir, patience=QUICK)
    assert folder.file.read_bytes() == BODY
    folder.file.unlink()
    site.replies = [Reply(OTHER)]
    with pytest.raises(DataError, match=f"MD5 {hashlib.md5(OTHER).hexdigest()}.*MD5 {md5}"):
        fetch(_entry(site.url, sha256="", md5=md5), folder.data_dir, patience=QUICK)


def test_same_content_compressed_anew_is_as_good(site: Site, folder: Folder) -> None:
    folder.put(folder.file, OTHER)
    entry = _entry(site.url, also=(_sha256(OTHER),))
    assert fetch(entry, folder.data_dir) == [folder.file]
    assert site.asked == []


def test_file_system_without_links(
    site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    fetch(_entry(site.url), folder.data_dir)
    assert (folder.file.read_bytes(), folder.names) == (BODY, [NAME])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_disk_full(site: Site, folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    folder.part.symlink_to("/dev/full")
    with pytest.raises(DataError, match="No space left") as caught:
        fetch(_entry(site.url, site.url), folder.data_dir)
    assert str(folder.file) in str(caught.value)
    assert len(site.asked) == 1, "another place would not help"
    assert not folder.file.exists()


def _file_in_the_way(folder: Folder) -> None:
    folder.data_dir.write_bytes(b"")


def _folder_under_its_name(folder: Folder) -> None:
    folder.file.mkdir(parents=True)


def _no_permission(folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    folder.path.chmod(0o555)
    if os.access(folder.path, os.W_OK):
        pytest.skip("this user may write everywhere")


@pytest.mark.parametrize("block", [_file_in_the_way, _folder_under_its_name, _no_permission])
def test_place_that_cannot_be_written(
    block: Callable[[Folder], None], site: Site, folder: Folder
) -> None:
    block(folder)
    with pytest.raises(DataError, match=r"cannot (write|read)") as caught:
        fetch(_entry(site.url), folder.data_dir, overwrite=True)
    assert str(folder.file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert site.asked == []


def test_permission_is_asked_before_the_server(
    site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match=r"cannot write .*: Permission denied"):
        fetch(_entry(site.url), folder.data_dir)
    assert site.asked == []


@pytest.mark.parametrize("missing", ["pooch", "requests"])
def test_without_the_packages(
    missing: str, site: Site, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DataError, match=rf"^downloading needs {missing}; pip install") as caught:
        fetch(_entry(site.url, site.url), folder.data_dir)
    assert caught.value.hint == "pip install 'hcr-edge[export]'"


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, hcr_edge.datasets.fetch, hcr_edge.cli.data_fetch;"
        "print([name for name in ('pooch', 'requests', 'urllib3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MANUAL = Manual(
    steps=("Log in at https://published.invalid", "Put it at {data_dir}/letters/a.csv"),
    accepts=("a.csv",),
)


def _by_hand() -> Entry:
    whole = _entry()
    fields = {name: getattr(whole, name) for name in Entry.__slots__}
    return Entry(**{**fields, "files": (), "manual": MANUAL})


def test_set_that_is_had_by_hand(folder: Folder) -> None:
    with pytest.raises(DataError, match="by hand") as caught:
        fetch(_by_hand(), folder.data_dir)
    assert f"{folder.data_dir}/letters/a.csv" in caught.value.hint
    folder.put(folder.path / "a.csv", b"1,2")
    assert fetch(_by_hand(), folder.data_dir) == [folder.path / "a.csv"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, with `entry` as the whole catalogue."""
    app = typer.Typer()
    app.command()(guarded(data_fetch.fetch))

    def ask(entry: Entry | None, *arguments: object) -> Any:
        if entry is not None:
            monkeypatch.setattr(data_fetch, "find_entry", lambda name: entry)
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    monkeypatch.delenv("HCR_EDGE_DATA", raising=False)
    return ask


def test_command_tells_the_terms_first(site: Site, folder: Folder, run: Any) -> None:
    ask = ("letters", "letters", "--data-dir", folder.data_dir)
    answer = run(_entry(site.url), *ask)
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert lines == [
        "letters: Letters (Somebody, 1999)",
        "  licence: none [stated]",
        "  terms: For research only.",
        f"  {folder.file}: downloaded",
    ]
    assert NAME in answer.stderr, "progress is no answer"
    assert run(_entry(site.url), *ask).stdout.splitlines()[-1] == f"  {folder.file}: already there"


def test_command_answers_json(
    site: Site, folder: Folder, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCR_EDGE_DATA", str(folder.data_dir))
    answer = run(_entry(site.url), "letters", "--json")
    assert "none [stated]" in answer.stderr
    document = json.loads(answer.stdout)
    assert document["data_dir"] == str(folder.data_dir)
    (item,) = document["sets"]
    assert (item["name"], item["error"], item["manual"]) == ("letters", None, [])
    assert item["files"] == [{"path": str(folder.file), "bytes": len(BODY), "downloaded": True}]


@pytest.mark.parametrize("reply", [Reply(b"gone", 404), Reply(OTHER)])
def test_command_fails_in_one_line(reply: Reply, site: Site, folder: Folder, run: Any) -> None:
    site.replies = [reply]
    answer = run(_entry(site.url), "letters", "--data-dir", folder.data_dir, "--json")
    assert answer.exit_code == 2
    assert "Traceback" not in answer.stderr
    assert len([line for line in answer.stderr.splitlines() if line.startswith("error:")]) == 1
    assert site.url in json.loads(answer.stdout)["sets"][0]["error"]


def test_command_says_what_to_do_by_hand(folder: Folder, run: Any) -> None:
    ask = ("letters", "--data-dir", folder.data_dir)
    answer = run(_by_hand(), *ask)
    assert answer.exit_code == 2
    assert answer.stderr.splitlines()[-2:] == [
        "  1. Log in at https://published.invalid",
        f"  2. Put it at {folder.data_dir}/letters/a.csv",
    ]
    folder.put(folder.path / "a.csv", b"1,2")
    assert run(_by_hand(), *ask, "--offline").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ahdc",), "did you mean ahcd"),
        (("ahcd",), "set HCR_EDGE_DATA"),  # no folder is named
    ],
)
def test_command_refuses(arguments: tuple[str, ...], says: str, tmp_path: Path, run: Any) -> None:
    where = () if arguments == ("ahcd",) else ("--data-dir", tmp_path)
    answer = run(None, *arguments, *where)
    assert answer.exit_code == 2
    assert says in answer.stderr


def test_interrupted_command_says_that_all_is_kept(
    site: Site, folder: Folder, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(bar: Any, name: str, done: int, total: int) -> None:
        if done > HALF:
            raise KeyboardInterrupt

    monkeypatch.setattr(data_fetch._Bar, "step", interrupt)
    answer = run(_entry(site.url), "letters", "--data-dir", folder.data_dir)
    assert answer.exit_code == 130
    assert "goes on with it" in answer.stderr
    assert folder.part.exists()
