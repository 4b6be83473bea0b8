"""Puts the commands together.

Exit codes: 0 done, 1 beyond a limit, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from hcr_edge import __version__
from hcr_edge.cli import device, workstation
from hcr_edge.cli.console import fail, warn
from hcr_runtime import HcrError

app = typer.Typer(
    name="hcr-edge",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hcr-edge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Handwritten characters on small devices: train, export, prove, read."""


device.register(app)
workstation.register(app)


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Warnings()])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except HcrError as error:
        fail(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        fail("interrupted; nothing half-written is left")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone: say nothing, and let the interpreter flush nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
