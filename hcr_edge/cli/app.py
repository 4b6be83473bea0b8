"""Puts the commands together.

Exit codes: 0 done, 1 beyond a limit, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import errno
import functools
import io
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from hcr_edge import __version__
from hcr_edge.cli import (
    benchmark,
    data,
    device,
    evaluate,
    explain,
    export,
    interrupt,
    matrix,
    parity,
    read,
    sign,
    synth,
    training,
    webcam,
)
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


# Bytes; with fewer a disk is full.
LEAST_FREE = 1 << 20


def describe(error: OSError) -> str:
    """What went wrong, with which file; where none is named it is what the answers go to."""
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
        discard_output()
        return f"{_full_place() if error.errno == errno.ENOSPC else 'the output'}: {error.strerror}"
    if error.filename is None and error.errno == errno.EFBIG:
        return f"a file would be larger than this process may write ({error.strerror}; ulimit -f)"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _full_place() -> str:
    """What is full where no file is named: a folder, or what the answers go to."""
    with suppress(OSError):  # there may be no such folder
        temporary = tempfile.gettempdir()
        if shutil.disk_usage(temporary).free < LEAST_FREE:
            return f"{temporary}, where temporary files go"
    return "the output"


def discard_output() -> None:
    """Let the interpreter flush what cannot be written to nowhere, as it ends."""
    with suppress(OSError):  # what tests put in its place has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong in a command into one line and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except HcrError as error:
            fail(str(error))
            raise typer.Exit(2) from error
        except BrokenPipeError as error:  # the reader of a pipe has gone
            discard_output()
            raise typer.Exit(0) from error
        except OSError as error:
            fail(describe(error))
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            fail("interrupted")
            raise typer.Exit(130) from error

    return run


for _panel, _commands in (
    ("On the device", (*read.COMMANDS, *webcam.COMMANDS, *device.COMMANDS, *explain.COMMANDS)),
    (
        "On the workstation",
        (
            *export.COMMANDS,
            *parity.COMMANDS,
            *matrix.COMMANDS,
            *benchmark.COMMANDS,
            *evaluate.COMMANDS,
            *training.COMMANDS,
            *sign.COMMANDS,
        ),
    ),
):
    for _command in _commands:
        app.command(rich_help_panel=_panel)(guarded(_command))

_data = typer.Typer(
    no_args_is_help=True, help="Data sets: known, fetched, checked, drawn, divided."
)
for _name, _command in data.COMMANDS.items():
    _data.command(_name)(guarded(_command))
app.add_typer(_data, name="data", rich_help_panel="Data sets")


_synth = typer.Typer(no_args_is_help=True, help="Composed videos: made, and read.")
for _name, _command in synth.COMMANDS.items():
    _synth.command(_name)(guarded(_command))
app.add_typer(_synth, name="synth", rich_help_panel="Data sets")


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    # Who starts a service may have closed them.
    sys.stdout, sys.stderr = (
        stream or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    # OpenCV's and FFmpeg's own lines would stand beside the one that says what is wrong.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Warnings()])
    interrupt.listen()
    try:
        app()
    except OSError as error:  # of what is said before a command runs: --help, --version
        fail(describe(error))
        sys.exit(2)


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())
