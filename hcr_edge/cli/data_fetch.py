"""The command that downloads published data sets: ``data fetch``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hcr_edge.cli.console import answer, err, fail, say, warn
from hcr_edge.datasets import find_data_dir
from hcr_edge.datasets.catalogue import Entry, find_entry
from hcr_edge.datasets.fetch import fetch as download
from hcr_edge.errors import DataError

_SECONDS_BETWEEN_LINES = 10.0


def fetch(
    names: Annotated[list[str], typer.Argument(help="Data sets, e.g. ahcd mnist.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where to put them; else the variable HCR_EDGE_DATA."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Open no connection; say what is missing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are not the published ones.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer as JSON (see docs/json.md).")
    ] = False,
) -> None:
    """Download data sets from their publishers; say on what terms they may be used.

    Every file is checked against a known checksum. What an interrupted download got is kept, and
    the next run goes on with it. A set that needs a login is not downloaded: what to do is said.

    Example: [bold]hcr-edge data fetch ahcd mnist --data-dir data[/]
    """
    where = find_data_dir(data_dir)
    if where is None:
        raise DataError(
            "no folder for data sets is named", hint="give --data-dir or set HCR_EDGE_DATA"
        )
    entries = [find_entry(name) for name in dict.fromkeys(names)]
    results = [_fetch_one(entry, where, offline, overwrite, as_json) for entry in entries]
    if as_json:
        answer({"data_dir": str(where), "sets": results})
    if any(result["error"] for result in results):
        raise typer.Exit(2)


def _fetch_one(
    entry: Entry, data_dir: Path, offline: bool, overwrite: bool, as_json: bool
) -> dict[str, Any]:
    tell = _tell_aside if as_json else say
    tell(f"{entry.name}: {entry.title} ({entry.citation})")
    tell(f"  licence: {entry.licence}")
    tell(f"  terms: {entry.terms}")
    result: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "citation": entry.citation,
        "source": entry.source,
        "licence": entry.licence,
        "terms": entry.terms,
        "files": [],
        "manual": entry.manual.steps_for(data_dir) if entry.manual else [],
        "error": None,
    }
    try:
        with _Bar() as bar:
            paths = download(
                entry, data_dir, offline=offline, overwrite=overwrite, progress=bar.step
            )
    except DataError as error:
        # The other sets are still tried.
        result["error"] = str(error)
        fail(str(error) if entry.files else error.message)
        _tell_steps(entry, result["manual"])
        return result
    except KeyboardInterrupt:
        warn("what was downloaded is kept; the same command goes on with it")
        raise
    for path in paths:
        fetched = path.name in bar.seen
        size = path.stat().st_size if path.is_file() else None
        result["files"].append({"path": str(path), "bytes": size, "downloaded": fetched})
        tell(f"  {path}: {'downloaded' if fetched else 'already there'}")
    return result


def _tell_steps(entry: Entry, steps: list[str]) -> None:
    if steps and entry.files:
        _tell_aside(f"  {entry.name} can also be had by hand:")
    for number, step in enumerate(steps, 1):
        _tell_aside(f"  {number}. {step}")


def _tell_aside(message: str) -> None:
    err.print(escape(message))


class _Bar:
    """A progress bar for each file on a terminal, and a line now and then elsewhere."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told = 0.0

    def __enter__(self) -> _Bar:
        if err.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if err.is_terminal:
            self.progress.stop()

    def step(self, name: str, done: int, total: int) -> None:
        """So many bytes of a file are there."""
        if err.is_terminal:
            if name not in self._tasks:
                self._tasks[name] = self.progress.add_task(name, total=total)
            self.progress.update(self._tasks[name], completed=done)
        elif name not in self.seen or time.monotonic() - self._told > _SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            err.print(escape(f"  {name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB"))
        self.seen.add(name)
