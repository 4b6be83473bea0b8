"""What docs/runtime.md shows is run."""

from __future__ import annotations

import doctest
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import hcr_runtime
from hcr_runtime.explain import explain
from hcr_runtime.prediction import Reason

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python -m hcr_runtime")
]


def run(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_block() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert run("-c", block).startswith("ب 0.9")


@pytest.mark.parametrize("command", COMMANDS)
def test_device_commands(command: str) -> None:
    assert "ب" in run(*shlex.split(command)[1:])


def test_every_reason_is_explained() -> None:
    table = TEXT.split("## When an answer is refused")[1].split("## ")[0]
    for reason in filter(None, get_args(Reason)):
        assert f"| `{reason}` |" in table


def test_every_public_name_is_explained_with_an_example_that_runs() -> None:
    bare = []
    public = {name: getattr(hcr_runtime, name) for name in hcr_runtime.__all__}
    for name, thing in (public | {"explain": explain}).items():
        if isinstance(thing, str):  # the version
            continue
        examples = doctest.DocTestFinder(recurse=False).find(thing, name)
        if not (inspect.getdoc(thing) and any(example.examples for example in examples)):
            bare.append(name)
        for part, member in vars(thing).items() if inspect.isclass(thing) else ():
            known = inspect.isroutine(member) or isinstance(member, property | classmethod)
            if known and not part.startswith("_") and not inspect.getdoc(getattr(thing, part)):
                bare.append(f"{name}.{part}")
    assert bare == []
