"""Downloads one file, going on where an interrupted download stopped; a downloader for pooch."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcr_edge.datasets.catalogue import RemoteFile
from hcr_edge.errors import DataError

if TYPE_CHECKING:
    import requests

Progress = Callable[[str, int, int], None]

_CHUNK = 1 << 16
# A try that got so many bytes further is not counted among the failed ones.
_GAINED = 1 << 20
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        retries: How often a transfer that broke off is taken up again, without gaining ground.
        pause: Seconds before the first of these; twice as long before each further one.
        connect: Seconds until a connection stands.
        read: Seconds in which nothing at all arrives.
    """

    retries: int = 4
    pause: float = 1.0
    connect: float = 10.0
    read: float = 30.0


class _BrokenOffError(Exception):
    """A transfer that may succeed if it is tried again."""

    def __init__(self, message: str, *, connected: bool = True) -> None:
        super().__init__(message)
        self.connected = connected


class ResumingDownloader:
    """A downloader for pooch that goes on where an earlier one stopped.

    Args:
        file: What is downloaded.
        part: Where to keep what has come so far; beside it, the same name with ``.json`` says
            from which version of the file on the server it is.
        progress: As for `fetch`.
        patience: As for `fetch`.

    Attributes:
        joined: Whether what has come is from more than one answer, or was there before.
    """

    def __init__(
        self, file: RemoteFile, part: Path, progress: Progress, patience: Patience
    ) -> None:
        self.file = file
        self.part = part
        self.progress = progress
        self.patience = patience
        self.version = part.with_name(part.name + ".json")
        self.joined = self.done > 0

    @property
    def done(self) -> int:
        """The bytes that have come so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        """Remove what has come so far."""
        self.joined = False
        for path in (self.part, self.version):
            path.unlink(missing_ok=True)

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        """Download `url` to `output_file`, whose checksum pooch takes afterwards.

        Raises:
            DataError: The server is not there, refuses, or gives something else.
            OSError: The file cannot be written.
        """
        if self.done > self.file.bytes:
            self.forget()
        failures, connected = 0, False
        while self.done < self.file.bytes:
            before = self.done
            try:
                self._transfer(url)
            except _BrokenOffError as error:
                connected = connected or error.connected
                failures = 1 if self.done - before >= _GAINED else failures + 1
                if failures > self.patience.retries or not connected:
                    if not self.done:
                        self.forget()
                    raise DataError(f"{url}: {error}", hint=self._kept()) from error
                time.sleep(self.patience.pause * 2 ** (failures - 1))
        self.progress(self.file.name, self.done, self.file.bytes)
        _give_second_name(self.part, Path(output_file))

    def _kept(self) -> str:
        if not self.done:
            return "try again later"
        return f"try again later: {self.done} of {self.file.bytes} bytes are kept"

    def _transfer(self, url: str) -> None:
        """Get what is missing, in one request."""
        offset, headers = self.done, {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if version := self._read_version(url):
                headers["If-Range"] = version
        with _get(url, headers, self.patience) as response:
            status = response.status_code
            if status == 416 or (status == 206 and not self._goes_on(response, offset, url)):
                # The file on the server is another one by now.
                self.forget()
                raise _BrokenOffError("what the server has does not continue what is here")
            if status not in (200, 206):
                _refuse(url, response)
            offset = offset if status == 206 else 0
            self._check_length(url, response, offset)
            if not offset:
                self._write_version(url, response)
            self.joined = offset > 0
            self._write(url, response, offset)

    def _write(self, url: str, response: requests.Response, done: int) -> None:
        chunks = response.raw.stream(_CHUNK, decode_content=False)
        with self.part.open("ab" if done else "wb") as stream:
            self.progress(self.file.name, done, self.file.bytes)
            while chunk := _next(chunks, url):
                done += len(chunk)
                if done > self.file.bytes:
                    break
                stream.write(chunk)
                self.progress(self.file.name, done, self.file.bytes)
        if done > self.file.bytes:
            self.forget()
            raise DataError(
                f"{url} sends more than the published file has; it was thrown away",
                allowed=f"{self.file.bytes} bytes",
            )
        if done < self.file.bytes:
            raise _BrokenOffError(f"it broke off after {done} of {self.file.bytes} bytes")

    def _check_length(self, url: str, response: requests.Response, offset: int) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and offset + int(length) != self.file.bytes:
            raise DataError(
                f"{url} offers {offset + int(length)} bytes",
                allowed=f"{self.file.bytes} bytes",
                hint="it is another file than the one that was published",
            )

    def _goes_on(self, response: requests.Response, offset: int, url: str) -> bool:
        """Whether the part that the server sends continues the part that is here."""
        place = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        if place is None or int(place[1]) != offset:
            return False
        known, sent = self._read_version(url), _version(response)
        return place[2] in ("*", str(self.file.bytes)) and (not (known and sent) or known == sent)

    def _read_version(self, url: str) -> str:
        # Another place names its versions differently; there the checksum is the judge.
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(self.version.read_text(encoding="utf-8"))
            if known["url"] == url:
                return str(known["version"])
        return ""

    def _write_version(self, url: str, response: requests.Response) -> None:
        text = json.dumps({"url": url, "version": _version(response)})
        self.version.write_text(text, encoding="utf-8")


@contextmanager
def _get(url: str, headers: dict[str, str], patience: Patience) -> Iterator[requests.Response]:
    """Ask for `url`, by way of the proxies that the environment names."""
    import requests

    from hcr_edge import __version__

    with requests.Session() as session:
        session.max_redirects = 10
        # Bytes as they are: the checksum is of these, not of what they unpack to.
        session.headers.update(
            {"User-Agent": f"hcr-edge/{__version__}", "Accept-Encoding": "identity"}
        )
        with _explained(url):
            response = session.get(
                url, headers=headers, stream=True, timeout=(patience.connect, patience.read)
            )
        with closing(response):
            yield response


def _next(chunks: Iterator[bytes], url: str) -> bytes:
    with _explained(url):
        return next(chunks, b"")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Sort what goes wrong on the way: to be tried again, or not."""
    import requests.exceptions as known
    import urllib3.exceptions as below

    try:
        yield
    except (known.SSLError, below.SSLError) as error:
        raise DataError(
            f"{url}: no trusted connection ({_reason(error)})",
            hint="check this computer's clock and certificates",
        ) from error
    except known.ProxyError as error:
        raise _BrokenOffError(f"the proxy: {_reason(error)}", connected=False) from error
    except known.ConnectTimeout as error:
        raise _BrokenOffError("no connection in time", connected=False) from error
    except (known.Timeout, below.TimeoutError) as error:
        raise _BrokenOffError("nothing arrived any more") from error
    except known.ConnectionError as error:
        never = isinstance(_cause(error), below.NewConnectionError)
        raise _BrokenOffError(_reason(error), connected=not never) from error
    except (known.ChunkedEncodingError, below.HTTPError) as error:
        raise _BrokenOffError(f"the connection broke off ({_reason(error)})") from error
    except (known.RequestException, ValueError, OSError) as error:
        # A malformed redirection, certificates that are not where they should be.
        raise DataError(f"{url} cannot be followed: {_reason(error)}") from error


