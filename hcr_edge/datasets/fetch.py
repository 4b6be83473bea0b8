"""Downloads published data sets: `plan` decides, `fetch` acts.

pooch is told the checksum beforehand and gives a file its name only when that is right. Its own
downloader begins anew each time; the one here goes on with ``NAME.part``, which an interrupted
run leaves beside the file's place. Nothing is opened or imported before it is needed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hcr_edge.datasets.catalogue import Entry, RemoteFile
from hcr_edge.datasets.download import Patience, Progress, ResumingDownloader
from hcr_edge.errors import DataError

if TYPE_CHECKING:
    pass

State = Literal["present", "wrong", "partial", "missing"]


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


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _named(file: RemoteFile, digest: str) -> str:
    return f"{'SHA-256' if file.algorithm == 'sha256' else 'MD5'} {digest}"


def _tell_nobody(name: str, done: int, total: int) -> None:
    """Take a report of progress."""
