"""Standard streams that are closed, or full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from hcr_edge.cli import main; main()"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")


def _shell(redirected: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    line = f'"$0" -c "{PROGRAM}" "$@" {redirected}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *arguments], capture_output=True, check=False
    )


@pytest.mark.parametrize("arguments", [["--version"], ["train", "--help"], ["models", "--json"]])
def test_a_full_output_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    done = _shell(">/dev/full", *arguments)
    assert done.returncode == 2
    assert done.stderr == b"error: the output: No space left on device\n"


def test_closed_streams_are_no_mistake() -> None:
    done = _shell(">&-", "--version")
    assert (done.returncode, done.stderr) == (0, b"")
    done = _shell("2>&-", "--version")
    assert (done.returncode, done.stdout[:9]) == (0, b"hcr-edge ")


def test_what_cannot_be_said_is_told_by_the_exit_code() -> None:
    assert _shell("2>/dev/full", "classify", "no-such.png").returncode == 2
    assert _shell("2>&-", "classify", "no-such.png").returncode == 2