def _refuse(url: str, response: requests.Response) -> None:
    said = f"answered {response.status_code} {response.reason or ''}".strip()
    if response.status_code in _AGAIN:
        raise _BrokenOffError(f"the server {said}")
    raise DataError(f"{url} {said}", hint="see the data set's page for where it is now")


def _version(response: requests.Response) -> str:
    """What names this very version of a file, fit for If-Range; or nothing."""
    tag = str(response.headers.get("ETag", ""))
    # A weak tag promises no equal bytes.
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _cause(error: BaseException) -> BaseException:
    """What lies below the errors that requests and urllib3 wrap around it."""
    inner = (
        *error.args,
        getattr(error, "reason", None),
        getattr(error, "original_error", None),
    )
    for candidate in inner:
        if isinstance(candidate, BaseException):
            return _cause(candidate)
    return error


def _reason(error: BaseException) -> str:
    text = str(_cause(error))
    # urllib3 begins with the connection's own description.
    return re.sub(r"^<?\w*Connection\w*[^:]*?(\(.*?\)|>): ", "", text)


def _give_second_name(part: Path, output: Path) -> None:
    """Make `output` the same file as `part`, so that an interruption still leaves that."""
    output.unlink(missing_ok=True)
    try:
        os.link(part, output)
    except OSError:  # a file system without links
        shutil.copyfile(part, output)
