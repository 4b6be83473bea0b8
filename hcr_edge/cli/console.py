"""Where the commands speak: answers to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table as RichTable
from rich.text import Text

from hcr_edge.cli import interrupt

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def fail(message: str) -> None:
    """Print an error as one line."""
    try:
        err.print(f"[bold red]error:[/] {escape(' '.join(message.split()))}")
        sys.stderr.flush()
    except OSError:  # the exit code tells it too, if what is left is flushed to nowhere
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def warn(message: str) -> None:
    """Print a warning as one line."""
    err.print(f"[yellow]note:[/] {escape(' '.join(message.split()))}")


def say(message: str) -> None:
    """Print a line of an answer."""
    out.print(escape(message))


def show(table: RichTable) -> None:
    """Print a table, as wide as it needs where the output is no terminal."""
    if out.is_terminal:
        out.print(table)
    else:
        Console(width=200, highlight=False).print(table)


def answer(data: Any) -> None:
    """Print JSON, one document."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def answer_line(data: Any) -> None:
    """Print JSON on one line, at once."""
    typer.echo(json.dumps(data, ensure_ascii=False))


@contextmanager
def working(message: str) -> Iterator[Any]:
    """Show that something is going on; the value's `update` changes the message."""
    if err.is_terminal:
        with err.status(message) as status:
            yield _Working(status)
    else:
        yield _Working(None)


class _Working:
    """A status; where nobody watches it says nothing."""

    def __init__(self, status: Status | None) -> None:
        self.status = status

    def update(self, message: str) -> None:
        """Show what is being done now; stop here if an interrupt got lost before."""
        interrupt.check()
        if self.status is not None:
            self.status.update(message)


class Table(RichTable):
    """A table whose cells are plain text, whatever they hold."""

    def add_row(self, *cells: str) -> None:  # type: ignore[override]
        """Add a row of texts."""
        super().add_row(*(Text("".join(c for c in cell if c.isprintable())) for cell in cells))


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Make a table; the columns in `right` are right-aligned."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        result.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return result
