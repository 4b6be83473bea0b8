"""What the README shows is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Command

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("hcr-edge ")
]
# Long, or standing on the result of a long one; tests/e2e/test_whole_path.py runs their like.
# What downloads is tried against a server of its own in tests/edge/test_fetch.py, foreign models in
# tests/edge/test_cli_export.py.
LONG = (
    *("hcr-edge train", "hcr-edge export runs/first", "hcr-edge export digits.h5"),
    "hcr-edge data fetch",
)
NEEDS_DATA = re.compile(r"--dataset ahcd|data split ahcd")


def test_python_blocks() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        result = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, cwd=REPOSITORY
        )
        assert result.returncode == 0, result.stderr
        assert "beh" in result.stdout


def test_commands_in_their_order(
    hcr_edge: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    chosen = [line for line in COMMANDS if not line.startswith(LONG)]
    assert len(chosen) >= 8
    for line in chosen:
        arguments = shlex.split(line)[1:]
        moved = [argument.replace("build/", f"{tmp_path}/build/", 1) for argument in arguments]
        result = hcr_edge(*moved, data=data_dir if NEEDS_DATA.search(line) else None)
        assert result.returncode == 0, f"{line}\n{result.stderr}"
        assert result.stdout.strip()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith(LONG)])
def test_long_commands_have_options_that_exist(hcr_edge: Command, line: str) -> None:
    words = shlex.split(line)
    command = words[1:3] if words[1] == "data" else words[1:2]
    usage = hcr_edge(*command, "--help").stdout
    for option in (word for word in words if word.startswith("--")):
        assert option in usage


def test_every_table_of_results_names_its_command() -> None:
    results = README.split("## Results")[1].split("## ")[0]
    rows = [line for line in results.splitlines() if line.startswith("|")][2:]
    assert rows
    for row in rows:
        assert re.search(r"`(hcr-edge |make |python benchmarks/)[^`]+`", row), row
