"""Downloads published data sets: `plan` decides, `fetch` acts.

pooch is told the checksum beforehand and gives a file its name only when that is right. Its own
downloader begins anew each time; the one here goes on with ``NAME.part``, which an interrupted
run leaves beside the file's place. Nothing is opened or imported before it is needed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hcr_edge.datasets.catalogue import Entry, RemoteFile
from hcr_edge.errors import DataError

if TYPE_CHECKING:
    import requests

Progress = Callable[[str, int, int], None]
State = Literal["present", "wrong", "partial", "missing"]

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


@dataclass(frozen=True, slots=True)
class Step:
    """What was found of one file.

    Attributes:
        file: Which.
        path: Where it belongs.
        state: ``present``, ``wrong`` (another file under its name), ``partial`` (an interrupted
            download), or ``missing``.
        received: The checksum of what is there, by the file's `algorithm`.
        done: Bytes of a partial file.
    """

    file: RemoteFile
    path: Path
    state: State
    received: str = ""
    done: int = 0


def plan(entry: Entry, folder: Path) -> list[Step]:
    """Look which files of `entry` are in `folder`, and whether they are the right ones.

    Raises:
        DataError: A file cannot be read.
    """
    return [_look(file, folder / file.name) for file in entry.files]


def fetch(
    entry: Entry,
    data_dir: Path,
    *,
    offline: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> list[Path]:
    """Download what is missing of a data set; return its files, those already there included.

    Args:
        entry: See `catalogue.find_entry`.
        data_dir: The folder of data sets; the files come into its folder ``entry.folder``.
        offline: Open no connection; it is an error if something is missing.
        overwrite: Replace files that are there but not the right ones.
        progress: Told a file's name, the bytes that are there, and those that it will have.
        patience: How long to wait for a server.

    Raises:
        DataError: The set must be had by hand and is not there; a file is missing, is another
            one, cannot be had or cannot be written.
    """
    folder = data_dir / entry.folder
    if not entry.files:
        return _placed(entry, data_dir)
    steps = plan(entry, folder)
    _refuse_wrong(entry, steps, overwrite)
    todo = [step for step in steps if step.state != "present"]
    if offline and todo:
        listing = "; ".join(f"{step.file.name} from {step.file.urls[0]}" for step in todo)
        raise DataError(
            f"{entry.name} is not complete in {folder}",
            hint=f"run it without --offline, or put there: {listing}",
        )
    for step in todo:
        _fetch_file(step, progress or _tell_nobody, patience or Patience())
    return [step.path for step in steps]


def _look(file: RemoteFile, path: Path) -> Step:
    try:
        if path.exists():
            received = _digest(path, file.algorithm)
            right = received == file.digest or (
                bool(file.also) and _digest(path, "sha256") in file.also
            )
            return Step(file, path, "present" if right else "wrong", received)
        part = _part(path)
        if part.exists():
            return Step(file, path, "partial", done=part.stat().st_size)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return Step(file, path, "missing")


def _placed(entry: Entry, data_dir: Path) -> list[Path]:
    folder = data_dir / entry.folder
    paths = entry.manual.placed(folder) if entry.manual else []
    if not paths:
        steps = entry.manual.steps_for(data_dir) if entry.manual else []
        raise DataError(
            f"{entry.name} has to be had by hand, and is not in {folder}", hint="; ".join(steps)
        )
    return paths


def _refuse_wrong(entry: Entry, steps: list[Step], overwrite: bool) -> None:
    wrong = [step for step in steps if step.state == "wrong"]
    if wrong and not overwrite:
        listing = ", ".join(f"{step.path} ({_named(step.file, step.received)})" for step in wrong)
        raise DataError(
            f"{entry.name}: there is another file where a published one belongs: {listing}",
            allowed=", ".join(_named(step.file, step.file.digest) for step in wrong),
            hint="move it away, or give --overwrite",
        )


def _fetch_file(step: Step, progress: Progress, patience: Patience) -> None:
    """Try the places of a file, one after the other."""
    pooch = _import_pooch()
    problems: list[DataError] = []
    for url in step.file.urls:
        try:
            _make_folder(step.path.parent)
            _fetch_from(pooch, url, step, progress, patience)
        except DataError as error:
            problems.append(error)
        except OSError as error:
            # The disk's fault, not the server's: no other place will do better.
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise DataError(
                f"cannot write {step.path}: {error.strerror or error}",
                hint="make room; the next run goes on with what is there" if full else "",
            ) from error
        else:
            return
    if len(problems) == 1:
        raise problems[0]
    raise DataError(
        f"{step.file.name} could be had from none of its {len(problems)} places: "
        + "; ".join(str(problem) for problem in problems)
    )


def _fetch_from(pooch: Any, url: str, step: Step, progress: Progress, patience: Patience) -> None:
    file = step.file
    downloader = ResumingDownloader(file, _part(step.path), progress, patience)
    for last in (False, True):
        try:
            pooch.retrieve(
                url,
                known_hash=f"{file.algorithm}:{file.digest}",
                fname=file.name,
                path=step.path.parent.absolute(),  # it would take "~" for the home folder
                downloader=downloader,
            )
        except ValueError as error:
            # Wrong bytes, as pooch puts it.
            received = _digest(downloader.part, file.algorithm)
            joined = downloader.joined
            downloader.forget()
            # Parts of two versions, or a part that a crash spoiled: once more, from the start.
            if last or not joined:
                raise DataError(
                    f"{url} does not give the file that was published, but another"
                    f" ({_named(file, received)}); it was thrown away",
                    allowed=_named(file, file.digest),
                ) from error
        else:
            downloader.forget()
            return


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _import_pooch() -> Any:
    try:
        import pooch  # type: ignore[import-untyped]
        import requests  # noqa: F401
    except ModuleNotFoundError as error:
        raise DataError(
            f"downloading needs {error.name}", hint="pip install 'hcr-edge[export]'"
        ) from error
    # It would tell of each download on standard error.
    pooch.get_logger().setLevel("WARNING")
    return pooch


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


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _named(file: RemoteFile, digest: str) -> str:
    return f"{'SHA-256' if file.algorithm == 'sha256' else 'MD5'} {digest}"


def _tell_nobody(name: str, done: int, total: int) -> None:
    """Take a report of progress."""
