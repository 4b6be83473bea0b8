"""Runs the installed command as its user does: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def hcr_edge() -> Command:
    program = Path(sys.executable).with_name("hcr-edge")

    def run(*arguments: object, data: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "HCR_EDGE_DATA"}
        if data is not None:
            environment["HCR_EDGE_DATA"] = str(data)
        return subprocess.run(
            [str(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=environment,
            timeout=600,
        )

    return run
